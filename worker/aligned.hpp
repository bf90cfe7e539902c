// Memory that vectors are loaded from.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

#include "shared/limits.hpp"

namespace tutti {

/// What vectors are loaded from begins at a cache line.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>& /*other*/) noexcept {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLine}));
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    ::operator delete(memory, count * sizeof(T), std::align_val_t{kCacheLine});
  }
  bool operator==(const CacheLineAllocator& /*other*/) const = default;
};
template <class T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace tutti
