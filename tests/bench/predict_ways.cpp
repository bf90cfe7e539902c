#include "predict_ways.hpp"

#include <time.h>

#include <cstddef>

namespace tutti::bench {
namespace {

double cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Nanoseconds a row, over batches from all of the pool, for at least `least_ns`.
double time_of(const Way& way, std::uint32_t batch, double least_ns) {
  std::uint32_t calls = 0;
  std::uint32_t first = 0;
  const double begun = cpu_ns();
  double took = 0;
  do {
    for (std::uint32_t rows = 0; rows < 64; rows += batch, ++calls) {
      way.call(first);
      first = first + 2 * batch <= kPoolRows ? first + batch : 0;
    }
    took = cpu_ns() - begun;
  } while (took < least_ns);
  return took / calls / batch;
}

}  // namespace

void measure(std::vector<Way>& ways, std::uint32_t batch, const Options& options) {
  const double least_ns = options.quick ? 0.5e6 : 1e6;
  for (const Way& way : ways) static_cast<void>(time_of(way, batch, least_ns / 4));
  double before = time_of(ways[0], batch, least_ns);
  for (int repeat = 0; repeat < options.repeats(); ++repeat) {
    std::vector<double> times{0};
    for (std::size_t index = 1; index < ways.size(); ++index) {
      times.push_back(time_of(ways[index], batch, least_ns));
    }
    const double after = time_of(ways[0], batch, least_ns);
    times[0] = (before + after) / 2;
    before = after;
    for (std::size_t index = 0; index < ways.size(); ++index) {
      ways[index].ns_a_row.add(times[index]);
      ways[index].against_peer.add(times[0] / times[index]);
      ways[index].against_tier_0.add(times[1] / times[index]);
    }
  }
}

void add_points(Panel& panel, const std::vector<Way>& ways, std::uint32_t batch) {
  for (std::size_t index = 0; index < ways.size(); ++index) {
    if (panel.curves.size() <= index) panel.curves.push_back({.name = ways[index].name, .points = {}});
    panel.curves[index].points.emplace_back(batch, ways[index].ns_a_row.median());
  }
}

}  // namespace tutti::bench
