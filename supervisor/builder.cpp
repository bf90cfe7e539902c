// EnsembleBuilder: a C++ program's way to the same EnsembleConfig that a file gives.
//
//   calls ──▶ config_ ─┐
//         ──▶ misuse_ ─┴─build()──▶ paths made absolute ──check_config()──▶ EnsembleConfig, or all that is
//         wrong
//
// The rules for values are the config file's, checked by the same code. Only where their advice speaks of the
// file's syntax and a C++ program calls a function instead is it said anew here.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "supervisor/tutti.hpp"

namespace tutti {
namespace {

/// As load_config leaves a path: absolute and normal, but against the current directory.
void make_absolute(std::string& path) {
  if (path.empty()) return;
  std::error_code failure;
  const std::filesystem::path whole = std::filesystem::absolute(path, failure);
  // Without a current directory a relative path stays so, and is then not found.
  if (!failure) path = whole.lexically_normal().string();
}

/// What a program forgot to call, or called beside its opposite; `where` as check_config says it.
std::vector<Error> calls_amiss(const EnsembleConfig& config) {
  std::vector<Error> errors;
  const auto add = [&](std::string what, std::string where, std::string hint) {
    errors.push_back({Errc::bad_config, std::move(what), std::move(where), std::move(hint)});
  };
  if (config.name.empty()) add("the ensemble has no name", "ensemble.name", "call name(\"my-ensemble\")");
  if (config.task == Task::classification && config.classes.empty()) {
    add("neither classes() nor regression() was called", "ensemble.classes",
        "call classes({\"no\", \"yes\"}), in the order of the models' outputs, or regression()");
  }
  if (config.task == Task::regression && !config.classes.empty()) {
    add("both classes() and regression() were called", "ensemble.classes", "call one of the two");
  }
  if (config.features == 0 && config.feature_names.empty()) {
    add("the number of features is not known", "ensemble.features",
        "call features(30), or features() with the columns' names");
  }
  if (config.members.empty()) {
    add("no member", "member", "call member(\"boosted\", \"models/boosted.json\") for each model");
  }
  return errors;
}

/// One as it is; of several, a line each.
Error joined(const std::vector<Error>& problems, const std::string& name) {
  if (problems.size() == 1) return problems.front();
  std::string what = fmt::format("{} problems", problems.size());
  for (const Error& problem : problems) {
    what += fmt::format("\n  {}: {}; {}", problem.where, problem.what, problem.hint);
  }
  return {Errc::bad_config, std::move(what),
          name.empty() ? "EnsembleBuilder" : fmt::format("EnsembleBuilder \"{}\"", name),
          "each line names the setting, what is wrong with it and what to do"};
}

CombineConfig rule(CombineRule rule) { return {.rule = rule}; }

}  // namespace

CombineConfig mean() { return rule(CombineRule::mean); }
CombineConfig weighted_mean() { return rule(CombineRule::weighted_mean); }
CombineConfig median() { return rule(CombineRule::median); }
CombineConfig trimmed_mean(double trim) { return {.rule = CombineRule::trimmed_mean, .trim = trim}; }
CombineConfig minimum() { return rule(CombineRule::minimum); }
CombineConfig maximum() { return rule(CombineRule::maximum); }
CombineConfig geometric_mean() { return rule(CombineRule::geometric_mean); }
CombineConfig soft_vote() { return rule(CombineRule::soft_vote); }
CombineConfig hard_vote() { return rule(CombineRule::hard_vote); }
CombineConfig rank_mean() { return rule(CombineRule::rank_mean); }
CombineConfig stacking(std::vector<std::vector<double>> coefficients, std::vector<double> intercept) {
  return {.rule = CombineRule::stacking,
          .coefficients = std::move(coefficients),
          .intercept = std::move(intercept)};
}

EnsembleBuilder& EnsembleBuilder::name(std::string name) {
  config_.name = std::move(name);
  return *this;
}

EnsembleBuilder& EnsembleBuilder::classes(std::vector<std::string> names) {
  config_.classes = std::move(names);
  return *this;
}

EnsembleBuilder& EnsembleBuilder::regression() {
  config_.task = Task::regression;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::features(std::uint32_t count) {
  config_.features = count;
  config_.feature_names.clear();
  return *this;
}

EnsembleBuilder& EnsembleBuilder::features(std::vector<std::string> names) {
  constexpr std::size_t kCountMax = std::numeric_limits<std::uint32_t>::max();
  config_.features = static_cast<std::uint32_t>(std::min(names.size(), kCountMax));
  config_.feature_names = std::move(names);
  return *this;
}

EnsembleBuilder& EnsembleBuilder::member(std::string name, std::string model) {
  config_.members.push_back({.name = std::move(name), .model = std::move(model)});
  return *this;
}

MemberConfig* EnsembleBuilder::last_member(const char* setting) {
  if (!config_.members.empty()) return &config_.members.back();
  misuse_.push_back({Errc::bad_config, fmt::format("{}() was called before any member()", setting),
                     fmt::format("EnsembleBuilder::{}()", setting), "call it after the member it speaks of"});
  return nullptr;
}

EnsembleBuilder& EnsembleBuilder::weight(double weight) {
  if (MemberConfig* member = last_member("weight")) member->weight = weight;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::kind(std::string kind) {
  if (MemberConfig* member = last_member("kind")) member->kind = std::move(kind);
  return *this;
}

EnsembleBuilder& EnsembleBuilder::instances(std::uint32_t count) {
  if (MemberConfig* member = last_member("instances")) member->instances = count;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::combine(CombineConfig rule) {
  config_.combine = std::move(rule);
  rule_given_ = true;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::quorum(std::uint32_t votes) {
  return quorum(Quorum{.kind = Quorum::Kind::count, .count = votes});
}

EnsembleBuilder& EnsembleBuilder::quorum(Quorum quorum) {
  config_.answer.quorum = quorum;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::deadline(Duration deadline) {
  config_.answer.deadline = deadline;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::limits(LimitsConfig limits) {
  config_.limits = limits;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::restart(RestartConfig restart) {
  config_.restart = restart;
  return *this;
}

EnsembleBuilder& EnsembleBuilder::spin(SpinConfig spin) {
  config_.spin = spin;
  return *this;
}

Result<EnsembleConfig> EnsembleBuilder::build() const {
  EnsembleConfig config = config_;
  if (!rule_given_) config.combine = config.task == Task::classification ? soft_vote() : mean();
  for (MemberConfig& member : config.members) make_absolute(member.model);
  make_absolute(config.combine.model);

  std::vector<Error> problems = misuse_;
  const std::vector<Error> amiss = calls_amiss(config);
  problems.insert(problems.end(), amiss.begin(), amiss.end());
  for (Error& problem : check_config(config)) {
    const bool said = std::ranges::find(amiss, problem.where, &Error::where) != amiss.end();
    if (!said) problems.push_back(std::move(problem));
  }
  if (!problems.empty()) return std::unexpected(joined(problems, config.name));
  return config;
}

Result<Ensemble> EnsembleBuilder::launch(LaunchOptions options) const {
  Result<EnsembleConfig> config = build();
  if (!config) return std::unexpected(config.error());
  return Ensemble::launch(std::move(*config), std::move(options));
}

}  // namespace tutti
