// Rows into shared memory: copy_in against memcpy, with a reader on the other core that touches every line.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "duo.hpp"
#include "shared/doorbell.hpp"
#include "shared/region.hpp"
#include "supervisor/copy_in.hpp"
#include "techniques.hpp"

namespace tutti::bench {
namespace {

using Copy = void (*)(void* to, const void* from, std::size_t bytes);

void copy_plainly(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
  asm volatile("" : : "r"(to) : "memory");
}

class Input : public Technique {
 public:
  Input(Copy copy, std::size_t bytes, Region region)
      : copy_(copy),
        rows_(bytes / sizeof(float), 0.5F),
        region_(std::move(region)),
        words_(static_cast<Words*>(shared_memory(sizeof(Words)))) {}

  void ask(std::uint64_t rounds) override {
    for (; rounds > 0; --rounds) {
      ++round_;
      copy_(region_.data(), rows_.data(), rows_.size() * sizeof(float));
      words_->written.value.store(round_, std::memory_order_release);
      while (words_->read.value.load(std::memory_order_acquire) != round_) wait_step(false);
    }
  }

  void serve(std::uint64_t rounds) override {
    const auto* lines = static_cast<const Region&>(region_).data();
    for (; rounds > 0; --rounds) {
      ++round_;
      while (words_->written.value.load(std::memory_order_acquire) != round_) wait_step(false);
      std::uint64_t sum = 0;
      for (std::size_t at = 0; at < rows_.size() * sizeof(float); at += kCacheLine) {
        std::uint64_t word = 0;
        std::memcpy(&word, lines + at, sizeof word);
        sum += word;
      }
      asm volatile("" : : "r"(sum));
      words_->read.value.store(round_, std::memory_order_release);
    }
  }

 private:
  struct Words {
    WakeWord written;
    WakeWord read;
  };
  Copy copy_;
  std::vector<float> rows_;
  Region region_;
  Words* words_;
  std::uint32_t round_ = 0;
};

struct Running {
  std::unique_ptr<Input> technique;
  std::unique_ptr<Duo> duo;
};

Result<Running> start(Copy copy, std::size_t bytes, Placement placement) {
  auto region = Region::create("bench-input", std::max(bytes, kPage), Writer::creator);
  if (!region) return std::unexpected(region.error());
  Running running{.technique = std::make_unique<Input>(copy, bytes, std::move(*region)), .duo = {}};
  auto duo = Duo::start(*running.technique, placement);
  if (!duo) return std::unexpected(duo.error());
  running.duo = std::move(*duo);
  return running;
}

}  // namespace

void input_case(Report& report, const Options& options) {
  report.section("input",
                 "rows copied in and touched on the other core; the ratio is memcpy's time over copy_in's");
  if (options.cores.size() < 2) return report.skip("all", "needs 2 cores");
  const Placement placement{.client = options.cores[0], .server = options.cores[1]};
  Bounce bounce(false);
  auto line = Duo::start(bounce, placement);
  const auto line_ns = line ? (*line)->sample() : std::unexpected(line.error());
  if (!line_ns) return report.skip("all", describe(line_ns.error()));
  const double bound = cores_are_near(*line_ns) ? 1.7 : 4;
  for (const std::size_t kib : {1U, 4U, 16U, 64U, 256U, 1024U, 4096U, 16'384U}) {
    const std::string name = kib < 1024 ? fmt::format("{} KiB", kib) : fmt::format("{} MiB", kib / 1024);
    auto plain = start(copy_plainly, kib * 1024, placement);
    auto ours = start([](void* to, const void* from, std::size_t bytes) { copy_in(to, from, bytes); },
                      kib * 1024, placement);
    Result<Compared> compared = !plain  ? Result<Compared>(std::unexpected(plain.error()))
                                : !ours ? Result<Compared>(std::unexpected(ours.error()))
                                        // memcpy between two copy_ins: the ratio is memcpy's over copy_in's.
                                        : compare(*plain->duo, *ours->duo, options);
    if (!compared) {
      report.skip(name, describe(compared.error()));
      continue;
    }
    report.add({.name = name,
                .unit = "ns",
                .value = compared->base,
                .ratio = compared->ratio,
                .against = "copy_in",
                .goal = kib >= 16 ? std::optional<Goal>({Goal::Kind::at_least, bound}) : std::nullopt,
                .note = fmt::format("memcpy {:.2f} us", compared->value.median() / 1e3)});
  }
}

}  // namespace tutti::bench
