#include "supervisor/copy_in.hpp"

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tutti {

void copy_in(void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__SSE2__)
  constexpr std::size_t kNonTemporalFrom = 16UZ * 1024;
  // Measured: on AMD (Zen 4) non-temporal stores are 2 to 8 times as fast for the reader, since dirty lines
  // in another core's cache are dear there; on Intel (Xeon, shared L3) they take 1.4 times as long as plain
  // ones.
  static const bool non_temporal = __builtin_cpu_is("amd") != 0;
  if (non_temporal && bytes >= kNonTemporalFrom) {
    auto* target = static_cast<__m128i*>(to);
    const auto* source = static_cast<const __m128i*>(from);
    const std::size_t blocks = bytes / (4 * sizeof(__m128i));
    for (std::size_t i = 0; i < blocks; ++i, target += 4, source += 4) {
      const __m128i a = _mm_loadu_si128(source);
      const __m128i b = _mm_loadu_si128(source + 1);
      const __m128i c = _mm_loadu_si128(source + 2);
      const __m128i d = _mm_loadu_si128(source + 3);
      _mm_stream_si128(target, a);
      _mm_stream_si128(target + 1, b);
      _mm_stream_si128(target + 2, c);
      _mm_stream_si128(target + 3, d);
    }
    std::memcpy(target, source, bytes % (4 * sizeof(__m128i)));
    _mm_sfence();
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}

}  // namespace tutti
