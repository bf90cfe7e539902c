// What the tests of tables share: a whole table read from memory, in pieces and chunks of any size.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/data/readers.hpp"

namespace tutti::table {

/// How the bytes come and how the rows are asked for.
struct Way {
  std::size_t piece = SIZE_MAX;     // bytes of one read of the source
  std::size_t buffer = 256 * 1024;  // the buffer's first size
  std::uint32_t rows_max = 1024;    // of one chunk
  std::size_t line_bytes_max = kCsvLineBytesMax;
  bool as_file = false;
};

struct Table {
  std::vector<float> features;
  std::vector<double> targets;
  std::uint64_t rows = 0;
  std::optional<Error> error;

  [[nodiscard]] std::string where() const { return error ? error->where : "no error"; }
  [[nodiscard]] std::string what() const { return error ? error->what : "no error"; }
  [[nodiscard]] std::string hint() const { return error ? error->hint : "no error"; }
};

/// All rows up to the end or the first error.
inline Table drain(Result<std::unique_ptr<TableReader>> reader, std::uint32_t rows_max = 1024) {
  Table table;
  TableChunk chunk;
  if (!reader) table.error = reader.error();
  while (!table.error) {
    const Result<void> read = (*reader)->read(rows_max, chunk);
    table.rows += chunk.rows;
    table.features.insert(table.features.end(), chunk.features.begin(), chunk.features.end());
    table.targets.insert(table.targets.end(), chunk.targets.begin(), chunk.targets.end());
    if (!read) table.error = read.error();
    if (chunk.rows == 0) break;
  }
  return table;
}

inline std::unique_ptr<ByteSource> memory(std::string bytes, const Way& way = {}) {
  return std::make_unique<MemorySource>(
      std::move(bytes),
      MemorySource::Options{.name = "rows.csv", .piece = way.piece, .as_file = way.as_file});
}

inline Table read_table(std::string bytes, const TableRequest& request, const Way& way = {}) {
  return drain(open_table(memory(std::move(bytes), way), request,
                          {.buffer_bytes = way.buffer, .line_bytes_max = way.line_bytes_max}),
               way.rows_max);
}

/// Equal, and NaN where the other is NaN.
template <class T>
bool same_values(std::span<const T> left, std::span<const T> right) {
  return std::ranges::equal(left, right, [](T a, T b) { return a == b || (std::isnan(a) && std::isnan(b)); });
}

/// Equal up to NaN, in rows, values and error.
inline bool same(const Table& left, const Table& right) {
  return left.rows == right.rows && left.error == right.error &&
         same_values<float>(left.features, right.features) &&
         same_values<double>(left.targets, right.targets);
}

/// A directory of its own, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "tutti-data-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) == nullptr ? "" : name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace tutti::table
