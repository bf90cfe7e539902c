#include "tests/simulation/checker.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tutti::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongLife = 60s;
constexpr Duration kHuntLasts = 60s;
constexpr std::uint32_t kHuntDeathsMax = 40;

// A row by itself is one input, whatever request it comes in.
std::uint64_t key_of_row(std::uint32_t row) { return (std::uint64_t{1} << 32U) + row; }

bool by_its_input(const VoteFate& cause) {
  return (cause.state == VoteState::crashed && cause.detail != 9 && cause.detail != 15) ||
         cause.state == VoteState::exited || cause.state == VoteState::out_of_memory;
}

bool lied(const VoteFate& cause) {
  return cause.state == VoteState::protocol_violation || cause.state == VoteState::escape_attempt;
}

}  // namespace

Checker::Checker(const Scenario& scenario) : scenario_(scenario), config_(scenario.config) {
  for (std::uint32_t member = 0; member < config_.members.size(); ++member) {
    members_.push_back({.templated = scenario.templates});
    for (std::uint32_t i = 0; i < config_.members[member].instances; ++i) {
      isolates_.emplace_back();
      isolates_.back().member = member;
    }
  }
  requests_.resize(std::size_t{2} * config_.limits.in_flight);
  for (Request& request : requests_) request.votes.resize(members_.size());
}

Checker::Kills& Checker::kills(std::uint32_t member, std::uint64_t input, Time now) {
  Kills& known = kills_[{member, input}];
  if (now - known.last >= 10min) known = {};
  return known;
}

// ---- what happened ----

void Checker::accepted(const Core& core, std::uint32_t slot, std::uint32_t input, Time now, Time deadline) {
  Request& request = requests_[slot];
  if (request.open) fail("a slot was given away that a request still has");
  for (const Isolate& isolate : isolates_) {
    for (const Owed& owed : isolate.owed) {
      if (owed.slot == slot) fail("a slot was given away that an isolate still holds");
    }
  }
  const std::vector<std::uint32_t> rows = scenario_.rows_of(input);
  request = {.open = true,
             .input = rows.size() == 1 ? key_of_row(rows[0]) : input,
             .rows = rows,
             .deadline = deadline,
             .votes = std::vector<Vote>(members_.size())};
  ++in_flight_;
  if (in_flight_ > config_.limits.in_flight) fail("more requests are in flight than limits.in_flight");
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    request.votes[member].suspect_input = kills(member, request.input, now).at_least == 1;
    const VoteState fate = core.pending(slot).votes[member].fate.state;
    for (const std::uint32_t row : rows) {
      if (kills(member, key_of_row(row), now).at_least >= 2 && fate != VoteState::quarantined) {
        fail("a request was not kept from a member that one of its rows kills");
      }
    }
    Member& group = members_[member];
    const bool was_refusing = group.refusing;
    group.refusing = fate == VoteState::ejected;
    if (!group.refusing) continue;
    if (!was_refusing) group.refusing_since = now;
    if (now - group.refusing_since > 60s && group.probe_slot == UINT32_MAX) {
      fail("a member was left alone for more than a minute");
    }
  }
}

// With no slot free, those that hold requests which have finished without them must go.
void Checker::refused(const Core& core, Time now) {
  // Just back from a stall nobody is killed for what it holds.
  if (in_flight_ >= config_.limits.in_flight || now <= away_until_ + 300ms) return;
  for (std::uint32_t index = 0; index < isolates_.size(); ++index) {
    for (const Owed& owed : isolates_[index].owed) {
      if (owed.probe && now < owed.deadline) continue;
      if (!requests_[owed.slot].open && core.life(index).ready()) {
        fail("every slot is held, and a holder may live on");
      }
    }
  }
}

void Checker::answered(std::uint32_t isolate, VoteFate fate, Time now) {
  std::deque<Owed>& queue = isolates_[isolate].owed;
  const Owed owed = queue.front();
  queue.pop_front();
  if (!queue.empty()) queue.front().hung_at = std::max(queue.front().hung_at, now + config_.answer.grace);
  if (owed.probe) return;
  Request& request = requests_[owed.slot];
  Vote& vote = request.votes[owed.member];
  if (Kills& known = kills_[{owed.member, request.input}]; known.at_least < 2) known.at_least = 0;
  if (vote.alive > 0) --vote.alive;
  if (request.open && !vote.settled && fate.state == VoteState::voted) vote.voted = true;
}

void Checker::gone(std::uint32_t isolate, VoteFate cause, Time now) {
  Isolate& dead = isolates_[isolate];
  bool poisoned = false;
  bool hunted = false;
  Member& group = members_[dead.member];
  group.died_of = UINT32_MAX;
  if (!dead.owed.empty() && dead.owed.front().probe) {
    const Owed& probe = dead.owed.front();
    hunted = by_its_input(cause) || cause.state == VoteState::hung;
    if (by_its_input(cause)) {
      hunt_died_at_ = now;
      ++group.hunt_deaths;
      if (probe.rows == 1) group.died_of = requests_[probe.slot].rows[probe.first_row];
    }
  } else if (!dead.owed.empty() && by_its_input(cause)) {
    Kills& known = kills(dead.member, requests_[dead.owed.front().slot].input, now);
    ++known.at_most;
    ++known.at_least;
    known.last = now;
    poisoned = known.at_most >= 2;
  }
  for (const Owed& owed : dead.owed) {
    Vote& vote = requests_[owed.slot].votes[owed.member];
    if (!owed.probe && vote.alive > 0) --vote.alive;
  }
  dead.owed.clear();
  if (dead.ready_since > Time{} && now - dead.ready_since >= kLongLife) {
    dead.restarts.clear();
    dead.lies = 0;  // a little more lenient than the rule
  }
  if (lied(cause)) ++dead.lies;
  poisoned = poisoned || hunted;
  if (poisoned) ++dead.uncharged;
  dead.hunted = hunted;
  dead.process = dead.ready = dead.condemned = false;
  dead.ready_since = Time{};
  dead.died_at = now;
  dead.died_once = !poisoned;
}

void Checker::hello(std::uint32_t isolate) {
  // What is said after the sentence counts for nothing.
  Isolate& said = isolates_[isolate];
  if (said.process && !said.condemned) said.ready = true;
}

void Checker::spawn_failed(std::uint32_t isolate, Time now) {
  Isolate& missing = isolates_[isolate];
  missing.process = missing.ready = missing.condemned = false;
  missing.died_at = now;
  missing.died_once = false;
}

void Checker::away(Time from, Time until) {
  away_from_ = from;
  away_until_ = until;
}

// ---- what the core wants ----

void Checker::action(const Core& core, const Action& action, Time now) {
  switch (action.kind) {
    case Action::Kind::publish:
      return action.probe ? check_probe(core, action, now) : check_publish(core, action, now);
    case Action::Kind::tell_row:
      return check_row(action, now);
    case Action::Kind::finish:
      return check_finish(core, action, now);
    case Action::Kind::kill:
      return check_kill(core, action, now);
    case Action::Kind::spawn:
      return check_spawn(core, action, now);
    case Action::Kind::start_template:
      if (closed_) fail("a template was started after the end");
      if (++members_[action.member].template_starts > 1) check_rate(now);
      return;
    case Action::Kind::kill_template:
      members_[action.member].template_ready = false;
      return;
  }
}

void Checker::check_publish(const Core& core, const Action& action, Time now) {
  Isolate& isolate = isolates_[action.isolate];
  Request& request = requests_[action.slot];
  Vote& vote = request.votes[isolate.member];
  Member& group = members_[isolate.member];
  if (!isolate.ready || isolate.condemned) fail("an isolate was asked that is not ready");
  if (now >= request.deadline) fail("somebody was asked after the deadline");
  if (!request.open) fail("somebody was asked for a request that has finished");
  if (action.id >> 48U != isolate.generation) fail("an id carries a generation that is gone");
  if (!ids_.emplace(action.isolate, action.id).second) fail("an id was used twice");
  if (isolate.owed.size() >= requests_.size()) fail("a ring overflowed");
  const bool overdue =
      std::ranges::any_of(isolate.owed, [&](const Owed& owed) { return owed.deadline <= now; });
  if (overdue) fail("an isolate was asked that is overdue");
  Kills& known = kills(isolate.member, request.input, now);
  if (known.at_least >= 2 && vote.attempts == 0) fail("an input that has killed twice was asked again");

  ++vote.attempts;
  if (vote.attempts == 1) {
    ++group.asked;
    vote.first = action.isolate;
    if (core.ejected(isolate.member)) {
      if (group.probe_slot != UINT32_MAX) fail("an ejected member was asked for more than one request");
      group.probe_slot = action.slot;
    }
    group.refusing = false;
  } else {
    ++group.extras;
    if (vote.attempts > 2) fail("a vote got a third attempt");
    if (group.extras > 10 + group.asked / 20) fail("more than one request in twenty got a second attempt");
  }
  const bool hedge = vote.attempts == 2 && vote.alive > 0;
  if (hedge && vote.first == action.isolate) fail("an instance was asked twice for one request");
  if (hedge && 2 * in_flight_ > config_.limits.in_flight)
    fail("a hedge was sent while half of the places were taken");
  if (hedge && vote.suspect_input) fail("an input that may kill was hedged");
  if (hedge && !config_.answer.hedge) fail("a hedge was sent although it was switched off");
  ++vote.alive;
  const bool suspect = (vote.attempts == 2 && !hedge) || (vote.attempts == 1 && vote.suspect_input);
  isolate.owed.push_back({.id = action.id,
                          .slot = action.slot,
                          .member = isolate.member,
                          .deadline = request.deadline,
                          .hung_at = request.deadline + config_.answer.grace,
                          .suspect = suspect});
}

void Checker::check_probe(const Core& core, const Action& action, Time now) {
  Isolate& isolate = isolates_[action.isolate];
  const Request& request = requests_[action.slot];
  const auto rows = static_cast<std::uint32_t>(request.rows.size());
  if (!isolate.ready || isolate.condemned) fail("an isolate was probed that is not ready");
  if (action.id >> 48U != isolate.generation) fail("a probe's id carries a generation that is gone");
  if (!ids_.emplace(action.isolate, action.id).second) fail("a probe's id was used before");
  if (isolate.owed.size() >= requests_.size()) fail("a ring overflowed with a probe");
  if (std::ranges::any_of(isolate.owed, [&](const Owed& owed) { return owed.deadline <= now; }))
    fail("an isolate was probed that is overdue");
  if (closed_) fail("a probe was sent after the end");
  if (kills(isolate.member, request.input, now).at_most < 2)
    fail("a batch is hunted that has not killed twice");
  if (action.rows == 0 || action.first_row >= rows || action.rows > rows - action.first_row ||
      action.rows >= rows) {
    fail("a probe is no part of its batch");
  }
  if (action.deadline != now + config_.answer.deadline) fail("a probe has not the config's deadline");
  for (const Isolate& other : isolates_) {
    if (std::ranges::any_of(other.owed, &Owed::probe)) fail("two probes were out at once");
  }
  const Duration interval = Duration(1s) / config_.restart.rate;
  if (hunt_died_at_ != Time{} && now < hunt_died_at_ + interval) fail("hunts kill faster than restart.rate");
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    const bool waits = requests_[slot].open && core.pending(slot).votes[isolate.member].waiting;
    if (waits) fail("a probe went before a suspect that waits");
  }
  isolate.owed.push_back({.id = action.id,
                          .slot = action.slot,
                          .member = isolate.member,
                          .deadline = action.deadline,
                          .hung_at = action.deadline + config_.answer.grace,
                          .suspect = true,
                          .probe = true,
                          .first_row = action.first_row,
                          .rows = action.rows});
}

// Never a row that did not kill by itself.
void Checker::check_row(const Action& action, Time now) {
  Member& group = members_[action.member];
  const std::uint32_t row = requests_[action.slot].rows[action.first_row];
  if (group.died_of != row) fail("a row was quarantined that has not killed");
  kills_[{action.member, key_of_row(row)}] = {.at_most = 2, .at_least = 2, .last = now};
  group.found.insert(row);
}

void Checker::check_finish(const Core& core, const Action& action, Time now) {
  Request& request = requests_[action.slot];
  if (!request.open) {
    fail("a request finished twice");
    return;
  }
  request.open = false;
  --in_flight_;
  ++finished_;
  last_voters_ = 0;
  if (now > request.deadline && now != away_until_) fail("an answer came after its deadline");
  const Pending& pending = core.pending(action.slot);
  note_settled(pending, action.slot);
  std::uint32_t voters = 0;
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    const VoteState fate = pending.votes[member].fate.state;
    if (fate == VoteState::pending) fail("a request finished while a vote was pending");
    if ((fate == VoteState::voted) != request.votes[member].voted)
      fail("the voters are not those who answered in time");
    const std::int32_t detail = pending.votes[member].fate.detail;
    const bool of_row = fate == VoteState::quarantined && detail > 0;
    if (fate == VoteState::quarantined && !of_row && kills(member, request.input, now).at_most < 2) {
      fail("an input was quarantined that has not killed twice");
    }
    if (of_row &&
        kills(member, key_of_row(request.rows.at(static_cast<std::size_t>(detail) - 1)), now).at_most < 2)
      fail("an input was quarantined for a row that has not killed");
    if (fate == VoteState::ejected && !config_.answer.breaker && !scenario_.has(Fault::astray)) {
      fail("a member was ejected although nothing ejects");
    }
    if (fate == VoteState::voted) {
      ++voters;
      last_voters_ |= std::uint64_t{1} << member;
    }
  }
  if (voters != pending.voted) fail("the number of votes is not the number of voters");
  const auto members = static_cast<std::uint32_t>(members_.size());
  if (core.answerable(pending) != (voters >= members / 2 + 1)) fail("a majority is not what it should be");
}

void Checker::check_kill(const Core& core, const Action& action, Time now) {
  Isolate& isolate = isolates_[action.isolate];
  if (!isolate.process) fail("a kill was sent where no process is");
  if (isolate.condemned) fail("a kill was sent twice");
  isolate.condemned = true;
  const auto* dying = std::get_if<Dying>(&core.life(action.isolate).state());
  if (dying == nullptr || dying->cause.state != VoteState::hung) return;
  const bool overdue = std::ranges::any_of(isolate.owed, [&](const Owed& owed) {
    return owed.deadline <= now || (!owed.probe && !requests_[owed.slot].open);
  });
  if (!overdue) fail("an isolate was called hung that owes nothing overdue");
  // Just back: what became due while the supervisor was away is held against nobody.
  if (now == away_until_ && !isolate.owed.empty()) {
    const Time due = isolate.owed.front().hung_at;
    const bool under_pressure = std::ranges::any_of(isolate.owed, [&](const Owed& owed) {
      return !owed.probe && !requests_[owed.slot].open && owed.deadline > now;
    });
    if (due > away_from_ && due <= away_until_ - 300ms && !under_pressure) {
      fail("an isolate was called hung for what the supervisor could not see");
    }
  }
}

void Checker::check_spawn(const Core& core, const Action& action, Time now) {
  Isolate& isolate = isolates_[action.isolate];
  const Member& group = members_[isolate.member];
  if (closed_) fail("an isolate was started after the end");
  if (isolate.process) fail("an isolate was started that has a process");
  if (group.templated && !group.template_ready) fail("an isolate was started without its template");
  if (action.whole == group.templated)
    fail("an isolate was started whole and should be forked, or the reverse");
  const std::uint16_t generation = core.life(action.isolate).generation();
  if (generation == isolate.generation) fail("two incarnations have one generation");
  const bool restart = isolate.generation != 0;
  isolate.generation = generation;
  isolate.process = true;
  if (!restart || !isolate.died_once) {
    // Its first, or one that an input is to blame for, or that no process came of.
    if (isolate.uncharged > 0) check_rate(now);
    if (isolate.hunted && !group.templated && config_.restart.rate > 1000 && away_until_ < isolate.died_at &&
        now > isolate.died_at) {
      fail("a restart after the death of a hunt was put off");
    }
    isolate.hunted = false;
    return;
  }
  check_rate(now);
  const Duration waited = now - isolate.died_at;
  const bool never_slow = config_.restart.budget > 1000;
  if (isolate.lies >= config_.restart.violations && waited < 30s)
    fail("a liar was started again within 30 s");
  isolate.restarts.push_back(now);
  std::uint32_t recent = 0;
  for (const Time restarted : isolate.restarts) recent += now - restarted < config_.restart.window ? 1U : 0U;
  if (recent > config_.restart.budget + 1 + isolate.uncharged)
    fail("an isolate was restarted beyond its budget");
  const Duration longest = std::max(config_.restart.backoff_max, 20 * config_.restart.backoff_min) + 1s;
  const bool seen_all_along = away_until_ < isolate.died_at;
  if (never_slow && !group.templated && seen_all_along && waited > longest)
    fail("a restart waited beyond backoff_max");
}

// In any second at most twice the rate: what was saved up, and what came in.
void Checker::check_rate(Time now) {
  const auto rate = config_.restart.rate;
  restarts_.push_back(now);
  if (restarts_.size() > 2 * std::size_t{rate} + 1) restarts_.pop_front();
  if (restarts_.size() <= rate) return;
  std::size_t count = 1;
  for (auto at = restarts_.rbegin() + 1; at != restarts_.rend(); ++at) {
    ++count;
    const double seconds = std::chrono::duration<double>(now - *at).count();
    if (static_cast<double>(count) > rate + rate * seconds + 1e-6) {
      fail("restarts came faster than restart.rate");
      return;
    }
  }
}

// ---- after every event ----

void Checker::rest(const Core& core, Time now, bool ticked) {
  check_hunts(core, now);
  check_slots(core, now);
  check_isolates(core, now);
  check_votes(core);
  if (ticked && core.wake_at() <= now)
    fail("after a tick there is still something due: the timer would spin");
}

void Checker::check_hunts(const Core& core, Time now) {
  std::uint32_t free = 0;
  for (std::uint32_t slot = 0; slot < core.slots(); ++slot) {
    free += core.pending(slot).state == Pending::State::free ? 1U : 0U;
  }
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    const auto slot = core.hunted_slot(member);
    Member& group = members_[member];
    const bool another = group.hunting && slot && *slot != group.hunted_slot;
    if (group.hunting && (!slot || another))
      end_hunt(member, core.counters().hunts_given_up > given_up_, now);
    if (slot && !group.hunting) begin_hunt(member, *slot, now);
    if (!slot) continue;
    if (closed_) fail("a hunt goes on after the end");
    if (2 * free < core.slots()) fail("a hunt holds a slot while fewer than half are free");
    if (now > group.hunting_since + kHuntLasts && now > away_until_) fail("a hunt does not end");
    if (group.hunt_deaths > kHuntDeathsMax) fail("a hunt killed too often");
  }
  given_up_ = core.counters().hunts_given_up;
}

void Checker::begin_hunt(std::uint32_t member, std::uint32_t slot, Time now) {
  Member& group = members_[member];
  group.hunting = true;
  group.hunted_slot = slot;
  group.hunting_since = now;
  group.hunt_deaths = 0;
  group.hunted_rows = requests_[slot].rows;
  group.found.clear();
}

// One that went to its end has found every row that kills.
void Checker::end_hunt(std::uint32_t member, bool given_up, Time now) {
  Member& group = members_[member];
  group.hunting = false;
  // After the faults no row kills any more.
  if (given_up || now >= scenario_.faults_end) return;
  for (const std::uint32_t row : group.hunted_rows) {
    if (scenario_.poisonous_row(member, row) && !group.found.contains(row))
      fail("a hunt ended without a row that kills");
  }
}

void Checker::check_slots(const Core& core, Time now) {
  std::uint32_t waiting = 0;
  for (std::uint32_t slot = 0; slot < core.slots(); ++slot) {
    const Pending& pending = core.pending(slot);
    std::uint32_t holders = 0;
    for (const Isolate& isolate : isolates_) {
      holders += static_cast<std::uint32_t>(
          std::ranges::count_if(isolate.owed, [&](const Owed& owed) { return owed.slot == slot; }));
    }
    for (const Member& member : members_) holders += member.hunting && member.hunted_slot == slot ? 1U : 0U;
    const bool is_waiting = pending.state == Pending::State::waiting;
    waiting += is_waiting ? 1U : 0U;
    if (is_waiting != requests_[slot].open) fail("a slot's state is not its request's");
    if (pending.state != Pending::State::free && pending.holders != holders)
      fail("a slot's holders are counted wrong");
    if (pending.state == Pending::State::free && holders > 0) fail("a slot is free that an isolate holds");
    if (pending.state == Pending::State::held && holders == 0) fail("a slot is lost: nobody holds it");
    if (is_waiting && pending.deadline < now && now > away_until_)
      fail("a request is open past its deadline");
  }
  if (waiting != core.in_flight() || waiting != in_flight_) fail("the requests in flight are counted wrong");
}

void Checker::check_isolates(const Core& core, Time now) {
  std::uint32_t owed = 0;
  for (std::uint32_t index = 0; index < isolates_.size(); ++index) {
    Isolate& isolate = isolates_[index];
    owed += static_cast<std::uint32_t>(isolate.owed.size());
    if (core.outstanding(index) != isolate.owed.size()) fail("what an isolate owes is counted wrong");
    const bool ready = core.life(index).ready();
    if (ready != (isolate.ready && !isolate.condemned))
      fail("an isolate is not in the state that it must be in");
    if (ready && isolate.ready_since == Time{}) isolate.ready_since = now;
    if (!ready || isolate.owed.empty()) continue;
    const Owed& front = isolate.owed.front();
    const bool unseen = away_until_ > front.deadline - 20 * config_.answer.deadline;
    if (!unseen && now > front.hung_at + 1ms) fail("a hung isolate lives on");
  }
  if (owed != core.owed()) fail("the answers owed are counted wrong");
}

// A vote is settled before its request finishes, or in the same event: looked at here and by check_finish().
void Checker::note_settled(const Pending& pending, std::uint32_t slot) {
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    Vote& vote = requests_[slot].votes[member];
    const VoteState fate = pending.votes[member].fate.state;
    if (vote.settled || fate == VoteState::pending) continue;
    vote.settled = true;
    Member& group = members_[member];
    if (group.probe_slot == slot) {
      group.probe_slot = UINT32_MAX;
      group.refusing = false;  // the minute begins anew
    }
    if (vote.attempts == 0) continue;
    if (fate == VoteState::voted) group.good_now = true;
    const bool was_asked = pending.votes[member].isolate != UINT32_MAX;
    if (fate == VoteState::rejected || (fate == VoteState::late && was_asked)) ++group.bad_now;
  }
}

void Checker::check_votes(const Core& core) {
  for (std::uint32_t slot = 0; slot < core.slots(); ++slot) {
    if (requests_[slot].open) note_settled(core.pending(slot), slot);
  }
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    Member& group = members_[member];
    group.failures_in_a_row = group.good_now ? 0 : group.failures_in_a_row + group.bad_now;
    group.good_now = false;
    group.bad_now = 0;
    if (config_.answer.breaker && group.failures_in_a_row >= 5 && !core.ejected(member)) {
      fail("a member that failed five times in a row was not ejected");
    }
    std::uint32_t suspects = 0;
    for (const Isolate& isolate : isolates_) {
      if (isolate.member != member) continue;
      suspects += static_cast<std::uint32_t>(std::ranges::count(isolate.owed, true, &Owed::suspect));
    }
    if (suspects > 1) fail("two suspects of a member were worked on at once");
  }
}

}  // namespace tutti::simulation
