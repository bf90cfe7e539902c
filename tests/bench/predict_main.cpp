// predict_bench: what an answer of the native executor costs, tier by tier and instruction set by instruction
// set, against XGBoost's C API on the same rows, and for layers against Eigen compiled for this very CPU.
//
//   for each forest, for each batch:  XGBoost │ tier 0 │ portable │ avx2 │ avx512 │ XGBoost │ …
//   for layers, for each batch:       Eigen   │ portable │ avx2 │ avx512 │ Eigen │ …
//
// Every figure is a ratio of one run: the median over repeats in which XGBoost was measured right before and
// right after. On one thread times are the thread's own CPU time, so that what other processes take is not
// counted. Before anything is measured all ways must give XGBoost's bits.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "predict_dense.hpp"
#include "predict_eigen.hpp"
#include "predict_forests.hpp"
#include "predict_plot.hpp"
#include "predict_ways.hpp"
#include "predict_xgboost.hpp"
#include "worker/jit/compiler.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"

namespace tutti::bench {
namespace {

constexpr std::uint32_t kBatches[] = {1, 2, 4, 8, 16, 32, 64, 256, 1024};
constexpr std::uint32_t kQuickBatches[] = {1, 32, 256};

class Pool {
 public:
  Pool() : x_(normal_rows(kPoolRows, 3)), out_(kPoolRows) {}

  [[nodiscard]] MatrixView x(std::uint32_t first, std::uint32_t rows) const {
    return {&x_[std::size_t{first} * kForestFeatures], rows, kForestFeatures};
  }
  [[nodiscard]] MutableMatrixView out(std::uint32_t first, std::uint32_t rows) {
    return {&out_[first], rows, 1};
  }

 private:
  std::vector<float> x_;
  std::vector<float> out_;
};

class ForestBench {
 public:
  ForestBench(const ForestKind& kind, TrainedForest trained, const Options& options)
      : kind_(kind), trained_(std::move(trained)), options_(options) {
    for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
      auto layout = trees::build_layout(trained_.forest);
      if (!layout) continue;
      compact_.push_back(std::make_unique<trees::CompactForest>(std::move(*layout), *kernels));
      names_.emplace_back(kernels->name);
    }
    if (auto layout = trees::build_layout(trained_.forest)) {
      auto compiled = std::make_unique<trees::CompactForest>(std::move(*layout), trees::chosen_kernels());
      const auto bytes = compiled->compile();
      if (!bytes) {
        why_no_tier_2_ = bytes.error();
        return;
      }
      compact_.push_back(std::move(compiled));
      names_.push_back(fmt::format("tier 2 ({})", trees::chosen_kernels().name));
    }
  }

  Panel run(Report& report) {
    report.section(kind_.name,
                   fmt::format("{}; ns a row on one thread, {} features", kind_.title, kForestFeatures));
    trained_.peer.set_threads(1);
    if (!bits_agree()) {
      report.skip("all", "the answers differ from XGBoost's");
      return {};
    }
    const std::span<const std::uint32_t> batches = options_.quick
                                                       ? std::span<const std::uint32_t>(kQuickBatches)
                                                       : std::span<const std::uint32_t>(kBatches);
    Panel panel{.title = kind_.title, .curves = {}};
    if (!why_no_tier_2_.empty()) report.skip("tier 2", why_no_tier_2_);
    for (const std::uint32_t batch : batches) run_batch(report, batch, panel);
    run_threads(report);
    return panel;
  }

 private:
  bool bits_agree() {
    constexpr std::uint32_t kRows = 512;
    const std::span<const float> wanted = trained_.peer.margins(XgboostModel::describe(pool_.x(0, kRows)));
    const auto equal = [&] {
      return std::ranges::equal(wanted, pool_.out(0, kRows).all(), {}, std::bit_cast<std::uint32_t, float>,
                                std::bit_cast<std::uint32_t, float>);
    };
    sum_trees(trained_.forest, pool_.x(0, kRows), pool_.out(0, kRows));
    if (!equal()) return false;
    return std::ranges::all_of(compact_, [&](const auto& compact) {
      std::ranges::fill(pool_.out(0, kRows).all(), 0.0F);
      compact->sum(pool_.x(0, kRows), pool_.out(0, kRows));
      return equal();
    });
  }

  std::vector<Way> ways_of(std::uint32_t batch) {
    std::vector<Way> ways;
    ways.push_back(
        {.name = "xgboost", .call = [this, rows = descriptions(batch), batch](std::uint32_t first) {
           static_cast<void>(trained_.peer.margins(rows[first / batch]));
         }});
    ways.push_back({.name = "tier 0", .call = [this, batch](std::uint32_t first) {
                      sum_trees(trained_.forest, pool_.x(first, batch), pool_.out(first, batch));
                    }});
    for (std::size_t index = 0; index < compact_.size(); ++index) {
      ways.push_back({.name = names_[index], .call = [this, index, batch](std::uint32_t first) {
                        compact_[index]->sum(pool_.x(first, batch), pool_.out(first, batch));
                      }});
    }
    return ways;
  }

  [[nodiscard]] std::vector<std::string> descriptions(std::uint32_t batch) const {
    std::vector<std::string> rows;
    for (std::uint32_t first = 0; first + batch <= kPoolRows; first += batch) {
      rows.push_back(XgboostModel::describe(pool_.x(first, batch)));
    }
    return rows;
  }

  void run_batch(Report& report, std::uint32_t batch, Panel& panel) {
    std::vector<Way> ways = ways_of(batch);
    measure(ways, batch, options_);
    add_points(panel, ways, batch);
    for (std::size_t index = 0; index < ways.size(); ++index) report_way(report, ways[index], batch, index);
  }

  void report_way(Report& report, const Way& way, std::uint32_t batch, std::size_t index) {
    Figure figure{
        .name = fmt::format("batch {:>4}, {}", batch, way.name), .unit = "ns", .value = way.ns_a_row};
    if (index != 0) {
      figure.ratio = kind_.random_forest ? way.against_tier_0 : way.against_peer;
      figure.against = kind_.random_forest ? "tier 0" : "XGBoost";
      figure.note = kind_.random_forest ? fmt::format("XGBoost {:.1f}x", way.against_peer.median())
                                        : fmt::format("tier 0 {:.1f}x", way.against_tier_0.median());
    }
    for (const ForestGoal& goal : kind_.goals) {
      if (goal.batch != batch) continue;
      // The goals are AVX-512's; AVX2 owes half of them.
      if (way.name == "avx512") figure.goal = Goal{.kind = Goal::Kind::at_least, .bound = goal.ratio};
      if (way.name == "avx2") figure.goal = Goal{.kind = Goal::Kind::at_least, .bound = goal.ratio / 2};
    }
    report.add(std::move(figure));
  }

  /// Half of each batch on each of two threads, against XGBoost on two; wall-clock time.
  void run_threads(Report& report) {
    if (compact_.empty()) return;
    constexpr std::uint32_t kBatch = 1024;
    constexpr int kCalls = 16;
    auto layout = trees::build_layout(trained_.forest);
    trees::CompactForest second(std::move(*layout), compact_.back()->kernels());
    const auto half = [&](trees::CompactForest& compact, std::uint32_t first) {
      for (int call = 0; call < kCalls; ++call)
        compact.sum(pool_.x(first, kBatch / 2), pool_.out(first, kBatch / 2));
    };
    const std::string rows = XgboostModel::describe(pool_.x(0, kBatch));
    Figure figure{.name = fmt::format("batch {}, two threads", kBatch), .unit = "ns", .against = "XGBoost"};
    for (int repeat = 0; repeat < options_.repeats(); ++repeat) {
      const double begun = now_ns();
      {
        const std::jthread other([&] { half(second, kBatch / 2); });
        half(*compact_.back(), 0);
      }
      const double ours = (now_ns() - begun) / kCalls / kBatch;
      trained_.peer.set_threads(2);
      static_cast<void>(trained_.peer.margins(rows));
      const double peer_begun = now_ns();
      for (int call = 0; call < kCalls / 4; ++call) static_cast<void>(trained_.peer.margins(rows));
      const double peer = (now_ns() - peer_begun) / (kCalls / 4.0) / kBatch;
      figure.value.add(ours);
      figure.ratio.add(peer / ours);
    }
    report.add(std::move(figure));
  }

  const ForestKind& kind_;
  TrainedForest trained_;
  Options options_;
  Pool pool_;
  std::vector<std::unique_ptr<trees::CompactForest>> compact_;  // tier 1 by instruction set, then tier 2
  std::vector<std::string> names_;
  std::string why_no_tier_2_;
};

/// False: the library or a forest is missing, and this was said.
bool run_forests(const Options& options, const std::function<bool(const char*)>& wanted,
                 const std::string& models, Report& report, std::vector<Panel>& panels, std::string& peers) {
  if (std::ranges::none_of(forest_kinds(), [&](const ForestKind& kind) { return wanted(kind.name); })) {
    return true;
  }
  const auto library = XgboostLibrary::open();
  if (!library) {
    fmt::print(stderr, "{}\n", describe(library.error()));
    return false;
  }
  peers += fmt::format("; trees: XGBoost {}", (*library)->version());
  for (const ForestKind& kind : forest_kinds()) {
    if (!wanted(kind.name)) continue;
    Result<TrainedForest> trained = trained_forest(kind, models, **library);
    if (!trained) {
      fmt::print(stderr, "{}\n", describe(trained.error()));
      return false;
    }
    panels.push_back(ForestBench(kind, std::move(*trained), options).run(report));
  }
  return true;
}

int run(const Options& options, const std::vector<std::string>& only, const std::string& models,
        const std::string& json_path, const std::string& svg_path) {
  Report report;
  std::vector<Panel> panels;
  const auto wanted = [&](const char* name) {
    return only.empty() || std::ranges::find(only, name) != only.end();
  };
  std::string peers = "one thread";
  if (!run_forests(options, wanted, models, report, panels, peers)) return 1;
  if (wanted("dense")) {
    peers += fmt::format("; layers: Eigen {}", eigen_version());
    panels.push_back(dense_case(report, options));
  }
  if (!json_path.empty()) std::ofstream(json_path) << report.json(options) << '\n';
  if (!svg_path.empty()) std::ofstream(svg_path) << draw(panels, peers);
  return 0;
}

}  // namespace
}  // namespace tutti::bench

int main(int count, char** words) try {
  tutti::jit::open_compiler();
  CLI::App app("What an answer of the native executor costs, against XGBoost's C API and Eigen");
  tutti::bench::Options options;
  options.cores = {0};
  std::string models = "predict_bench_models";
  std::string json_path;
  std::string svg_path;
  std::vector<std::string> only;
  app.add_option("--models", models,
                 "Directory of the trained forests; they are made where they are missing");
  app.add_option("--json", json_path, "Write the results to this file too");
  app.add_option("--svg", svg_path, "Draw the results into this file");
  app.add_option("--only", only, "This case alone (may be repeated): depth6, depth8, random12, dense");
  app.add_flag("--quick", options.quick, "Fewer batches and repeats");
  CLI11_PARSE(app, count, words);
  return tutti::bench::run(options, only, models, json_path, svg_path);
} catch (const std::exception& exception) {
  std::fputs(exception.what(), stderr);
  return 1;
}
