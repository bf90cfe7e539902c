// The engine's second half: processes. They are started, heard, killed, reaped, and replaced when the core
// says so.
#include <dirent.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "supervisor/engine.hpp"
#include "supervisor/isolation/verify.hpp"
#include "supervisor/plan.hpp"

namespace tutti {
namespace {

constexpr std::uint32_t kIdleBellsMax = 2000;  // a second, of one isolate
using What = SpawnOrder::What;
using Heard = TemplateLink::Heard;

// Threads of a process; 0 where /proc does not say.
std::size_t threads_of(pid_t pid) {
  DIR* tasks = ::opendir(fmt::format("/proc/{}/task", pid).c_str());
  if (tasks == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* entry = ::readdir(tasks)) count += entry->d_name[0] == '.' ? 0U : 1U;
  ::closedir(tasks);
  return count;
}

// Whoever condemns for these has noted more than the cause's name says.
bool reason_is_told(VoteState cause) {
  return cause == VoteState::start_failed || cause == VoteState::protocol_violation;
}

}  // namespace

// ---- who is meant ----

bool Engine::current(const SpawnOrder& order) const {
  const IsolateLife& life =
      order.what == What::member ? core_.template_life(order.index) : core_.life(order.index);
  return life.generation() == order.generation && life.has_process();
}

const MemberConfig& Engine::member_of(const SpawnOrder& order) const {
  return config_.members[order.what == What::member ? order.index : core_.member_of(order.index)];
}

const std::string& Engine::name_of(const SpawnOrder& order) const {
  return order.what == What::member ? config_.members[order.index].name : notes_[order.index].name;
}

TemplateLink* Engine::control(const SpawnOrder& order) {
  if (!current(order)) return nullptr;
  if (order.what == What::member) return templates_[order.index] ? &*templates_[order.index] : nullptr;
  return links_[order.index] ? links_[order.index]->whole() : nullptr;
}

Process* Engine::process(const SpawnOrder& order) {
  if (TemplateLink* link = control(order)) return &link->process();
  const bool born = order.what != What::member && current(order) && links_[order.index] &&
                    links_[order.index]->has_process();
  return born ? &links_[order.index]->process() : nullptr;
}

void Engine::note_error(const SpawnOrder& order, std::string text) {
  (order.what == What::member ? template_notes_[order.index].last_error : notes_[order.index].last_error) =
      std::move(text);
}

// ---- starting ----

void Engine::carry_out_process(const Action& action) {
  switch (action.kind) {
    case Action::Kind::spawn:
      spawns_.push_back({.what = action.whole ? What::whole_isolate : What::isolate,
                         .index = action.isolate,
                         .generation = core_.life(action.isolate).generation()});
      break;
    case Action::Kind::start_template:
      spawns_.push_back({.what = What::member,
                         .index = action.member,
                         .generation = core_.template_life(action.member).generation()});
      break;
    case Action::Kind::kill:
      tell_kill(action.isolate);
      // No link yet: it is being started, and install() will see that it is not wanted.
      if (!links_[action.isolate]) break;
      if (links_[action.isolate]->has_process())
        links_[action.isolate]->process().signal(SIGKILL);
      else
        unborn_.push_back(action.isolate);
      break;
    default:
      if (templates_[action.member]) templates_[action.member]->process().signal(SIGKILL);
      break;
  }
}

WorkerOrder Engine::worker_order(const SpawnOrder& order) const {
  const MemberConfig& member = member_of(order);
  // A fault strikes the first life of the first instance only, so that healing can be seen.
  const bool first =
      order.what == What::member || order.index == core_.first_isolate(core_.member_of(order.index));
  WorkerOrder worker{.name = name_of(order),
                     .generation = order.generation,
                     .forks = order.what == What::member,
                     .fault = {}};
  for (const auto& [name, spec] : options_.faults) {
    if (name == member.name && first && order.generation == 1) worker.fault = spec;
  }
  return worker;
}

Result<Started> Engine::start(const SpawnOrder& order) const {
  const MemberConfig& member = member_of(order);
  const WorkerOrder worker = worker_order(order);
  Started started;
  if (order.what == What::member) {
    auto output = OutputPipe::create();
    if (!output) return std::unexpected(output.error());
    auto link = TemplateLink::start(plan_, member, worker, std::move(*output));
    if (!link) return std::unexpected(link.error());
    started.model = std::move(*link);
    return started;
  }
  auto link = WorkerLink::create(plan_, member, worker);
  if (!link) return std::unexpected(link.error());
  if (order.what == What::whole_isolate) {
    if (auto whole = link->start_whole(plan_, member, worker, order.index); !whole)
      return std::unexpected(whole.error());
  }
  started.isolate = std::move(*link);
  return started;
}

bool Engine::install(const SpawnOrder& order, Result<Started> started, Time now) {
  if (!current(order)) return false;
  if (!started) {
    abandon(order, started.error(), now);
    return false;
  }
  return order.what == What::member ? install_template(order, std::move(*started), now)
                                    : install_isolate(order, std::move(*started), now);
}

bool Engine::install_template(const SpawnOrder& order, Started started, Time /*now*/) {
  templates_[order.index] = std::move(started.model);
  // Condemned while it was being started.
  const bool dying = std::holds_alternative<Dying>(core_.template_life(order.index).state());
  if (dying) templates_[order.index]->process().signal(SIGKILL);
  return true;
}

bool Engine::install_isolate(const SpawnOrder& order, Started started, Time now) {
  IsolateNotes& notes = notes_[order.index];
  notes.lied = false;
  notes.idle_bells = 0;
  links_[order.index] = std::move(started.isolate);
  WorkerLink& link = *links_[order.index];
  const bool dying = std::holds_alternative<Dying>(core_.life(order.index).state());
  if (order.what == What::whole_isolate) {
    tell_start(order.index, now);
    if (dying) link.process().signal(SIGKILL);
    return true;
  }
  auto& model = templates_[core_.member_of(order.index)];
  if (dying || !model) {
    links_[order.index].reset();
    core_.spawn_failed(order.index, now);
    carry_out();
    return false;
  }
  if (auto ordered = link.order_fork(*model, order.index, order.generation); !ordered) {
    abandon(order, ordered.error(), now);
    return false;
  }
  return true;
}

void Engine::abandon(const SpawnOrder& order, const Error& error, Time now) {
  note_error(order, describe(error));
  log_->error("{}: cannot be started: {}", name_of(order), describe(error));
  ++counters_.start_failures;
  if (order.what == What::member) {
    templates_[order.index].reset();
    core_.template_failed(order.index, now);
  } else {
    tell(Event::Kind::start_failed, order.index, now);
    links_[order.index].reset();
    core_.spawn_failed(order.index, now);
  }
  carry_out();
}

// ---- what a worker says before it serves ----

bool Engine::hear(const SpawnOrder& order, Time now) {
  while (TemplateLink* link = control(order)) {
    const Heard heard = link->hear();
    if (heard.kind == Heard::Kind::nothing) return true;
    if (heard.kind == Heard::Kind::closed) break;
    heed(order, heard, now);
    carry_out();
  }
  return false;
}

void Engine::condemn(const SpawnOrder& order, VoteFate cause) {
  if (order.what == What::member)
    core_.condemn_template(order.index, cause);
  else
    core_.condemn(order.index, cause);
}

void Engine::heed(const SpawnOrder& order, const Heard& heard, Time now) {
  const IsolateLife& life =
      order.what == What::member ? core_.template_life(order.index) : core_.life(order.index);
  switch (heard.kind) {
    case Heard::Kind::loading:
      // Its process is known only now; it may have been condemned before.
      if (std::holds_alternative<Dying>(life.state())) process(order)->signal(SIGKILL);
      take_walls(order, heard.walls);
      break;
    case Heard::Kind::loaded:
      if (const std::size_t member = member_index(order); lacks_walls(member)) {
        distrust(order, fmt::format("it went on with isolation that is {} where full is required",
                                    tutti::name_of(level_of(walls_of(member)))));
        break;
      }
      if (control(order)->hides_processes(0)) {
        distrust(order, "it made processes that nobody ordered");
        break;
      }
      if (order.what != What::member) break;
      template_notes_[order.index].load = heard.load;
      core_.template_ready(order.index, heard.may_fork && threads_of(process(order)->pid()) == 1, now);
      break;
    case Heard::Kind::failed:
      note_error(order, describe(heard.error));
      ++counters_.start_failures;
      log_->error("{}: cannot start: {}", name_of(order), describe(heard.error));
      condemn(order, {.state = VoteState::start_failed});
      break;
    case Heard::Kind::born:
      if (!take_born(order, heard, now)) {
        distrust(order, "it speaks for an isolate that was not ordered");
      } else if (order.what == What::member && control(order)->hides_processes(isolates_alive(order.index))) {
        distrust(order, "it made processes that nobody ordered");
      }
      break;
    default:
      distrust(order, heard.error.what);
      break;
  }
}

void Engine::distrust(const SpawnOrder& order, const std::string& why) {
  note_error(order, "protocol violation: " + why);
  log_->error("{}: {}: no correct worker does that; it is killed and replaced", name_of(order), why);
  condemn(order, {.state = VoteState::protocol_violation});
  control(order)->hang_up();
}

std::size_t Engine::isolates_alive(std::uint32_t member) const {
  std::size_t count = 0;
  const std::uint32_t first = core_.first_isolate(member);
  for (std::uint32_t isolate = first; isolate < first + core_.instances(member); ++isolate)
    count += links_[isolate] && links_[isolate]->has_process() ? 1 : 0;
  return count;
}

// A process says that it is an isolate: it must be one that was ordered here and is not there yet.
bool Engine::take_born(const SpawnOrder& order, const Heard& heard, Time now) {
  const SpawnOrder born{.what = order.what == What::member ? What::isolate : What::whole_isolate,
                        .index = heard.isolate.isolate,
                        .generation = static_cast<std::uint16_t>(heard.isolate.generation)};
  if (order.what != What::member) {
    return born.index == order.index && born.generation == order.generation &&
           heard.sender == process(order)->pid();
  }
  if (born.index >= core_.isolates() || core_.member_of(born.index) != order.index) return false;
  // One that was given up before it was born ends by itself: nobody holds its other ends.
  if (!current(born) || !links_[born.index] || links_[born.index]->has_process()) return true;
  const bool taken = std::ranges::any_of(
      links_, [&](const auto& link) { return link && link->process().pid() == heard.sender; });
  if (taken || heard.sender == process(order)->pid()) return false;
  if (!links_[born.index]->adopt(heard.sender)) return false;
  tell_start(born.index, now);
  adopted_.push_back(born);
  // Its hello may have been there before its announcement was read.
  take_hello(born.index, now);
  return true;
}

void Engine::rang(std::uint32_t isolate, std::uint16_t generation, Time now) {
  if (!links_[isolate] || core_.life(isolate).generation() != generation) return;
  IsolateNotes& notes = notes_[isolate];
  take_hello(isolate, now);
  const bool news = drain(isolate, now);
  if (news) {
    carry_out();
    return;
  }
  // A caller that looks by itself may have been faster than the bell.
  if (notes.bells_due > 0) {
    --notes.bells_due;
    return;
  }
  if (now >= notes.bells_window) {
    notes.bells_window = now + std::chrono::seconds(1);
    notes.idle_bells = 0;
  }
  ++counters_.idle_bells;
  if (++notes.idle_bells > kIdleBellsMax) {
    notes.idle_bells = 0;
    notes.last_error = "protocol violation: it rings its bell without an answer";
    log_->error("{}: {}; it is killed and replaced", notes.name, notes.last_error);
    core_.condemn(isolate, {.state = VoteState::protocol_violation});
    carry_out();
  }
}

// Before its process is known an isolate is not listened to: its hello waits.
void Engine::take_hello(std::uint32_t isolate, Time now) {
  if (!links_[isolate]->has_process() || !std::holds_alternative<Starting>(core_.life(isolate).state()))
    return;
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
  if (auto seen = verify_walls(isolate); !seen) {
    notes.last_error = describe(seen.error());
    log_->error("{}: {}; it is killed and replaced", notes.name, notes.last_error);
    core_.condemn(isolate, {.state = VoteState::protocol_violation});
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

std::size_t Engine::member_index(const SpawnOrder& order) const {
  return order.what == What::member ? order.index : core_.member_of(order.index);
}

// A worker that cannot have the walls that are required says so and ends; one that goes on is no worker of
// ours.
bool Engine::lacks_walls(std::size_t member) const {
  return isolation_of(config_.isolation, config_.members[member]).require == IsolationRequirement::full &&
         level_of(walls_of(member)) != IsolationLevel::full;
}

// What a process says of its walls is compared with what the kernel says of them.
void Engine::take_walls(const SpawnOrder& order, Walls walls) {
  const std::size_t member = member_index(order);
  template_notes_[member].walls = walls;
  if (auto seen = verify_from_outside(process(order)->pid(), walls); !seen)
    return distrust(order, seen.error().what);
  const IsolationLevel level = level_of(walls_of(member));
  const IsolationConfig isolation = isolation_of(config_.isolation, member_of(order));
  if (limits_cpu(isolation) && !walls.has(Wall::cgroup_cpu)) {
    if (!std::exchange(template_notes_[member].limits_told, true))
      log_->warn(
          "{}: isolation.cpu_cores or cpu_share does not hold: no control group can be made here; `tutti "
          "doctor` says what can be done",
          member_of(order).name);
  }
  isolation_ = std::min(isolation_.value_or(level), level);
  if (level >= isolation_told_ || isolation.require != IsolationRequirement::best_effort) return;
  isolation_told_ = level;
  log_->warn("{}: isolation is {}, not full: a model could {}; `tutti doctor` says how to get the rest",
             member_of(order).name, tutti::name_of(level), names_of_open_threats(walls_of(member)));
}

// What the template said of its walls holds for its isolates, and each has sealed itself beside.
Walls Engine::walls_of(std::size_t member) const {
  Walls walls = template_notes_[member].walls;
  if (walls.has(Wall::seccomp_load)) walls.add(Wall::seccomp_serve);
  return walls;
}

Result<void> Engine::verify_walls(std::uint32_t isolate) const {
  const Walls claimed = walls_of(core_.member_of(isolate));
  if (claimed.empty()) return {};
  return verify_from_outside(links_[isolate]->process().pid(), claimed);
}

// ---- death ----

bool Engine::reap(const SpawnOrder& order, Time now) {
  if (!current(order)) return true;
  return order.what == What::member ? reap_template(order, now) : reap_isolate(order, now);
}

bool Engine::reap_isolate(const SpawnOrder& order, Time now) {
  const std::uint32_t isolate = order.index;
  if (!links_[isolate]) return true;
  // It may have loaded and failed, or answered, just before it died. A finished answer counts.
  hear(order, now);
  const auto seen = links_[isolate]->reap();
  if (!seen) return false;
  take_hello(isolate, now);
  drain(isolate, now);
  const auto* dying = std::get_if<Dying>(&core_.life(isolate).state());
  const bool told_why = dying != nullptr && reason_is_told(dying->cause.state);
  if (const auto blame = core_.blamed(isolate, *seen)) {
    // The rows are still there: the dead isolate holds the slot.
    const std::size_t bytes = std::size_t{blame->rows.rows} * config_.features * sizeof(float);
    const std::byte* rows = input_.data() + offset_of(blame->slot, blame->rows.first);
    core_.fingerprint(*blame, fingerprint_of({rows, bytes}, fingerprint_key_));
  }
  core_.gone(isolate, *seen, now);
  tell(Event::Kind::died, isolate, now, core_.last_cause(isolate));
  tell_readiness(now);
  hear_tiers(isolate);
  const std::uint32_t member = core_.member_of(isolate);
  ledgers_[member].end(isolate - core_.first_isolate(member));
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

bool Engine::reap_template(const SpawnOrder& order, Time now) {
  if (!templates_[order.index]) return true;
  hear(order, now);
  const auto seen = templates_[order.index]->reap();
  if (!seen) return false;
  const bool wanted = core_.has_template(order.index);
  core_.template_gone(order.index, *seen, now);
  templates_[order.index].reset();
  const VoteFate cause = core_.last_template_cause(order.index);
  TemplateNotes& notes = template_notes_[order.index];
  if (wanted && cause.state != VoteState::exited) {
    if (!reason_is_told(cause.state) || notes.last_error.empty()) notes.last_error = describe(cause);
    log_->warn("{}: its template is gone: {}", name_of(order), describe(cause));
  }
  drop_unborn(order.index, now);
  carry_out();
  return true;
}

// Isolates that were ordered of a template that died before it made them.
void Engine::drop_unborn(std::uint32_t member, Time now) {
  for (std::uint32_t i = 0; i < core_.instances(member); ++i) {
    const std::uint32_t isolate = core_.first_isolate(member) + i;
    if (!links_[isolate] || links_[isolate]->has_process()) continue;
    links_[isolate].reset();
    core_.spawn_failed(isolate, now);
  }
}

// Isolates that were condemned before there was a process to kill: their template is stuck, so it goes too. A
// child that it has made and that was not heard of yet ends when it finds nobody to announce itself to.
void Engine::give_up_unborn(Time now) {
  if (unborn_.empty()) return;
  for (const std::uint32_t isolate : std::exchange(unborn_, {})) {
    links_[isolate].reset();
    core_.condemn_template(core_.member_of(isolate), {.state = VoteState::start_timeout});
    core_.spawn_failed(isolate, now);
  }
  carry_out();
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
  closing_ = true;
  core_.close();
  carry_out();
}

void Engine::kill_all(Time now) {
  core_.kill_all();
  carry_out();
  give_up_unborn(now);
}

bool Engine::any_process() const {
  const auto there = [](const auto& link) { return link.has_value(); };
  return std::ranges::any_of(links_, there) || std::ranges::any_of(templates_, there);
}

bool Engine::all_tried() const {
  for (std::uint32_t isolate = 0; isolate < core_.isolates(); ++isolate) {
    if (!core_.tried(isolate)) return false;
  }
  return true;
}

}  // namespace tutti
