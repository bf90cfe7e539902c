// Answers as one NPY array. Its header counts the rows, which are known only at the end:
//
//   a file   [header: 0 rows][rows…] as they come, then the header is patched
//   a pipe   rows are kept, up to a limit, then [header][rows…] leave at once
#include <fmt/format.h>

#include <bit>
#include <utility>

#include "supervisor/data/sinks.hpp"

namespace tutti::table {
namespace {

static_assert(std::endian::native == std::endian::little, "rows are written as they stand");

/// 128 bytes, a multiple of 64 as NumPy wants it: room for any row count.
std::string npy_header(std::uint64_t rows, std::uint32_t outputs, bool matrix) {
  constexpr std::size_t kHeaderBytes = 128;
  constexpr std::size_t kPreamble = 10;  // magic, version 1.0, the length in two bytes
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(kHeaderBytes - kPreamble);
  header += '\0';
  header += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},{}), }}", rows,
                        matrix ? fmt::format(" {}", outputs) : "");
  header.resize(kHeaderBytes - 1, ' ');
  return header + '\n';
}

class NpySink final : public AnswerSink {
 public:
  NpySink(std::unique_ptr<OutputFile> file, std::uint32_t outputs, bool matrix, std::uint64_t held_bytes_max)
      : file_(std::move(file)), outputs_(outputs), matrix_(matrix), held_bytes_max_(held_bytes_max) {
    file_->block() += npy_header(0, outputs_, matrix_);
    header_bytes_ = file_->block().size();
  }
  ~NpySink() override { static_cast<void>(finish(Ending::cut_short)); }

  Result<void> write(const AnswerRows& rows) override {
    check_rows(rows, written_, outputs_);
    if (!file_->is_regular() && (written_ + rows.rows) * row_bytes() > held_bytes_max_) {
      return std::unexpected(
          Error{.code = Errc::system,
                .what = fmt::format("more than {} bytes of rows for an NPY array on a pipe", held_bytes_max_),
                .where = fmt::format("row {}", written_),
                .hint = "its header comes first and counts the rows: write to a file, or as csv or jsonl"});
    }
    for (std::uint32_t row = 0; row < rows.rows; ++row) {
      const auto answer = std::as_bytes(rows.answer.subspan(std::size_t{row} * outputs_, outputs_));
      file_->block().append(reinterpret_cast<const char*>(answer.data()), answer.size());
      ++written_;
      if (!file_->is_regular()) continue;
      if (Result<void> ended = file_->end_block(); !ended) return ended;
    }
    return {};
  }

  [[nodiscard]] std::string kept_in() const override { return file_->kept_in(); }

 private:
  Result<void> end(Ending ending) override { return finish(ending); }

  Result<void> finish(Ending ending) {
    if (!std::exchange(closed_, true)) count_rows();
    return file_->close(ending);
  }

  [[nodiscard]] std::uint64_t row_bytes() const noexcept { return std::uint64_t{outputs_} * sizeof(float); }

  /// Gives the header its row count: of the rows that are in the file, should the disk be full.
  void count_rows() {
    if (!file_->is_regular()) {
      file_->block().replace(0, header_bytes_, npy_header(written_, outputs_, matrix_));
      return;
    }
    static_cast<void>(file_->flush());
    if (file_->flushed() < header_bytes_) return;  // not even the header: close() reports it
    const std::uint64_t rows = (file_->flushed() - header_bytes_) / row_bytes();
    static_cast<void>(file_->patch(0, npy_header(rows, outputs_, matrix_)));
  }

  std::unique_ptr<OutputFile> file_;
  std::uint32_t outputs_;
  bool matrix_;
  std::uint64_t held_bytes_max_;
  std::size_t header_bytes_ = 0;
  std::uint64_t written_ = 0;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<AnswerSink> make_npy_sink(std::unique_ptr<OutputFile> file, std::uint32_t outputs,
                                          bool matrix, std::uint64_t held_bytes_max) {
  return std::make_unique<NpySink>(std::move(file), outputs, matrix, held_bytes_max);
}

}  // namespace tutti::table
