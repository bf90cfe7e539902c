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
//
// A vote has at most two attempts, each of its own instance, paid from one budget: a retry after a death, or
// a hedge when the first is slower than 95 % of the member's answers. The first answer that counts wins.
//
// An isolate works on one request at a time, in order, so the first unanswered one is what it died of. That
// input is blamed; what stood behind it is suspect, and suspects are asked one at a time, of one instance
// only. An input that a member has died of twice is quarantined for that member; which of a batch's rows it
// died of is then found by halving (hunt.hpp).
//
// Invariants: every accepted slot finishes exactly once; outstanding requests of an isolate are answered in
// the order they were published; outstanding <= slots(), so no ring overflows; nothing is done in the name of
// a generation that is gone.
//
// requests.cpp asks and settles, starts.cpp starts, judges and buries, second_chance.cpp retries and hedges,
// hunt.cpp looks for rows that kill.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shared/error.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/core/breaker.hpp"
#include "supervisor/core/budget.hpp"
#include "supervisor/core/counters.hpp"
#include "supervisor/core/fingerprint.hpp"
#include "supervisor/core/hunt.hpp"
#include "supervisor/core/isolate.hpp"
#include "supervisor/core/latency.hpp"
#include "supervisor/core/poison.hpp"

namespace tutti {

struct Action {
  enum class Kind : std::uint8_t {
    spawn,    // start a worker for `isolate` (its generation is life(isolate).generation()): a fork of its
              // member's template, or, if `whole`, a process that loads the model itself
    kill,     // SIGKILL the worker of `isolate`
    publish,  // put `rows` rows of `slot` from `first_row` on into the ring of `isolate`, with `id`, due at
              // `deadline`; a `probe` is no request of anybody's
    finish,   // combine and deliver the answer of `slot`, then call release(slot)
    start_template,  // start the template of `member` (its generation is template_life(member).generation())
    kill_template,   // SIGKILL the template of `member`
    tell_row,        // `first_row` of `slot` has killed `isolate`, and is quarantined for `member`
  };
  Kind kind = Kind::spawn;
  std::uint32_t isolate = 0;
  std::uint32_t slot = 0;
  std::uint64_t id = 0;
  std::uint32_t member = 0;
  bool whole = true;
  bool probe = false;
  std::uint32_t first_row = 0;
  std::uint32_t rows = 0;
  Time deadline{};
};

/// The rows that an isolate died of.
struct Blame {
  std::uint32_t slot = 0;
  RowRange rows;
  bool probe = false;
};

inline constexpr std::uint32_t kNobody = UINT32_MAX;

/// One member's vote on one request.
struct MemberVote {
  VoteFate fate;
  std::uint32_t isolate = kNobody;  // that was asked
  std::uint32_t second = kNobody;   // that was asked as well, for a hedge
  Duration latency{};               // from submit to the answer, or to the verdict
  bool retried = false;
  bool hedged = false;
  bool suspect = false;  // it was in flight on an isolate that died, or its input was
  bool waiting = false;  // for its turn among the suspects
  VoteFate lost_to{};    // retried: the death that the first attempt was lost to
};

/// A request as the core knows it.
struct Pending {
  enum class State : std::uint8_t { free, waiting, finished, held } state = State::free;
  std::uint32_t rows = 0;
  std::uint32_t counter = 0;  // of requests in this slot
  Time accepted;
  Time deadline;
  Time hedge_at = kNever;         // when a vote may become due for a second attempt
  std::uint32_t waiting_for = 0;  // votes still pending
  std::uint32_t voted = 0;
  std::uint32_t holders = 0;               // attempts that were neither answered nor ended by a death
  std::optional<Fingerprint> fingerprint;  // of its input, if anybody had to know it
  std::vector<MemberVote> votes;           // [members]
};

/// What an isolate's next answer must be.
struct Expected {
  std::uint64_t id = 0;
  std::uint32_t slot = 0;
  std::uint32_t rows = 0;
  bool wanted = false;  // false: the request has finished without it
  bool probe = false;   // no request's: what it says is not wanted, but whether it comes is
};

class Core {
 public:
  /// With `templates` every member gets a template first, and its isolates are forked from it.
  Core(const EnsembleConfig& config, std::uint64_t seed, bool templates = false);

  // ---- events ----
  /// Accepts a request and asks every member. Returns its slot; the engine writes the rows there before it
  /// carries out the actions. With wants_fingerprints() the fingerprint of the rows is given, and with
  /// wants_row_fingerprints() that of each row of a batch as well.
  /// Errors: overloaded, stopped.
  Result<std::uint32_t> submit(Time now, Time deadline, std::uint32_t rows,
                               std::optional<Fingerprint> fingerprint = std::nullopt,
                               std::span<const Fingerprint> row_fingerprints = {});
  /// The isolate answered what expected() said; `fate` is the engine's verdict on the answer.
  void answered(std::uint32_t isolate, VoteFate fate, Time now);
  void hello(std::uint32_t isolate, Time now);
  /// The worker broke a rule or could not start.
  void condemn(std::uint32_t isolate, VoteFate cause);
  /// Gives the fingerprint of the rows that blamed() names, before gone().
  void fingerprint(const Blame& blame, const Fingerprint& input) {
    (blame.probe ? probe_input_ : slots_[blame.slot].fingerprint) = input;
  }
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
  /// A vote that counted lay within the band of the others' answers, or outside.
  void judged(std::uint32_t member, bool outside, Time now);
  /// The caller has the answer of a finished slot.
  void release(std::uint32_t slot);
  /// Accepts nothing more and restarts nothing.
  void close();
  /// Kills every worker.
  void kill_all();

  // ---- what the engine asks ----
  /// The actions since the last call, in order. Valid until the next event.
  std::span<const Action> take_actions();
  [[nodiscard]] std::optional<Expected> expected(std::uint32_t isolate) const;
  /// True if an input may be known to kill: submit() then wants its fingerprint.
  bool wants_fingerprints(Time now);
  /// True if a single row may be known to kill. Only after wants_fingerprints().
  [[nodiscard]] bool wants_row_fingerprints() const noexcept { return poison_.has_rows(); }
  /// The rows that are to blame if the isolate is dead and that was seen; nothing if no input is.
  [[nodiscard]] std::optional<Blame> blamed(std::uint32_t isolate, VoteFate seen) const;
  /// The slot in which a row that kills the member is looked for.
  [[nodiscard]] std::optional<std::uint32_t> hunted_slot(std::uint32_t member) const {
    const Hunt& hunt = members_[member].hunt;
    return hunt.active() ? std::optional(hunt.slot()) : std::nullopt;
  }
  /// True while the member is left alone because it kept failing.
  [[nodiscard]] bool ejected(std::uint32_t member) const { return members_[member].breaker.open(); }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
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
    std::uint32_t rows;
    Time deadline;
    Time hung_at;
    std::uint32_t first_row = 0;
    bool probe = false;
  };
  /// How an isolate ended, as far as its probe is concerned.
  enum class Demise : std::uint8_t { of_input, hung, other };
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
    Breaker breaker;
    RunningLatency latency;
    ExtraBudget extra;
    std::uint32_t suspects_waiting = 0;
    std::uint32_t suspect_isolate = kNobody;  // which one works on a suspect
    std::uint64_t suspect_id = 0;
    Hunt hunt;
    Time hunt_after{};  // no hunt begins before
  };

  // requests.cpp
  void ask_member(std::uint32_t slot, std::uint32_t member, std::uint32_t guilty_row, Time now);
  void find_guilty_rows(std::span<const Fingerprint> rows, Time now);
  std::optional<std::uint32_t> choose(std::uint32_t member, Time now, std::uint32_t except);
  void ask(std::uint32_t isolate, std::uint32_t slot);
  void push(std::uint32_t isolate, const Outstanding& owed);
  void take_answer(std::uint32_t isolate, const Expected& due, VoteFate fate, Time now);
  Outstanding pop(std::uint32_t isolate);
  void settle(std::uint32_t slot, std::uint32_t member, VoteFate fate, Time now);
  void settle_overdue(std::uint32_t slot, Time now);
  void count_vote(VoteState state);
  void let_go(std::uint32_t slot);
  void free_if_done(std::uint32_t slot);
  void relieve_pressure(Time now);
  [[nodiscard]] VoteFate why_not_asked(std::uint32_t member, Time now) const;
  [[nodiscard]] bool overdue(const Isolate& isolate, Time now) const;
  [[nodiscard]] bool any_ready(std::uint32_t member) const;

  // second_chance.cpp
  [[nodiscard]] Time hedge_time(std::uint32_t slot, std::uint32_t member) const;
  void hedge(std::uint32_t slot, Time now);
  void hedge_vote(std::uint32_t slot, std::uint32_t member, Time now);
  void lose(std::uint32_t slot, std::uint32_t isolate, VoteFate cause, Time now);
  void make_suspect(std::uint32_t slot, std::uint32_t member);
  void ask_suspects(std::uint32_t member, Time now);
  [[nodiscard]] std::uint32_t oldest_suspect(std::uint32_t member) const;

  // hunt.cpp
  void begin_hunt(std::uint32_t slot, std::uint32_t member, Time now);
  void end_hunt(std::uint32_t member);
  void give_up_hunt(std::uint32_t member);
  void give_up_hunts();
  void hunt_on(Time now);
  std::optional<std::uint32_t> choose_prober(std::uint32_t member, Time now);
  void probe(std::uint32_t isolate, Time now);
  void probe_answered(std::uint32_t member, const Outstanding& probe, VoteFate fate);
  void probe_lost(std::uint32_t isolate, const Outstanding& probe, Demise demise, Time now);
  /// Too few slots are free for one to be held by a hunt.
  [[nodiscard]] bool scarce() const noexcept { return 2 * free_.size() < slots_.size(); }

  // starts.cpp
  bool blame_input(const Blame& blame, std::uint32_t member, Time now);
  [[nodiscard]] Demise demise_of(std::uint32_t isolate, VoteFate seen) const;
  [[nodiscard]] bool may_start(const Isolate& isolate) const;
  [[nodiscard]] bool template_wanted(const Member& member) const;
  [[nodiscard]] Time start_time(const IsolateLife& life) const;
  [[nodiscard]] bool may_spawn(const IsolateLife& life, Time now);
  void tick_template(std::uint32_t member, Time now);
  bool tick_isolate(std::uint32_t index, Time now);
  void see(Time now);
  void wish(IsolateWish wish, std::uint32_t isolate);
  void wish_template(IsolateWish wish, std::uint32_t member);

  Random random_;
  Duration grace_;
  Duration probe_deadline_;
  Duration hunt_interval_;  // between two deaths of hunts
  std::uint32_t in_flight_max_;
  std::uint32_t quorum_;
  bool hedges_;
  std::optional<std::uint32_t> last_resort_;
  RateLimit restarts_;
  PoisonTable poison_;
  std::vector<Member> members_;
  std::vector<Isolate> isolates_;
  std::vector<Pending> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<Action> actions_;
  std::vector<Action> taken_;
  std::vector<std::uint32_t> guilty_rows_;  // [members], scratch: the first row that kills it
  Counters counters_;
  Time last_seen_{};
  Time spared_until_{};              // after a stall: until then nobody is killed for holding slots
  std::uint32_t first_restart_ = 0;  // whose turn it is when restarts are rationed
  std::uint32_t in_flight_ = 0;
  std::uint32_t owed_ = 0;
  std::uint32_t hunts_ = 0;                 // that go on
  std::uint32_t prober_ = kNobody;          // the isolate that has a probe
  Time hunt_pace_{};                        // the next probe goes out no earlier
  std::optional<Fingerprint> probe_input_;  // of the rows of a probe that killed
  bool closed_ = false;
};

}  // namespace tutti
