#include "worker/onnx.hpp"

#include "worker/file.hpp"
#include "worker/onnx/assemble.hpp"

namespace tutti {

Result<std::unique_ptr<Model>> parse_onnx(std::span<const std::byte> bytes, const ModelSource& source) {
  const std::string name = file_name(source.path);
  const Result<onnx::File> file = onnx::read_file(bytes, name);
  if (!file) return std::unexpected(file.error());
  return onnx::assemble(*file, source);
}

Result<std::unique_ptr<Model>> load_onnx(const ModelSource& source) {
  const Result<FileBytes> bytes = read_model_file(source.path);
  if (!bytes) return std::unexpected(bytes.error());
  return parse_onnx(bytes->view(), source);
}

}  // namespace tutti
