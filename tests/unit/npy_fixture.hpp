// Reads the .npy files of tests/data: little-endian float32 or float64, C order. A bad file fails the test.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace tutti::fixture {

static_assert(std::endian::native == std::endian::little);

/// A file's bytes.
inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  INFO("reading " << path);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// An array of one or two dimensions; one dimension is one column.
template <class T>
struct Npy {
  std::vector<T> values;
  std::uint32_t rows = 0;
  std::uint32_t columns = 1;
};

template <class T>
Npy<T> read_npy(const std::string& path) {
  const std::string bytes = read_bytes(path);
  INFO("reading " << path);
  // Version 1.0: magic and version (8 bytes), the header's length (2), the header.
  REQUIRE(bytes.size() >= 10);
  REQUIRE(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t length =
      static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  REQUIRE(bytes.size() >= 10 + length);
  const std::string header = bytes.substr(10, length);
  REQUIRE(header.find(sizeof(T) == 4 ? "'<f4'" : "'<f8'") != std::string::npos);
  REQUIRE(header.find("'fortran_order': False") != std::string::npos);

  Npy<T> array;
  const std::size_t shape = header.find("'shape': (") + 10;
  array.rows = static_cast<std::uint32_t>(std::stoul(header.substr(shape)));
  const std::size_t comma = header.find(',', shape);
  if (header[comma + 1] == ' ')
    array.columns = static_cast<std::uint32_t>(std::stoul(header.substr(comma + 1)));
  array.values.resize(std::size_t{array.rows} * array.columns);
  REQUIRE(bytes.size() == 10 + length + array.values.size() * sizeof(T));
  std::memcpy(array.values.data(), bytes.data() + 10 + length, array.values.size() * sizeof(T));
  return array;
}

}  // namespace tutti::fixture
