#include "worker/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"

namespace tutti {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::string_view kMetadata = "__metadata__";

std::unexpected<Error> bad(std::string what, std::string_view where, std::string_view place,
                           std::string hint) {
  return std::unexpected(
      Error{.code = Errc::bad_model,
            .what = std::move(what),
            .where = place.empty() ? std::string(where) : fmt::format("{}: {}", where, place),
            .hint = std::move(hint)});
}

constexpr std::string_view kDamaged =
    "the file is damaged or was not written as safetensors; export it again";

/// Bytes of one number of that type, if the format has it and its numbers take whole bytes.
std::optional<std::uint64_t> bytes_of(std::string_view dtype) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 17> kTypes{{
      {"BOOL", 1},
      {"U8", 1},
      {"I8", 1},
      {"F8_E5M2", 1},
      {"F8_E4M3", 1},
      {"F8_E8M0", 1},
      {"U16", 2},
      {"I16", 2},
      {"F16", 2},
      {"BF16", 2},
      {"U32", 4},
      {"I32", 4},
      {"F32", 4},
      {"U64", 8},
      {"I64", 8},
      {"F64", 8},
      {"C64", 8},
  }};
  const auto found = std::ranges::find(kTypes, dtype, &std::pair<std::string_view, std::uint64_t>::first);
  if (found == kTypes.end()) return std::nullopt;
  return found->second;
}

std::optional<std::uint64_t> product(std::uint64_t left, std::uint64_t right) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(left, right, &result)) return std::nullopt;
  return result;
}

/// A JSON array of unsigned integers, at most `length_max` long.
std::optional<std::vector<std::uint64_t>> unsigned_list(const Json& entry, std::string_view key,
                                                        std::size_t length_max) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array() || list->size() > length_max) return std::nullopt;
  std::vector<std::uint64_t> numbers;
  for (const Json& number : *list) {
    if (!number.is_number_unsigned()) return std::nullopt;
    numbers.push_back(number.get<std::uint64_t>());
  }
  return numbers;
}

/// One tensor's entry, checked against itself and the buffer; neighbours are checked by check_cover().
Result<Tensor> read_tensor(const Json& entry, std::span<const std::byte> buffer, std::string_view where,
                           const std::string& place) {
  if (!entry.is_object()) return bad("is not an object", where, place, std::string(kDamaged));
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string())
    return bad("has no dtype", where, place, std::string(kDamaged));
  Tensor tensor{.dtype = dtype->get<std::string>(), .shape = {}, .count = 1, .bytes = {}};
  const std::optional<std::uint64_t> width = bytes_of(tensor.dtype);
  if (!width) {
    return bad(fmt::format("dtype '{}' is not known", one_line(tensor.dtype, kNameMax)), where, place,
               "store the tensor as F32 or F64");
  }
  const auto shape = unsigned_list(entry, "shape", kSafetensorsRankMax);
  if (!shape) {
    return bad(fmt::format("shape is not a list of at most {} unsigned integers", kSafetensorsRankMax), where,
               place, std::string(kDamaged));
  }
  const auto offsets = unsigned_list(entry, "data_offsets", 2);
  if (!offsets || offsets->size() != 2) {
    return bad("data_offsets is not a list of 2 unsigned integers", where, place, std::string(kDamaged));
  }
  const std::uint64_t begin = (*offsets)[0];
  const std::uint64_t end = (*offsets)[1];
  if (begin > end || end > buffer.size()) {
    return bad(
        fmt::format("data_offsets [{}, {}] lie outside the buffer of {} bytes", begin, end, buffer.size()),
        where, place, "the file is cut short or damaged; copy or export it again");
  }
  std::optional<std::uint64_t> count = 1;
  for (const std::uint64_t dimension : *shape) count = count ? product(*count, dimension) : count;
  const std::optional<std::uint64_t> bytes = count ? product(*count, *width) : count;
  if (!bytes || *bytes != end - begin) {
    return bad(fmt::format("shape [{}] of {} does not fill the {} bytes of its data_offsets",
                           comma_list(*shape), tensor.dtype, end - begin),
               where, place, std::string(kDamaged));
  }
  tensor.shape = *shape;
  tensor.count = *count;
  tensor.bytes = buffer.subspan(begin, end - begin);
  return tensor;
}

/// The format's rule: in the order of their offsets, tensors leave no hole, share no byte and end the buffer.
Result<void> check_cover(const std::map<std::string, Tensor, std::less<>>& tensors,
                         std::span<const std::byte> buffer, std::string_view where) {
  struct Range {
    std::size_t begin;
    std::size_t end;
    std::string_view name;
  };
  std::vector<Range> ranges;
  for (const auto& [name, tensor] : tensors) {
    const auto begin = static_cast<std::size_t>(tensor.bytes.data() - buffer.data());
    ranges.push_back({begin, begin + tensor.bytes.size(), name});
  }
  std::ranges::sort(ranges, [](const Range& left, const Range& right) {
    return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
  });
  std::size_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin != covered) {
      return bad(fmt::format("begins at byte {} of the buffer, but the tensor before it ends at {}",
                             range.begin, covered),
                 where, fmt::format("tensor '{}'", one_line(range.name, kNameMax)), std::string(kDamaged));
    }
    covered = range.end;
  }
  if (covered != buffer.size()) {
    return bad(fmt::format("{} bytes after the last tensor belong to none", buffer.size() - covered), where,
               "", std::string(kDamaged));
  }
  return {};
}

float widen_half(std::uint16_t bits) {
  const float sign = (bits & 0x8000U) != 0 ? -1.0F : 1.0F;
  const int exponent = bits >> 10 & 0x1F;
  const auto fraction = static_cast<float>(bits & 0x3FFU);
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity()
                         : std::numeric_limits<float>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024.0F + fraction, exponent - 25);
}

template <class Bits>
Bits bits_at(std::span<const std::byte> bytes, std::size_t index) {
  static_assert(std::endian::native == std::endian::little, "the format is little-endian");
  Bits bits{};
  std::memcpy(&bits, bytes.data() + index * sizeof(Bits), sizeof(Bits));
  return bits;
}

}  // namespace

Result<Safetensors> Safetensors::parse(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < kLengthBytes) {
    return bad(fmt::format("the file has {} bytes, too few for a safetensors header", file.size()), where, "",
               std::string(kDamaged));
  }
  const auto header_bytes = bits_at<std::uint64_t>(file, 0);
  if (header_bytes > file.size() - kLengthBytes || header_bytes > kSafetensorsHeaderMax) {
    return bad(
        fmt::format("the header claims {} bytes; the file has {} after its length, and {} are the limit",
                    header_bytes, file.size() - kLengthBytes, kSafetensorsHeaderMax),
        where, "", std::string(kDamaged));
  }
  const auto header_span = file.subspan(kLengthBytes, header_bytes);
  const std::span<const std::byte> buffer = file.subspan(kLengthBytes + header_bytes);
  const std::string_view header(reinterpret_cast<const char*>(header_span.data()), header_span.size());
  if (!header.starts_with('{'))
    return bad("the header does not begin with '{'", where, "", std::string(kDamaged));
  // Entries hold lists and nothing deeper.
  static constexpr std::size_t kHeaderDepth = 3;
  const Result<Json> json = parse_hostile_json(header, kHeaderDepth, fmt::format("{}: header", where));
  if (!json) return std::unexpected(json.error());

  Safetensors result;
  for (const auto& [name, entry] : json->items()) {
    if (name == kMetadata) {
      if (!entry.is_object()) return bad("is not an object", where, kMetadata, std::string(kDamaged));
      for (const auto& [key, text] : entry.items()) {
        if (!text.is_string()) {
          return bad("is not a text", where, fmt::format("{}.{}", kMetadata, one_line(key, kNameMax)),
                     "metadata holds texts only: write JSON as a string");
        }
        result.metadata_.emplace(key, text.get<std::string>());
      }
      continue;
    }
    Result<Tensor> tensor =
        read_tensor(entry, buffer, where, fmt::format("tensor '{}'", one_line(name, kNameMax)));
    if (!tensor) return std::unexpected(std::move(tensor.error()));
    result.tensors_.emplace(name, std::move(*tensor));
  }
  if (Result<void> cover = check_cover(result.tensors_, buffer, where); !cover)
    return std::unexpected(cover.error());
  return result;
}

const Tensor* Safetensors::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const std::string* Safetensors::metadata(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

bool is_float_type(std::string_view dtype) {
  return dtype == "F64" || dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

template <class T>
void read_numbers(const Tensor& tensor, std::span<T> numbers) {
  assert(is_float_type(tensor.dtype) && numbers.size() == tensor.count);
  const auto copy = [&]<class Bits>(Bits, auto widen) {
    for (std::size_t index = 0; index < numbers.size(); ++index) {
      numbers[index] = static_cast<T>(widen(bits_at<Bits>(tensor.bytes, index)));
    }
  };
  if (tensor.dtype == "F64") {
    copy(double{}, std::identity{});
  } else if (tensor.dtype == "F32") {
    copy(float{}, std::identity{});
  } else if (tensor.dtype == "F16") {
    copy(std::uint16_t{}, widen_half);
  } else {
    copy(std::uint16_t{}, [](std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); });
  }
}

template void read_numbers<float>(const Tensor&, std::span<float>);
template void read_numbers<double>(const Tensor&, std::span<double>);

Result<Json> parse_hostile_json(std::string_view text, std::size_t depth_max, std::string_view where) {
  struct Stop {
    std::string what;
  };
  std::vector<std::set<std::string>> keys;  // of each object that is open
  std::size_t depth = 0;
  // The library's parser keeps its own stack on the heap; ending it early is all that bounds the depth.
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (++depth > depth_max) throw Stop{fmt::format("is nested deeper than {} levels", depth_max)};
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end || event == Json::parse_event_t::array_end) {
      --depth;
      if (event == Json::parse_event_t::object_end) keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        throw Stop{fmt::format("holds the key '{}' twice", one_line(key, kNameMax))};
      }
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Stop& stop) {
    return bad(stop.what, where, "", "write the JSON again, with a library");
  } catch (const Json::parse_error& error) {
    return bad(fmt::format("is not valid JSON at byte {}", error.byte), where, "",
               "write the JSON again, with a library");
  } catch (const Json::exception&) {
    return bad("holds a number that is out of range", where, "", "write the JSON again, with a library");
  }
}

}  // namespace tutti
