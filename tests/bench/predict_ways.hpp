// Ways to answer the same rows, measured in turns: the peer, each of ours, the peer again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench.hpp"
#include "predict_plot.hpp"

namespace tutti::bench {

inline constexpr std::uint32_t kPoolRows = 4096;

/// One way to answer batches of rows of a pool of kPoolRows; `call` answers the batch that begins at a row.
struct Way {
  std::string name;
  std::function<void(std::uint32_t first)> call;
  Samples ns_a_row;
  Samples against_peer;
  Samples against_tier_0;  // the second way
};

/// Fills the samples of all ways, of which the first is the peer.
void measure(std::vector<Way>& ways, std::uint32_t batch, const Options& options);

/// Appends each way's median to its curve.
void add_points(Panel& panel, const std::vector<Way>& ways, std::uint32_t batch);

}  // namespace tutti::bench
