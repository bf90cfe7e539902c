// From ranks by row to ranks by plane, sixteen rows at a time.
//
// Interleaving the bytes of vector i with those of vector i + 8, for all eight pairs, is one step of a
// perfect shuffle; four of them turn sixteen rows of sixteen bytes over. Wider vectors do so in each of their
// lanes.
//
// An instruction set says (struct Lanes): Bytes, kPlanes = sixteen times the lanes, load, low and high (the
// two halves of an interleaving), store(bytes, columns of the first lane, distance to the next lane's).
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

template <class Lanes>
void transpose_all(const std::uint8_t* bytes, std::uint32_t stride, std::uint32_t rows, std::uint32_t planes,
                   std::uint8_t* columns, std::uint32_t shift) {
  using Bytes = typename Lanes::Bytes;
  for (std::uint32_t first = 0; first < rows; first += 16) {
    for (std::uint32_t plane = 0; plane < planes; plane += Lanes::kPlanes) {
      Bytes from[16];
      for (std::uint32_t row = 0; row < 16; ++row) {
        from[row] = Lanes::load(bytes + std::size_t{first + row} * stride + plane);
      }
      Bytes into[16];
      for (int step = 0; step < 2; ++step) {
        for (int pair = 0; pair < 8; ++pair) {
          into[2 * pair] = Lanes::low(from[pair], from[pair + 8]);
          into[2 * pair + 1] = Lanes::high(from[pair], from[pair + 8]);
        }
        for (int pair = 0; pair < 8; ++pair) {
          from[2 * pair] = Lanes::low(into[pair], into[pair + 8]);
          from[2 * pair + 1] = Lanes::high(into[pair], into[pair + 8]);
        }
      }
      for (std::uint32_t row = 0; row < 16; ++row) {
        Lanes::store(from[row], columns + (std::size_t{plane + row} << shift) + first,
                     std::size_t{16} << shift);
      }
    }
  }
}

}  // namespace
}  // namespace tutti::trees
