// Values that must fit each other, whoever wrote them: a file's author or a C++ program.
#include "supervisor/config/check.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include "shared/suggest.hpp"
#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

class CrossCheck {
 public:
  CrossCheck(const EnsembleConfig& config, const std::set<Address>& broken)
      : config_(config), broken_(broken) {}

  std::vector<Finding> run(bool models_must_exist) {
    check_members();
    check_classes();
    check_rule();
    check_stacking();
    check_answer();
    check_restart();
    check_region();
    check_isolates();
    if (models_must_exist) check_models();
    if (models_must_exist) check_readable();
    return std::move(findings_);
  }

 private:
  void check_members();
  void check_classes();
  void check_rule();
  void check_stacking();
  void check_coefficients();
  void check_answer();
  void check_restart();
  void check_region();
  void check_isolates();
  void check_models();
  void check_readable();

  void add(Address address, std::string what, std::string hint, std::size_t element = kWhole) {
    findings_.push_back({.address = address,
                         .fault = {.what = std::move(what), .hint = std::move(hint), .element = element}});
  }
  [[nodiscard]] bool sound(std::string_view table, std::string_view key, std::size_t member = kWhole) const {
    return !broken_.contains({table, key, member});
  }
  [[nodiscard]] bool members_sound() const { return sound(kMemberTable, "") && !config_.members.empty(); }
  [[nodiscard]] bool outputs_sound() const {
    return sound("ensemble", "task") && sound("ensemble", "classes");
  }
  [[nodiscard]] bool all_members_sound(std::string_view key) const {
    for (std::size_t member = 0; member < config_.members.size(); ++member) {
      if (!sound(kMemberTable, key, member)) return false;
    }
    return members_sound();
  }

  const EnsembleConfig& config_;
  const std::set<Address>& broken_;
  std::vector<Finding> findings_;
};

void CrossCheck::check_members() {
  if (!sound(kMemberTable, "")) return;
  if (config_.members.empty()) {
    return add({kMemberTable, ""}, "no member", "add [[member]] with a name and a model");
  }
  if (config_.members.size() > kMembersMax) {
    add({kMemberTable, "", kMembersMax},
        fmt::format("{} members, more than {}", config_.members.size(), kMembersMax),
        "split the ensemble, or combine members into one model");
  }
  std::map<std::string_view, std::size_t> seen;
  for (std::size_t member = 0; member < config_.members.size(); ++member) {
    const std::string& name = config_.members[member].name;
    if (!sound(kMemberTable, "name", member)) continue;
    const auto [first, added] = seen.emplace(name, member);
    if (added) continue;
    add({kMemberTable, "name", member}, fmt::format("a second member is named {}", quote(name)),
        config_.members[first->second].where.empty()
            ? "give each member a name of its own"
            : fmt::format("the first is at {}; give each a name of its own",
                          config_.members[first->second].where));
  }
  const bool all_zero = std::ranges::all_of(config_.members, [](const auto& one) { return one.weight == 0; });
  if (all_zero && all_members_sound("weight")) {
    add({kMemberTable, "weight", 0}, "every member's weight is 0",
        "give at least one member a weight above 0");
  }
}

void CrossCheck::check_classes() {
  if (!outputs_sound()) return;
  const std::size_t count = config_.classes.size();
  const Address classes{"ensemble", "classes"};
  if (config_.task == Task::regression && count > 0) {
    add(classes, fmt::format("regression with {} classes", count),
        "remove classes, or write task = \"classification\"");
  } else if (config_.task == Task::classification && count == 0) {
    add(classes, "[ensemble] has no classes",
        "add classes = [\"no\", \"yes\"], in the order of the models' outputs");
  } else if (config_.task == Task::classification && count == 1) {
    add(classes,
        fmt::format("classes has {} alone; there is nothing to decide", quote(config_.classes.front())),
        "name at least two classes");
  }
}

void CrossCheck::check_rule() {
  if (!sound("combine", "rule") || !sound("ensemble", "task") || config_.task == Task::classification) return;
  const auto no = [&](std::string_view rule, std::string_view hint) {
    add({"combine", "rule"}, fmt::format("rule is \"{}\", which is for classification", rule),
        std::string(hint));
  };
  if (config_.combine.rule == CombineRule::soft_vote)
    no("soft_vote", "weighted_mean does the same for regression");
  if (config_.combine.rule == CombineRule::hard_vote)
    no("hard_vote", "median is its counterpart for regression");
  if (config_.combine.rule == CombineRule::rank_mean) {
    no("rank_mean", "median resists votes on different scales best");
  }
}

void CrossCheck::check_stacking() {
  if (config_.combine.rule != CombineRule::stacking || !sound("combine", "rule") ||
      !sound("combine", "coefficients") || !sound("combine", "model")) {
    return;
  }
  const bool linear = !config_.combine.coefficients.empty();
  const bool by_model = !config_.combine.model.empty();
  if (!linear && !by_model) {
    return add({"combine", "rule"}, "rule is \"stacking\" without coefficients or a model",
               "add coefficients = [[...]], or model = \"stack.json\"");
  }
  if (linear && by_model) {
    return add({"combine", "model"}, "stacking has both coefficients and a model", "remove one of the two");
  }
  if (linear && outputs_sound() && members_sound()) check_coefficients();
}

void CrossCheck::check_coefficients() {
  const auto& [rule, trim, coefficients, intercept, model, kind] = config_.combine;
  const std::size_t outputs = config_.outputs();
  const std::size_t inputs = config_.members.size() * outputs;
  if (coefficients.size() != outputs) {
    add({"combine", "coefficients"},
        fmt::format("coefficients has {} rows for {} outputs", coefficients.size(), outputs),
        config_.task == Task::regression ? "regression has one output: write [[...]] with one row"
                                         : "write a row for each class, in the order of classes");
  }
  for (std::size_t row = 0; row < coefficients.size(); ++row) {
    if (coefficients[row].size() == inputs) continue;
    add({"combine", "coefficients"},
        fmt::format("row {} of coefficients has {} numbers for {} members of {} outputs", row + 1,
                    coefficients[row].size(), config_.members.size(), outputs),
        fmt::format("write {} numbers, member by member", inputs), row);
  }
  if (!intercept.empty() && intercept.size() != outputs && sound("combine", "intercept")) {
    add({"combine", "intercept"},
        fmt::format("intercept has {} numbers for {} outputs", intercept.size(), outputs),
        "write a number for each output, or leave it out for zeros");
  }
}

void CrossCheck::check_answer() {
  if (!members_sound()) return;
  const Quorum& quorum = config_.answer.quorum;
  const std::size_t members = config_.members.size();
  if (sound("answer", "quorum") && quorum.kind == Quorum::Kind::count && quorum.count > members) {
    add({"answer", "quorum"},
        fmt::format("quorum is {} of {} members: it can never be met", quorum.count, members),
        fmt::format("write a number from 1 to {}, \"majority\" or \"all\"", members));
  }
  const std::string& last_resort = config_.answer.last_resort;
  if (last_resort.empty() || !sound("answer", "last_resort") || !all_members_sound("name")) return;
  std::vector<std::string> names;
  for (const MemberConfig& member : config_.members) names.push_back(member.name);
  if (std::ranges::find(names, last_resort) != names.end()) return;
  const std::string near = did_you_mean(last_resort, names);
  add({"answer", "last_resort"}, fmt::format("last_resort is {}, which is no member", quote(last_resort)),
      near.empty() ? fmt::format("the members are: {}", joined(names, ", ")) : near);
}

void CrossCheck::check_restart() {
  const RestartConfig& restart = config_.restart;
  if (restart.backoff_min <= restart.backoff_max || !sound("restart", "backoff_min") ||
      !sound("restart", "backoff_max")) {
    return;
  }
  add({"restart", "backoff_min"},
      fmt::format("backoff_min is {}, above backoff_max, {}", format_duration(restart.backoff_min),
                  format_duration(restart.backoff_max)),
      "lower backoff_min or raise backoff_max");
}

void CrossCheck::check_region() {
  const LimitsConfig& limits = config_.limits;
  if (!sound("limits", "rows") || !sound("limits", "in_flight") || !sound("ensemble", "features") ||
      !outputs_sound()) {
    return;
  }
  // All three factors are within their limits here, and those multiply to less than 2^53.
  const auto check = [&](std::uint64_t columns, std::string_view columns_name) {
    const std::uint64_t bytes = std::uint64_t{limits.rows} * columns * sizeof(float) * limits.in_flight;
    if (bytes <= kRegionBytesMax) return;
    const std::string_view key = limits.rows != kRowsDefault ? "rows" : "in_flight";
    const bool neither = limits.rows == kRowsDefault && limits.in_flight == kInFlightDefault;
    const Address address = neither ? Address{"ensemble", columns_name} : Address{"limits", key};
    add(address,
        fmt::format("{} rows of {} {} in {} requests at 4 bytes each are {:.1f} GiB, more than {} GiB of "
                    "shared memory",
                    limits.rows, columns, columns_name, limits.in_flight,
                    static_cast<double>(bytes) / (1U << 30), kRegionBytesMax >> 30),
        "lower limits.rows or limits.in_flight");
  };
  static_assert(std::uint64_t{kRowsMax} * kFeaturesMax * kInFlightMax * sizeof(float) <= 1ULL << 53);
  check(config_.features, "features");
  check(config_.outputs(), "classes");
}

void CrossCheck::check_isolates() {
  if (!all_members_sound("instances")) return;
  std::uint64_t isolates = config_.combine.model.empty() ? 0 : 1;
  for (const MemberConfig& member : config_.members) isolates += member.instances;
  if (isolates <= kIsolatesMax) return;
  const auto most = std::ranges::max_element(config_.members, {}, &MemberConfig::instances);
  add({kMemberTable, "instances", static_cast<std::size_t>(most - config_.members.begin())},
      fmt::format("the members have {} isolates in all, more than {}", isolates, kIsolatesMax),
      "lower the members' instances");
}

/// Why this cannot be opened as a model: "" when it can. The file itself is the worker's to open.
std::string file_fault(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::generic_category().message(errno);
  if (S_ISDIR(status.st_mode)) return "it is a directory";
  if (!S_ISREG(status.st_mode)) return "it is not a regular file";
  if (::access(path.c_str(), R_OK) != 0) return std::generic_category().message(errno);
  return {};
}

void CrossCheck::check_models() {
  const auto check = [&](Address address, const std::string& path) {
    if (path.empty() || !sound(address.table, address.key, address.member)) return;
    const std::string fault = file_fault(path);
    if (fault.empty()) return;
    add(address, fmt::format("model {} cannot be used: {}", toml_quote(path), fault),
        "a model is a readable file, its path relative to the config file");
  };
  for (std::size_t member = 0; member < config_.members.size(); ++member) {
    check({kMemberTable, "model", member}, config_.members[member].model);
  }
  check({"combine", "model"}, config_.combine.model);
}

void CrossCheck::check_readable() {
  const auto check = [&](Address address, const std::vector<std::string>& paths) {
    if (!sound(address.table, address.key, address.member)) return;
    std::size_t bytes = 0;
    for (const std::string& path : paths) {
      bytes += path.size() + 1;
      std::string fault;
      if (!path.starts_with('/')) {
        fault = "it is no absolute path";
      } else if (path == "/") {
        fault = "it is everything, and no wall at all; write require = \"none\" for that";
      } else if (::access(path.c_str(), R_OK) != 0) {
        fault = std::generic_category().message(errno);
      }
      if (!fault.empty())
        add(address, fmt::format("read has {}, which cannot be used: {}", toml_quote(path), fault),
            "name files and folders that are there and that you may read");
    }
    if (bytes > kReadableTextMax / 2)
      add(address, fmt::format("read has paths of {} bytes, more than {}", bytes, kReadableTextMax / 2),
          "name a folder that holds them");
  };
  check({"isolation", "read"}, config_.isolation.read);
  for (std::size_t member = 0; member < config_.members.size(); ++member)
    check({kMemberTable, "isolation.read", member}, config_.members[member].isolation.read);
}

/// "member[1].weight", "combine.coefficients[2][0]".
std::string name_of(const Address& address, const Fault& fault) {
  std::string name(address.table);
  if (address.member != kWhole) name += fmt::format("[{}]", address.member);
  if (!address.key.empty()) name += fmt::format(".{}", address.key);
  if (fault.element != kWhole) name += fmt::format("[{}]", fault.element);
  if (fault.inner != kWhole) name += fmt::format("[{}]", fault.inner);
  return name;
}

}  // namespace

std::vector<Finding> cross_check(const EnsembleConfig& config, const std::set<Address>& broken,
                                 bool models_must_exist) {
  return CrossCheck(config, broken).run(models_must_exist);
}

}  // namespace tutti::settings

namespace tutti {

std::vector<Error> check_config(const EnsembleConfig& config) {
  using namespace settings;
  std::vector<Finding> findings;
  std::set<Address> broken;
  const auto check = [&](const Setting& setting, std::size_t member) {
    const Address address{setting.table, setting.key, member};
    for (Fault& fault : faults_of(setting, setting.get(config, member))) {
      findings.push_back({.address = address, .fault = std::move(fault)});
      broken.insert(address);
    }
  };
  for (const Setting& setting : all()) {
    if (setting.table != kMemberTable) check(setting, kWhole);
    // Of more members than there may be only the number is said.
    const std::size_t members = setting.table == kMemberTable ? config.members.size() : 0;
    for (std::size_t member = 0; member < std::min<std::size_t>(members, kMembersMax); ++member) {
      check(setting, member);
    }
  }
  for (Finding& finding : cross_check(config, broken, true)) findings.push_back(std::move(finding));
  std::vector<Error> errors;
  for (const auto& [address, fault] : findings) {
    errors.push_back(
        {.code = Errc::bad_config, .what = fault.what, .where = name_of(address, fault), .hint = fault.hint});
  }
  return errors;
}

}  // namespace tutti
