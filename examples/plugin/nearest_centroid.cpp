// A model in C++: the likelier a class, the nearer its centre. Probabilities are softmax(-distance²).
//
//   row ──distance to each class's mean of the training rows──▶ softmax ──▶ three probabilities
//
// The centres are those of Fisher's iris data: sepal length and width, petal length and width, in cm.
// What is shown here: a state that open() makes and close() frees, scratch allocated once, a request that is
// refused with a message, and no exception that leaves through the C interface.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <vector>

#include "tutti_plugin.h"

namespace {

constexpr std::size_t kFeatures = 4;
constexpr std::size_t kClasses = 3;

using Centres = std::array<std::array<float, kFeatures>, kClasses>;

constexpr Centres kIris{{
    {5.006F, 3.428F, 1.462F, 0.246F},  // setosa
    {5.936F, 2.770F, 4.260F, 1.326F},  // versicolor
    {6.588F, 2.974F, 5.552F, 2.026F},  // virginica
}};

struct NearestCentroid {
  Centres centres = kIris;
  std::vector<float> distances = std::vector<float>(kClasses);  // of one row

  void predict_row(const float* row, float* probabilities) {
    for (std::size_t index = 0; index < kClasses; ++index) {
      distances[index] = 0;
      for (std::size_t feature = 0; feature < kFeatures; ++feature) {
        const float difference = row[feature] - centres[index][feature];
        distances[index] += difference * difference;
      }
    }
    const float nearest = *std::min_element(distances.begin(), distances.end());
    float sum = 0;
    for (std::size_t index = 0; index < kClasses; ++index) {
      probabilities[index] = std::exp(nearest - distances[index]);
      sum += probabilities[index];
    }
    for (std::size_t index = 0; index < kClasses; ++index) probabilities[index] /= sum;
  }
};

int open_model(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
               size_t message_bytes) try {
  if (ask->task != TUTTI_TASK_CLASSIFICATION) {
    std::snprintf(message, message_bytes, "a classifier cannot serve a regression ensemble");
    return 1;
  }
  // If the ensemble differs, tutti says so and names both shapes.
  shape->features = kFeatures;
  shape->outputs = kClasses;
  *state = std::make_unique<NearestCentroid>().release();
  return 0;
} catch (const std::exception& exception) {
  std::snprintf(message, message_bytes, "%s", exception.what());
  return 1;
}

int predict(void* state, const float* x, uint32_t rows, float* out, char* message, size_t message_bytes) {
  auto& model = *static_cast<NearestCentroid*>(state);
  for (std::size_t row = 0; row < rows; ++row) {
    const float* const numbers = x + row * kFeatures;
    if (!std::all_of(numbers, numbers + kFeatures, [](float number) { return std::isfinite(number); })) {
      std::snprintf(message, message_bytes, "row %zu has a number that is missing or infinite", row);
      return 1;
    }
    model.predict_row(numbers, out + row * kClasses);
  }
  return 0;
}

void close_model(void* state) { delete static_cast<NearestCentroid*>(state); }

}  // namespace

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table{TUTTI_PLUGIN_ABI, "nearest centroid 1", open_model, predict, close_model};
  return &table;
}
