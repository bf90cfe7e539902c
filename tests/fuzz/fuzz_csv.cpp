// Any bytes as a CSV: never a crash, every error has its place, and the result doesn't depend on how the
// bytes come (pieces, buffer) nor on how the rows are asked for (chunks).
//
//   input: [features, header, target][piece][buffer][rows a chunk][line limit] then the file
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/unit/table_support.hpp"

using namespace tutti;
using namespace tutti::table;

namespace {

constexpr std::size_t kSettings = 5;

void require(bool holds) {
  if (!holds) std::abort();
}

/// "rows.csv:LINE:COLUMN", both from 1; or only the file's name where no row is to blame.
bool is_place(const std::string& where) {
  const std::string name = "rows.csv";
  if (where == name) return true;
  if (!where.starts_with(name + ":")) return false;
  char* end = nullptr;
  const unsigned long line = std::strtoul(where.c_str() + name.size() + 1, &end, 10);
  if (*end != ':' || line == 0) return false;
  return std::strtoul(end + 1, &end, 10) > 0 && *end == '\0';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kSettings) return 0;
  TableRequest request{
      .path = "rows.csv", .features = 1U + data[0] % 4, .feature_names = {}, .target = "", .classes = {}};
  const bool has_names = (data[0] & 4) != 0;
  if (has_names) request.feature_names = {"a", "b", "c", "d"};
  request.feature_names.resize(has_names ? request.features : 0);
  if ((data[0] & 8) != 0) request.target = has_names || (data[0] & 16) != 0 ? "y" : "-1";
  if ((data[0] & 32) != 0) request.classes = {"no", "yes"};
  if ((data[0] & 64) != 0) request.classes = {"2", "1"};
  const Way pieces{.piece = 1U + data[1],
                   .buffer = 1U + data[2],
                   .rows_max = 1U + data[3],
                   .line_bytes_max = std::size_t{16} << data[4] % 16,
                   .as_file = (data[0] & 128) != 0};
  const Way whole{.buffer = 4096, .line_bytes_max = pieces.line_bytes_max};
  const std::string bytes(reinterpret_cast<const char*>(data) + kSettings, size - kSettings);
  // The content decides the format: these bytes are an array, and fuzz_npy's.
  if (bytes.starts_with("\x93NUMPY")) return 0;

  const Table expected = read_table(bytes, request, whole);
  require(same(read_table(bytes, request, pieces), expected));
  require(expected.features.size() == expected.rows * request.features);
  require(expected.targets.size() == (request.target.empty() ? 0 : expected.rows));
  require(expected.error.has_value() || expected.rows > 0);
  if (expected.error) {
    require(expected.error->code == Errc::bad_data && is_place(expected.error->where));
    require(!expected.error->what.empty() && !expected.error->hint.empty());
  }
  for (const float value : expected.features) require(!std::isinf(value));
  return 0;
}
