#include "predict_xgboost.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace tutti::bench {

struct XgboostLibrary::Functions {
  void* handle = nullptr;
  void (*version)(int*, int*, int*) = nullptr;
  const char* (*last_error)() = nullptr;
  int (*matrix_create)(const float*, std::uint64_t, std::uint64_t, float, void**) = nullptr;
  int (*matrix_free)(void*) = nullptr;
  int (*matrix_set_float)(void*, const char*, const float*, std::uint64_t) = nullptr;
  int (*booster_create)(void* const*, std::uint64_t, void**) = nullptr;
  int (*booster_free)(void*) = nullptr;
  int (*booster_set)(void*, const char*, const char*) = nullptr;
  int (*booster_update)(void*, int, void*) = nullptr;
  int (*booster_load)(void*, const void*, std::uint64_t) = nullptr;
  int (*booster_save)(void*, const char*, std::uint64_t*, const char**) = nullptr;
  int (*booster_predict)(void*, const char*, const char*, void*, const std::uint64_t**, std::uint64_t*,
                         const float**) = nullptr;
};

namespace {

template <class Function>
bool find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  return function != nullptr;
}

}  // namespace

XgboostLibrary::XgboostLibrary(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}

// Never unloaded: its OpenMP threads may still stand in it.
XgboostLibrary::~XgboostLibrary() = default;

Result<std::unique_ptr<XgboostLibrary>> XgboostLibrary::open() {
  auto functions = std::make_unique<Functions>();
  for (const char* name : {"libxgboost.so.0", "libxgboost.so"}) {
    if (functions->handle == nullptr) functions->handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  Functions& f = *functions;
  const bool complete = f.handle != nullptr && find(f.handle, "XGBoostVersion", f.version) &&
                        find(f.handle, "XGBGetLastError", f.last_error) &&
                        find(f.handle, "XGDMatrixCreateFromMat", f.matrix_create) &&
                        find(f.handle, "XGDMatrixFree", f.matrix_free) &&
                        find(f.handle, "XGDMatrixSetFloatInfo", f.matrix_set_float) &&
                        find(f.handle, "XGBoosterCreate", f.booster_create) &&
                        find(f.handle, "XGBoosterFree", f.booster_free) &&
                        find(f.handle, "XGBoosterSetParam", f.booster_set) &&
                        find(f.handle, "XGBoosterUpdateOneIter", f.booster_update) &&
                        find(f.handle, "XGBoosterLoadModelFromBuffer", f.booster_load) &&
                        find(f.handle, "XGBoosterSaveModelToBuffer", f.booster_save) &&
                        find(f.handle, "XGBoosterPredictFromDense", f.booster_predict);
  if (complete) return std::unique_ptr<XgboostLibrary>(new XgboostLibrary(std::move(functions)));
  const char* const why = ::dlerror();
  return std::unexpected(Error{.code = Errc::system,
                               .what = why == nullptr ? "cannot be loaded" : why,
                               .where = "libxgboost.so.0",
                               .hint = "Debian: apt install libxgboost0"});
}

Error XgboostLibrary::last_error(std::string_view call) const {
  return {.code = Errc::system,
          .what = fmt::format("{}: {}", call, functions_->last_error()),
          .where = "libxgboost",
          .hint = "this bench knows XGBoost 1.7"};
}

std::string XgboostLibrary::version() const {
  int major = 0;
  int minor = 0;
  int patch = 0;
  functions_->version(&major, &minor, &patch);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

Result<XgboostModel> XgboostLibrary::train(MatrixView x, std::span<const float> y,
                                           std::span<const Parameter> parameters, int rounds) const {
  void* raw = nullptr;
  if (functions_->matrix_create(x.data, x.rows, x.columns, -1e30F, &raw) != 0) {
    return std::unexpected(last_error("XGDMatrixCreateFromMat"));
  }
  const std::unique_ptr<void, int (*)(void*)> matrix(raw, functions_->matrix_free);
  if (functions_->matrix_set_float(raw, "label", y.data(), y.size()) != 0) {
    return std::unexpected(last_error("XGDMatrixSetFloatInfo"));
  }
  void* booster = nullptr;
  if (functions_->booster_create(&raw, 1, &booster) != 0) {
    return std::unexpected(last_error("XGBoosterCreate"));
  }
  XgboostModel model(*this, booster);
  for (const Parameter& parameter : parameters) {
    if (functions_->booster_set(booster, parameter.name, parameter.value) != 0) {
      return std::unexpected(last_error("XGBoosterSetParam"));
    }
  }
  for (int round = 0; round < rounds; ++round) {
    if (functions_->booster_update(booster, round, raw) != 0) {
      return std::unexpected(last_error("XGBoosterUpdateOneIter"));
    }
  }
  return model;
}

Result<XgboostModel> XgboostLibrary::load(std::string_view json) const {
  void* booster = nullptr;
  if (functions_->booster_create(nullptr, 0, &booster) != 0) {
    return std::unexpected(last_error("XGBoosterCreate"));
  }
  XgboostModel model(*this, booster);
  if (functions_->booster_load(booster, json.data(), json.size()) != 0) {
    return std::unexpected(last_error("XGBoosterLoadModelFromBuffer"));
  }
  return model;
}

XgboostModel::XgboostModel(XgboostModel&& other) noexcept
    : library_(other.library_), booster_(std::exchange(other.booster_, nullptr)) {}

XgboostModel::~XgboostModel() {
  if (booster_ != nullptr) library_->functions_->booster_free(booster_);
}

void XgboostModel::set_threads(int threads) {
  library_->functions_->booster_set(booster_, "nthread", std::to_string(threads).c_str());
}

std::string XgboostModel::json() const {
  std::uint64_t size = 0;
  const char* text = nullptr;
  if (library_->functions_->booster_save(booster_, R"({"format": "json"})", &size, &text) != 0) return {};
  return {text, size};
}

std::string XgboostModel::describe(MatrixView x) {
  return fmt::format(R"({{"data": [{}, true], "shape": [{}, {}], "typestr": "<f4", "version": 3}})",
                     reinterpret_cast<std::uintptr_t>(x.data), x.rows, x.columns);
}

std::span<const float> XgboostModel::margins(const std::string& rows) const {
  constexpr const char* kConfig =
      R"({"type": 1, "training": false, "iteration_begin": 0, "iteration_end": 0, "missing": NaN, "strict_shape": false, "cache_id": 0})";
  const std::uint64_t* shape = nullptr;
  std::uint64_t dimensions = 0;
  const float* numbers = nullptr;
  if (library_->functions_->booster_predict(booster_, rows.c_str(), kConfig, nullptr, &shape, &dimensions,
                                            &numbers) != 0) {
    return {};
  }
  return {numbers, shape[0]};
}

}  // namespace tutti::bench
