// From a path to a model that fits the ensemble: recognise, load, adapt.
//
//   first bytes ──recognise()──▶ kind ──▶ load_xgboost / load_lightgbm / … ──adapt()──▶ Model
//
//   { and JSON or UBJSON             xgboost
//   {"format": "tutti-scikit-learn"  scikit
//   a line "tree"                    lightgbm
//   u64 length, then {               dense (safetensors)
//   protobuf, or a name in .onnx     onnx
//   0x7f ELF                         plugin
//
// A kind given by the config is taken at its word: the loader says what it cannot read.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "shared/limits.hpp"
#include "worker/adapt.hpp"
#include "worker/dense.hpp"
#include "worker/file.hpp"
#include "worker/lightgbm.hpp"
#include "worker/model.hpp"
#include "worker/onnx.hpp"
#include "worker/onnx/file.hpp"
#include "worker/plugin.hpp"
#include "worker/scikit.hpp"
#include "worker/text.hpp"
#include "worker/xgboost.hpp"

namespace tutti {
namespace {

using Loader = Result<std::unique_ptr<Model>> (*)(const ModelSource&);

struct Kind {
  std::string_view name;
  std::string_view file;  // for people
  Loader load;
};

constexpr Kind kXgboost{"xgboost", "XGBoost JSON or UBJSON", load_xgboost};
constexpr Kind kLightgbm{"lightgbm", "LightGBM text", load_lightgbm};
constexpr Kind kScikit{"scikit", "scikit-learn trees as JSON", load_scikit};
constexpr Kind kDense{"dense", "safetensors", load_dense};
constexpr Kind kOnnx{"onnx", "ONNX trees and layers", load_onnx};
constexpr Kind kPlugin{"plugin", "a shared library", load_plugin};

std::string known_kinds() {
  std::string kinds;
  for (const Kind& kind : {kXgboost, kLightgbm, kScikit, kDense, kOnnx, kPlugin}) {
    kinds += fmt::format("{}{} ({})", kinds.empty() ? "" : ", ", kind.name, kind.file);
  }
  return kinds;
}

/// Formats that people are likely to try, and what to do instead.
struct Foreign {
  std::string_view start;
  std::string_view what;
  std::string_view hint;
};
constexpr Foreign kForeign[] = {
    {"binf", "an old binary XGBoost model", "load it with XGBoost and save_model(\"name.json\")"},
    {"\x80", "a Python pickle",
     "pickles are not loaded; save the model in its library's own format, or scikit-learn's trees with "
     "examples/export_sklearn.py"},
    {"PK\x03\x04", "a zip archive (torch, Keras or npz)", "save the weights as safetensors"},
    {"\x89HDF", "HDF5 (Keras)", "save the weights as safetensors"},
};

constexpr std::size_t kHeadBytes = 64;

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// "7b 22 6c …" for an error.
std::string first_bytes(std::span<const std::byte> head) {
  std::string shown;
  for (const std::byte byte : head.first(std::min<std::size_t>(head.size(), 8))) {
    shown += fmt::format("{}{:02x}", shown.empty() ? "" : " ", std::to_integer<unsigned>(byte));
  }
  return shown;
}

/// A JSON object whose length stands before it. The length is the reader's to check: text or UBJSON there
/// would read as a length of many gigabytes, or have no brace at byte 8.
bool looks_like_safetensors(std::span<const std::byte> head) noexcept {
  if (head.size() < 9 || head[8] != std::byte{'{'}) return false;
  std::uint64_t length = 0;
  for (std::size_t index = 8; index-- > 0;)
    length = length << 8 | std::to_integer<std::uint64_t>(head[index]);
  return length < kModelBytesMax;
}

Result<Kind> recognise(const ModelSource& source) {
  const Result<FileBytes> read = read_model_head(source.path, kHeadBytes);
  if (!read) return std::unexpected(read.error());
  const std::span<const std::byte> head = read->view();
  if (looks_like_safetensors(head)) return kDense;
  if (looks_like_scikit(head)) return kScikit;
  if (looks_like_json(head) || looks_like_ubjson(head)) return kXgboost;
  if (looks_like_lightgbm(head)) return kLightgbm;
  if (as_text(head).starts_with("\x7f"
                                "ELF"))
    return kPlugin;
  // Protobuf has no magic number: the name counts as much as the first fields.
  if (onnx::looks_like_onnx(head) || source.path.ends_with(".onnx")) return kOnnx;

  Error error{.code = Errc::bad_model,
              .what = fmt::format("not a model of a known kind; it starts with {}", first_bytes(head)),
              .where = file_name(source.path),
              .hint = fmt::format("known are {}", known_kinds())};
  for (const Foreign& foreign : kForeign) {
    if (!as_text(head).starts_with(foreign.start)) continue;
    error.what = fmt::format("looks like {}; it starts with {}", foreign.what, first_bytes(head));
    if (!foreign.hint.empty()) error.hint = fmt::format("{}; {}", foreign.hint, error.hint);
    break;
  }
  return std::unexpected(std::move(error));
}

Result<Kind> kind_of(const ModelSource& source) {
  if (source.kind.empty()) return recognise(source);
  for (const Kind& kind : {kXgboost, kLightgbm, kScikit, kDense, kOnnx, kPlugin}) {
    if (source.kind == kind.name) return kind;
  }
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = fmt::format("unknown kind \"{}\"", one_line(source.kind, 40)),
                               .where = file_name(source.path),
                               .hint = fmt::format("known are {}", known_kinds())});
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const ModelSource& source) {
  try {
    const Result<Kind> kind = kind_of(source);
    if (!kind) return std::unexpected(kind.error());
    Result<std::unique_ptr<Model>> model = kind->load(source);
    if (!model) return model;
    return adapt(std::move(*model), source);
  } catch (const std::bad_alloc&) {
    // Every size was checked against the file's, but the worker's own limit may be lower.
    return std::unexpected(Error{.code = Errc::bad_model,
                                 .what = "not enough memory for the model",
                                 .where = file_name(source.path),
                                 .hint = "raise the worker's memory limit or use a smaller model"});
  }
}

}  // namespace tutti
