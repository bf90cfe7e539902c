#include "supervisor/data/table.hpp"

#include <cassert>
#include <utility>

#include "supervisor/data/npy_header.hpp"
#include "supervisor/data/readers.hpp"

namespace tutti {
namespace table {

Result<std::unique_ptr<TableReader>> open_table(std::unique_ptr<ByteSource> source,
                                                const TableRequest& request, const ReadOptions& options) {
  assert(request.features > 0 && request.features <= kFeaturesMax);
  assert(request.feature_names.empty() || request.feature_names.size() == request.features);
  ByteBuffer buffer(std::move(source), options.buffer_bytes);
  // As many bytes as it takes to tell; a CSV usually shows with its first.
  while (buffer.view().size() < kNpyMagic.size() && kNpyMagic.starts_with(buffer.view())) {
    const Result<bool> more = buffer.more();
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
  }
  if (buffer.view().starts_with(kNpyMagic)) return open_npy(std::move(buffer), request);
  if (request.path.ends_with(".npy")) {
    return std::unexpected(Error{.code = Errc::bad_data,
                                 .what = "the file does not begin as an NPY file does",
                                 .where = buffer.source().name(),
                                 .hint = "write it with numpy.save, or name a CSV file *.csv"});
  }
  return open_csv(std::move(buffer), request, options);
}

}  // namespace table

Result<std::unique_ptr<TableReader>> open_table(const TableRequest& request) {
  Result<std::unique_ptr<table::ByteSource>> source = table::open_source(request.path);
  if (!source) return std::unexpected(std::move(source.error()));
  return table::open_table(std::move(*source), request, {});
}

}  // namespace tutti
