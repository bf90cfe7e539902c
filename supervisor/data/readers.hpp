// Between the parts of the readers: how open_table() is made of them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "shared/error.hpp"
#include "shared/limits.hpp"
#include "supervisor/data/bytes.hpp"
#include "supervisor/data/table.hpp"

namespace tutti::table {

struct ReadOptions {
  std::size_t buffer_bytes = 256UZ * 1024;
  std::size_t line_bytes_max = kCsvLineBytesMax;
};

/// open_table() on any source; request.path only decides what its ending says.
Result<std::unique_ptr<TableReader>> open_table(std::unique_ptr<ByteSource> source,
                                                const TableRequest& request, const ReadOptions& options);

Result<std::unique_ptr<TableReader>> open_csv(ByteBuffer buffer, const TableRequest& request,
                                              const ReadOptions& options);
Result<std::unique_ptr<TableReader>> open_npy(ByteBuffer buffer, const TableRequest& request);

}  // namespace tutti::table
