#include "supervisor/data/npy_header.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "supervisor/data/quote.hpp"

namespace tutti::table {
namespace {

constexpr std::size_t kDimensionsMax = 32;  // of NumPy; more are counted no further

/// What the dict says, before it is judged.
struct RawHeader {
  std::optional<std::string_view> type;
  std::optional<bool> fortran;
  std::optional<std::vector<std::uint64_t>> shape;
};

/// A cursor over the literal. A method that fails leaves `failed` and the place where it failed; later calls
/// then do nothing, so the grammar below reads as a grammar.
class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }

  bool fail() noexcept {
    failed_ = true;
    return false;
  }

  void skip_spaces() noexcept {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  /// Takes `token` if it comes next.
  bool take(std::string_view token) noexcept {
    skip_spaces();
    if (failed_ || !text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  void expect(std::string_view token) noexcept {
    if (!failed_ && !take(token)) fail();
  }

  /// A string without escapes, in either quote.
  std::string_view string() noexcept {
    skip_spaces();
    if (failed_ || at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return fail(), "";
    const std::size_t close = text_.find(text_[at_], at_ + 1);
    if (close == std::string_view::npos) return fail(), "";
    const std::string_view inside = text_.substr(at_ + 1, close - at_ - 1);
    if (inside.find('\\') != std::string_view::npos) return fail(), "";
    at_ = close + 1;
    return inside;
  }

  bool boolean() noexcept {
    if (take("True")) return true;
    if (!take("False")) fail();
    return false;
  }

  std::uint64_t integer() noexcept {
    skip_spaces();
    std::uint64_t value = 0;
    const char* const from = text_.data() + at_;
    const auto [stop, code] = std::from_chars(from, text_.data() + text_.size(), value);
    if (failed_ || code != std::errc{}) return fail(), 0;
    at_ += static_cast<std::size_t>(stop - from);
    return value;
  }

  /// "()", "(3,)", "(3, 4)" or "(3, 4,)"; "(3)" is an integer in Python, not a tuple.
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> values;
    expect("(");
    bool comma = true;
    while (!failed_ && !take(")")) {
      if (!comma || values.size() == kDimensionsMax) return fail(), values;
      values.push_back(integer());
      comma = take(",");
      if (!comma && values.size() == 1) fail();
    }
    return values;
  }

  [[nodiscard]] bool at_end() noexcept {
    skip_spaces();
    return at_ == text_.size();
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

Error bad_header(const std::string& name, std::string what, std::string hint) {
  return {
      .code = Errc::bad_data, .what = std::move(what), .where = name + ": header", .hint = std::move(hint)};
}

/// Reads one "key: value" pair; a key that is unknown or comes twice fails.
void read_pair(Literal& literal, RawHeader& header) {
  const std::string_view key = literal.string();
  literal.expect(":");
  if (literal.failed()) return;
  if (key == "descr" && !header.type) {
    header.type = literal.string();
  } else if (key == "fortran_order" && !header.fortran) {
    header.fortran = literal.boolean();
  } else if (key == "shape" && !header.shape) {
    header.shape = literal.tuple();
  } else {
    literal.fail();
  }
}

Result<RawHeader> read_dict(std::string_view text, const std::string& name) {
  Literal literal(text);
  RawHeader header;
  literal.expect("{");
  bool comma = true;
  while (!literal.failed() && !literal.take("}")) {
    if (!comma) {
      literal.fail();
      break;
    }
    read_pair(literal, header);
    comma = literal.take(",");
  }
  if (!literal.failed() && !literal.at_end()) literal.fail();
  if (literal.failed() || !header.type || !header.fortran || !header.shape) {
    return std::unexpected(bad_header(
        name,
        literal.failed()
            ? fmt::format("the header is not a dict of 'descr', 'fortran_order' and 'shape': byte {} "
                          "of it is unexpected in {}",
                          literal.at(), quote(text))
            : fmt::format("the header lacks 'descr', 'fortran_order' or 'shape': {}", quote(text)),
        "write the file with numpy.save; structured dtypes can't be read"));
  }
  return header;
}

std::optional<NpyType> type_named(std::string_view type) noexcept {
  if (type == "<f4") return NpyType::f4;
  if (type == "<f8") return NpyType::f8;
  if (type == "<i4") return NpyType::i4;
  if (type == "<i8") return NpyType::i8;
  if (type == "|u1") return NpyType::u1;
  if (type == "|b1") return NpyType::b1;
  return std::nullopt;
}

}  // namespace

std::size_t bytes_of(NpyType type) noexcept {
  switch (type) {
    case NpyType::f4:
    case NpyType::i4:
      return 4;
    case NpyType::f8:
    case NpyType::i8:
      return 8;
    case NpyType::u1:
    case NpyType::b1:
      return 1;
  }
  return 1;
}

Result<NpyHeader> parse_npy_header(std::string_view text, const std::string& name) {
  const Result<RawHeader> header = read_dict(text, name);
  if (!header) return std::unexpected(header.error());
  const std::optional<NpyType> type = type_named(*header->type);
  if (!type) {
    const bool big = header->type->starts_with('>');
    return std::unexpected(bad_header(
        name, fmt::format("dtype {} {}", quote(*header->type), big ? "is big endian" : "is not supported"),
        big ? "save the array as little endian: array.astype('<f4')"
            : "f4, f8, i4, i8, u1 and b1 are; save array.astype('<f4')"));
  }
  if (*header->fortran) {
    return std::unexpected(bad_header(name, "the array is in Fortran order (column by column)",
                                      "save numpy.ascontiguousarray(array)"));
  }
  if (header->shape->empty() || header->shape->size() > 2) {
    return std::unexpected(bad_header(name, fmt::format("the array has {} dimensions", header->shape->size()),
                                      "rows need two dimensions: [rows][columns]"));
  }
  return NpyHeader{.type = *type, .shape = *header->shape};
}

}  // namespace tutti::table
