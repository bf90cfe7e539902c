// A safetensors file: named tensors in one flat buffer.
//
//   [u64 little-endian: n][n bytes of JSON][the buffer: every tensor's bytes, one after the other]
//                            │
//                            └ {"__metadata__": {"key": "text", …},
//                               "fc1.weight": {"dtype": "F32", "shape": [64, 30], "data_offsets": [0, 7680]},
//                               …}
//
// The file is hostile. What holds once parse() has succeeded: every tensor's bytes lie inside the file, are
// as many as its shape and type say, and no two tensors share one; together they cover the buffer without a
// hole, as the format demands. Nothing is copied but the header, and its size is bounded before it is read.
// The buffer need not be aligned: numbers are copied out byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti {

struct Tensor {
  std::string dtype;                 // as the file writes it: "F32", "F64", "BF16", …
  std::vector<std::uint64_t> shape;  // empty for a single number
  std::uint64_t count = 0;           // the product of the shape
  std::span<const std::byte> bytes;  // into the file; not aligned
};

/// The header of a file, checked. Points into the bytes it was made from, which must outlive it.
class Safetensors {
 public:
  /// Reads and checks the header. `where` names the file in errors.
  /// Errors: bad_model, naming the tensor.
  static Result<Safetensors> parse(std::span<const std::byte> file, std::string_view where);

  /// The tensor of that name, or null.
  [[nodiscard]] const Tensor* find(std::string_view name) const;
  /// The metadata text under that key, or null.
  [[nodiscard]] const std::string* metadata(std::string_view key) const;
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }

 private:
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

/// True for the types that read_numbers() understands: F64, F32, F16, BF16.
bool is_float_type(std::string_view dtype);

/// Copies a tensor's numbers, widened to T (float or double; a F64 read as float is rounded).
/// The type must be a float type and `numbers` as long as the tensor (asserted).
template <class T>
void read_numbers(const Tensor& tensor, std::span<T> numbers);

/// Parses JSON that a stranger wrote: depth is bounded, the same key twice in one object is an error, and no
/// recursion is involved. `where` names the text in errors.
/// Errors: bad_model with the byte's position.
Result<nlohmann::json> parse_hostile_json(std::string_view text, std::size_t depth_max,
                                          std::string_view where);

}  // namespace tutti
