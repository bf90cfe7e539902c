#include "worker/scikit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "shared/limits.hpp"
#include "worker/file.hpp"
#include "worker/safetensors.hpp"
#include "worker/scikit_json.hpp"
#include "worker/scikit_tree.hpp"
#include "worker/text.hpp"
#include "worker/tree_model.hpp"

namespace tutti {
namespace {

using scikit::Json;
using scikit::Place;
using Function = WideLink::Function;

constexpr std::string_view kFormat = "tutti-scikit-learn";
constexpr std::size_t kStepsMax = 1U << 24;  // of all columns

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"identity", Function::identity},       {"exponential", Function::exponential},
    {"logistic", Function::logistic},       {"softmax", Function::softmax},
    {"two_classes", Function::two_classes}, {"negative_power", Function::negative_power}};

constexpr std::pair<std::string_view, ColumnStep::Kind> kSteps[] = {
    {"subtract", ColumnStep::Kind::subtract},         {"divide", ColumnStep::Kind::divide},
    {"multiply", ColumnStep::Kind::multiply},         {"add", ColumnStep::Kind::add},
    {"at_least", ColumnStep::Kind::at_least},         {"at_most", ColumnStep::Kind::at_most},
    {"fill_missing", ColumnStep::Kind::fill_missing}, {"equals", ColumnStep::Kind::equals}};

/// The value that a word stands for in one of the tables above.
template <class Value, std::size_t kCount>
Result<Value> read_choice(const Place& place, const std::pair<std::string_view, Value> (&table)[kCount]) {
  const Result<std::string> word = scikit::read_word(place);
  if (!word) return std::unexpected(word.error());
  std::string known;
  for (const auto& [name, value] : table) {
    if (name == *word) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  }
  return place.bad(fmt::format("is \"{}\", not one of {}", one_line(*word, 40), known));
}

Result<ColumnStep> read_step(const Place& place) {
  const Result<std::size_t> length = scikit::read_length(place, 2);
  if (!length) return std::unexpected(length.error());
  if (*length != 2) return place.bad("is not a list of a word and a number");
  const auto kind = read_choice(place.item(0), kSteps);
  if (!kind) return std::unexpected(kind.error());
  if (place.item(1).json->is_null() && *kind == ColumnStep::Kind::equals) {
    return ColumnStep{.kind = *kind, .number = std::numeric_limits<double>::quiet_NaN()};
  }
  const Result<double> number = scikit::read_number(place.item(1));
  if (!number) return std::unexpected(number.error());
  return ColumnStep{.kind = *kind, .number = *number};
}

/// The columns that trees look at: the row's own where the file names none.
Result<Preprocess> read_columns(const Place& root, std::uint32_t features) {
  Preprocess made{.features = features, .columns = {}, .steps = {}};
  const auto list = root.find("columns");
  if (!list) {
    for (std::uint32_t feature = 0; feature < features; ++feature) made.columns.push_back({.from = feature});
    return made;
  }
  const Result<std::size_t> count = scikit::read_length(*list, kFeaturesMax);
  if (!count) return std::unexpected(count.error());
  for (std::size_t index = 0; index < *count; ++index) {
    const Place column = list->item(index);
    const Result<Place> from = column.need("from");
    if (!from) return std::unexpected(from.error());
    const auto feature = scikit::read_integer(*from, 0, std::int64_t{features} - 1);
    if (!feature) return std::unexpected(feature.error());
    const Result<Place> steps = column.need("steps");
    if (!steps) return std::unexpected(steps.error());
    const Result<std::size_t> length = scikit::read_length(*steps, kStepsMax - made.steps.size());
    if (!length) return std::unexpected(length.error());
    made.columns.push_back({.from = static_cast<std::uint32_t>(*feature),
                            .first_step = static_cast<std::uint32_t>(made.steps.size()),
                            .step_count = static_cast<std::uint32_t>(*length)});
    for (std::size_t step = 0; step < *length; ++step) {
      const Result<ColumnStep> read = read_step(steps->item(step));
      if (!read) return std::unexpected(read.error());
      made.steps.push_back(*read);
    }
  }
  return made;
}

Result<WideLink> read_link(const Place& root, std::uint32_t groups) {
  WideLink link;
  const Result<Place> kind = root.need("kind");
  if (!kind) return std::unexpected(kind.error());
  constexpr std::pair<std::string_view, OutputKind> kKinds[] = {{"value", OutputKind::value},
                                                                {"probabilities", OutputKind::probabilities}};
  const auto meaning = read_choice(*kind, kKinds);
  if (!meaning) return std::unexpected(meaning.error());
  link.kind = *meaning;
  if (const auto place = root.find("link")) {
    if (const auto word = place->find("function")) {
      const auto function = read_choice(*word, kFunctions);
      if (!function) return std::unexpected(function.error());
      link.function = *function;
    }
    for (const auto& [key, target] : {std::pair("divisor", &link.divisor), std::pair("scale", &link.scale)}) {
      const auto number = place->find(key);
      if (!number) continue;
      const Result<double> read = scikit::read_number(*number);
      if (!read) return std::unexpected(read.error());
      if (*read <= 0.0) return number->bad(fmt::format("is {}, not above 0", *read));
      *target = *read;
    }
  }
  const bool suits = link.function == Function::two_classes ? groups == 1
                     : link.function == Function::softmax   ? groups > 1
                                                            : true;
  const bool many = wide_link_outputs(link, groups) > 1;
  if (!suits || (link.kind == OutputKind::probabilities && !many)) {
    return kind->bad(
        fmt::format("{} groups do not go with the link's function and with what the answer is", groups));
  }
  return link;
}

class FileReader {
 public:
  explicit FileReader(Place root) : root_(std::move(root)) {}

  Result<ScikitFile> read() {
    const Result<Place> features = root_.need("features");
    if (!features) return std::unexpected(features.error());
    const auto count = scikit::read_integer(*features, 1, kFeaturesMax);
    if (!count) return std::unexpected(count.error());
    const Result<Place> base = root_.need("base");
    if (!base) return std::unexpected(base.error());
    const Result<std::size_t> groups = scikit::read_length(*base, kOutputsMax);
    if (!groups) return std::unexpected(groups.error());
    if (*groups == 0) return base->bad("is empty: there is no group to add to");
    auto margins = scikit::read_numbers(*base, *groups);
    if (!margins) return std::unexpected(std::move(margins.error()));

    ScikitFile file;
    file.forest.wide = true;
    file.forest.wide_base_margins = std::move(*margins);
    const Result<WideLink> link = read_link(root_, file.forest.groups());
    if (!link) return std::unexpected(link.error());
    file.forest.wide_link = *link;
    Result<Preprocess> columns = read_columns(root_, static_cast<std::uint32_t>(*count));
    if (!columns) return std::unexpected(std::move(columns.error()));
    if (Result<void> trees = read_trees(*std::move(columns), file); !trees)
      return std::unexpected(trees.error());
    return file;
  }

 private:
  Result<void> read_trees(Preprocess columns, ScikitFile& file) const {
    const Result<Place> trees = root_.need("trees");
    if (!trees) return std::unexpected(trees.error());
    const Result<std::size_t> count = scikit::read_length(*trees, kTreesMax);
    if (!count) return std::unexpected(count.error());
    scikit::ColumnPlan plan(std::move(columns));
    for (std::size_t tree = 0; tree < *count; ++tree) {
      if (Result<void> appended = scikit::append_tree(trees->item(tree), plan, file.forest); !appended)
        return appended;
    }
    file.preprocess = std::move(plan).finish();
    const std::size_t made = file.preprocess.columns.size();
    if (made > kFeaturesMax)
      return trees->bad(fmt::format("look at {} columns, more than {}", made, kFeaturesMax));
    file.forest.features = made == 0 ? file.preprocess.features : static_cast<std::uint32_t>(made);
    return {};
  }

  Place root_;
};

}  // namespace

bool looks_like_scikit(std::span<const std::byte> head) noexcept {
  // Blanks may stand anywhere between the brace, the key and the format's name.
  std::string text;
  for (const std::byte byte : head) {
    const char letter = static_cast<char>(byte);
    if (!std::string_view(" \t\r\n").contains(letter)) text += letter;
  }
  return text.starts_with(fmt::format("{{\"format\":\"{}\"", kFormat));
}

Result<ScikitFile> read_scikit(std::span<const std::byte> bytes, std::string_view name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Result<Json> json = parse_hostile_json(text, kJsonDepthMax, name);
  if (!json) return std::unexpected(json.error());
  const Place root{&*json, fmt::format("{}: ", name)};
  const Result<Place> format = root.need("format");
  if (!format) return std::unexpected(format.error());
  if (*format->json != kFormat) return format->bad(fmt::format("is not \"{}\"", kFormat));
  const Result<Place> version = root.need("version");
  if (!version) return std::unexpected(version.error());
  if (const auto number = scikit::read_integer(*version, 1, 1); !number)
    return std::unexpected(number.error());
  return FileReader(root).read();
}

Result<std::unique_ptr<Model>> parse_scikit(std::span<const std::byte> bytes, std::string_view name,
                                            const JitSettings& jit) {
  Result<ScikitFile> file = read_scikit(bytes, name);
  if (!file) return std::unexpected(std::move(file.error()));
  auto model = make_tree_model(std::move(file->forest), jit);
  if (file->preprocess.columns.empty()) return model;
  return with_preprocess(std::move(file->preprocess), std::move(model));
}

Result<std::unique_ptr<Model>> load_scikit(const ModelSource& source) {
  const Result<FileBytes> bytes = read_model_file(source.path);
  if (!bytes) return std::unexpected(bytes.error());
  return parse_scikit(bytes->view(), file_name(source.path), source.jit);
}

}  // namespace tutti
