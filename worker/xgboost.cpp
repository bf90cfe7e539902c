#include "worker/xgboost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/limits.hpp"
#include "worker/file.hpp"
#include "worker/link.hpp"
#include "worker/text.hpp"
#include "worker/tree_model.hpp"
#include "worker/trees.hpp"
#include "worker/xgboost_linear.hpp"
#include "worker/xgboost_reader.hpp"

namespace tutti {
namespace {

constexpr std::string_view kSaveAgain =
    "the file is damaged or was edited; save the model again with XGBoost";
constexpr std::size_t kTextShownMax = 60;

/// How base_score, which stands in the space of the answer, becomes a margin.
enum class Base : std::uint8_t { as_is, logit, log };

struct Objective {
  std::string_view name;
  Link link;
  Base base;
};

constexpr Objective kObjectives[] = {
    {"reg:squarederror", Link::identity, Base::as_is},
    {"reg:linear", Link::identity, Base::as_is},  // squarederror's name before 1.0
    {"reg:squaredlogerror", Link::identity, Base::as_is},
    {"reg:pseudohubererror", Link::identity, Base::as_is},
    {"reg:absoluteerror", Link::identity, Base::as_is},
    {"reg:quantileerror", Link::identity, Base::as_is},
    {"reg:logistic", Link::logistic, Base::logit},
    {"reg:gamma", Link::exponential, Base::log},
    {"reg:tweedie", Link::exponential, Base::log},
    {"count:poisson", Link::exponential, Base::log},
    {"survival:cox", Link::exponential, Base::log},
    {"survival:aft", Link::exponential, Base::log},
    {"binary:logistic", Link::logistic, Base::logit},
    {"binary:logitraw", Link::identity, Base::as_is},  // as is from 1.7 on, whatever version wrote the file
    {"binary:hinge", Link::hinge, Base::as_is},
    {"multi:softprob", Link::softmax, Base::as_is},
    {"multi:softmax", Link::first_max, Base::as_is},
    {"rank:pairwise", Link::identity, Base::as_is},
    {"rank:ndcg", Link::identity, Base::as_is},
    {"rank:map", Link::identity, Base::as_is},
};

std::string objective_names() {
  std::string names;
  for (const Objective& objective : kObjectives)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", objective.name);
  return names;
}

/// The whole of `text` as a finite float32.
std::optional<float> parse_float(std::string_view text) {
  float number = 0.0F;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

/// "6.3E-1", or from 3.x on "[6.3E-1]" and "[1E-1,2E-1]".
std::optional<std::vector<float>> parse_floats(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']') && text.size() >= 2) {
    text.remove_prefix(1);
    text.remove_suffix(1);
  }
  std::vector<float> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::optional<float> number = parse_float(text.substr(0, comma));
    if (!number) return std::nullopt;
    numbers.push_back(*number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

float to_margin(float base_score, Base base) {
  if (base == Base::log) return std::log(base_score);
  if (base == Base::as_is) return base_score;
  constexpr float kEdge = 1e-6F;
  return -std::log(1.0F / std::clamp(base_score, kEdge, 1.0F - kEdge) - 1.0F);
}

/// Makes a model of what was read, checking that its parts fit each other.
class Assembler {
 public:
  Assembler(XgboostFile file, std::string_view name, const JitSettings& jit)
      : file_(std::move(file)), name_(name), jit_(jit) {}

  Result<std::unique_ptr<Model>> assemble() {
    if (Result<void> found = find_objective(); !found) return std::unexpected(found.error());
    if (Result<void> read = read_shape(); !read) return std::unexpected(read.error());
    if (Result<void> read = read_base(); !read) return std::unexpected(read.error());
    const std::string booster = file_.booster.value_or("");
    if (booster == "gblinear") return linear_model();
    if (booster == "gbtree" || booster == "dart") return tree_model();
    return bad("learner.gradient_booster.name",
               file_.booster ? fmt::format("\"{}\" is not supported", one_line(booster, kTextShownMax))
                             : "is missing",
               "the boosters known are gbtree, dart and gblinear");
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad(std::string_view place, std::string what,
                                           std::string_view hint = kSaveAgain) const {
    return std::unexpected(Error{.code = Errc::bad_model,
                                 .what = std::move(what),
                                 .where = fmt::format("{}: {}", name_, place),
                                 .hint = std::string(hint)});
  }

  Result<void> find_objective() {
    if (!file_.objective) return bad("learner.objective.name", "is missing");
    const auto* const found =
        std::ranges::find(kObjectives, std::string_view(*file_.objective), &Objective::name);
    if (found == std::end(kObjectives)) {
      return bad("learner.objective.name",
                 fmt::format("\"{}\" is not supported", one_line(*file_.objective, kTextShownMax)),
                 fmt::format("the objectives known are {}", objective_names()));
    }
    objective_ = found;
    return {};
  }

  Result<std::uint32_t> read_count(std::string_view place, const std::optional<std::string>& text,
                                   std::uint32_t least, std::uint32_t most) const {
    if (!text) return bad(place, "is missing");
    const std::optional<std::uint64_t> number = parse_count(*text);
    if (number && *number >= least && *number <= most) return static_cast<std::uint32_t>(*number);
    return bad(place, fmt::format("is \"{}\", not a whole number in [{}, {}]", one_line(*text, kTextShownMax),
                                  least, most));
  }

  /// Features, and groups: one margin per class, or per target.
  Result<void> read_shape() {
    const std::string param = "learner.learner_model_param.";
    const auto features = read_count(param + "num_feature", file_.num_feature, 1, kFeaturesMax);
    if (!features) return std::unexpected(features.error());
    const auto classes = read_count(param + "num_class", file_.num_class, 0, kOutputsMax);
    if (!classes) return std::unexpected(classes.error());
    const auto targets =
        read_count(param + "num_target", file_.num_target ? file_.num_target : "1", 0, kOutputsMax);
    if (!targets) return std::unexpected(targets.error());

    const bool chooses = objective_->link == Link::softmax || objective_->link == Link::first_max;
    if (chooses ? *classes < 2 : *classes > 1) {
      return bad(param + "num_class",
                 fmt::format("is {}, which {} does not go with", *classes, objective_->name));
    }
    if (*targets > 1 && (chooses || objective_->link == Link::hinge)) {
      return bad(param + "num_target",
                 fmt::format("is {}, which {} does not go with", *targets, objective_->name));
    }
    features_ = *features;
    groups_ = std::max({*classes, *targets, 1U});
    if (!file_.feature_seen.where.empty() && file_.feature_seen.feature >= features_) {
      return std::unexpected(
          Error{.code = Errc::bad_model,
                .what = fmt::format("feature {} is not in [0, {}), the model's num_feature",
                                    file_.feature_seen.feature, features_),
                .where = file_.feature_seen.where,
                .hint = std::string(kSaveAgain)});
    }
    return {};
  }

  Result<void> read_base() {
    constexpr std::string_view kPlace = "learner.learner_model_param.base_score";
    if (!file_.base_score) return bad(kPlace, "is missing");
    const std::string shown = one_line(*file_.base_score, kTextShownMax);
    const std::optional<std::vector<float>> scores = parse_floats(*file_.base_score);
    if (!scores) return bad(kPlace, fmt::format("\"{}\" is neither a number nor a list of numbers", shown));
    if (scores->size() != 1 && scores->size() != groups_) {
      return bad(kPlace, fmt::format("has {} numbers for {} outputs", scores->size(), groups_));
    }
    for (std::uint32_t group = 0; group < groups_; ++group) {
      const float score = scores->size() == 1 ? scores->front() : (*scores)[group];
      const float margin = to_margin(score, objective_->base);
      if (!std::isfinite(margin)) {
        return bad(kPlace, fmt::format("{} has no logarithm, which {} needs", score, objective_->name));
      }
      base_margins_.push_back(margin);
    }
    return {};
  }

  Result<std::unique_ptr<Model>> linear_model() {
    const std::size_t expected = (std::size_t{features_} + 1) * groups_;
    if (file_.linear_weights.size() != expected) {
      return bad("learner.gradient_booster.model.weights",
                 fmt::format("has {} numbers; {} features and a bias for {} outputs need {}",
                             file_.linear_weights.size(), features_, groups_, expected));
    }
    if (Result<void> finite = check_finite("weights", file_.linear_weights); !finite) {
      return std::unexpected(finite.error());
    }
    return make_linear_model({.features = features_,
                              .base_margins = std::move(base_margins_),
                              .weights = std::move(file_.linear_weights),
                              .link = objective_->link});
  }

  Result<std::unique_ptr<Model>> tree_model() {
    const std::size_t trees = file_.forest.trees.size();
    const auto announced = read_count("learner.gradient_booster.model.gbtree_model_param.num_trees",
                                      file_.num_trees, 0, kTreesMax);
    if (!announced) return std::unexpected(announced.error());
    if (*announced != trees) {
      return bad("learner.gradient_booster.model.trees",
                 fmt::format("has {} trees, but num_trees is {}", trees, *announced));
    }
    if (file_.tree_info.size() != trees) {
      return bad("learner.gradient_booster.model.tree_info",
                 fmt::format("has {} elements for {} trees", file_.tree_info.size(), trees));
    }
    if (file_.weighted && file_.weight_drop.size() != trees) {
      return bad("learner.gradient_booster.weight_drop",
                 fmt::format("has {} elements for {} trees", file_.weight_drop.size(), trees));
    }
    if (*file_.booster == "dart" && !file_.weighted)
      return bad("learner.gradient_booster.weight_drop", "is missing");
    if (Result<void> finite = check_finite("weight_drop", file_.weight_drop); !finite) {
      return std::unexpected(finite.error());
    }
    for (std::size_t index = 0; index < trees; ++index) {
      const std::int64_t group = file_.tree_info[index];
      if (group < 0 || group >= std::int64_t{groups_}) {
        return bad(fmt::format("learner.gradient_booster.model.tree_info[{}]", index),
                   fmt::format("{} is not in [0, {}), the model's outputs", group, groups_));
      }
      file_.forest.trees[index].group = static_cast<std::uint32_t>(group);
      if (file_.weighted) file_.forest.trees[index].weight = file_.weight_drop[index];
    }
    file_.forest.features = features_;
    file_.forest.base_margins = std::move(base_margins_);
    file_.forest.weighted = file_.weighted;
    file_.forest.link = objective_->link;
    return make_tree_model(std::move(file_.forest), jit_);
  }

  Result<void> check_finite(std::string_view array, const std::vector<float>& numbers) const {
    const auto bad_one = std::ranges::find_if(numbers, [](float number) { return !std::isfinite(number); });
    if (bad_one == numbers.end()) return {};
    return bad(fmt::format("learner.gradient_booster.{}[{}]", array, bad_one - numbers.begin()),
               fmt::format("is {}", *bad_one));
  }

  XgboostFile file_;
  std::string name_;
  JitSettings jit_;
  const Objective* objective_ = nullptr;
  std::uint32_t features_ = 0;
  std::uint32_t groups_ = 0;
  std::vector<float> base_margins_;
};

}  // namespace

bool looks_like_json(std::span<const std::byte> head) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const std::size_t brace = text.find_first_not_of(" \t\r\n");
  if (brace == std::string_view::npos || text[brace] != '{') return false;
  return brace + 1 == text.size() || std::string_view(" \t\r\n\"}").contains(text[brace + 1]);
}

bool looks_like_ubjson(std::span<const std::byte> head) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  // After the brace: the type of the first key's length, or a count or type of the whole object.
  return text.size() >= 2 && text[0] == '{' && std::string_view("LlIiU#$").contains(text[1]);
}

Result<std::unique_ptr<Model>> parse_xgboost(std::span<const std::byte> bytes, std::string_view name,
                                             const JitSettings& jit) {
  Result<XgboostFile> file = read_xgboost(bytes, name);
  if (!file) return std::unexpected(std::move(file.error()));
  return Assembler(std::move(*file), name, jit).assemble();
}

Result<std::unique_ptr<Model>> load_xgboost(const ModelSource& source) {
  const Result<FileBytes> bytes = read_model_file(source.path);
  if (!bytes) return std::unexpected(bytes.error());
  return parse_xgboost(bytes->view(), file_name(source.path), source.jit);
}

}  // namespace tutti
