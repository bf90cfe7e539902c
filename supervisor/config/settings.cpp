#include "supervisor/config/settings.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "supervisor/combine.hpp"

namespace tutti::settings {
namespace {

constexpr double kMicrosecond = 1e3;
constexpr double kMillisecond = 1e6;
constexpr double kSecond = 1e9;
constexpr double kDay = 24 * 3600 * kSecond;
constexpr double kMemoryMax = 1ULL << 50;
constexpr double kJitThresholdMax = 1e9;

// Words in the order of their enum; shorter names for the same thing follow.
constexpr std::array<std::string_view, 2> kTasks{"classification", "regression"};
constexpr std::array<std::string_view, 13> kRules{
    "mean",      "weighted_mean", "median",    "trimmed_mean", "minimum", "maximum", "geometric_mean",
    "soft_vote", "hard_vote",     "rank_mean", "stacking",     "min",     "max"};
constexpr std::array<std::string_view, 6> kLogLevels{"trace", "debug", "info", "warning", "error", "off"};
constexpr std::array<std::string_view, 7> kKinds{"",      "xgboost", "lightgbm", "scikit",
                                                 "dense", "onnx",    "plugin"};

constexpr std::array<std::string_view, 3> kJitModes{"off", "tier1", "full"};
constexpr std::array<std::string_view, 2> kJitCompiles{"auto", "load"};
constexpr std::array<std::string_view, 3> kRequirements{"full", "best_effort", "none"};

template <class Enum>
constexpr std::span<const std::string_view> words_of() {
  if constexpr (std::is_same_v<Enum, Task>) return kTasks;
  if constexpr (std::is_same_v<Enum, CombineRule>) return kRules;
  if constexpr (std::is_same_v<Enum, LogLevel>) return kLogLevels;
  if constexpr (std::is_same_v<Enum, IsolationRequirement>) return kRequirements;
  if constexpr (std::is_same_v<Enum, JitMode>) return kJitModes;
  if constexpr (std::is_same_v<Enum, JitCompile>) return kJitCompiles;
}

template <class Field>
struct IsOptional : std::false_type {};
template <class Field>
struct IsOptional<std::optional<Field>> : std::true_type {};

template <class Field>
Value to_value(const Field& field) {
  if constexpr (IsOptional<Field>::value) {
    return field ? to_value(*field) : Value(NotGiven{});
  } else if constexpr (std::is_same_v<Field, std::uint64_t>) {
    return Bytes{field};
  } else if constexpr (std::is_enum_v<Field>) {
    const auto index = static_cast<std::size_t>(field);
    const auto words = words_of<Field>();
    return index < words.size() ? std::string(words[index]) : std::to_string(index);
  } else if constexpr (std::is_same_v<Field, std::uint32_t> || std::is_same_v<Field, std::int32_t>) {
    return std::int64_t{field};
  } else {
    return field;
  }
}

template <class Field>
void assign(Field& field, const Value& value) {
  if constexpr (IsOptional<Field>::value) {
    if (std::holds_alternative<NotGiven>(value)) return field.reset();
    assign(field.emplace(), value);
  } else if constexpr (std::is_same_v<Field, std::uint64_t>) {
    field = std::get<Bytes>(value).count;
  } else if constexpr (std::is_enum_v<Field>) {
    const auto words = words_of<Field>();
    std::string_view word = std::get<std::string>(value);
    if constexpr (std::is_same_v<Field, CombineRule>) {
      word = word == "min" ? "minimum" : word == "max" ? "maximum" : word;
    }
    field = static_cast<Field>(std::ranges::find(words, word) - words.begin());
  } else if constexpr (std::is_same_v<Field, std::uint32_t> || std::is_same_v<Field, std::int32_t>) {
    field = static_cast<Field>(std::get<std::int64_t>(value));
  } else {
    field = std::get<Field>(value);
  }
}

template <auto Field>
struct OfEnsemble {
  static auto& in(auto& config, std::size_t) { return config.*Field; }
};
template <auto Part, auto Field>
struct Of {
  static auto& in(auto& config, std::size_t) { return config.*Part.*Field; }
};
template <auto Field>
struct OfIsolation {
  static auto& in(auto& config, std::size_t) { return config.isolation.*Field; }
};
template <auto Field>
struct OfMemberIsolation {
  static auto& in(auto& config, std::size_t member) { return config.members[member].isolation.*Field; }
};
template <auto Field>
struct OfMemberJit {
  static auto& in(auto& config, std::size_t member) { return config.members[member].jit.*Field; }
};
template <auto Field>
struct OfMember {
  static auto& in(auto& config, std::size_t member) { return config.members[member].*Field; }
};

/// Ties a line of the table to the field that keeps it.
template <class Place>
constexpr Setting kept(Setting setting) {
  setting.get = [](const EnsembleConfig& config, std::size_t member) {
    return to_value(Place::in(config, member));
  };
  setting.set = [](EnsembleConfig& config, std::size_t member, const Value& value) {
    assign(Place::in(config, member), value);
  };
  return setting;
}

/// features is kept in two fields.
constexpr Setting kept_features(Setting setting) {
  setting.get = [](const EnsembleConfig& config, std::size_t) -> Value {
    return Features{.count = config.features, .names = config.feature_names};
  };
  setting.set = [](EnsembleConfig& config, std::size_t, const Value& value) {
    const auto& features = std::get<Features>(value);
    config.features = static_cast<std::uint32_t>(features.count);
    config.feature_names = features.names;
  };
  return setting;
}

constexpr std::array<Table, 8> kTables{{
    {"ensemble", "What is predicted, and from what."},
    {"combine", "How the members' votes become one answer."},
    {"answer", "How many votes an answer needs, and how long it may take."},
    {"restart", "What happens to isolates that die."},
    {"limits", "What one request may hold, how many may be under way, and how a side waits."},
    {"jit", "How soon tree models leave their interpreter; a member may say otherwise."},
    {kIsolationTable, "The walls around workers, and what they may use; a member may have its own."},
    {kMemberTable, "A model with a vote."},
}};

using Ensemble = EnsembleConfig;

constexpr std::array kEnsembleSettings{
    kept<OfEnsemble<&Ensemble::name>>({.table = "ensemble",
                                       .key = "name",
                                       .type = Type::name,
                                       .required = true,
                                       .example = "name = \"my-ensemble\"",
                                       .help = "The ensemble's name: at most 64 letters a-z A-Z, digits, "
                                               "'.', '_' and '-'; the first is a letter "
                                               "or digit."}),
    kept<OfEnsemble<&Ensemble::task>>(
        {.table = "ensemble",
         .key = "task",
         .type = Type::choice,
         .required = true,
         .words = kTasks,
         .example = "task = \"classification\", or \"regression\"",
         .help = "classification answers a probability for each class, regression one number."}),
    kept<OfEnsemble<&Ensemble::classes>>(
        {.table = "ensemble",
         .key = "classes",
         .type = Type::labels,
         .low = 0,
         .high = kOutputsMax,
         .example = "classes = [\"no\", \"yes\"]",
         .help =
             "The classes' names, in the order of the models' outputs. Classification needs at least two, "
             "regression has none."}),
    kept_features(
        {.table = "ensemble",
         .key = "features",
         .type = Type::features,
         .required = true,
         .low = 1,
         .high = kFeaturesMax,
         .example = "features = 30, or a list of column names",
         .help =
             "Columns of an input row: how many, taken by position, or their names, found in a CSV header in "
             "any order."}),
    kept<OfEnsemble<&Ensemble::log_level>>({.table = "ensemble",
                                            .key = "log_level",
                                            .type = Type::choice,
                                            .words = kLogLevels,
                                            .help = "The least serious message that is logged."}),
    kept<OfEnsemble<&Ensemble::events>>(
        {.table = "ensemble",
         .key = "events",
         .type = Type::path,
         .help = "A file that every change of state is appended to, a JSON object a line; relative to this "
                 "one."}),

    kept<Of<&Ensemble::combine, &CombineConfig::rule>>(
        {.table = "combine",
         .key = "rule",
         .type = Type::choice,
         .words = kRules,
         .help = "The rule. Left out, it is soft_vote for classification and mean for regression."}),
    kept<Of<&Ensemble::combine, &CombineConfig::trim>>(
        {.table = "combine",
         .key = "trim",
         .type = Type::number,
         .low = 0,
         .high = 0.5,
         .high_open = true,
         .help = "trimmed_mean: the share of the votes cut off at each end."}),
    kept<Of<&Ensemble::combine, &CombineConfig::coefficients>>(
        {.table = "combine",
         .key = "coefficients",
         .type = Type::matrix,
         .low = -kCoefficientMax,
         .high = kCoefficientMax,
         .help =
             "stacking, linear: a row for each output, and in it a number for each output of each member, "
             "member by member."}),
    kept<Of<&Ensemble::combine, &CombineConfig::intercept>>(
        {.table = "combine",
         .key = "intercept",
         .type = Type::numbers,
         .low = -kCoefficientMax,
         .high = kCoefficientMax,
         .help = "stacking, linear: a number for each output; zeros when left out."}),
    kept<Of<&Ensemble::combine, &CombineConfig::model>>(
        {.table = "combine",
         .key = "model",
         .type = Type::path,
         .help = "stacking by a model of its own: its file, relative to this one."}),
    kept<Of<&Ensemble::combine, &CombineConfig::model_kind>>(
        {.table = "combine",
         .key = "kind",
         .type = Type::choice,
         .words = kKinds,
         .help = "What kind of model combine.model is; recognised when left out."}),

    kept<Of<&Ensemble::answer, &AnswerConfig::quorum>>(
        {.table = "answer",
         .key = "quorum",
         .type = Type::quorum,
         .low = 1,
         .high = kMembersMax,
         .help = "How many members must vote: a number, \"majority\" or \"all\"."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::deadline>>(
        {.table = "answer",
         .key = "deadline",
         .type = Type::duration,
         .low = kMicrosecond,
         .high = kDay,
         .help = "How long an answer may take from the moment its request is accepted. Who is later has no "
                 "vote."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::grace>>(
        {.table = "answer",
         .key = "grace",
         .type = Type::duration,
         .low = kMillisecond,
         .high = kDay,
         .help = "How long past its deadline an isolate may stay silent before it counts as hung and is "
                 "killed."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::last_resort>>(
        {.table = "answer",
         .key = "last_resort",
         .type = Type::text,
         .help = "The member whose vote alone answers below quorum; left out, too few votes are an error."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::hedge>>(
        {.table = "answer",
         .key = "hedge",
         .type = Type::yes_no,
         .help = "Whether a request that is slower than 95 % of a member's answers is asked of a second "
                 "instance too; of one request in twenty at most."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::breaker>>(
        {.table = "answer",
         .key = "breaker",
         .type = Type::yes_no,
         .help = "Whether a member that keeps failing is left alone for a while; its votes are `ejected`."}),
    kept<Of<&Ensemble::answer, &AnswerConfig::band>>(
        {.table = "answer",
         .key = "band",
         .type = Type::number,
         .low = 0,
         .high = kCoefficientMax,
         .help = "How far a member's answers may lie from the median of at least three, on average; one that "
                 "stays outside for 10s is ejected. 0: any far."}),

    kept<Of<&Ensemble::restart, &RestartConfig::backoff_min>>(
        {.table = "restart",
         .key = "backoff_min",
         .type = Type::duration,
         .low = kMillisecond,
         .high = kDay,
         .help = "The wait before the first restart; it doubles with each that fails."}),
    kept<Of<&Ensemble::restart, &RestartConfig::backoff_max>>({.table = "restart",
                                                               .key = "backoff_max",
                                                               .type = Type::duration,
                                                               .low = kMillisecond,
                                                               .high = kDay,
                                                               .help = "The longest wait before a restart."}),
    kept<Of<&Ensemble::restart, &RestartConfig::budget>>(
        {.table = "restart",
         .key = "budget",
         .type = Type::whole,
         .low = 0,
         .high = 1000,
         .help = "Restarts within `window`; beyond it the isolate has failed and is only probed slowly."}),
    kept<Of<&Ensemble::restart, &RestartConfig::window>>(
        {.table = "restart",
         .key = "window",
         .type = Type::duration,
         .low = kMillisecond,
         .high = kDay,
         .help = "The time over which restarts are counted."}),
    kept<Of<&Ensemble::restart, &RestartConfig::start_timeout>>(
        {.table = "restart",
         .key = "start_timeout",
         .type = Type::duration,
         .low = kMillisecond,
         .high = kDay,
         .help = "How long an isolate may take from its launch until its model is loaded."}),
    kept<Of<&Ensemble::restart, &RestartConfig::rate>>(
        {.table = "restart",
         .key = "rate",
         .type = Type::whole,
         .low = 1,
         .high = 100'000,
         .help = "Restarts a second at most, of all members together."}),
    kept<Of<&Ensemble::restart, &RestartConfig::violations>>(
        {.table = "restart",
         .key = "violations",
         .type = Type::whole,
         .low = 1,
         .high = 100'000,
         .help = "Lies in its memory or attempts to escape, after which an isolate is only probed slowly."}),

    kept<Of<&Ensemble::limits, &LimitsConfig::in_flight>>(
        {.table = "limits",
         .key = "in_flight",
         .type = Type::power_of_two,
         .low = kInFlightMin,
         .high = kInFlightMax,
         .help = "Requests under way at once; a power of two."}),
    kept<Of<&Ensemble::limits, &LimitsConfig::rows>>({.table = "limits",
                                                      .key = "rows",
                                                      .type = Type::whole,
                                                      .low = 1,
                                                      .high = kRowsMax,
                                                      .help = "Rows of one request at most."}),
    kept<OfEnsemble<&Ensemble::spin>>(
        {.table = "limits",
         .key = "spin",
         .type = Type::spin,
         .low = 0,
         .high = kSecond,
         .help = "How long a side that waits looks before it sleeps: \"auto\", a duration up to 1s, or 0."}),

    kept<Of<&Ensemble::jit, &JitConfig::mode>>(
        {.table = "jit",
         .key = "mode",
         .type = Type::choice,
         .words = kJitModes,
         .help = "off keeps tree models in their interpreter, tier1 lets them move to vector kernels, full "
                 "also to kernels compiled for the one model. The answers are the same bits."}),
    kept<Of<&Ensemble::jit, &JitConfig::threshold>>(
        {.table = "jit",
         .key = "threshold",
         .type = Type::whole,
         .low = 0,
         .high = kJitThresholdMax,
         .help = "Calls that the interpreter answers first; 0 builds the kernels' layout when the model is "
                 "loaded. Left out, 0 for models that take no more than about 50ms, else 100."}),
    kept<Of<&Ensemble::jit, &JitConfig::compile>>(
        {.table = "jit",
         .key = "compile",
         .type = Type::choice,
         .words = kJitCompiles,
         .help = "When mode is full: auto compiles once the time that it would have saved has paid for it, "
                 "load whenever the model is loaded."}),
};

constexpr std::array kMemberSettings{
    kept<OfMember<&MemberConfig::name>>(
        {.table = kMemberTable,
         .key = "name",
         .type = Type::name,
         .required = true,
         .example = "name = \"boosted\"",
         .help = "The member's name, its own in the ensemble; spelled as the ensemble's."}),
    kept<OfMember<&MemberConfig::model>>({.table = kMemberTable,
                                          .key = "model",
                                          .type = Type::path,
                                          .required = true,
                                          .example = "model = \"models/boosted.json\"",
                                          .help = "The model's file, relative to this one."}),
    kept<OfMember<&MemberConfig::kind>>({.table = kMemberTable,
                                         .key = "kind",
                                         .type = Type::choice,
                                         .words = kKinds,
                                         .help = "What kind of model it is; recognised when left out."}),
    kept<OfMember<&MemberConfig::weight>>(
        {.table = kMemberTable,
         .key = "weight",
         .type = Type::number,
         .low = 0,
         .high = 1e9,
         .help = "How much its vote counts in rules that weigh; weights need not sum to 1."}),
    kept<OfMember<&MemberConfig::instances>>({.table = kMemberTable,
                                              .key = "instances",
                                              .type = Type::whole,
                                              .low = 1,
                                              .high = kInstancesMax,
                                              .help = "Isolates that share its work."}),
    kept<OfMemberJit<&JitConfig::mode>>({.table = kMemberTable,
                                         .key = "jit",
                                         .type = Type::choice,
                                         .words = kJitModes,
                                         .help = "jit.mode for this member."}),
    kept<OfMemberJit<&JitConfig::threshold>>({.table = kMemberTable,
                                              .key = "jit_threshold",
                                              .type = Type::whole,
                                              .low = 0,
                                              .high = kJitThresholdMax,
                                              .help = "jit.threshold for this member."}),
    kept<OfMemberJit<&JitConfig::compile>>({.table = kMemberTable,
                                            .key = "jit_compile",
                                            .type = Type::choice,
                                            .words = kJitCompiles,
                                            .help = "jit.compile for this member."}),
};

/// What the table [isolation] may say, and a member's own of the same name.
template <template <auto> class Place>
constexpr auto isolation_settings() {
  return std::array{
      kept<Place<&IsolationConfig::require>>(
          {.table = kIsolationTable,
           .key = "require",
           .type = Type::choice,
           .words = kRequirements,
           .help = "full starts no worker that is not held fully; best_effort uses every wall that this "
                   "machine gives; none has no walls, for debugging."}),
      kept<Place<&IsolationConfig::memory>>(
          {.table = kIsolationTable,
           .key = "memory",
           .type = Type::bytes,
           .low = 1 << 20,
           .high = kMemoryMax,
           .help = "Private memory of one isolate, such as \"512MiB\"; not given, half of the machine's."}),
      kept<Place<&IsolationConfig::cpu_cores>>(
          {.table = kIsolationTable,
           .key = "cpu_cores",
           .type = Type::number,
           .low = 0.01,
           .high = 1024,
           .help = "Processor cores that all processes of a member may use together; needs cgroups."}),
      kept<Place<&IsolationConfig::cpu_share>>(
          {.table = kIsolationTable,
           .key = "cpu_share",
           .type = Type::number,
           .low = 0.01,
           .high = 100,
           .help =
               "What a member gets of a processor that others want too, against 1 for each of them; needs "
               "cgroups."}),
      kept<Place<&IsolationConfig::nice>>({.table = kIsolationTable,
                                           .key = "nice",
                                           .type = Type::whole,
                                           .low = 0,
                                           .high = 19,
                                           .help = "How much the scheduler favours others: 0 not, 19 most."}),
      kept<Place<&IsolationConfig::processes>>(
          {.table = kIsolationTable,
           .key = "processes",
           .type = Type::whole,
           .low = 1,
           .high = 65536,
           .help = "Processes and threads of all isolates of a member."}),
      kept<Place<&IsolationConfig::descriptors>>({.table = kIsolationTable,
                                                  .key = "descriptors",
                                                  .type = Type::whole,
                                                  .low = 16,
                                                  .high = 65536,
                                                  .help = "Open descriptors of one process."}),
      kept<Place<&IsolationConfig::file_size>>({.table = kIsolationTable,
                                                .key = "file_size",
                                                .type = Type::bytes,
                                                .low = 0,
                                                .high = kMemoryMax,
                                                .help = "The largest file that may be written."}),
      kept<Place<&IsolationConfig::read>>(
          {.table = kIsolationTable,
           .key = "read",
           .type = Type::paths,
           .high = kReadableMax,
           .help = "Files and folders that workers may read beside the model and the system's libraries; a "
                   "member's own, beside the ensemble's."}),
  };
}
constexpr auto kIsolationSettings = isolation_settings<OfIsolation>();

constexpr std::array<std::string_view, kIsolationSettings.size()> kMemberIsolationKeys{
    "isolation.require",     "isolation.memory",    "isolation.cpu_cores",
    "isolation.cpu_share",   "isolation.nice",      "isolation.processes",
    "isolation.descriptors", "isolation.file_size", "isolation.read"};

constexpr auto member_isolation() {
  auto settings = isolation_settings<OfMemberIsolation>();
  for (std::size_t i = 0; i < settings.size(); ++i) {
    settings[i].table = kMemberTable;
    settings[i].key = kMemberIsolationKeys[i];
  }
  return settings;
}
constexpr auto kMembersIsolation = member_isolation();
static_assert(std::ranges::equal(
    kMembersIsolation, kIsolationSettings, {},
    [](const Setting& setting) { return setting.key.substr(setting.key.find('.') + 1); }, &Setting::key));

template <std::size_t... kSizes>
constexpr auto joined(const std::array<Setting, kSizes>&... parts) {
  std::array<Setting, (kSizes + ...)> all{};
  auto out = all.begin();
  ((out = std::ranges::copy(parts, out).out), ...);
  return all;
}
constexpr auto kSettings = joined(kEnsembleSettings, kIsolationSettings, kMemberSettings, kMembersIsolation);

}  // namespace

std::span<const Setting> all() { return kSettings; }

std::span<const Table> tables() { return kTables; }

const Setting* find(std::string_view table, std::string_view key) {
  const auto found = std::ranges::find_if(
      kSettings, [&](const Setting& setting) { return setting.table == table && setting.key == key; });
  return found == kSettings.end() ? nullptr : &*found;
}

std::vector<std::string> keys_of(std::string_view table, bool overlay) {
  std::vector<std::string> keys;
  for (const Setting& setting : kSettings) {
    const bool fixed = overlay && table == kMemberTable && setting.key == "name";
    if (setting.table == table && !fixed) keys.emplace_back(setting.key);
  }
  return keys;
}

bool is_text(Type type) {
  return type == Type::name || type == Type::text || type == Type::path || type == Type::choice;
}

}  // namespace tutti::settings
