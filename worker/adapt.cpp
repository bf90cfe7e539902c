#include "worker/adapt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "worker/file.hpp"

namespace tutti {
namespace {

/// A model whose one number a row becomes a row of the ensemble's classes.
class Spread : public Model {
 public:
  Spread(std::unique_ptr<Model> inner, std::uint32_t classes) : inner_(std::move(inner)), classes_(classes) {}

  [[nodiscard]] ModelShape shape() const noexcept override {
    return {.features = inner_->shape().features, .outputs = classes_, .kind = OutputKind::probabilities};
  }

  [[nodiscard]] bool may_fork() const noexcept final { return inner_->may_fork(); }
  [[nodiscard]] bool may_start_threads() const noexcept final { return inner_->may_start_threads(); }
  [[nodiscard]] const TierReport* tiers() const noexcept final { return inner_->tiers(); }

  Result<void> predict(MatrixView x, MutableMatrixView out) final {
    assert(out.rows == x.rows && out.columns == classes_);
    // The inner answer fills the first `rows` floats of out. Spread from the last row on, no number is
    // written over before it was read: row r is written at r * classes or later.
    if (Result<void> answered = inner_->predict(x, {out.data, out.rows, 1}); !answered) return answered;
    for (std::uint32_t row = out.rows; row-- > 0;) {
      if (Result<void> written = spread(out.data[row], row, out); !written) return written;
    }
    return {};
  }

 protected:
  virtual Result<void> spread(float number, std::uint32_t row, MutableMatrixView out) = 0;

 private:
  std::unique_ptr<Model> inner_;
  std::uint32_t classes_;
};

class FromProbability final : public Spread {
 public:
  using Spread::Spread;

 private:
  Result<void> spread(float number, std::uint32_t row, MutableMatrixView out) override {
    out.row(row)[0] = 1.0F - number;
    out.row(row)[1] = number;
    return {};
  }
};

class FromClassIndex final : public Spread {
 public:
  using Spread::Spread;

 private:
  Result<void> spread(float number, std::uint32_t row, MutableMatrixView out) override {
    const std::span<float> classes = out.row(row);
    // Written so that NaN fails it.
    const bool in_range = number >= 0.0F && number < static_cast<float>(out.columns);
    if (!in_range || number != static_cast<float>(static_cast<std::uint32_t>(number))) {
      return std::unexpected(
          Error{.code = Errc::model_failed,
                .what = fmt::format("answered class {}, not a whole number in [0, {})", number, out.columns),
                .where = fmt::format("row {}", row),
                .hint = "the model was trained with other classes than the ensemble's"});
    }
    const auto winner = static_cast<std::uint32_t>(number);
    std::ranges::fill(classes, 0.0F);
    classes[winner] = 1.0F;
    return {};
  }
};

std::unexpected<Error> mismatch(const ModelSource& source, std::string what, std::string hint) {
  return std::unexpected(Error{.code = Errc::shape_mismatch,
                               .what = std::move(what),
                               .where = file_name(source.path),
                               .hint = std::move(hint)});
}

std::unexpected<Error> other_class_count(std::uint32_t classes, const ModelSource& source) {
  return mismatch(
      source, fmt::format("the model knows {} classes, the ensemble {}", classes, source.outputs),
      "list the classes the model was trained with, in its order, or train it with the ensemble's");
}

Result<std::unique_ptr<Model>> adapt_classifier(std::unique_ptr<Model> model, const ModelSource& source) {
  const ModelShape shape = model->shape();
  switch (shape.kind) {
    case OutputKind::value:
      return mismatch(
          source,
          fmt::format("the model answers {} value(s), the ensemble needs probabilities of {} classes",
                      shape.outputs, source.outputs),
          "train it as a classifier (XGBoost: binary:logistic or multi:softprob; LightGBM: binary or "
          "multiclass), or set the ensemble's "
          "task to regression");
    case OutputKind::probabilities:
      if (shape.outputs != source.outputs) return other_class_count(shape.outputs, source);
      return model;
    case OutputKind::probability:
      if (shape.outputs != 1) {
        return mismatch(
            source,
            fmt::format("the model answers {} probabilities that are not of one choice", shape.outputs),
            "a model of several labels is not a member; train one model per label");
      }
      if (source.outputs != 2) return other_class_count(2, source);
      return std::make_unique<FromProbability>(std::move(model), source.outputs);
    case OutputKind::class_index:
      assert(shape.outputs == 1);
      if (shape.classes != 0 && shape.classes != source.outputs)
        return other_class_count(shape.classes, source);
      return std::make_unique<FromClassIndex>(std::move(model), source.outputs);
  }
  return mismatch(source, "the model's outputs are of no known kind", "report this");
}

Result<std::unique_ptr<Model>> adapt_regressor(std::unique_ptr<Model> model, const ModelSource& source) {
  const ModelShape shape = model->shape();
  if (shape.kind == OutputKind::probabilities || shape.kind == OutputKind::class_index) {
    return mismatch(source,
                    fmt::format("the model answers {}, the ensemble needs one value",
                                shape.kind == OutputKind::class_index
                                    ? std::string("a class")
                                    : fmt::format("probabilities of {} classes", shape.outputs)),
                    "set the ensemble's task to classification, or train the model for regression");
  }
  if (shape.outputs != source.outputs) {
    return mismatch(source,
                    fmt::format("the model answers {} values a row, the ensemble needs {}", shape.outputs,
                                source.outputs),
                    "train one model per target");
  }
  return model;
}

}  // namespace

Result<std::unique_ptr<Model>> adapt(std::unique_ptr<Model> model, const ModelSource& source) {
  const std::uint32_t features = model->shape().features;
  if (features != source.features) {
    return mismatch(
        source,
        fmt::format("the model was trained on {} features, the ensemble has {}", features, source.features),
        "set the ensemble's features to the columns the model was trained on, in their order");
  }
  return source.classification ? adapt_classifier(std::move(model), source)
                               : adapt_regressor(std::move(model), source);
}

}  // namespace tutti
