// The header of an NPY file: a Python dict literal, read strictly.
//
//   \x93NUMPY  major minor  length (2 bytes, from version 2.0 on 4)  {'descr': '<f4', 'fortran_order': False,
//   'shape': (1000, 30), }  spaces  \n
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti::table {

/// The first bytes of an NPY file.
inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

enum class NpyType : std::uint8_t { f4, f8, i4, i8, u1, b1 };

std::size_t bytes_of(NpyType type) noexcept;

struct NpyHeader {
  NpyType type = NpyType::f4;
  std::vector<std::uint64_t> shape;  // one or two lengths

  bool operator==(const NpyHeader&) const = default;
};

/// Reads the dict literal, all that follows the header's length field.
/// Errors: bad_data (malformed, with the byte; big endian, other dtypes, Fortran order, other than one or two
/// dimensions). Never allocates more than the text's size.
Result<NpyHeader> parse_npy_header(std::string_view text, const std::string& name);

}  // namespace tutti::table
