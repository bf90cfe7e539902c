// Any bytes as an NPY file: never a crash, never an allocation that the header promises and the bytes don't
// keep, and the result doesn't depend on how the bytes come.
//
//   input: [features, target][piece][buffer][rows a chunk] then the file, behind a magic of our own
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "supervisor/data/npy_header.hpp"
#include "tests/unit/table_support.hpp"

using namespace tutti;
using namespace tutti::table;

namespace {

constexpr std::size_t kSettings = 4;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kSettings) return 0;
  TableRequest request{
      .path = "rows.npy", .features = 1U + data[0] % 4, .feature_names = {}, .target = "", .classes = {}};
  if ((data[0] & 4) != 0) request.target = (data[0] & 8) != 0 ? "0" : "-1";
  if ((data[0] & 16) != 0) request.classes = {"no", "yes"};
  Way pieces{.piece = 1U + data[1], .buffer = 1U + data[2], .rows_max = 1U + data[3]};
  const std::string bytes =
      std::string(kNpyMagic) + std::string(reinterpret_cast<const char*>(data) + kSettings, size - kSettings);

  const Table expected = read_table(bytes, request, {.buffer = 4096});
  require(same(read_table(bytes, request, pieces), expected));
  require(expected.features.size() == expected.rows * request.features);
  require(expected.error.has_value() || expected.rows > 0);
  if (expected.error) {
    require(expected.error->code == Errc::bad_data);
    require(!expected.error->what.empty() && !expected.error->where.empty() && !expected.error->hint.empty());
  }
  for (const float value : expected.features) require(!std::isinf(value));

  // Of a file the size is known: an error may come earlier, but rows that come are the same.
  pieces.as_file = true;
  const Table file = read_table(bytes, request, pieces);
  require(file.error.has_value() == expected.error.has_value());
  require(same_values<float>(file.features, std::span(expected.features).first(file.features.size())));
  return 0;
}
