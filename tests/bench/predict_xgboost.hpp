// XGBoost's C library as a peer: trains the models and answers from them.
//
// Loaded at run time, so that the bench builds without it. Declared here are the few functions it needs, as
// version 1.7's c_api.h documents them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shared/error.hpp"
#include "shared/tensor.hpp"

namespace tutti::bench {

class XgboostLibrary;

/// A trained model, answering on `threads` threads.
class XgboostModel {
 public:
  XgboostModel(const XgboostLibrary& library, void* booster) : library_(&library), booster_(booster) {}
  XgboostModel(XgboostModel&& other) noexcept;
  XgboostModel(const XgboostModel&) = delete;
  XgboostModel& operator=(const XgboostModel&) = delete;
  ~XgboostModel();

  void set_threads(int threads);
  /// The file as JSON.
  [[nodiscard]] std::string json() const;

  /// The library's fastest way from rows in memory to margins: predict in place. `rows` describes the array
  /// as the library wants it (see describe()); the numbers belong to the library until the next call.
  std::span<const float> margins(const std::string& rows) const;
  static std::string describe(MatrixView x);

 private:
  const XgboostLibrary* library_;
  void* booster_;
};

class XgboostLibrary {
 public:
  static Result<std::unique_ptr<XgboostLibrary>> open();
  XgboostLibrary(const XgboostLibrary&) = delete;
  XgboostLibrary& operator=(const XgboostLibrary&) = delete;
  ~XgboostLibrary();

  struct Parameter {
    const char* name;
    const char* value;
  };
  /// Trains `rounds` rounds on x and y.
  Result<XgboostModel> train(MatrixView x, std::span<const float> y, std::span<const Parameter> parameters,
                             int rounds) const;
  /// A model from the bytes of a file.
  Result<XgboostModel> load(std::string_view json) const;
  [[nodiscard]] std::string version() const;

 private:
  friend class XgboostModel;
  struct Functions;
  explicit XgboostLibrary(std::unique_ptr<Functions> functions);
  [[nodiscard]] Error last_error(std::string_view call) const;

  std::unique_ptr<Functions> functions_;
};

}  // namespace tutti::bench
