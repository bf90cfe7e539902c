#include "supervisor/engine.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cassert>
#include <random>

#include "supervisor/clock.hpp"
#include "supervisor/copy_in.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/stacking_model.hpp"

namespace tutti {
namespace {

constexpr std::uint32_t kIdleBellsMax = 2000;  // a second, of one isolate

std::uint64_t seed_of(const LaunchOptions& options) {
  return options.seed != 0 ? options.seed : std::random_device{}();
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(EnsembleConfig config, const LaunchOptions& options) {
  LaunchOptions chosen = options;
  if (chosen.worker.empty()) {
    auto worker = find_worker();
    if (!worker) return std::unexpected(worker.error());
    chosen.worker = *worker;
  }
  std::vector<double> weights;
  for (const MemberConfig& member : config.members) weights.push_back(member.weight);
  auto combiner =
      Combiner::create(config.combine, config.task, weights, config.outputs(), config.limits.rows);
  if (!combiner) return std::unexpected(combiner.error());
  auto log = make_logger(config.name, static_cast<spdlog::level::level_enum>(config.log_level));
  std::unique_ptr<Engine> engine(new Engine(std::move(config), chosen, std::move(log), std::move(*combiner)));

  auto events = EventLog::open(engine->config_.events, engine->config_.name, options.on_event);
  if (!events) return std::unexpected(events.error());
  engine->events_ = std::move(*events);
  engine->slot_bytes_ = input_slot_bytes(engine->config_);
  auto input = Region::create("tutti-input", input_bytes(engine->config_), Writer::creator);
  if (!input) return std::unexpected(input.error());
  engine->input_ = std::move(*input);
  engine->plan_.input_descriptor = engine->input_.descriptor();
  engine->plan_.input_bytes = engine->input_.size();
  return engine;
}

Engine::Engine(EnsembleConfig config, const LaunchOptions& options, std::shared_ptr<spdlog::logger> log,
               Combiner combiner)
    : config_(std::move(config)),
      options_(options),
      log_(std::move(log)),
      core_(config_, seed_of(options)),
      combiner_(std::move(combiner)) {
  const std::uint32_t isolates = core_.isolates();
  const SpinPlan spin = spin_plan(config_);
  plan_.program = options_.worker;
  plan_.shape = channel_shape(config_);
  plan_.features = config_.features;
  plan_.classification = config_.task == Task::classification;
  plan_.spin_ns = spin.spin.count();
  plan_.yields = spin.yields;
  slots_.resize(core_.slots());
  links_.resize(isolates);
  notes_.resize(isolates);
  for (std::uint32_t isolate = 0; isolate < isolates; ++isolate) {
    const std::uint32_t member = core_.member_of(isolate);
    notes_[isolate].name =
        fmt::format("{}/{}", config_.members[member].name, isolate - core_.first_isolate(member));
  }
  asked_.reserve(std::size_t{core_.slots()} * isolates);
  deliveries_.reserve(core_.slots());
  answered_ = std::make_unique<bool[]>(config_.members.size());
  tallies_.resize(config_.members.size());
  created_ = monotonic_now();
}

// ---- requests ----

Result<std::uint32_t> Engine::accept(MatrixView x, Time now, Time deadline) {
  if (x.rows == 0 || x.rows > config_.limits.rows || x.columns != config_.features) {
    return std::unexpected(Error{Errc::shape_mismatch,
                                 fmt::format("[{}][{}] rows and features", x.rows, x.columns), "predict",
                                 fmt::format("this ensemble takes 1 to {} rows (limits.rows) of {} features",
                                             config_.limits.rows, config_.features)});
  }
  auto slot = core_.submit(now, deadline, x.rows);
  if (!slot) ++counters_.refused;
  if (slot) copy_in(input_.data() + *slot * slot_bytes_, x.data, x.bytes());
  return slot;
}

Result<void> Engine::submit(MatrixView x, Time now, Time deadline, Prediction& prediction, Waiter& waiter) {
  const auto slot = accept(x, now, deadline);
  if (!slot) {
    carry_out();
    return std::unexpected(slot.error());
  }
  slots_[*slot].prediction = &prediction;
  slots_[*slot].waiter = &waiter;
  prepare(prediction, x.rows);
  carry_out();
  return {};
}

Result<void> Engine::submit(MatrixView x, Time now, Time deadline, OnPrediction done) {
  const auto slot = accept(x, now, deadline);
  if (!slot) {
    carry_out();
    return std::unexpected(slot.error());
  }
  Slot& place = slots_[*slot];
  place.prediction = &place.own;
  place.done = std::move(done);
  prepare(place.own, x.rows);
  carry_out();
  return {};
}

// Sizes everything that the answer needs. A Prediction that was used before keeps its memory.
void Engine::prepare(Prediction& prediction, std::uint32_t rows) const {
  const std::uint32_t outputs = config_.outputs();
  const std::size_t members = config_.members.size();
  prediction.rows = rows;
  prediction.outputs = outputs;
  prediction.voted = 0;
  prediction.spread.resize(rows);
  prediction.disagreement.resize(rows);
  prediction.parts.resize(members * rows * outputs);
  prediction.votes.resize(members);
  for (std::size_t member = 0; member < members; ++member) {
    Vote& vote = prediction.votes[member];
    vote.member = config_.members[member].name;
    vote.compute = {};
    vote.message.clear();
  }
  if (config_.task == Task::classification) {
    if (!std::holds_alternative<Classification>(prediction.value)) prediction.value.emplace<Classification>();
    auto& value = std::get<Classification>(prediction.value);
    value.probabilities.resize(std::size_t{rows} * outputs);
    value.labels.resize(rows);
  } else {
    if (!std::holds_alternative<Regression>(prediction.value)) prediction.value.emplace<Regression>();
    std::get<Regression>(prediction.value).values.resize(rows);
  }
}

float* Engine::part(std::uint32_t slot, std::uint32_t member) const {
  Prediction& prediction = *slots_[slot].prediction;
  return prediction.parts.data() + std::size_t{member} * prediction.rows * prediction.outputs;
}

// ---- driving ----

void Engine::carry_out() {
  // Finishing a request frees its slot and can cause no further action; killing and spawning neither.
  for (const Action& action : core_.take_actions()) {
    switch (action.kind) {
      case Action::Kind::publish:
        publish(action);
        break;
      case Action::Kind::finish:
        finish(action.slot);
        break;
      case Action::Kind::kill:
        // No process yet: it is being started, and install() will see that it is not wanted.
        if (links_[action.isolate]) links_[action.isolate]->process().signal(SIGKILL);
        ++counters_.kills;
        tell_kill(action.isolate);
        break;
      case Action::Kind::spawn:
        spawns_.push_back({.isolate = action.isolate, .generation = core_.life(action.isolate).generation()});
        break;
      case Action::Kind::start_template:
      case Action::Kind::kill_template:
        assert(!"the core was made without templates");
        break;
    }
  }
  wake_asked();
}

void Engine::publish(const Action& action) {
  const Pending& request = core_.pending(action.slot);
  links_[action.isolate]->publish({.id = action.id,
                                   .input_offset = action.slot * slot_bytes_,
                                   .deadline_ns = request.deadline.time_since_epoch().count(),
                                   .rows = request.rows,
                                   .reserved0 = 0,
                                   .reserved = {}});
  asked_.push_back(action.isolate);
}

// The flags are looked at once a batch, not once a message.
void Engine::wake_asked() {
  for (const std::uint32_t isolate : asked_) links_[isolate]->wake_if_sleeping();
  asked_.clear();
}

bool Engine::collect(Time now) {
  bool any = false;
  for (std::uint32_t isolate = 0; isolate < links_.size(); ++isolate) {
    if (core_.outstanding(isolate) > 0 && links_[isolate]) any = drain(isolate, now) || any;
  }
  if (any) carry_out();
  return any;
}

// Takes all answers of one isolate; at most as many as it owes.
bool Engine::drain(std::uint32_t isolate, Time now) {
  bool any = false;
  while (!notes_[isolate].lied) {
    const auto expected = core_.expected(isolate);
    float* target = expected && expected->wanted ? part(expected->slot, core_.member_of(isolate)) : nullptr;
    const Consumed consumed = links_[isolate]->consume(expected, target);
    if (consumed.kind == Consumed::Kind::nothing) break;
    any = true;
    if (consumed.kind == Consumed::Kind::violation) {
      notes_[isolate].lied = true;
      ++counters_.violations;
      tell(Event::Kind::violated, isolate, now);
      log_->error("{}: wrote what no correct worker writes; it is killed and replaced", notes_[isolate].name);
      core_.condemn(isolate, consumed.fate);
      break;
    }
    note_answer(isolate, *expected, consumed);
    core_.answered(isolate, consumed.fate, now);
  }
  return any;
}

void Engine::note_answer(std::uint32_t isolate, const Expected& expected, const Consumed& consumed) {
  if (!expected.wanted) {
    ++counters_.late_answers;
    return;
  }
  Vote& vote = slots_[expected.slot].prediction->votes[core_.member_of(isolate)];
  vote.compute = Duration(static_cast<std::int64_t>(consumed.compute_ns & INT64_MAX));
  if (!consumed.text.empty()) vote.message = consumed.text;
}

void Engine::tick(Time now) {
  core_.tick(now);
  carry_out();
}

bool Engine::prepare_sleep() {
  if (core_.owed() == 0) return true;
  for (std::uint32_t isolate = 0; isolate < links_.size(); ++isolate) {
    if (core_.outstanding(isolate) > 0 && links_[isolate]) links_[isolate]->raise_flag();
  }
  wake_fence();
  return !has_news();
}

bool Engine::has_news() const {
  for (std::uint32_t isolate = 0; isolate < links_.size(); ++isolate) {
    const bool owes = core_.outstanding(isolate) > 0 && links_[isolate] && !notes_[isolate].lied;
    if (owes && links_[isolate]->has_news()) return true;
  }
  return false;
}

Time Engine::wake_at() const { return core_.wake_at(); }

// ---- answers ----

void Engine::finish(std::uint32_t slot) {
  Slot& place = slots_[slot];
  const Pending& request = core_.pending(slot);
  Result<void> outcome = conclude(request, *place.prediction);
  Waiter* waiter = std::exchange(place.waiter, nullptr);
  place.prediction = nullptr;
  core_.release(slot);
  if (waiter == nullptr) {
    deliveries_.push_back({.done = std::move(place.done),
                           .outcome = std::move(outcome),
                           .prediction = std::exchange(place.own, {})});
    return;
  }
  if (!outcome) waiter->error = std::move(outcome.error());
  // release: pairs with the caller's acquire; after this line the waiter is the caller's again.
  waiter->done.store(1, std::memory_order_release);
  waiter->done.notify_one();
}

Result<void> Engine::conclude(const Pending& request, Prediction& prediction) {
  for (std::size_t member = 0; member < request.votes.size(); ++member) {
    prediction.votes[member].fate = request.votes[member].fate;
    prediction.votes[member].latency = request.votes[member].latency;
    tallies_[member].add(request.votes[member].fate, request.votes[member].latency);
    answered_[member] = request.votes[member].fate.state == VoteState::voted;
  }
  prediction.voted = request.voted;
  const bool answerable = core_.answerable(request);
  ++(answerable ? counters_.answered : counters_.unanswered);
  if (!answerable) {
    return std::unexpected(Error{Errc::too_few_votes,
                                 fmt::format("{} of {} members voted, the quorum is {}", request.voted,
                                             request.votes.size(), core_.quorum()),
                                 missing_voters(prediction), "ask again when the members have healed"});
  }
  if (StackingModel::wanted(config_)) return {};  // the second stage answers
  const std::span<float> answer =
      std::holds_alternative<Classification>(prediction.value)
          ? std::span<float>(std::get<Classification>(prediction.value).probabilities)
          : std::span<float>(std::get<Regression>(prediction.value).values);
  combiner_.combine({.data = prediction.parts.data(),
                     .model_stride = std::size_t{prediction.rows} * prediction.outputs,
                     .answered = {answered_.get(), prediction.votes.size()},
                     .rows = prediction.rows},
                    {.answer = answer, .spread = prediction.spread, .disagreement = prediction.disagreement});
  if (auto* value = std::get_if<Classification>(&prediction.value)) {
    for (std::uint32_t row = 0; row < prediction.rows; ++row) {
      const float* first = value->probabilities.data() + std::size_t{row} * prediction.outputs;
      value->labels[row] =
          static_cast<std::uint32_t>(std::max_element(first, first + prediction.outputs) - first);
    }
  }
  return {};
}

std::string Engine::missing_voters(const Prediction& prediction) const {
  std::string text;
  for (const Vote& vote : prediction.votes) {
    if (vote.voted()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", vote.member, describe(vote.fate));
    if (!vote.message.empty()) text += " (" + vote.message + ")";
  }
  return text;
}

// ---- isolates ----

Result<WorkerLink> Engine::start_worker(const SpawnOrder& order) const {
  const std::uint32_t index = core_.member_of(order.isolate);
  const MemberConfig& member = config_.members[index];
  // A fault strikes the first life of the first instance only, so that healing can be seen.
  const bool strikes = order.generation == 1 && order.isolate == core_.first_isolate(index);
  std::string fault;
  for (const auto& [name, spec] : options_.faults) {
    if (name == member.name && strikes) fault = spec;
  }
  return WorkerLink::start(plan_, member, notes_[order.isolate].name, order.generation, fault);
}

bool Engine::install(const SpawnOrder& order, Result<WorkerLink> link, Time now) {
  const IsolateLife& life = core_.life(order.isolate);
  if (life.generation() != order.generation || !life.has_process()) return false;
  IsolateNotes& notes = notes_[order.isolate];
  if (!link) {
    notes.last_error = describe(link.error());
    ++counters_.start_failures;
    tell(Event::Kind::start_failed, order.isolate, now);
    log_->error("{}: cannot be started: {}", notes.name, notes.last_error);
    core_.spawn_failed(order.isolate, now);
    return false;
  }
  notes.lied = false;
  notes.idle_bells = 0;
  links_[order.isolate] = std::move(*link);
  ++counters_.starts;
  tell(Event::Kind::started, order.isolate, now);
  log_->debug("{}: started, pid {}", notes.name, links_[order.isolate]->process().pid());
  // Condemned while it was being started.
  if (std::holds_alternative<Dying>(life.state())) links_[order.isolate]->process().signal(SIGKILL);
  return true;
}

void Engine::abandon(const SpawnOrder& order, const Error& error, Time now) {
  IsolateNotes& notes = notes_[order.isolate];
  notes.last_error = describe(error);
  log_->error("{}: {}", notes.name, notes.last_error);
  links_[order.isolate].reset();
  core_.spawn_failed(order.isolate, now);
}

void Engine::rang(std::uint32_t isolate, Time now) {
  if (!links_[isolate]) return;
  IsolateNotes& notes = notes_[isolate];
  if (std::holds_alternative<Starting>(core_.life(isolate).state())) take_hello(isolate, now);
  const bool news = drain(isolate, now);
  if (news) {
    carry_out();
    return;
  }
  if (now >= notes.bells_window) {
    notes.bells_window = now + std::chrono::seconds(1);
    notes.idle_bells = 0;
  }
  ++counters_.idle_bells;
  if (++notes.idle_bells > kIdleBellsMax) {
    notes.idle_bells = 0;
    log_->error("{}: rings its bell without an answer; it is killed and replaced", notes.name);
    core_.condemn(isolate, {.state = VoteState::protocol_violation});
    carry_out();
  }
}

void Engine::take_hello(std::uint32_t isolate, Time now) {
  const auto hello = links_[isolate]->hello();
  if (!hello) return;
  IsolateNotes& notes = notes_[isolate];
  if (!*hello || (*hello)->error) {
    notes.last_error = describe(*hello ? *(*hello)->error : hello->error());
    ++counters_.start_failures;
    tell(Event::Kind::start_failed, isolate, now);
    log_->error("{}: cannot start: {}", notes.name, notes.last_error);
    core_.condemn(isolate, {.state = *hello ? VoteState::start_failed : VoteState::protocol_violation});
    carry_out();
    return;
  }
  notes.load = (*hello)->load;
  if (core_.life(isolate).restarts() > 0) {
    log_->warn("{}: answers again (restart {})", notes.name, core_.life(isolate).restarts());
  }
  core_.hello(isolate, now);
  tell(Event::Kind::ready, isolate, now);
  tell_readiness(now);
}

bool Engine::reap(std::uint32_t isolate, std::uint16_t generation, Time now) {
  if (core_.life(isolate).generation() != generation || !links_[isolate]) return false;
  const auto seen = links_[isolate]->process().reap();
  if (!seen) return false;
  // It may have loaded and failed, or answered, just before it died. A finished answer counts.
  if (std::holds_alternative<Starting>(core_.life(isolate).state())) take_hello(isolate, now);
  drain(isolate, now);
  const auto* dying = std::get_if<Dying>(&core_.life(isolate).state());
  const bool told_why = dying != nullptr && dying->cause.state == VoteState::start_failed;
  core_.gone(isolate, *seen, now);
  ++counters_.deaths;
  tell(Event::Kind::died, isolate, now, core_.last_cause(isolate));
  tell_readiness(now);
  links_[isolate].reset();
  const std::string cause = describe(core_.last_cause(isolate));
  IsolateNotes& notes = notes_[isolate];
  if (!told_why) notes.last_error = cause;
  if (core_.last_cause(isolate).state != VoteState::exited || seen->state != VoteState::crashed) {
    log_->warn("{}: {}", notes.name, cause);
  }
  carry_out();
  return true;
}

Result<void> Engine::kill_worker(std::string_view member) {
  for (std::uint32_t index = 0; index < core_.members(); ++index) {
    if (config_.members[index].name != member) continue;
    for (std::uint32_t i = 0; i < core_.instances(index); ++i) {
      const std::uint32_t isolate = core_.first_isolate(index) + i;
      if (!links_[isolate] || !core_.life(isolate).ready()) continue;
      links_[isolate]->process().signal(SIGKILL);
      return {};
    }
    return std::unexpected(
        Error{Errc::not_ready, "none of its workers is ready", std::string(member), "try again"});
  }
  return std::unexpected(Error{Errc::bad_usage, fmt::format("no member is called '{}'", member), config_.name,
                               "see tutti plan"});
}

void Engine::close() {
  core_.close();
  carry_out();
}

void Engine::kill_all() {
  core_.kill_all();
  carry_out();
}

bool Engine::any_process() const {
  return std::ranges::any_of(links_, [](const auto& link) { return link.has_value(); });
}

bool Engine::all_tried() const {
  for (std::uint32_t isolate = 0; isolate < core_.isolates(); ++isolate) {
    if (!core_.tried(isolate)) return false;
  }
  return true;
}

// ---- what is told ----

void Engine::tell(Event::Kind kind, std::uint32_t isolate, Time now, VoteFate cause) {
  const IsolateLife& life = core_.life(isolate);
  events_->push({.kind = kind,
                 .isolate = notes_[isolate].name,
                 .pid = links_[isolate] ? links_[isolate]->process().pid() : 0,
                 .generation = life.generation(),
                 .restarts = life.restarts(),
                 .cause = cause,
                 .members_ready = core_.members_ready(),
                 .quorum = core_.quorum(),
                 .at = now});
}

void Engine::tell_kill(std::uint32_t isolate) {
  const auto* dying = std::get_if<Dying>(&core_.life(isolate).state());
  if (dying != nullptr) tell(Event::Kind::kill_sent, isolate, monotonic_now(), dying->cause);
}

void Engine::tell_readiness(Time now) {
  const bool met = core_.members_ready() >= core_.quorum();
  if (met == quorum_seen_) return;
  quorum_seen_ = met;
  events_->push({.kind = met ? Event::Kind::quorum_regained : Event::Kind::quorum_lost,
                 .isolate = {},
                 .members_ready = core_.members_ready(),
                 .quorum = core_.quorum(),
                 .at = now});
}

IsolateStatus Engine::isolate_status(std::uint32_t isolate, Time now) const {
  const IsolateLife& life = core_.life(isolate);
  IsolateStatus status{.name = notes_[isolate].name,
                       .last_end = core_.last_cause(isolate),
                       .last_error = notes_[isolate].last_error,
                       .generation = life.generation(),
                       .restarts = life.restarts(),
                       .pid = links_[isolate] ? links_[isolate]->process().pid() : 0,
                       .outstanding = core_.outstanding(isolate),
                       .next_in = std::nullopt,
                       .usage = std::nullopt};
  if (const auto* waiting = std::get_if<Waiting>(&life.state())) {
    status.next_in = std::max(waiting->until - now, Duration::zero());
  } else {
    status.phase = std::holds_alternative<Starting>(life.state()) ? IsolatePhase::starting
                   : life.ready()                                 ? IsolatePhase::ready
                                                                  : IsolatePhase::dying;
  }
  return status;
}

EnsembleStatus Engine::status(Time now) const {
  EnsembleStatus status{.quorum = core_.quorum(),
                        .members = {},
                        .in_flight = core_.in_flight(),
                        .uptime = now - created_,
                        .counters = counters_,
                        .supervisor = std::nullopt};
  status.counters.events_dropped = events_->dropped();
  for (std::uint32_t index = 0; index < core_.members(); ++index) {
    MemberStatus member{.name = config_.members[index].name,
                        .instances = core_.instances(index),
                        .pids = {},
                        .last_error = {},
                        .isolates = {},
                        .missed = {}};
    for (std::uint32_t i = 0; i < member.instances; ++i) {
      const std::uint32_t isolate = core_.first_isolate(index) + i;
      IsolateStatus one = isolate_status(isolate, now);
      if (one.phase == IsolatePhase::ready) ++member.ready;
      member.restarts += one.restarts;
      if (one.pid != 0) member.pids.push_back(one.pid);
      if (!one.last_error.empty()) member.last_error = one.last_error;
      member.load = std::max(member.load, notes_[isolate].load);
      member.isolates.push_back(std::move(one));
    }
    tallies_[index].tell(member);
    status.members.push_back(std::move(member));
  }
  const std::uint32_t ready = core_.members_ready();
  status.readiness = ready == core_.members()  ? Readiness::ready
                     : ready >= core_.quorum() ? Readiness::degraded
                                               : Readiness::not_ready;
  return status;
}

}  // namespace tutti
