// The SAX handler: one for JSON and UBJSON, since both come as the same events.
//
//   frames_:  root ▶ learner ▶ gradient_booster ▶ model ▶ trees[3] ▶ {tree} ▶ left_children[7]
//
// Each open object or array is a frame, which knows its rule (xgboost_places.hpp), or none if it is passed
// over. The frames are the place that an error names.
//
// The file is hostile. nlohmann's UBJSON reader recurses and believes the counts it reads ("[$Z#" and 2^60
// repeats an event without a byte behind it), so depth and the number of events are bounded here, the latter
// by the file's size. Arrays grow as elements come, never by a count.
#include "worker/xgboost_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cassert>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"
#include "worker/xgboost.hpp"
#include "worker/xgboost_places.hpp"

namespace tutti {
namespace {

using namespace xgboost;

using Json = nlohmann::json;

constexpr std::size_t kTextShownMax = 160;

/// Stands in for NaN and Infinity, which XGBoost writes and JSON does not have; see quote_non_finite().
constexpr char kNonFinite = '\x7f';

class Handler {
 public:
  Handler(std::string_view name, std::size_t bytes) : name_(name), events_left_(2 * bytes + 16) {}

  // nlohmann's SAX interface: false stops the parser.
  bool null() { return scalar("null"); }
  bool boolean(bool value) { return on_integer(value ? 1 : 0, "true or false"); }
  bool number_integer(std::int64_t value) { return on_integer(value, "a whole number"); }
  bool number_unsigned(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return on_integer(static_cast<std::int64_t>(value), "a whole number");
    }
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(double value, const std::string& /*text*/) {
    const Rule* rule = nullptr;
    if (!next(rule)) return false;
    if (rule == nullptr) return true;
    if (in_array() && rule->kind == Kind::numbers) return push_number(*rule, value);
    return mismatch(*rule, "a number with a fraction or beyond 64 bits");
  }
  bool string(const std::string& value);
  bool binary(const Json::binary_t& /*value*/) { return scalar("binary data"); }
  bool start_object(std::size_t /*elements*/);
  bool key(const std::string& value);
  bool end_object();
  bool start_array(std::size_t /*elements*/);
  bool end_array();
  bool parse_error(std::size_t position, const std::string& last_token, const Json::exception& failure);

  [[nodiscard]] bool seen(Place place) const { return seen_.test(static_cast<std::size_t>(place)); }
  Result<XgboostFile> finish(bool parsed);

 private:
  struct Frame {
    const Rule* rule = nullptr;  // null: passed over
    bool array = false;
    std::uint64_t count = 0;  // of an array: elements begun
  };

  bool fail(std::string what, std::string hint) {
    error_ = {.code = Errc::bad_model, .what = std::move(what), .where = where(), .hint = std::move(hint)};
    return false;
  }
  bool mismatch(const Rule& rule, std::string_view found) {
    return fail(fmt::format("{} stands where {} belongs", found, name_of(rule.kind)),
                "the file is damaged or was edited; save the model again with XGBoost");
  }

  [[nodiscard]] bool in_array() const { return !frames_.empty() && frames_.back().array; }
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string where() const {
    const std::string inside = path();
    return inside.empty() ? name_ : fmt::format("{}: {}", name_, inside);
  }

  bool count_event() {
    if (events_left_ == 0) {
      return fail("the file announces more elements than its bytes can hold",
                  "the file is damaged or hostile");
    }
    --events_left_;
    return true;
  }

  /// The rule for the value that begins now, null when it is passed over.
  bool next(const Rule*& rule) {
    if (!count_event()) return false;
    if (frames_.empty()) {
      rule = &kRoot;
    } else if (Frame& top = frames_.back(); top.array) {
      ++top.count;
      rule = top.rule;
    } else {
      rule = pending_;
    }
    return true;
  }

  /// A value that fits nowhere.
  bool scalar(std::string_view found) {
    const Rule* rule = nullptr;
    if (!next(rule)) return false;
    return rule == nullptr || mismatch(*rule, found);
  }

  bool on_integer(std::int64_t value, std::string_view found) {
    const Rule* rule = nullptr;
    if (!next(rule)) return false;
    if (rule == nullptr) return true;
    if (in_array() && rule->kind == Kind::integers) {
      integers(rule->place).push_back(value);
      return true;
    }
    if (in_array() && rule->kind == Kind::numbers) return push_number(*rule, static_cast<double>(value));
    if (!in_array() && rule->kind == Kind::integer) {
      tree_.id = value;
      return true;
    }
    return mismatch(*rule, found);
  }

  bool push_number(const Rule& rule, double value) {
    // Read as double, rounded to float32, as XGBoost does. Beyond float32 it becomes infinite, which is
    // refused where a node uses it: pruned and categorical nodes may hold anything.
    numbers(rule.place).push_back(static_cast<float>(value));
    return true;
  }

  bool push_frame(const Rule* rule, bool array) {
    if (frames_.size() >= kJsonDepthMax) {
      return fail(fmt::format("nested deeper than {}", kJsonDepthMax), "the file is damaged or hostile");
    }
    frames_.push_back({.rule = rule, .array = array});
    pending_ = nullptr;
    return true;
  }

  std::vector<std::int64_t>& integers(Place place);
  std::vector<float>& numbers(Place place);
  std::optional<std::string>& text(Place place);

  std::string name_;
  std::size_t events_left_;
  std::vector<Frame> frames_;
  const Rule* pending_ = nullptr;  // of the value that the last key announced
  std::bitset<static_cast<std::size_t>(Place::count)> seen_;
  XgboostTree tree_;
  XgboostFile file_;
  Error error_;
};

std::string Handler::path() const {
  std::string path;
  const auto append = [&](std::string_view key) {
    path += path.empty() ? std::string(key) : fmt::format(".{}", key);
  };
  for (std::size_t index = 1; index < frames_.size(); ++index) {
    const Frame& frame = frames_[index];
    if (frame.rule == nullptr) return path;
    if (!frames_[index - 1].array) append(frame.rule->key);
    if (frame.array && frame.count > 0) path += fmt::format("[{}]", frame.count - 1);
  }
  if (!in_array() && pending_ != nullptr) append(pending_->key);
  return path;
}

std::vector<std::int64_t>& Handler::integers(Place place) {
  switch (place) {
    case Place::tree_info:
      return file_.tree_info;
    case Place::left_children:
      return tree_.left_children;
    case Place::right_children:
      return tree_.right_children;
    case Place::split_indices:
      return tree_.split_indices;
    case Place::default_left:
      return tree_.default_left;
    case Place::split_type:
      return tree_.split_type;
    case Place::categories:
      return tree_.categories;
    case Place::categories_nodes:
      return tree_.categories_nodes;
    case Place::categories_segments:
      return tree_.categories_segments;
    default:
      break;
  }
  assert(place == Place::categories_sizes);
  return tree_.categories_sizes;
}

std::vector<float>& Handler::numbers(Place place) {
  if (place == Place::weight_drop) return file_.weight_drop;
  if (place == Place::linear_weights) return file_.linear_weights;
  assert(place == Place::split_conditions);
  return tree_.split_conditions;
}

std::optional<std::string>& Handler::text(Place place) {
  switch (place) {
    case Place::objective_name:
      return file_.objective;
    case Place::base_score:
      return file_.base_score;
    case Place::num_class:
      return file_.num_class;
    case Place::num_target:
      return file_.num_target;
    case Place::num_feature:
      return file_.num_feature;
    case Place::booster_name:
      return file_.booster;
    case Place::num_trees:
      return file_.num_trees;
    case Place::num_nodes:
      return tree_.num_nodes;
    default:
      break;
  }
  assert(place == Place::size_leaf_vector);
  return tree_.size_leaf_vector;
}

bool Handler::string(const std::string& value) {
  const Rule* rule = nullptr;
  if (!next(rule)) return false;
  if (rule == nullptr) return true;
  if (!in_array() && rule->kind == Kind::text) {
    text(rule->place) = value;
    return true;
  }
  if (in_array() && rule->kind == Kind::numbers && value.starts_with(kNonFinite)) {
    return push_number(*rule, std::numeric_limits<double>::quiet_NaN());
  }
  return mismatch(*rule, "a text");
}

bool Handler::start_object(std::size_t /*elements*/) {
  const Rule* rule = nullptr;
  if (!next(rule)) return false;
  if (rule != nullptr && rule->kind != (in_array() ? Kind::objects : Kind::object)) {
    return mismatch(*rule, "an object");
  }
  if (rule != nullptr && rule->place == Place::trees) {
    tree_.clear();
    for (auto place = static_cast<std::size_t>(kFirstOfTree); place < seen_.size(); ++place)
      seen_.reset(place);
  }
  return push_frame(rule, false);
}

bool Handler::key(const std::string& value) {
  if (!count_event()) return false;
  pending_ = nullptr;
  const Rule* const parent = frames_.back().rule;
  if (parent == nullptr) return true;
  const auto* const rule = std::ranges::find_if(kRules, [&](const Rule& candidate) {
    return candidate.parent == parent->place && candidate.key == value;
  });
  if (rule == std::end(kRules)) return true;
  pending_ = rule;
  // One mark per place, whatever the parent: a second `model` or `weight_drop` in another layout is one too
  // many.
  if (seen(rule->place)) {
    return fail("occurs twice", "the file is damaged or was edited; save the model again with XGBoost");
  }
  seen_.set(static_cast<std::size_t>(rule->place));
  return true;
}

bool Handler::end_object() {
  if (!count_event()) return false;
  pending_ = nullptr;
  const Rule* const rule = frames_.back().rule;
  if (rule != nullptr && rule->place == Place::trees) {
    const std::size_t index = file_.forest.trees.size();
    if (tree_.id && *tree_.id != static_cast<std::int64_t>(index)) {
      return fail(fmt::format("tree {} has the id {}: trees are out of order", index, *tree_.id),
                  "the file is damaged or was edited; save the model again with XGBoost");
    }
    const Result<void> added = append_tree(tree_, where(), file_.forest, file_.feature_seen);
    if (!added) {
      error_ = added.error();
      return false;
    }
  }
  frames_.pop_back();
  return true;
}

bool Handler::start_array(std::size_t /*elements*/) {
  const Rule* rule = nullptr;
  if (!next(rule)) return false;
  const bool array = rule != nullptr && (rule->kind == Kind::objects || rule->kind == Kind::integers ||
                                         rule->kind == Kind::numbers);
  if (rule != nullptr && (in_array() || !array)) return mismatch(*rule, "an array");
  return push_frame(rule, true);
}

bool Handler::end_array() {
  if (!count_event()) return false;
  frames_.pop_back();
  pending_ = nullptr;
  return true;
}

bool Handler::parse_error(std::size_t position, const std::string& /*last_token*/,
                          const Json::exception& failure) {
  // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while …": the place is
  // ours.
  const std::string_view message = failure.what();
  const std::size_t start = message.find(": ");
  const std::string_view tail = start == std::string_view::npos ? message : message.substr(start + 2);
  const std::string inside = path();
  error_ = {.code = Errc::bad_model,
            .what = one_line(tail, kTextShownMax),
            .where = fmt::format("{}: byte {}{}{}", name_, position, inside.empty() ? "" : ", in ", inside),
            .hint = "the file is damaged or incomplete; save the model again with XGBoost"};
  return false;
}

Result<XgboostFile> Handler::finish(bool parsed) {
  if (!parsed) return std::unexpected(std::move(error_));
  if (!seen(Place::learner)) {
    return std::unexpected(
        Error{.code = Errc::bad_model,
              .what = "is JSON or UBJSON, but not an XGBoost model: it has no \"learner\"",
              .where = name_,
              .hint = "XGBoost models are written by save_model(\"name.json\" or \"name.ubj\")"});
  }
  file_.weighted = seen(Place::weight_drop);
  file_.linear = seen(Place::linear_weights);
  return std::move(file_);
}

/// XGBoost writes NaN for the threshold of a categorical split, and Infinity, which are not JSON. Outside of
/// texts each such word becomes a text of the same length, so positions stay what they are in the file.
/// Returns an empty string when there is nothing to change.
std::string quote_non_finite(std::string_view json) {
  std::string changed;
  bool in_text = false;
  for (std::size_t index = 0; index < json.size(); ++index) {
    const char byte = json[index];
    if (byte == '"') in_text = !in_text;
    if (in_text && byte == '\\') ++index;
    if (in_text || (byte != 'N' && byte != 'I' && byte != '-')) continue;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!json.substr(index).starts_with(word)) continue;
      if (changed.empty()) changed = json;
      std::fill_n(changed.begin() + static_cast<std::ptrdiff_t>(index), word.size(), kNonFinite);
      changed[index] = changed[index + word.size() - 1] = '"';
      index += word.size() - 1;
      break;
    }
  }
  return changed;
}

}  // namespace

Result<XgboostFile> read_xgboost(std::span<const std::byte> bytes, std::string_view name) {
  Handler handler(name, bytes.size());
  const auto* const first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (looks_like_ubjson(bytes)) {
    return handler.finish(
        Json::sax_parse(first, first + bytes.size(), &handler, Json::input_format_t::ubjson));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string changed = quote_non_finite(text);
  const std::string_view json = changed.empty() ? text : std::string_view(changed);
  return handler.finish(Json::sax_parse(json.begin(), json.end(), &handler, Json::input_format_t::json));
}

}  // namespace tutti
