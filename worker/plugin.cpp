#include "worker/plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shared/limits.hpp"
#include "shared/tutti_plugin.h"
#include "worker/file.hpp"
#include "worker/text.hpp"

namespace tutti {
namespace {

static_assert(static_cast<std::uint32_t>(OutputKind::value) == TUTTI_MEANS_VALUE &&
              static_cast<std::uint32_t>(OutputKind::probabilities) == TUTTI_MEANS_PROBABILITIES &&
              static_cast<std::uint32_t>(OutputKind::probability) == TUTTI_MEANS_PROBABILITY &&
              static_cast<std::uint32_t>(OutputKind::class_index) == TUTTI_MEANS_CLASS_INDEX);

std::unexpected<Error> bad(std::string what, std::string where, std::string hint) {
  return std::unexpected(Error{
      .code = Errc::bad_model, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)});
}

/// Where a plug-in writes its message. Whatever it leaves there, no byte outside is read.
class Message {
 public:
  explicit Message(std::size_t bytes_max) : bytes_(std::min(bytes_max, buffer_.size())) {}

  [[nodiscard]] char* data() { return buffer_.data(); }
  [[nodiscard]] std::size_t size() const { return bytes_; }
  /// ": text", or nothing when there is none.
  [[nodiscard]] std::string text() const {
    const std::string line = one_line({buffer_.data(), bytes_}, bytes_);
    return line.empty() ? line : ": " + line;
  }

 private:
  std::array<char, kWorkerTextMax> buffer_{};
  std::size_t bytes_;
};

/// Calls into the plug-in. Nothing, or what it threw: an exception must not unwind into the worker's loop.
template <class Call>
std::optional<std::string> thrown_by(Call call) {
  try {
    call();
    return std::nullopt;
  } catch (const std::exception& exception) {
    return one_line(std::string_view(exception.what()).substr(0, kAnswerTextMax), kAnswerTextMax);
  } catch (...) {
    return "something that is no std::exception";
  }
}

/// What a library exports.
struct Loaded {
  tutti_plugin table{};
  bool may_fork = true;
};

class PluginModel final : public Model {
 public:
  PluginModel(const Loaded& loaded, void* state, ModelShape shape, std::uint32_t rows_max, std::string where)
      : table_(loaded.table),
        may_fork_(loaded.may_fork),
        state_(state),
        shape_(shape),
        rows_max_(rows_max),
        where_(std::move(where)) {}

  ~PluginModel() override {
    // What close() throws has nobody left to hear it.
    static_cast<void>(thrown_by([&] { table_.close(state_); }));
  }

  [[nodiscard]] ModelShape shape() const noexcept override { return shape_; }
  [[nodiscard]] bool may_fork() const noexcept override { return may_fork_; }
  [[nodiscard]] bool may_start_threads() const noexcept override { return true; }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == shape_.features && out.columns == shape_.outputs && x.rows == out.rows);
    assert(x.rows <= rows_max_);
    if (x.rows == 0) return {};
    // A number that is never written must not pass for an answer: here lie those of an earlier request.
    std::ranges::fill(out.all(), std::numeric_limits<float>::quiet_NaN());
    Message message(kAnswerTextMax);
    int status = 0;
    const auto thrown = thrown_by(
        [&] { status = table_.predict(state_, x.data, x.rows, out.data, message.data(), message.size()); });
    if (!thrown && status == 0) return {};
    return std::unexpected(Error{.code = Errc::model_failed,
                                 .what = thrown
                                             ? fmt::format("predict threw: {}", *thrown)
                                             : fmt::format("predict returned {}{}", status, message.text()),
                                 .where = where_,
                                 .hint = {}});
  }

 private:
  tutti_plugin table_;  // a copy: what the library does to its own no longer matters
  bool may_fork_;
  void* state_;
  ModelShape shape_;
  std::uint32_t rows_max_;
  std::string where_;
};

/// Loads the library and returns a copy of its table, complete and of our ABI.
Result<Loaded> load_library(const ModelSource& source, const std::string& where) {
  // Without a slash dlopen would search the system's directories for a file of that name.
  if (!source.path.starts_with('/')) {
    return bad("the path of a plug-in is not absolute", where, "give the path from / on");
  }
  // RTLD_NOW: an undefined symbol is an error now and not a crash during a request.
  void* library = nullptr;
  const auto thrown = thrown_by([&] { library = dlopen(source.path.c_str(), RTLD_NOW | RTLD_LOCAL); });
  if (thrown)
    return bad(fmt::format("loading it threw: {}", *thrown), where, "see the plug-in's constructors");
  if (library == nullptr) {
    const char* text = dlerror();
    return bad(one_line(text == nullptr ? "dlopen failed" : text, kWorkerTextMax), where,
               "a plug-in is a shared library for this machine; what it needs from beyond the system's "
               "folders, isolation.read names");
  }
  using Entry = const tutti_plugin* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, TUTTI_PLUGIN_SYMBOL));
  if (entry == nullptr) {
    return bad(fmt::format("the library has no function {}", TUTTI_PLUGIN_SYMBOL), where,
               "export it with TUTTI_PLUGIN_EXPORT, as extern \"C\" in C++; see shared/tutti_plugin.h");
  }
  const tutti_plugin* table = nullptr;
  if (const auto threw = thrown_by([&] { table = entry(); })) {
    return bad(fmt::format("{} threw: {}", TUTTI_PLUGIN_SYMBOL, *threw), where,
               "it must only return its table");
  }
  if (table == nullptr) {
    return bad(fmt::format("{} returned NULL", TUTTI_PLUGIN_SYMBOL), where, "it must return its table");
  }
  // The number stands first in the table of every ABI; the rest is read only if it is ours.
  if (table->abi != TUTTI_PLUGIN_ABI) {
    return bad(fmt::format("the plug-in has ABI {}, this tutti has {}", table->abi, TUTTI_PLUGIN_ABI), where,
               "build the plug-in with this tutti's tutti_plugin.h");
  }
  if (table->name == nullptr || table->open == nullptr || table->predict == nullptr ||
      table->close == nullptr) {
    return bad("name, open, predict or close is NULL in the plug-in's table", where, "set all four");
  }
  const auto* never_fork = static_cast<const std::uint32_t*>(dlsym(library, TUTTI_PLUGIN_NEVER_FORK_SYMBOL));
  return Loaded{.table = *table, .may_fork = never_fork == nullptr || *never_fork == 0};
}

/// The shape that open() reported, if there can be such a model.
Result<ModelShape> checked(const tutti_shape& shape, const std::string& where) {
  const bool one_number = shape.means != TUTTI_MEANS_PROBABILITIES;
  const bool fits = one_number ? shape.outputs == 1 : shape.outputs >= 2 && shape.outputs <= kOutputsMax;
  if (shape.features == 0 || shape.features > kFeaturesMax || shape.means > TUTTI_MEANS_CLASS_INDEX ||
      !fits) {
    return bad(fmt::format("open reported {} features, {} outputs and meaning {}", shape.features,
                           shape.outputs, shape.means),
               where, "probabilities have 2 outputs or more, every other meaning has 1; see tutti_shape");
  }
  return ModelShape{
      .features = shape.features, .outputs = shape.outputs, .kind = static_cast<OutputKind>(shape.means)};
}

}  // namespace

Result<std::unique_ptr<Model>> load_plugin(const ModelSource& source) {
  const std::string file = file_name(source.path);
  const Result<Loaded> loaded = load_library(source, file);
  if (!loaded) return std::unexpected(loaded.error());
  const tutti_plugin* const table = &loaded->table;
  const std::string where =
      fmt::format("{} ({})", file, one_line({table->name, strnlen(table->name, kNameMax)}, kNameMax));

  const tutti_open ask{.abi = TUTTI_PLUGIN_ABI,
                       .task = source.classification ? TUTTI_TASK_CLASSIFICATION : TUTTI_TASK_REGRESSION,
                       .features = source.features,
                       .outputs = source.outputs,
                       .rows_max = source.rows_max,
                       .path = source.path.c_str(),
                       .params = ""};
  tutti_shape shape{.features = source.features,
                    .outputs = source.outputs,
                    .means = source.classification ? TUTTI_MEANS_PROBABILITIES : TUTTI_MEANS_VALUE};
  void* state = nullptr;
  Message message(kWorkerTextMax / 2);
  int status = 0;
  const auto thrown =
      thrown_by([&] { status = table->open(&ask, &shape, &state, message.data(), message.size()); });
  if (thrown)
    return bad(fmt::format("open threw: {}", *thrown), where, "see the plug-in's own documentation");
  if (status != 0) {
    return bad(fmt::format("open returned {}{}", status, message.text()), where,
               "see the plug-in's own documentation");
  }
  const Result<ModelShape> model_shape = checked(shape, where);
  if (!model_shape) {
    static_cast<void>(thrown_by([&] { table->close(state); }));
    return std::unexpected(model_shape.error());
  }
  return std::make_unique<PluginModel>(*loaded, state, *model_shape, source.rows_max, where);
}

}  // namespace tutti
