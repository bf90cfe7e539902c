// NPY in: headers read strictly, every dtype, and promises that a file does not keep.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "supervisor/data/npy_header.hpp"
#include "tests/catch.hpp"
#include "tests/unit/table_support.hpp"

using namespace tutti;
using namespace tutti::table;

namespace {

template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}

std::string file_of(const std::string& header, const std::string& data, int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  std::size_t length = header.size();
  for (int byte = 0; byte < (version == 1 ? 2 : 4); ++byte, length >>= 8)
    bytes += static_cast<char>(length & 0xff);
  return bytes + header + data;
}

std::string dict(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }   \n";
}

TableRequest wanting(std::uint32_t features, std::string target = "", std::vector<std::string> classes = {}) {
  return {
      .path = "rows.npy", .features = features, .feature_names = {}, .target = target, .classes = classes};
}

void check_error(const Table& table, const std::string& what) {
  REQUIRE(table.error);
  CHECK(table.error->code == Errc::bad_data);
  CHECK(table.what() == what);
  CHECK_FALSE(table.where().empty());
  CHECK_FALSE(table.hint().empty());
}

}  // namespace

TEST_CASE("npy: every dtype and version becomes float32", "[npy]") {
  const auto values = [](const std::string& type, const std::string& data, int version = 1) {
    const Table table = read_table(file_of(dict(type, "(2, 2)"), data, version), wanting(2));
    INFO(table.what());
    CHECK_FALSE(table.error);
    return table.features;
  };
  const std::vector<float> expected{1, 2, 3, 4};
  CHECK(values("<f4", raw<float>({1, 2, 3, 4})) == expected);
  CHECK(values("<f4", raw<float>({1, 2, 3, 4}), 2) == expected);
  CHECK(values("<f4", raw<float>({1, 2, 3, 4}), 3) == expected);
  CHECK(values("<f8", raw<double>({1, 2, 3, 4})) == expected);
  CHECK(values("<i4", raw<std::int32_t>({1, 2, 3, 4})) == expected);
  CHECK(values("<i8", raw<std::int64_t>({1, 2, 3, 4})) == expected);
  CHECK(values("|u1", raw<std::uint8_t>({1, 2, 3, 4})) == expected);
  CHECK(values("|b1", raw<std::uint8_t>({1, 0, 0, 9})) == std::vector<float>{1, 0, 0, 1});
  CHECK(values("<i4", raw<std::int32_t>({-1, 16777217, -2147483647 - 1, 0})) ==
        std::vector<float>{-1, 16777216, -2147483648.0F, 0});
}

TEST_CASE("npy: the target column is taken out, with class indices checked", "[npy]") {
  const std::string bytes = file_of(dict("<f8", "(2, 3)"), raw<double>({1, 0, 2, 3, 1, 4}));
  const Table table = read_table(bytes, wanting(2, "1", {"no", "yes"}));
  CHECK(table.features == std::vector<float>{1, 2, 3, 4});
  CHECK(table.targets == std::vector<double>{0, 1});
  CHECK(read_table(bytes, wanting(2, "-1")).targets == std::vector<double>{2, 4});
  const Table refused = read_table(bytes, wanting(2, "2", {"no", "yes"}));
  check_error(refused, "the target '2' is not a class index in [0, 1]");
  CHECK(refused.where() == "rows.csv[0, 2]");
  check_error(read_table(bytes, wanting(2, "label")),
              "the target 'label' is not one of the array's 3 columns");
  // Class names that are numbers are what the numbers mean.
  CHECK(read_table(bytes, wanting(2, "-1", {"4", "2"})).targets == std::vector<double>{1, 0});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Table missing =
      read_table(file_of(dict("<f8", "(1, 2)"), raw<double>({nan, nan})), wanting(1, "1", {"a"}));
  REQUIRE(missing.rows == 1);
  CHECK((std::isnan(missing.features[0]) && std::isnan(missing.targets[0])));
}

TEST_CASE("npy: a one-dimensional array is rows of one feature and nothing else", "[npy]") {
  const std::string bytes = file_of(dict("<f4", "(3,)"), raw<float>({1, 2, 3}));
  CHECK(read_table(bytes, wanting(1)).features == std::vector<float>{1, 2, 3});
  check_error(read_table(bytes, wanting(3)), "the array has shape [3], expected 3 columns: 3 features");
}

TEST_CASE("npy: arrays of another shape, order or dtype say what to save instead", "[npy]") {
  const auto refused = [](const std::string& header) { return read_table(file_of(header, ""), wanting(2)); };
  check_error(refused(dict("<f4", "(1, 3)")), "the array has shape [1, 3], expected 2 columns: 2 features");
  check_error(refused(dict("<f4", "()")), "the array has 0 dimensions");
  check_error(refused(dict("<f4", "(1, 2, 3)")), "the array has 3 dimensions");
  check_error(refused(dict("<f4", "(0, 2)")), "the array has no rows");
  check_error(refused(dict(">f4", "(1, 2)")), "dtype '>f4' is big endian");
  CHECK(refused(dict(">f4", "(1, 2)")).hint().find("astype('<f4')") != std::string::npos);
  for (const char* type : {"<f2", "<u4", "|S5", "|O", "<c8", "f4", "=f4", "<b1", ""}) {
    check_error(refused(dict(type, "(1, 2)")), fmt::format("dtype '{}' is not supported", type));
  }
  check_error(refused("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2)}"),
              "the array is in Fortran order (column by column)");
}

TEST_CASE("npy: an infinite value is refused at its row and column", "[npy]") {
  const float infinity = std::numeric_limits<float>::infinity();
  const Table single =
      read_table(file_of(dict("<f4", "(2, 2)"), raw<float>({1, 2, 3, -infinity})), wanting(2));
  check_error(single, "-inf is not a finite float32");
  CHECK(single.where() == "rows.csv[1, 1]");
  CHECK(single.rows == 1);
  check_error(read_table(file_of(dict("<f8", "(1, 1)"), raw<double>({1e39})), wanting(1)),
              "1e+39 is not a finite float32");
}

TEST_CASE("npy: a header that is no strict dict literal is refused", "[npy]") {
  for (const char* header : {"",
                             "{",
                             "{}",
                             "x",
                             "{'descr': '<f4'}",
                             "{'descr': '<f4', 'fortran_order': False}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)",
                             "{'descr': '<f4' 'fortran_order': False, 'shape': (1, 2)}",
                             "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'more': 1}",
                             "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2L)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616, 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': [1, 2]}",
                             "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 2)}",
                             "{'descr': '<\\x66', 'fortran_order': False, 'shape': (1, 2)}",
                             "{'descr': '<f4",
                             "{,'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}"}) {
    INFO(header);
    const Result<NpyHeader> parsed = parse_npy_header(header, "x.npy");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::bad_data);
    CHECK(parsed.error().where == "x.npy: header");
  }
}

TEST_CASE("npy: any order, spacing and quotes of a dict literal are read", "[npy]") {
  const NpyHeader expected{.type = NpyType::f8, .shape = {3, 4}};
  for (const char* header : {"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  \n",
                             "{\"shape\":(3,4,),\"descr\":\"<f8\",\"fortran_order\":False}",
                             " { 'fortran_order' : False , 'shape' : ( 3 , 4 ) , 'descr' : '<f8' } "}) {
    INFO(header);
    CHECK(parse_npy_header(header, "x.npy") == expected);
  }
}

TEST_CASE("npy: a file that is cut off says how many rows it promised and has", "[npy]") {
  const std::string bytes = file_of(dict("<f4", "(5, 2)"), raw<float>({1, 2, 3, 4, 5}));
  // On a pipe the rows that came are delivered first; a file's size is known before.
  const Table pipe = read_table(bytes, wanting(2));
  check_error(pipe, "the header promises 5 rows, the file has 2");
  CHECK(pipe.rows == 2);
  const Table file = read_table(bytes, wanting(2), {.as_file = true});
  check_error(file, "the header promises 5 rows, the file has 2");
  CHECK(file.rows == 0);
  for (std::size_t size = 6; size < 40; ++size) {
    check_error(read_table(bytes.substr(0, size), wanting(2)), "the file ends within its header");
  }
}

TEST_CASE("npy: bytes behind the array are refused", "[npy]") {
  const std::string bytes = file_of(dict("<f4", "(1, 1)"), raw<float>({1})) + "more";
  check_error(read_table(bytes, wanting(1)), "bytes follow the array's 1 rows");
  CHECK(read_table(bytes, wanting(1)).rows == 1);
  check_error(read_table(bytes, wanting(1), {.as_file = true}), "4 bytes follow the array's 1 rows");
}

TEST_CASE("npy: huge promises cost nothing", "[npy]") {
  const std::string bytes = file_of(dict("<f8", "(18446744073709551615, 2)"), raw<double>({1, 2}));
  check_error(read_table(bytes, wanting(2)), "the header promises 18446744073709551615 rows, the file has 1");
  check_error(read_table(bytes, wanting(2), {.as_file = true}),
              "the header promises 18446744073709551615 rows, the file has 1");
  check_error(read_table(file_of(dict("<f8", "(2, 18446744073709551615)"), ""), wanting(2)),
              "the array has shape [2, 18446744073709551615], expected 2 columns: 2 features");
  std::string header(8, '\0');
  std::memcpy(header.data(), "\x93NUMPY\x02", 7);
  check_error(read_table(header + "\xff\xff\xff\xff", wanting(2)),
              "the header is 4294967295 bytes long, 65536 is the limit");
}

TEST_CASE("npy: unknown versions and a wrong magic are refused", "[npy]") {
  check_error(read_table(std::string("\x93NUMPY\x04\x00\x00\x00", 10), wanting(1)),
              "NPY version 4.0 is unknown");
  check_error(read_table(std::string("\x93NUMPY\x01\x01\x00\x00", 10), wanting(1)),
              "NPY version 1.1 is unknown");
  check_error(read_table("1,2\n", wanting(2)), "the file does not begin as an NPY file does");
  check_error(read_table("\x93NUM", wanting(2)), "the file does not begin as an NPY file does");
}

TEST_CASE("npy: the magic is enough, whatever the path is called", "[npy]") {
  const TableRequest request{.path = "-", .features = 1, .feature_names = {}, .target = "", .classes = {}};
  CHECK(read_table(file_of(dict("<f4", "(2,)"), raw<float>({1, 2})), request).features ==
        std::vector<float>{1, 2});
}

TEST_CASE("npy: rows are the same however the bytes come and the chunks are cut", "[npy]") {
  std::string data;
  for (int value = 0; value < 500; ++value) data += raw<double>({value * 0.5});
  const std::string bytes = file_of(dict("<f8", "(100, 5)"), data);
  const Table whole = read_table(bytes, wanting(4, "2"));
  REQUIRE(whole.rows == 100);
  CHECK(whole.targets[99] == 497 * 0.5);
  for (std::size_t piece = 1; piece < 100; piece += 7) {
    const Way way{
        .piece = piece, .buffer = 1 + piece % 13, .rows_max = static_cast<std::uint32_t>(1 + piece % 9)};
    CHECK(same(read_table(bytes, wanting(4, "2"), way), whole));
  }
}

TEST_CASE("npy: the header's rows are the estimate", "[npy]") {
  auto reader = open_table(memory(file_of(dict("<f4", "(2,)"), raw<float>({1, 2}))), wanting(1), {});
  REQUIRE(reader);
  CHECK((*reader)->rows_estimated() == 2);
}
