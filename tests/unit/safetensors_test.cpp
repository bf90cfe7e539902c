// The safetensors reader against files that lie, and text from strangers.
#include "worker/safetensors.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "shared/limits.hpp"
#include "tests/catch.hpp"
#include "worker/text.hpp"

using namespace tutti;

namespace {

std::string file_of(std::string header, std::size_t buffer_bytes) {
  std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(buffer_bytes, '\0');
}

Result<Safetensors> parse(const std::string& file) {
  return Safetensors::parse(std::as_bytes(std::span(file)), "m.safetensors");
}

/// The numbers of a tensor of `dtype` made of those 16-bit patterns.
std::vector<double> numbers_of(const std::string& dtype, const std::vector<std::uint16_t>& patterns) {
  const Tensor tensor{.dtype = dtype,
                      .shape = {patterns.size()},
                      .count = patterns.size(),
                      .bytes = std::as_bytes(std::span(patterns))};
  std::vector<double> numbers(patterns.size());
  read_numbers<double>(tensor, numbers);
  return numbers;
}

}  // namespace

TEST_CASE("safetensors: tensors and metadata are found where the header says", "[safetensors]") {
  std::string file = file_of(R"({"__metadata__":{"a":"text"},
      "second":{"dtype":"F64","shape":[2,1],"data_offsets":[4,20]},
      "first":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
      "none":{"dtype":"I8","shape":[3,0],"data_offsets":[4,4]}}   )",
                             20);
  const float one = 1.5F;
  const double two[] = {-2.25, 1e300};
  std::memcpy(file.data() + file.size() - 20, &one, sizeof one);
  std::memcpy(file.data() + file.size() - 16, two, sizeof two);

  const auto read = parse(file);
  REQUIRE(read.has_value());
  REQUIRE(read->metadata("a") != nullptr);
  CHECK(*read->metadata("a") == "text");
  CHECK(read->metadata("b") == nullptr);
  CHECK(read->find("third") == nullptr);
  REQUIRE(read->find("first") != nullptr);
  REQUIRE(read->find("second") != nullptr);
  std::vector<float> first(1);
  std::vector<double> second(2);
  read_numbers<float>(*read->find("first"), first);
  read_numbers<double>(*read->find("second"), second);
  CHECK(first == std::vector{1.5F});
  CHECK(second == std::vector{-2.25, 1e300});
  CHECK(read->find("none")->count == 0);
}

TEST_CASE("safetensors: half-precision numbers widen exactly", "[safetensors]") {
  // IEEE 754 binary16: 1, -2, the largest, the smallest normal, the smallest of all, -0.
  CHECK(numbers_of("F16", {0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x8000}) ==
        std::vector<double>{1, -2, 65504, std::ldexp(1, -14), std::ldexp(1, -24), 0});
  CHECK(std::signbit(numbers_of("F16", {0x8000})[0]));
  CHECK(numbers_of("F16", {0xFC00})[0] == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(numbers_of("F16", {0x7C01})[0]));
  // bfloat16 is the upper half of a float.
  CHECK(numbers_of("BF16", {0x3F80, 0xC000, 0x0080}) == std::vector<double>{1, -2, std::ldexp(1, -126)});
  CHECK(std::isnan(numbers_of("BF16", {0x7FC0})[0]));
}

TEST_CASE("safetensors: a header that lies is an error that names the tensor", "[safetensors]") {
  struct Lie {
    const char* header;
    std::size_t buffer_bytes;
    const char* what;
    const char* where;
  };
  const Lie lie = GENERATE(
      Lie{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "shape [2] of F32 does not fill",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 4, "outside the buffer of 4",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "outside the buffer", "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "does not fill",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0, "does not fill",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "unsigned integers", "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "unsigned integers",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4, "at most 8",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, "data_offsets is not",
          "tensor 'a'"},
      Lie{R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "dtype 'F99' is not known",
          "tensor 'a'"},
      Lie{R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "has no dtype", "tensor 'a'"},
      Lie{R"({"a":7})", 4, "is not an object", "tensor 'a'"},
      // Two tensors over the same bytes, a hole between two, bytes that belong to none.
      Lie{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          4, "begins at byte 0 of the buffer, but the tensor before it ends at 4", "tensor 'b'"},
      Lie{R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
          4, "begins at byte 2", "tensor 'b'"},
      Lie{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
          3, "begins at byte 2", "tensor 'b'"},
      Lie{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "1 bytes after the last tensor",
          "m.safetensors"},
      Lie{R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
          0, "holds the key 'a' twice", "header"},
      Lie{R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0, "key 'dtype' twice",
          "header"},
      Lie{R"({"__metadata__":{"a":1}})", 0, "is not a text", "__metadata__.a"},
      Lie{R"({"__metadata__":[]})", 0, "is not an object", "__metadata__"},
      Lie{R"({"a":[[[[]]]]})", 0, "nested deeper than 3", "header"},
      Lie{R"({"a":1e999})", 0, "out of range", "header"},
      Lie{R"({"a":)", 0, "is not valid JSON at byte", "header"},
      Lie{"{\"\xFF\":1}", 0, "is not valid JSON at byte", "header"},
      Lie{R"([])", 0, "does not begin with '{'", "m.safetensors"},
      Lie{"", 0, "does not begin with '{'", "m.safetensors"});
  CAPTURE(lie.header);
  const auto read = parse(file_of(lie.header, lie.buffer_bytes));
  REQUIRE_FALSE(read.has_value());
  CAPTURE(describe(read.error()));
  CHECK(read.error().code == Errc::bad_model);
  CHECK(read.error().what.find(lie.what) != std::string::npos);
  CHECK(read.error().where.find(lie.where) != std::string::npos);
  CHECK_FALSE(read.error().hint.empty());
}

TEST_CASE("safetensors: a header length is checked before it is used", "[safetensors]") {
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 32, std::uint64_t{1} << 63,
                                     ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    std::string file(sizeof length, '\0');
    std::memcpy(file.data(), &length, sizeof length);
    const auto read = parse(file + "{}");
    CAPTURE(length);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().what.find(fmt::format("claims {} bytes", length)) != std::string::npos);
  }
  for (std::size_t bytes = 0; bytes < 8; ++bytes) CHECK_FALSE(parse(std::string(bytes, '\0')).has_value());
  CHECK_FALSE(parse(file_of("{" + std::string(kSafetensorsHeaderMax, ' ') + "}", 0)).has_value());
  CHECK(parse(file_of("{}", 0)).has_value());
}

TEST_CASE("safetensors: a header of a million brackets ends at the depth limit", "[safetensors]") {
  const auto read = parse(file_of("{\"a\":" + std::string(1'000'000, '['), 0));
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().what.find("nested deeper") != std::string::npos);
}

TEST_CASE("safetensors: a file cut at any byte is an error", "[safetensors]") {
  const std::string file = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  REQUIRE(parse(file).has_value());
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes)
    CHECK_FALSE(parse(file.substr(0, bytes)).has_value());
}

TEST_CASE("text: what a stranger wrote becomes one bounded line of valid UTF-8", "[text]") {
  CHECK(one_line("größer als 5 €", 64) == "größer als 5 €");
  CHECK(one_line("a\x1b[2Jb\r\nc\td", 64) == "a [2Jb  c d");
  CHECK(one_line(std::string_view("end\0hidden", 10), 64) == "end");
  // Overlong, surrogate, beyond Unicode, cut short, stray continuation.
  CHECK(one_line("\xC0\x80|\xED\xA0\x80|\xF4\x90\x80\x80|\xE2\x82|\x80", 64) == "??|???|????|??|?");
  // C1 control and right-to-left override.
  CHECK(one_line("a\xC2\x9B"
                 "b\xE2\x80\xAE"
                 "c",
                 64) == "a b c");
  CHECK(one_line("123456", 6) == "123456");
  CHECK(one_line("1234567", 6) == "123…");
  CHECK(one_line("ääää", 6) == "ä…");
  CHECK(one_line("1234", 2).empty());
  CHECK(one_line("", 0).empty());
}
