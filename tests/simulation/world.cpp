#include "tests/simulation/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace tutti::simulation {
namespace {

using namespace std::chrono_literals;

// Slow probing may wait ten minutes, then a start, then a breaker's minute.
constexpr Duration kHealedWithin = 15min;

constexpr std::array kJobFaults{Fault::crash_before_take,
                                Fault::crash_computing,
                                Fault::crash_before_publish,
                                Fault::crash_after_publish,
                                Fault::exits,
                                Fault::out_of_memory,
                                Fault::escape,
                                Fault::hang,
                                Fault::slow,
                                Fault::lie,
                                Fault::reject,
                                Fault::refuse};

VoteFate cause_of(Fault fault) {
  if (fault == Fault::exits) return {.state = VoteState::exited, .detail = 0};
  if (fault == Fault::out_of_memory) return {.state = VoteState::out_of_memory};
  if (fault == Fault::escape) return {.state = VoteState::escape_attempt, .detail = 42};
  return {.state = VoteState::crashed, .detail = 11};
}

Fingerprint fingerprint_of_row(std::uint32_t row) { return {.low = row, .high = 78}; }

bool kills(Fault fault) {
  return fault <= Fault::crash_after_publish || fault == Fault::exits || fault == Fault::out_of_memory ||
         fault == Fault::escape || fault == Fault::poison;
}

}  // namespace

World::World(const Scenario& scenario, const std::vector<bool>& dropped, Coverage& coverage, bool verbose)
    : scenario_(scenario),
      dropped_(dropped),
      coverage_(coverage),
      verbose_(verbose),
      core_(scenario.config, scenario.seed, scenario.templates),
      checker_(scenario) {
  workers_.resize(core_.isolates());
  templates_.resize(core_.members());
  asked_.resize(core_.slots());
  for (Asked& asked : asked_) asked.attempts.resize(core_.members());
}

template <class... Arguments>
void World::say(const char* format, const Arguments&... arguments) const {
  if (!verbose_) return;
  const double seconds = std::chrono::duration<double>(now_ - kBegin).count();
  fmt::print("{:12.6f}  {}\n", seconds, fmt::format(fmt::runtime(format), arguments...));
}

Verdict World::run() {
  for (const Stimulus& stimulus : scenario_.stimuli) {
    if (!dropped_[stimulus.number]) push(Kind::stimulus, stimulus.at, stimulus.number);
  }
  push(Kind::probe, scenario_.faults_end + 1ms, 0);
  push(Kind::tick, kBegin, 0);
  while (!events_.empty() && checker_.broken().empty() && !done_) {
    Event event = events_.top();
    events_.pop();
    if (of_supervisor(event.kind) && event.at < stalled_until_) {
      push(event.kind, stalled_until_, event.target, event.life);
      continue;
    }
    now_ = event.at;
    ++verdict_.events;
    mix(static_cast<std::uint64_t>(event.at.time_since_epoch().count()));
    mix(static_cast<std::uint64_t>(event.kind) << 32U | event.target);
    handle(event);
  }
  if (!done_) checker_.fail("the simulation ran dry");
  verdict_.broken = checker_.broken();
  verdict_.simulated = now_ - kBegin;
  verdict_.counters = core_.counters();
  return verdict_;
}

void World::push(Kind kind, Time at, std::uint32_t target, std::uint64_t life) {
  events_.push({.at = at, .sequence = sequence_++, .kind = kind, .target = target, .life = life});
}

bool World::of_supervisor(Kind kind) { return kind != Kind::computed && kind != Kind::end; }

void World::handle(const Event& event) {
  const bool of_worker = event.kind >= Kind::install && event.kind <= Kind::died;
  if (of_worker && workers_[event.target].life != event.life) return;
  const bool of_template = event.kind >= Kind::template_loaded && event.kind <= Kind::template_died;
  if (of_template && templates_[event.target].life != event.life) return;
  switch (event.kind) {
    case Kind::stimulus:
      on_stimulus(scenario_.stimuli[event.target]);
      break;
    case Kind::probe:
      on_probe();
      break;
    case Kind::tick:
      on_tick();
      return;
    case Kind::install:
      on_install(event.target);
      break;
    case Kind::loaded:
      on_loaded(event.target);
      break;
    case Kind::late_hello:
      say("isolate {} says hello after its sentence", event.target);
      checker_.hello(event.target);
      core_.hello(event.target, now_);
      break;
    case Kind::computed:
      on_computed(event.target);
      break;
    case Kind::collect:
      collect(event.target);
      break;
    case Kind::died:
      on_died(event.target);
      break;
    case Kind::template_loaded:
      on_template_loaded(event.target);
      break;
    case Kind::template_died:
      templates_[event.target] = {};
      checker_.template_is(event.target, false);
      say("template {} is dead", event.target);
      core_.template_gone(event.target, {.state = VoteState::crashed, .detail = 11}, now_);
      break;
    case Kind::end:
      on_end();
      return;
  }
  after(false);
}

void World::after(bool ticked) {
  carry_out();
  checker_.rest(core_, now_, ticked);
  const Time wake = core_.wake_at();
  if (wake == kNever || wake >= next_tick_) return;
  next_tick_ = std::max(wake, now_);
  push(Kind::tick, next_tick_, 0);
}

void World::on_tick() {
  if (now_ >= next_tick_) next_tick_ = kNever;
  // As the engine does: what is there is taken before anybody is judged.
  for (std::uint32_t isolate = 0; isolate < workers_.size(); ++isolate) collect(isolate);
  carry_out();
  core_.tick(now_);
  after(true);
}

void World::carry_out() {
  const auto taken = core_.take_actions();
  // The core may hand its span to the next event only; copies are kept.
  const std::vector<Action> actions(taken.begin(), taken.end());
  for (const Action& action : actions) {
    mix(static_cast<std::uint64_t>(action.kind) << 48U | std::uint64_t{action.isolate} << 24U | action.slot);
    checker_.action(core_, action, now_);
    switch (action.kind) {
      case Action::Kind::publish:
        publish(action);
        break;
      case Action::Kind::finish:
        finish(action);
        break;
      case Action::Kind::kill:
        kill(action.isolate);
        break;
      case Action::Kind::spawn:
        spawn(action);
        break;
      case Action::Kind::start_template: {
        Template& started = templates_[action.member];
        started = {.life = ++lives_, .alive = true};
        say("template {} starts", action.member);
        push(Kind::template_loaded, now_ + 5ms, action.member, started.life);
        break;
      }
      case Action::Kind::tell_row:
        say("  row {} of slot {} is quarantined for member {}", action.first_row, action.slot, action.member);
        break;
      case Action::Kind::kill_template:
        say("template {} is killed", action.member);
        templates_[action.member].ready = false;
        push(Kind::template_died, now_ + 1ms, action.member, templates_[action.member].life);
        break;
    }
  }
}

// ---- clients and operator ----

// Few isolates have a probe and not for long, so half of the strikes go to one that has.
std::uint32_t World::target_of(const Stimulus& stimulus) const {
  if (scenario_.chance(17, stimulus.number).up_to(1) == 0) return stimulus.target;
  for (std::uint32_t isolate = 0; isolate < workers_.size(); ++isolate) {
    if (struck(isolate) != Struck::hunting) continue;
    return stimulus.kind == Stimulus::Kind::kill_template ? core_.member_of(isolate) : isolate;
  }
  return stimulus.target;
}

void World::on_stimulus(const Stimulus& stimulus) {
  switch (stimulus.kind) {
    case Stimulus::Kind::ask:
      return ask(stimulus.number, stimulus.input, stimulus.length);
    case Stimulus::Kind::kill: {
      const std::uint32_t isolate = target_of(stimulus);
      Worker& worker = workers_[isolate];
      if (!worker.process || !worker.alive) return;
      say("the operator kills isolate {}", isolate);
      coverage_.note(Fault::operator_kill, struck(isolate));
      return die(isolate, {.state = VoteState::crashed, .detail = 9}, 50us);
    }
    case Stimulus::Kind::kill_template: {
      const std::uint32_t member = target_of(stimulus);
      Template& target = templates_[member];
      if (!target.alive || target.ends) return;
      target.ends = true;
      note_all(Fault::template_crash, member);
      push(Kind::template_died, now_ + 100us, member, target.life);
      return;
    }
    case Stimulus::Kind::idle_lie:
      if (struck(stimulus.target) != Struck::idle) return;
      say("isolate {} lies, unasked", stimulus.target);
      coverage_.note(Fault::idle_lie, Struck::idle);
      core_.condemn(stimulus.target, {.state = VoteState::protocol_violation});
      return;
    case Stimulus::Kind::stall:
      say("the supervisor is away for {} ms", stimulus.length / 1ms);
      note_all(Fault::stall);
      stalled_until_ = now_ + stimulus.length;
      checker_.away(now_, stalled_until_);
      return;
    case Stimulus::Kind::pause:
      return pause(stimulus.length);
  }
}

// Everything happens later, but what the supervisor has planned by the clock is due at once.
void World::pause(Duration length) {
  say("the machine is away for {} ms", length / 1ms);
  note_all(Fault::pause);
  std::vector<Event> events;
  for (; !events_.empty(); events_.pop()) events.push_back(events_.top());
  const Time until = now_ + length;
  for (Event& event : events) {
    const bool by_clock = event.kind == Kind::tick;
    event.at = by_clock ? std::max(event.at, until) : event.at + length;
    events_.push(event);
  }
  if (next_tick_ != kNever) next_tick_ = std::max(next_tick_, until);
  stalled_until_ = until;
  checker_.away(now_, until);
}

void World::ask(std::uint32_t stimulus, std::uint32_t input, Duration deadline) {
  // A single row is known by its own fingerprint, alone and in a batch.
  const std::vector<std::uint32_t> rows = scenario_.rows_of(input);
  const Fingerprint whole =
      rows.size() == 1 ? fingerprint_of_row(rows[0]) : Fingerprint{.low = input, .high = 77};
  std::optional<Fingerprint> fingerprint;
  std::vector<Fingerprint> row_fingerprints;
  if (core_.wants_fingerprints(now_)) {
    fingerprint = whole;
    for (const std::uint32_t row : rows) {
      if (rows.size() > 1 && core_.wants_row_fingerprints())
        row_fingerprints.push_back(fingerprint_of_row(row));
    }
  }
  const auto slot = core_.submit(now_, now_ + deadline, static_cast<std::uint32_t>(rows.size()), fingerprint,
                                 row_fingerprints);
  if (!slot) {
    carry_out();
    checker_.refused(core_, now_);
    return;
  }
  say("request {} of input {} in slot {}", stimulus, input, *slot);
  asked_[*slot].stimulus = stimulus;
  asked_[*slot].rows = rows;
  asked_[*slot].fingerprint = whole;
  std::ranges::fill(asked_[*slot].attempts, 0);
  checker_.accepted(core_, *slot, input, now_, now_ + deadline);
}

// After the faults: every member must vote again, and then everything must end.
void World::on_probe() {
  if (healthy_since_ == Time{}) healthy_since_ = now_;
  if (now_ - healthy_since_ > kHealedWithin) {
    checker_.fail("a member did not answer again within 15 minutes after the faults");
    return;
  }
  const std::uint64_t all = (std::uint64_t{1} << core_.members()) - 1;
  if (now_ > healthy_since_ && checker_.last_voters() == all && core_.in_flight() == 0) {
    say("everybody votes: the end");
    closing_ = true;
    core_.close();
    checker_.closed();
    core_.kill_all();
    push(Kind::end, now_ + 20s, 0);
    return;
  }
  ask(UINT32_MAX, kCleanInput, std::max<Duration>(scenario_.config.answer.deadline, 50ms));
  push(Kind::probe, now_ + (now_ - healthy_since_ < 5s ? 200ms : 3s), 0);
}

void World::on_end() {
  for (const Worker& worker : workers_) {
    if (worker.process) checker_.fail("a process is left after the end");
  }
  if (core_.owed() != 0 || core_.in_flight() != 0) checker_.fail("something is open after the end");
  if (core_.submit(now_, now_ + 1s, 1)) checker_.fail("a request was accepted after the end");
  done_ = true;
}

// ---- workers ----

std::optional<Fault> World::draw(std::uint32_t stimulus, std::uint32_t member, std::uint32_t attempt,
                                 double rate) const {
  if (!faulty() || stimulus == UINT32_MAX) return std::nullopt;
  Random random = scenario_.chance(10, stimulus, member, attempt);
  if (!happens(random, rate)) return std::nullopt;
  const Fault fault = kJobFaults[random.up_to(kJobFaults.size() - 1)];
  return scenario_.has(fault) ? std::optional(fault) : std::nullopt;
}

bool World::kills_in(const Action& action) const {
  const std::vector<std::uint32_t>& rows = asked_[action.slot].rows;
  const std::uint32_t member = core_.member_of(action.isolate);
  for (std::uint32_t i = 0; i < action.rows; ++i) {
    if (scenario_.poisonous_row(member, rows[action.first_row + i])) return true;
  }
  return false;
}

void World::publish(const Action& action) {
  const std::uint32_t member = core_.member_of(action.isolate);
  Asked& asked = asked_[action.slot];
  // Probes are few, so they meet faults more often.
  const double rate = action.probe ? std::max(scenario_.fault_rate, 0.4) : scenario_.fault_rate;
  Job job{.slot = action.slot,
          .probe = action.probe,
          .patience = action.deadline - now_,
          .fault = draw(asked.stimulus, member, asked.attempts[member]++, rate)};
  if (faulty() && scenario_.sick(member, now_)) job.fault = Fault::sick;
  if (faulty() && kills_in(action)) job.fault = Fault::poison;
  say("  isolate {} is {} slot {}, rows {} to {}{}", action.isolate,
      action.probe ? "probed with" : "asked for", action.slot, action.first_row,
      action.first_row + action.rows - 1,
      job.fault ? fmt::format(", fault {}", name_of(*job.fault)) : std::string());
  if (job.fault == Fault::reject || job.fault == Fault::sick)
    job.answer = {.state = VoteState::rejected, .detail = 1};
  if (job.fault == Fault::refuse) job.answer = {.state = VoteState::failed};
  workers_[action.isolate].ring.push_back(job);
  begin(action.isolate);
}

void World::begin(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  if (worker.busy || worker.ring.empty() || !worker.alive) return;
  if (worker.doomed && !worker.slow_death) return;
  worker.busy = true;
  const Job& job = worker.ring.front();
  const Asked& asked = asked_[job.slot];
  Random random = scenario_.chance(11, asked.stimulus, core_.member_of(isolate),
                                   asked.attempts[core_.member_of(isolate)]);
  Duration takes(random.up_to(2 * static_cast<std::uint64_t>(scenario_.answer_time.count())));
  if (job.fault == Fault::crash_before_take) takes = 0ns;
  if (job.fault == Fault::slow) {
    const auto most = static_cast<std::uint64_t>((job.patience + scenario_.config.answer.grace).count());
    takes += Duration(random.up_to(most));
  }
  // Half of the inputs that kill take their time over it: long enough to be hedged.
  if (job.fault == Fault::poison && random.up_to(1) == 0) {
    takes += Duration(random.up_to(static_cast<std::uint64_t>(job.patience.count())));
  }
  // Long enough that what strikes meanwhile meets it now and then.
  if (job.probe) takes += Duration(random.up_to(static_cast<std::uint64_t>(job.patience.count()) / 2));
  if (job.fault == Fault::hang) {
    coverage_.note(Fault::hang, job.probe ? Struck::hunting : Struck::busy);
    return;
  }
  push(Kind::computed, now_ + takes, isolate, worker.life);
}

void World::on_computed(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  if (!worker.alive || (worker.doomed && !worker.slow_death)) return;
  const Job job = worker.ring.front();
  worker.busy = false;
  const Struck working = job.probe ? Struck::hunting : Struck::busy;
  if (job.fault) coverage_.note(*job.fault, worker.doomed ? Struck::dying : working);
  if (worker.doomed) coverage_.note(Fault::slow_death, Struck::dying);
  const bool dies = job.fault && kills(*job.fault);
  if (dies && job.fault != Fault::crash_after_publish) {
    die(isolate, cause_of(*job.fault), 100us);
    return;
  }
  worker.ring.pop_front();
  worker.published.push_back({.fate = job.answer, .lie = job.fault == Fault::lie});
  if (dies) {
    die(isolate, cause_of(*job.fault), 100us);
    return;
  }
  Random random = scenario_.chance(12, asked_[job.slot].stimulus, isolate);
  if (scenario_.has(Fault::lost_bell) && faulty() && random.up_to(9) == 0) {
    coverage_.note(Fault::lost_bell, working);
    push(Kind::tick, now_ + 5ms, 0);
  } else {
    push(Kind::collect, now_ + Duration(random.up_to(20'000)), isolate, worker.life);
  }
  begin(isolate);
}

// What the worker has published, as long as it has not lied.
void World::collect(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  while (!worker.published.empty() && !worker.lied) {
    const Answer answer = worker.published.front();
    worker.published.pop_front();
    if (answer.lie) {
      say("isolate {} lied", isolate);
      worker.lied = true;
      core_.condemn(isolate, {.state = VoteState::protocol_violation});
      return;
    }
    const auto expected = core_.expected(isolate);
    if (!expected) {
      checker_.fail("an answer came that the core does not expect");
      return;
    }
    say("isolate {} answers slot {}: {}", isolate, expected->slot, name_of(answer.fate.state));
    checker_.answered(isolate, answer.fate, now_);
    core_.answered(isolate, answer.fate, now_);
  }
}

void World::finish(const Action& action) {
  const Pending& pending = core_.pending(action.slot);
  say("  slot {} is finished, {} voted", action.slot, pending.voted);
  for (std::uint32_t member = 0; member < core_.members() && pending.voted >= 3; ++member) {
    if (!scenario_.has(Fault::astray) || pending.votes[member].fate.state != VoteState::voted) continue;
    const bool outside = scenario_.astray(member, now_);
    if (outside) coverage_.note(Fault::astray, Struck::busy);
    core_.judged(member, outside, now_);
  }
  core_.release(action.slot);
}

void World::kill(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  const auto* dying = std::get_if<Dying>(&core_.life(isolate).state());
  say("  isolate {} is killed: {}", isolate, dying != nullptr ? name_of(dying->cause.state) : "?");
  worker.doomed = true;
  if (!worker.process || !worker.alive) return;  // install, or its own death, will see to it
  Random random = scenario_.chance(13, isolate, worker.life);
  const bool slow = scenario_.has(Fault::slow_death) && !closing_ && random.up_to(1) == 0;
  if (scenario_.has(Fault::late_hello) && dying != nullptr && !dying->ready_since) {
    coverage_.note(Fault::late_hello, Struck::dying);
    push(Kind::late_hello, now_ + 50us, isolate, worker.life);
  }
  worker.slow_death = slow;
  worker.cause = {.state = VoteState::crashed, .detail = 9};
  push(Kind::died, now_ + (slow ? Duration(random.up_to(300'000'000)) : 200us), isolate, worker.life);
}

void World::die(std::uint32_t isolate, VoteFate cause, Duration after) {
  Worker& worker = workers_[isolate];
  if (!worker.alive) return;
  say("isolate {} dies: {}", isolate, name_of(cause.state));
  worker.alive = false;
  worker.cause = cause;
  push(Kind::died, now_ + after, isolate, worker.life);
}

void World::on_died(std::uint32_t isolate) {
  // A finished answer counts: drained before the death is told.
  collect(isolate);
  carry_out();
  Worker& worker = workers_[isolate];
  const VoteFate cause = core_.life(isolate).cause_of(worker.cause);
  if (const auto blame = core_.blamed(isolate, worker.cause)) {
    const Asked& asked = asked_[blame->slot];
    const bool row = blame->probe && blame->rows.rows == 1;
    // A part of a batch has a fingerprint that nothing else has.
    const Fingerprint part{.low = (std::uint64_t{blame->rows.first} << 32U) | blame->rows.rows, .high = 79};
    core_.fingerprint(*blame, row            ? fingerprint_of_row(asked.rows[blame->rows.first])
                              : blame->probe ? part
                                             : asked.fingerprint);
  }
  say("isolate {} is dead: {}", isolate, name_of(cause.state));
  checker_.gone(isolate, cause, now_);
  const VoteFate seen = worker.cause;
  worker = {};
  core_.gone(isolate, seen, now_);
}

void World::spawn(const Action& action) {
  Worker& worker = workers_[action.isolate];
  worker = {.life = ++lives_};
  say("  isolate {} starts, generation {}", action.isolate, core_.life(action.isolate).generation());
  push(Kind::install, now_ + 200us, action.isolate, worker.life);
}

void World::on_install(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  const std::uint32_t member = core_.member_of(isolate);
  const bool forked = core_.has_template(member);
  Random random = scenario_.chance(14, isolate, core_.life(isolate).generation());
  const bool fails = scenario_.has(Fault::spawn_fails) && faulty() && happens(random, scenario_.fault_rate);
  if (forked && !templates_[member].ready) {
    // The template died over it; the core hears of that first.
    if (core_.template_life(member).ready()) {
      push(Kind::install, now_ + 1ms, isolate, worker.life);
      return;
    }
    worker = {};
    checker_.spawn_failed(isolate, now_);
    core_.spawn_failed(isolate, now_);
    return;
  }
  if (fails) {
    coverage_.note(Fault::spawn_fails, Struck::starting);
    worker = {};
    checker_.spawn_failed(isolate, now_);
    core_.spawn_failed(isolate, now_);
    return;
  }
  worker.process = worker.alive = true;
  if (worker.doomed) {
    push(Kind::died, now_ + 200us, isolate, worker.life);
    return;
  }
  const Duration loads = forked ? 300us : Duration(random.up_to(40'000'000));
  push(Kind::loaded, now_ + loads, isolate, worker.life);
}

void World::on_loaded(std::uint32_t isolate) {
  Worker& worker = workers_[isolate];
  if (!worker.alive || worker.doomed) return;
  Random random = scenario_.chance(15, isolate, core_.life(isolate).generation());
  if (faulty() && happens(random, scenario_.fault_rate)) {
    constexpr std::array kLoadFaults{Fault::load_fails, Fault::load_exits, Fault::load_hangs};
    const Fault fault = kLoadFaults[random.up_to(kLoadFaults.size() - 1)];
    if (scenario_.has(fault)) {
      coverage_.note(fault, Struck::starting);
      say("isolate {}: {}", isolate, name_of(fault));
      if (fault == Fault::load_fails) core_.condemn(isolate, {.state = VoteState::start_failed});
      if (fault == Fault::load_exits) die(isolate, {.state = VoteState::exited, .detail = 1}, 100us);
      return;
    }
  }
  say("isolate {} is ready", isolate);
  checker_.hello(isolate);
  core_.hello(isolate, now_);
}

void World::on_template_loaded(std::uint32_t member) {
  Template& loaded = templates_[member];
  if (!loaded.alive || loaded.ends || !core_.template_life(member).has_process() ||
      std::holds_alternative<Dying>(core_.template_life(member).state())) {
    return;
  }
  const bool forks = !(scenario_.has(Fault::template_no_fork) && scenario_.chance(16, member).up_to(1) == 0);
  if (!forks) {
    coverage_.note(Fault::template_no_fork, Struck::starting);
    checker_.template_retired(member);
  }
  loaded.ready = forks;
  checker_.template_is(member, forks);
  say("template {} is ready{}", member, forks ? "" : ", and cannot fork");
  core_.template_ready(member, forks, now_);
}

Struck World::struck(std::uint32_t isolate) const {
  const IsolateState& state = core_.life(isolate).state();
  if (std::holds_alternative<Waiting>(state)) return Struck::waiting;
  if (std::holds_alternative<Starting>(state)) return Struck::starting;
  if (std::holds_alternative<Dying>(state)) return Struck::dying;
  const auto due = core_.expected(isolate);
  if (due && due->probe) return Struck::hunting;
  return due ? Struck::busy : Struck::idle;
}

void World::note_all(Fault fault, std::optional<std::uint32_t> member) {
  for (std::uint32_t isolate = 0; isolate < workers_.size(); ++isolate) {
    if (!member || core_.member_of(isolate) == *member) coverage_.note(fault, struck(isolate));
  }
}

// FNV-1a over words.
void World::mix(std::uint64_t value) {
  if (verdict_.hash == 0) verdict_.hash = 0xcbf29ce484222325ULL;
  verdict_.hash = (verdict_.hash ^ value) * 0x100000001b3ULL;
}

}  // namespace tutti::simulation
