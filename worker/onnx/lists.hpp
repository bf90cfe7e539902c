// Parallel lists of a node's attributes, read with the checks that every one of them needs.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "worker/onnx/fields.hpp"
#include "worker/onnx/file.hpp"

namespace tutti::onnx {

inline std::string place_of(std::string_view list, std::size_t index) {
  return fmt::format("{}[{}]", list, index);
}

template <class T>
Result<void> check_size(const Node& node, std::string_view list, const std::vector<T>& numbers,
                        std::size_t size) {
  if (numbers.size() == size) return {};
  return bad_node(node, list, fmt::format("has {} elements where {} belong", numbers.size(), size),
                  kExportAgain);
}

/// A list of exactly that many whole numbers.
inline Result<std::vector<std::int64_t>> ints_of_size(const Node& node, std::string_view name,
                                                      std::size_t size) {
  Result<std::vector<std::int64_t>> numbers = ints_attribute(node, name);
  if (!numbers) return numbers;
  if (Result<void> checked = check_size(node, name, *numbers, size); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  return numbers;
}

/// The same where the list may be absent: then it is that many zeros.
inline Result<std::vector<std::int64_t>> ints_or_zeros(const Node& node, std::string_view name,
                                                       std::size_t size) {
  Result<std::vector<std::int64_t>> numbers = ints_attribute(node, name);
  if (numbers && numbers->empty()) numbers->resize(size);
  if (!numbers) return numbers;
  if (Result<void> checked = check_size(node, name, *numbers, size); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  return numbers;
}

/// A tensor attribute's numbers; nothing when it is absent. One dimension is all that lists have.
inline Result<std::vector<double>> tensor_floats(const Node& node, std::string_view name) {
  const Result<std::optional<TensorProto>> tensor = tensor_attribute(node, name);
  if (!tensor) return std::unexpected(tensor.error());
  if (!*tensor) return std::vector<double>{};
  return floats_of(**tensor);
}

/// A list of floats, or the tensor of the same name with "_as_tensor".
inline Result<std::vector<double>> floats_or_tensor(const Node& node, const std::string& name) {
  const Result<std::vector<float>> numbers = floats_attribute(node, name);
  if (!numbers) return std::unexpected(numbers.error());
  Result<std::vector<double>> wide = tensor_floats(node, name + "_as_tensor");
  if (!wide) return wide;
  if (!numbers->empty() && !wide->empty()) {
    return bad_node(node, name, "is given as a list and as a tensor", kExportAgain);
  }
  if (wide->empty()) wide->assign(numbers->begin(), numbers->end());
  return wide;
}

/// A number that is added to others: finite, and float32 as the sums are.
inline Result<float> float_of(const Node& node, std::string_view list, std::size_t index, double number) {
  if (!std::isfinite(number)) {
    return bad_node(node, place_of(list, index), fmt::format("is {}", number), kExportAgain);
  }
  const auto narrow = static_cast<float>(number);
  if (static_cast<double>(narrow) != number) {
    return bad_node(
        node, place_of(list, index), fmt::format("{} needs double precision", number),
        "sums are in float, as the operator has them for float input; export the model for float");
  }
  return narrow;
}

}  // namespace tutti::onnx
