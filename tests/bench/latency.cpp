// The cases of small hand-overs: R itself, tutti's two levels, the peers, one core, the fan-out.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "duo.hpp"
#include "ensemble.hpp"
#include "peers.hpp"
#include "techniques.hpp"

namespace tutti::bench {
namespace {

constexpr std::uint32_t kSmallRow = 30;   // features: 120 bytes
constexpr std::uint32_t kLargeRow = 256;  // 1 KiB

/// A base that runs, and what its ratios are called.
struct Base {
  std::unique_ptr<Technique> technique;
  std::unique_ptr<Duo> duo;
  std::string name;
  Placement placement;
};

std::optional<Base> start_base(Report& report, const Options& options, bool one_core) {
  if (!one_core && options.cores.size() < 2) {
    report.skip("all", "needs 2 cores");
    return std::nullopt;
  }
  Base base{.technique = std::make_unique<Bounce>(one_core),
            .duo = {},
            .name = one_core ? "bare yield" : "R",
            .placement = {.client = options.cores[0], .server = options.cores[one_core ? 0 : 1]}};
  auto duo = Duo::start(*base.technique, base.placement);
  if (!duo) {
    report.skip("all", describe(duo.error()));
    return std::nullopt;
  }
  base.duo = std::move(*duo);
  return base;
}

/// Measures a technique against the base and adds the line.
std::optional<Compared> measure(Report& report, const Options& options, Base& base, Technique& technique,
                                std::string name, std::optional<Goal> goal = std::nullopt,
                                std::string note = {}) {
  auto duo = Duo::start(technique, base.placement);
  Result<Compared> compared =
      duo ? compare(**duo, *base.duo, options) : Result<Compared>(std::unexpected(duo.error()));
  if (!compared) {
    report.skip(name, describe(compared.error()));
    return std::nullopt;
  }
  report.add({.name = std::move(name),
              .unit = "ns",
              .value = compared->value,
              .ratio = compared->ratio,
              .against = base.name,
              .goal = goal,
              .note = std::move(note)});
  return std::move(*compared);
}

std::optional<Compared> measure_channel(Report& report, const Options& options, Base& base,
                                        Channel::Shape shape, std::string name,
                                        std::optional<Goal> goal = std::nullopt) {
  auto channel = Channel::create(shape);
  if (!channel) {
    report.skip(name, describe(channel.error()));
    return std::nullopt;
  }
  return measure(report, options, base, **channel, std::move(name), goal);
}

std::vector<int> cores_of(const Options& options, const Base& base) {
  return base.placement.one_core() ? std::vector<int>{base.placement.client} : options.cores;
}

/// A peer's ratio to the base, divided by tutti's own: how many times dearer it is, repeat by repeat.
Samples times_dearer(const Compared& peer, const Compared& own) {
  Samples ratio;
  for (const double q : {0.25, 0.5, 0.75}) ratio.add(peer.ratio.quantile(q) / own.ratio.median());
  return ratio;
}

void add_peer(Report& report, const std::string& name, const std::string& against, const Samples& ratio,
              const Samples& value, std::optional<Goal> goal) {
  report.add({.name = name,
              .unit = "ns",
              .value = value,
              .ratio = ratio,
              .against = against,
              .goal = goal,
              .note = {}});
}

void measure_peers(Report& report, const Options& options, Base& base, std::uint32_t features) {
  const std::size_t payload = features * sizeof(float);
  const bool yields = base.placement.one_core();
  const std::string size = payload < 1024 ? fmt::format("{} B", payload) : "1 KiB";
  const auto channel =
      measure_channel(report, options, base, {.payload = payload, .yields = yields},
                      fmt::format("tutti, dispatch level, {}", size),
                      yields ? std::optional<Goal>({Goal::Kind::at_most, 1.15}) : std::nullopt);
  Asked asked(1, features, cores_of(options, base));
  const auto ensemble =
      measure(report, options, base, asked, fmt::format("tutti, Ensemble::predict, {}", size),
              yields ? std::optional<Goal>({Goal::Kind::at_most, 1.15}) : std::nullopt);
  for (const PeerMaker& maker : peer_makers()) {
    const std::string name = fmt::format("{}, {}", maker.name, size);
    auto peer = maker.make(payload, yields);
    if (!peer) {
      report.skip(name, describe(peer.error()));
      continue;
    }
    const auto compared = measure(report, options, base, **peer, name);
    if (!compared) continue;
    const bool counts = !yields && maker.name.starts_with("iceoryx");
    const std::optional<Goal> goal =
        counts ? std::optional<Goal>(
                     {Goal::Kind::at_least, cores_are_near(compared->base.median()) ? 12.0 : 8.0})
               : std::nullopt;
    if (channel)
      add_peer(report, "  over dispatch level", "tutti", times_dearer(*compared, *channel), compared->value,
               goal);
    if (ensemble) {
      add_peer(report, "  over Ensemble::predict", "tutti", times_dearer(*compared, *ensemble),
               compared->value, {});
    }
  }
  const std::string python = fmt::format("ProcessPoolExecutor, {}", size);
  const auto pool = process_pool(options, base.placement, features);
  if (!pool) {
    report.skip(python, describe(pool.error()));
    return;
  }
  report.add(
      {.name = python, .unit = "ns", .value = *pool, .ratio = {}, .against = {}, .goal = {}, .note = {}});
  if (!ensemble) return;
  Samples ratio;
  for (const double q : {0.25, 0.5, 0.75}) ratio.add(pool->quantile(q) / ensemble->value.median());
  add_peer(
      report, "  over Ensemble::predict", "tutti", ratio, *pool,
      features == kLargeRow && !yields ? std::optional<Goal>({Goal::Kind::at_least, 100}) : std::nullopt);
}

}  // namespace

void line_case(Report& report, const Options& options) {
  report.section("line", "R: one cache line to and fro between two pinned processes");
  auto base = start_base(report, options, false);
  if (!base) return;
  Samples samples;
  for (int i = 0; i < 2 * options.repeats(); ++i) {
    const auto sample = base->duo->sample();
    if (!sample) return report.skip("R", describe(sample.error()));
    samples.add(*sample);
  }
  report.add(
      {.name = "R", .unit = "ns", .value = samples, .ratio = {}, .against = {}, .goal = {}, .note = {}});
}

void dispatch_case(Report& report, const Options& options) {
  report.section("dispatch", "a hot request and its answer, two cores, nobody asleep, one in flight");
  auto base = start_base(report, options, false);
  if (!base) return;
  Mailbox mailbox;
  measure(report, options, *base, mailbox, "request and answer in one line (mailbox)");
  measure_channel(report, options, *base, {.lines = 1}, "tutti's rings, one line each");
  measure_channel(report, options, *base, {}, "dispatch level: tutti's rings of 16 lines",
                  Goal{Goal::Kind::at_most, 1.5});
  measure_channel(report, options, *base, {.workers_loop = true}, "the same, served by worker/loop.cpp");
  measure_channel(report, options, *base, {.payload = kSmallRow * sizeof(float), .workers_loop = true},
                  "the same, 120 bytes copied in");
  Asked asked(1, kSmallRow, options.cores);
  measure(report, options, *base, asked, "Ensemble level: predict, 1 member, 1 row of 30");
}

void peers_case(Report& report, const Options& options) {
  report.section("peers", "the same payload there and a number back, two cores");
  auto base = start_base(report, options, false);
  if (!base) return;
  for (const std::uint32_t features : {kSmallRow, kLargeRow}) measure_peers(report, options, *base, features);
}

void one_core_case(Report& report, const Options& options) {
  report.section("one_core", "both processes on one core");
  auto base = start_base(report, options, true);
  if (!base) return;
  for (const std::uint32_t features : {kSmallRow, kLargeRow}) measure_peers(report, options, *base, features);
}

void fan_out_case(Report& report, const Options& options) {
  report.section("fan_out", "Ensemble::predict of one row to members that do nothing");
  for (const std::uint32_t members : {1U, 2U, 4U, 8U}) {
    BareFanOut bare(members, options.cores);
    Asked asked(members, kSmallRow, options.cores);
    const Placement placement{.client = options.cores[0], .server = options.cores.back()};
    const std::string name = fmt::format("{} member{}", members, members == 1 ? "" : "s");
    auto base = Duo::start(bare, placement);
    auto duo = Duo::start(asked, placement);
    Result<Compared> compared = !base  ? Result<Compared>(std::unexpected(base.error()))
                                : !duo ? Result<Compared>(std::unexpected(duo.error()))
                                       : compare(**duo, **base, options);
    if (!compared) {
      report.skip(name, describe(compared.error()));
      continue;
    }
    report.add({.name = name,
                .unit = "ns",
                .value = compared->value,
                .ratio = compared->ratio,
                .against = "bare loop",
                .goal = members == 8 ? std::optional<Goal>({Goal::Kind::at_most, 1.25}) : std::nullopt,
                .note = fmt::format("bare loop {:.0f} ns", compared->base.median())});
  }
}

}  // namespace tutti::bench
