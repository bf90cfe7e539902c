// The supervisor's decisions without its hands: who is asked, who counts, who must die, when an answer is
// due.
//
//   events + now ──▶ Core ──▶ actions: spawn, kill, publish, finish
//   submit, answered, hello, gone, tick          (the engine carries them out, in order)
//
// No clock, no system call, no thread, no allocation after construction but for restarts. The engine drives
// it with real processes; a simulation can drive it with a virtual clock and a seeded generator.
//
// A request has a slot: its rows lie there in `input`, and it is free again when the answer was given *and*
// every isolate that was asked has answered or is dead. So an overdue isolate can hold slots, and therefore
//   - there are twice as many slots as requests may be in flight,
//   - an isolate that is overdue on anything is not asked again until it has answered (its member is `late`),
//   - one that holds slots while none is free is killed at once.
// Invariants: every accepted slot finishes exactly once; outstanding requests of an isolate are answered in
// the order they were published; outstanding <= slots(), so no ring overflows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shared/error.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/core/isolate.hpp"

namespace tutti {

struct Action {
  enum class Kind : std::uint8_t {
    spawn,    // start a worker for `isolate` (its generation is life(isolate).generation()): a fork of its
              // member's template, or, if `whole`, a process that loads the model itself
    kill,     // SIGKILL the worker of `isolate`
    publish,  // put the request of `slot` into the ring of `isolate`, with `id`
    finish,   // combine and deliver the answer of `slot`, then call release(slot)
    start_template,  // start the template of `member` (its generation is template_life(member).generation())
    kill_template,   // SIGKILL the template of `member`
  };
  Kind kind = Kind::spawn;
  std::uint32_t isolate = 0;
  std::uint32_t slot = 0;
  std::uint64_t id = 0;
  std::uint32_t member = 0;
  bool whole = true;
};

/// One member's vote on one request.
struct MemberVote {
  VoteFate fate;
  std::uint32_t isolate = 0;
  Duration latency{};  // from submit to the answer, or to the verdict
  bool retried = false;
};

/// A request as the core knows it.
struct Pending {
  enum class State : std::uint8_t { free, waiting, finished, held } state = State::free;
  std::uint32_t rows = 0;
  std::uint32_t counter = 0;  // of requests in this slot
  Time accepted;
  Time deadline;
  std::uint32_t waiting_for = 0;  // votes still pending
  std::uint32_t voted = 0;
  std::uint32_t holders = 0;      // isolates that were asked and have neither answered nor died
  std::vector<MemberVote> votes;  // [members]
};

/// What an isolate's next answer must be.
struct Expected {
  std::uint64_t id = 0;
  std::uint32_t slot = 0;
  std::uint32_t rows = 0;
  bool wanted = false;  // false: the request has finished without it
};

class Core {
 public:
  /// With `templates` every member gets a template first, and its isolates are forked from it.
  Core(const EnsembleConfig& config, std::uint64_t seed, bool templates = false);

  // ---- events ----
  /// Accepts a request and asks every member. Returns its slot; the engine writes the rows there before it
  /// carries out the actions. Errors: overloaded, stopped.
  Result<std::uint32_t> submit(Time now, Time deadline, std::uint32_t rows);
  /// The isolate answered what expected() said; `fate` is the engine's verdict on the answer.
  void answered(std::uint32_t isolate, VoteFate fate, Time now);
  void hello(std::uint32_t isolate, Time now) { isolates_[isolate].life.hello(now); }
  /// The worker broke a rule or could not start.
  void condemn(std::uint32_t isolate, VoteFate cause);
  /// The worker is dead and its ring drained. Settles what it still owed.
  void gone(std::uint32_t isolate, VoteFate seen, Time now);
  /// There is no process for the isolate: it could not be started, or its template died over it (then
  /// template_gone() comes first, and the isolate is not blamed).
  void spawn_failed(std::uint32_t isolate, Time now);
  /// The member's model is loaded. Without `forks` (the model has threads, or its plug-in says so) the
  /// template is ended and every isolate of the member is started whole from now on.
  void template_ready(std::uint32_t member, bool forks, Time now);
  /// The template is dead: it is rebuilt, while the isolates that run go on.
  void template_gone(std::uint32_t member, VoteFate seen, Time now);
  /// The template could not be started: there is no process.
  void template_failed(std::uint32_t member, Time now);
  void condemn_template(std::uint32_t member, VoteFate cause);
  /// Deadlines, hangs, restarts.
  void tick(Time now);
  /// The caller has the answer of a finished slot.
  void release(std::uint32_t slot);
  /// Accepts nothing more and restarts nothing.
  void close() noexcept { closed_ = true; }
  /// Kills every worker.
  void kill_all();

  // ---- what the engine asks ----
  /// The actions since the last call, in order. Valid until the next event.
  std::span<const Action> take_actions();
  [[nodiscard]] std::optional<Expected> expected(std::uint32_t isolate) const;
  [[nodiscard]] const Pending& pending(std::uint32_t slot) const { return slots_[slot]; }
  [[nodiscard]] const IsolateLife& life(std::uint32_t isolate) const { return isolates_[isolate].life; }
  [[nodiscard]] const IsolateLife& template_life(std::uint32_t member) const {
    return members_[member].template_life;
  }
  /// False if the member's isolates are started whole.
  [[nodiscard]] bool has_template(std::uint32_t member) const { return members_[member].templated; }
  /// The cause of the last death of the member's template.
  [[nodiscard]] VoteFate last_template_cause(std::uint32_t member) const {
    return members_[member].template_cause;
  }
  /// True once the isolate's first start has ended, well or badly, or cannot come for want of a template.
  [[nodiscard]] bool tried(std::uint32_t isolate) const;
  /// The cause that the last death of the isolate was settled with.
  [[nodiscard]] VoteFate last_cause(std::uint32_t isolate) const { return isolates_[isolate].last_cause; }
  [[nodiscard]] std::uint32_t outstanding(std::uint32_t isolate) const { return isolates_[isolate].count; }
  [[nodiscard]] std::uint32_t member_of(std::uint32_t isolate) const { return isolates_[isolate].member; }
  [[nodiscard]] std::uint32_t first_isolate(std::uint32_t member) const { return members_[member].first; }
  [[nodiscard]] std::uint32_t instances(std::uint32_t member) const { return members_[member].instances; }
  [[nodiscard]] std::uint32_t isolates() const { return static_cast<std::uint32_t>(isolates_.size()); }
  [[nodiscard]] std::uint32_t members() const { return static_cast<std::uint32_t>(members_.size()); }
  [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
  /// Requests accepted and not finished.
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_; }
  /// Answers outstanding over all isolates.
  [[nodiscard]] std::uint32_t owed() const noexcept { return owed_; }
  /// Members with a ready isolate.
  [[nodiscard]] std::uint32_t members_ready() const;
  /// Votes that an answer needs.
  [[nodiscard]] std::uint32_t quorum() const noexcept { return quorum_; }
  /// True if the votes of a finished request make an answer (quorum, or the last resort voted).
  [[nodiscard]] bool answerable(const Pending& request) const;
  /// When tick() next has something to do; kNever if nothing is planned.
  [[nodiscard]] Time wake_at() const;

 private:
  struct Outstanding {
    std::uint64_t id;
    std::uint32_t slot;
    Time deadline;
  };
  struct Isolate {
    IsolateLife life;
    std::uint32_t member;
    VoteFate last_cause{.state = VoteState::not_ready};
    std::vector<Outstanding> queue;  // a ring of slots() places
    std::uint32_t head = 0;
    std::uint32_t count = 0;
  };
  struct Member {
    std::uint32_t first;
    std::uint32_t instances;
    IsolateLife template_life;
    bool templated;                // isolates are forked from the template
    bool template_failed = false;  // at least once
    VoteFate template_cause{.state = VoteState::not_ready};
    std::uint32_t next = 0;  // round robin
  };

  std::optional<std::uint32_t> choose(std::uint32_t member, Time now, std::uint32_t except);
  void ask(std::uint32_t isolate, std::uint32_t slot);
  void settle(std::uint32_t slot, std::uint32_t member, VoteFate fate, Time now);
  void let_go(std::uint32_t slot);
  void free_if_done(std::uint32_t slot);
  void relieve_pressure();
  [[nodiscard]] VoteFate why_not_asked(std::uint32_t member, Time now) const;
  [[nodiscard]] bool overdue(const Isolate& isolate, Time now) const;
  [[nodiscard]] bool may_start(const Isolate& isolate) const;
  void tick_template(std::uint32_t member, Time now);
  void wish(IsolateWish wish, std::uint32_t isolate);
  void wish_template(IsolateWish wish, std::uint32_t member);

  Random random_;
  Duration grace_;
  std::uint32_t in_flight_max_;
  std::uint32_t quorum_;
  std::optional<std::uint32_t> last_resort_;
  std::vector<Member> members_;
  std::vector<Isolate> isolates_;
  std::vector<Pending> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<Action> actions_;
  std::vector<Action> taken_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t owed_ = 0;
  bool closed_ = false;
};

}  // namespace tutti
