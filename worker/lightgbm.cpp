#include "worker/lightgbm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/limits.hpp"
#include "worker/file.hpp"
#include "worker/lightgbm_lines.hpp"
#include "worker/preprocess.hpp"
#include "worker/text.hpp"
#include "worker/tree_model.hpp"
#include "worker/wide_link.hpp"

namespace tutti {
namespace {

using Function = WideLink::Function;

constexpr std::size_t kTextShownMax = 60;

enum class Groups : std::uint8_t { one, classes, any };

struct Objective {
  std::string_view name;
  Function function;
  OutputKind kind;
  Groups groups;
};

constexpr Objective kObjectives[] = {
    {"regression", Function::identity, OutputKind::value, Groups::one},
    {"regression_l1", Function::identity, OutputKind::value, Groups::one},
    {"huber", Function::identity, OutputKind::value, Groups::one},
    {"fair", Function::identity, OutputKind::value, Groups::one},
    {"quantile", Function::identity, OutputKind::value, Groups::one},
    {"mape", Function::identity, OutputKind::value, Groups::one},
    {"poisson", Function::exponential, OutputKind::value, Groups::one},
    {"gamma", Function::exponential, OutputKind::value, Groups::one},
    {"tweedie", Function::exponential, OutputKind::value, Groups::one},
    {"binary", Function::logistic, OutputKind::probability, Groups::one},
    {"multiclass", Function::softmax, OutputKind::probabilities, Groups::classes},
    {"multiclassova", Function::logistic, OutputKind::probabilities, Groups::classes},
    {"cross_entropy", Function::logistic, OutputKind::probability, Groups::one},
    {"xentropy", Function::logistic, OutputKind::probability, Groups::one},  // its name before 3.0
    {"cross_entropy_lambda", Function::log_one_plus, OutputKind::value, Groups::one},
    {"xentlambda", Function::log_one_plus, OutputKind::value, Groups::one},
    {"lambdarank", Function::identity, OutputKind::value, Groups::one},
    {"rank_xendcg", Function::identity, OutputKind::value, Groups::one},
};
// Without an objective, as after training with a function of the user's own, the sums are the answer.
constexpr Objective kNoObjective{"custom", Function::identity, OutputKind::value, Groups::any};

std::string objective_names() {
  std::string names;
  for (const Objective& objective : kObjectives)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", objective.name);
  return names;
}

enum Key : std::uint8_t {
  version,
  num_class,
  num_tree_per_iteration,
  max_feature_idx,
  objective,
  average_output,
  tree_sizes,
  kKeys
};
constexpr std::array<std::string_view, kKeys> kKeyNames{
    "version",        "num_class", "num_tree_per_iteration", "max_feature_idx", "objective",
    "average_output", "tree_sizes"};

class FileReader {
 public:
  FileReader(std::string_view text, std::string_view name) : lines_(text, name) {}

  Result<LightgbmFile> read() {
    for (const auto step : {&FileReader::read_header, &FileReader::read_shape, &FileReader::read_objective,
                            &FileReader::read_trees, &FileReader::finish}) {
      if (Result<void> done = (this->*step)(); !done) return std::unexpected(std::move(done.error()));
    }
    return std::move(file_);
  }

 private:
  [[nodiscard]] const TextLine& line(Key key) const noexcept { return found_[key]; }
  [[nodiscard]] bool has(Key key) const noexcept { return found_[key].number != 0; }

  /// Up to the first tree, or the end of none.
  Result<void> read_header() {
    const std::optional<TextLine> first = lines_.next();
    if (!first || first->text != "tree") return lines_.bad(1, "the first line is not \"tree\"");
    while (std::optional<TextLine> next = lines_.next()) {
      if (next->text.starts_with("Tree=") || next->text == "end of trees") {
        lines_.put_back(*next);
        break;
      }
      const auto* const key = std::ranges::find(kKeyNames, next->key());
      if (key == kKeyNames.end()) continue;
      TextLine& place = found_[static_cast<std::size_t>(key - kKeyNames.begin())];
      if (place.number != 0) {
        return lines_.bad(next->number,
                          fmt::format("a second {}; the first is in line {}", *key, place.number));
      }
      place = *next;
    }
    for (const Key key : {version, num_class, num_tree_per_iteration, max_feature_idx}) {
      if (!has(key)) return lines_.bad(lines_.number(), fmt::format("the header has no {}", kKeyNames[key]));
    }
    const std::string_view written = line(version).value();
    if (written != "v3" && written != "v4") {
      return lines_.bad(line(version).number,
                        fmt::format("version \"{}\" is not supported", one_line(written, kTextShownMax)),
                        "v3 and v4 are known; save the model again with LightGBM 3 or 4");
    }
    return {};
  }

  Result<void> read_shape() {
    const auto last = lines_.count(line(max_feature_idx), 0, kFeaturesMax - 1);
    if (!last) return std::unexpected(last.error());
    const auto classes = lines_.count(line(num_class), 1, kOutputsMax);
    if (!classes) return std::unexpected(classes.error());
    const auto groups = lines_.count(line(num_tree_per_iteration), 1, kOutputsMax);
    if (!groups) return std::unexpected(groups.error());
    if (*groups != *classes) {
      return lines_.bad(line(num_tree_per_iteration).number,
                        fmt::format("{} trees an iteration for {} classes", *groups, *classes));
    }
    file_.zeros.features = *last + 1;
    file_.forest.wide = true;
    file_.forest.wide_base_margins.assign(*groups, 0.0);
    file_.forest.category_above = -1.0F;
    file_.forest.category_below = 2'147'483'648.0F;
    return {};
  }

  /// "binary sigmoid:1": a name, and what it is trained with.
  Result<void> read_objective() {
    WideLink& link = file_.forest.wide_link;
    const Objective* found = &kNoObjective;
    std::string_view words = has(objective) ? line(objective).value() : "";
    const std::string_view name = next_word(words);
    if (!name.empty() && name != kNoObjective.name) {
      found = std::ranges::find(kObjectives, name, &Objective::name);
      if (found == std::end(kObjectives)) {
        return lines_.bad(line(objective).number,
                          fmt::format("objective \"{}\" is not supported", one_line(name, kTextShownMax)),
                          fmt::format("the objectives known are {}", objective_names()));
      }
    }
    link.function = found->function;
    link.kind = found->kind;
    const std::uint32_t groups = file_.forest.groups();
    const bool suits = found->groups == Groups::any || (found->groups == Groups::one) == (groups == 1);
    if (!suits) {
      return lines_.bad(line(num_class).number,
                        fmt::format("num_class is {}, which {} does not go with", groups, found->name));
    }
    for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
      if (Result<void> read = read_parameter(word, link); !read) return read;
    }
    return {};
  }

  /// What changes the answer; the others matter to training only.
  Result<void> read_parameter(std::string_view word, WideLink& link) const {
    if (word == "sqrt" && link.function == Function::identity) {
      // Huber's loss warns and trains without it.
      if (!line(objective).value().starts_with("huber")) link.function = Function::signed_square;
      return {};
    }
    constexpr std::string_view kSigmoid = "sigmoid:";
    if (!word.starts_with(kSigmoid) || link.function != Function::logistic) return {};
    const std::string_view number = word.substr(kSigmoid.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), link.scale);
    const bool whole = error == std::errc{} && end == number.data() + number.size();
    if (!whole || !std::isfinite(link.scale) || link.scale <= 0.0) {
      return lines_.bad(line(objective).number, fmt::format("sigmoid is \"{}\", not a number above 0",
                                                            one_line(number, kTextShownMax)));
    }
    return {};
  }

  Result<void> read_trees() {
    const std::uint32_t groups = file_.forest.groups();
    std::size_t trees = 0;
    while (std::optional<TextLine> next = lines_.next()) {
      if (next->text.empty()) continue;
      if (next->text == "end of trees") return check_count(trees, next->number);
      if (next->text != fmt::format("Tree={}", trees)) {
        return lines_.bad(next->number, fmt::format("\"{}\" where \"Tree={}\" or \"end of trees\" should be",
                                                    one_line(next->text, kTextShownMax), trees));
      }
      if (trees == kTreesMax) return lines_.bad(next->number, fmt::format("more than {} trees", kTreesMax));
      const auto group = static_cast<std::uint32_t>(trees % groups);
      if (Result<void> read = read_lightgbm_tree(lines_, *next, group, file_.forest, file_.zeros); !read)
        return read;
      ++trees;
    }
    return lines_.bad(lines_.number(),
                      fmt::format("the file ends after {} trees, without \"end of trees\"", trees),
                      "the file was cut; copy it again");
  }

  Result<void> check_count(std::size_t trees, std::size_t where) const {
    std::size_t sizes = 0;
    std::string_view text = line(tree_sizes).value();
    while (!next_word(text).empty()) ++sizes;
    if (has(tree_sizes) && sizes != trees) {
      return lines_.bad(where, fmt::format("{} trees, but tree_sizes in line {} has {} numbers", trees,
                                           line(tree_sizes).number, sizes));
    }
    if (trees % file_.forest.groups() != 0) {
      return lines_.bad(where, fmt::format("{} trees are no whole number of iterations of {}", trees,
                                           file_.forest.groups()));
    }
    if (has(average_output) && trees == 0) return lines_.bad(where, "an average over no trees");
    return {};
  }

  Result<void> finish() {
    Forest& forest = file_.forest;
    if (has(average_output)) {
      const std::size_t iterations = forest.trees.size() / forest.groups();
      forest.wide_link.divisor = static_cast<double>(iterations);
    }
    const std::size_t columns = file_.zeros.features + file_.zeros.of.size();
    if (columns > kFeaturesMax) {
      return lines_.bad(line(max_feature_idx).number,
                        fmt::format("{} columns, {} of them second ones of features whose zeros are missing; "
                                    "at most {} are allowed",
                                    columns, file_.zeros.of.size(), kFeaturesMax),
                        "train without zero_as_missing");
    }
    forest.features = static_cast<std::uint32_t>(columns);
    return {};
  }

  TextLines lines_;
  std::array<TextLine, kKeys> found_{};
  LightgbmFile file_;
};

}  // namespace

bool looks_like_lightgbm(std::span<const std::byte> head) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  return text.starts_with("tree\n") || text.starts_with("tree\r\n");
}

Result<LightgbmFile> read_lightgbm(std::span<const std::byte> bytes, std::string_view name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return FileReader(text, name).read();
}

Result<std::unique_ptr<Model>> parse_lightgbm(std::span<const std::byte> bytes, std::string_view name,
                                              const JitSettings& jit) {
  Result<LightgbmFile> file = read_lightgbm(bytes, name);
  if (!file) return std::unexpected(std::move(file.error()));
  auto model = make_tree_model(std::move(file->forest), jit);
  const ZeroIsMissing& zeros = file->zeros;
  if (zeros.of.empty()) return model;
  Preprocess preprocess{.features = zeros.features, .columns = {}, .steps = {}};
  preprocess.steps = {{.kind = ColumnStep::Kind::tiny_is_missing, .number = double{LinearLeaf::kTinyMax}}};
  for (std::uint32_t feature = 0; feature < zeros.features; ++feature)
    preprocess.columns.push_back({.from = feature});
  for (const std::uint32_t feature : zeros.of)
    preprocess.columns.push_back({.from = feature, .first_step = 0, .step_count = 1});
  return with_preprocess(std::move(preprocess), std::move(model));
}

Result<std::unique_ptr<Model>> load_lightgbm(const ModelSource& source) {
  const Result<FileBytes> bytes = read_model_file(source.path);
  if (!bytes) return std::unexpected(bytes.error());
  return parse_lightgbm(bytes->view(), file_name(source.path), source.jit);
}

}  // namespace tutti
