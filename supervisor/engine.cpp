#include "supervisor/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <random>

#include "supervisor/band.hpp"
#include "supervisor/clock.hpp"
#include "supervisor/copy_in.hpp"
#include "supervisor/isolation/control_group.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/stacking_model.hpp"

namespace tutti {
namespace {

constexpr std::uint32_t kBellsDueMax = 1000;  // no more are forgiven, however many answers came

Fingerprint random_key() {
  std::random_device random;
  const auto word = [&] { return (std::uint64_t{random()} << 32U) | random(); };
  const std::uint64_t low = word();
  return {.low = low, .high = word()};
}

std::uint64_t seed_of(const LaunchOptions& options) {
  return options.seed != 0 ? options.seed : std::random_device{}();
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const EnsembleConfig> config,
                                               const LaunchOptions& options) {
  remove_stale_groups();
  LaunchOptions chosen = options;
  if (chosen.worker.empty()) {
    auto worker = find_worker();
    if (!worker) return std::unexpected(worker.error());
    chosen.worker = *worker;
  }
  std::vector<double> weights;
  for (const MemberConfig& member : config->members) weights.push_back(member.weight);
  auto combiner =
      Combiner::create(config->combine, config->task, weights, config->outputs(), config->limits.rows);
  if (!combiner) return std::unexpected(combiner.error());
  auto log = make_logger(config->name, static_cast<spdlog::level::level_enum>(config->log_level));
  std::unique_ptr<Engine> engine(new Engine(std::move(config), chosen, std::move(log), std::move(*combiner)));

  auto events =
      EventLog::open(options.events.value_or(engine->config_.events), engine->config_.name, options.on_event);
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

Engine::Engine(std::shared_ptr<const EnsembleConfig> config, const LaunchOptions& options,
               std::shared_ptr<spdlog::logger> log, Combiner combiner)
    : kept_(std::move(config)),
      config_(*kept_),
      options_(options),
      log_(std::move(log)),
      core_(config_, seed_of(options), options.templates),
      combiner_(std::move(combiner)),
      distances_(config_.members.size()),
      values_(config_.members.size()),
      row_fingerprints_(config_.limits.rows),
      fingerprint_key_(random_key()) {
  const std::uint32_t isolates = core_.isolates();
  const SpinPlan spin = spin_plan(config_);
  plan_.program = options_.worker;
  plan_.shape = channel_shape(config_);
  plan_.features = config_.features;
  plan_.classification = config_.task == Task::classification;
  plan_.spin_ns = spin.spin.count();
  plan_.yields = spin.yields;
  plan_.isolation = config_.isolation;
  plan_.jit = config_.jit;
  slots_.resize(core_.slots());
  links_.resize(isolates);
  notes_.resize(isolates);
  templates_.resize(config_.members.size());
  template_notes_.resize(config_.members.size());
  for (std::uint32_t isolate = 0; isolate < isolates; ++isolate) {
    const std::uint32_t member = core_.member_of(isolate);
    notes_[isolate].name =
        fmt::format("{}/{}", config_.members[member].name, isolate - core_.first_isolate(member));
  }
  asked_.reserve(std::size_t{core_.slots()} * isolates);
  deliveries_.reserve(core_.slots());
  answered_ = std::make_unique<bool[]>(config_.members.size());
  tallies_.resize(config_.members.size());
  for (std::uint32_t member = 0; member < core_.members(); ++member)
    ledgers_.emplace_back(core_.instances(member));
}

// ---- requests ----

Result<std::uint32_t> Engine::accept(MatrixView x, Time now, Time deadline) {
  if (x.rows == 0 || x.rows > config_.limits.rows || x.columns != config_.features) {
    return std::unexpected(Error{Errc::shape_mismatch,
                                 fmt::format("[{}][{}] rows and features", x.rows, x.columns), "predict",
                                 fmt::format("this ensemble takes 1 to {} rows (limits.rows) of {} features",
                                             config_.limits.rows, config_.features)});
  }
  std::optional<Fingerprint> fingerprint;
  std::span<const Fingerprint> rows;
  if (core_.wants_fingerprints(now)) {
    fingerprint =
        fingerprint_of(std::as_bytes(std::span(x.data, std::size_t{x.rows} * x.columns)), fingerprint_key_);
    if (x.rows > 1 && core_.wants_row_fingerprints()) rows = fingerprints_of_rows(x);
  }
  auto slot = core_.submit(now, deadline, x.rows, fingerprint, rows);
  if (slot) copy_in(input_.data() + *slot * slot_bytes_, x.data, x.bytes());
  return slot;
}

std::span<const Fingerprint> Engine::fingerprints_of_rows(MatrixView x) {
  for (std::uint32_t row = 0; row < x.rows; ++row) {
    const std::span values(x.data + std::size_t{row} * x.columns, x.columns);
    row_fingerprints_[row] = fingerprint_of(std::as_bytes(values), fingerprint_key_);
  }
  return std::span(row_fingerprints_).first(x.rows);
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

// Slots are used lowest first, so the first one has the rows of a late request.
std::vector<float> Engine::sample_row() const {
  std::vector<float> row(config_.features);
  std::memcpy(row.data(), input_.data(), row.size() * sizeof(float));
  return row;
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
      case Action::Kind::tell_row:
        tell_row(action);
        break;
      case Action::Kind::kill:
      case Action::Kind::spawn:
      case Action::Kind::start_template:
      case Action::Kind::kill_template:
        carry_out_process(action);
        break;
    }
  }
  wake_asked();
}

void Engine::publish(const Action& action) {
  links_[action.isolate]->publish({.id = action.id,
                                   .input_offset = offset_of(action.slot, action.first_row),
                                   .deadline_ns = action.deadline.time_since_epoch().count(),
                                   .rows = action.rows,
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
      tell(Event::Kind::violated, isolate, now);
      notes_[isolate].last_error = "protocol violation: it wrote what no correct worker writes";
      log_->error("{}: {}; it is killed and replaced", notes_[isolate].name, notes_[isolate].last_error);
      core_.condemn(isolate, consumed.fate);
      break;
    }
    note_answer(isolate, *expected, consumed);
    notes_[isolate].bells_due = std::min(notes_[isolate].bells_due + 1, kBellsDueMax);
    core_.answered(isolate, consumed.fate, now);
  }
  return any;
}

void Engine::note_answer(std::uint32_t isolate, const Expected& expected, const Consumed& consumed) {
  if (!expected.wanted) return;
  Vote& vote = slots_[expected.slot].prediction->votes[core_.member_of(isolate)];
  vote.compute = Duration(static_cast<std::int64_t>(consumed.compute_ns & INT64_MAX));
  if (!consumed.text.empty()) vote.message = consumed.text;
}

void Engine::tick(Time now) {
  core_.tick(now);
  carry_out();
  give_up_unborn(now);
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
  prediction.isolation = isolation_.value_or(IsolationLevel::none);
  if (config_.answer.band > 0) judge_band(request, prediction);
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

// Tells the core who lay far from the others.
void Engine::judge_band(const Pending& request, const Prediction& prediction) {
  const Parts parts{.data = prediction.parts.data(),
                    .model_stride = std::size_t{prediction.rows} * prediction.outputs,
                    .answered = {answered_.get(), prediction.votes.size()},
                    .rows = prediction.rows};
  if (!distances_from_median(parts, prediction.outputs, distances_, values_)) return;
  Time settled = request.accepted;
  for (const MemberVote& vote : request.votes) settled = std::max(settled, request.accepted + vote.latency);
  for (std::uint32_t member = 0; member < core_.members(); ++member) {
    if (answered_[member]) core_.judged(member, distances_[member] > config_.answer.band, settled);
  }
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

}  // namespace tutti
