// Ensemble::predict through real workers whose model does nothing, and the bare loop that a fan-out is held
// against.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "duo.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::bench {

/// The config of an ensemble of that many members that do nothing.
EnsembleBuilder idle_ensemble(std::uint32_t members, std::uint32_t features);

/// Ensemble::predict of one row. Worker i is pinned to core i + 1, counted round `cores`.
class Asked : public Technique {
 public:
  Asked(std::uint32_t members, std::uint32_t features, std::vector<int> cores);
  [[nodiscard]] bool has_server() const override { return false; }
  Result<void> open_client() override;
  void ask(std::uint64_t rounds) override;

 private:
  std::uint32_t members_;
  std::vector<int> cores_;
  std::vector<float> row_;
  std::optional<Ensemble> ensemble_;
  Prediction prediction_;
};

/// One broadcast word, `processes` that wait for it and answer in a line each; they yield when there are as
/// many of them as cores, as tutti's workers do.
class BareFanOut : public Technique {
 public:
  BareFanOut(std::uint32_t processes, std::vector<int> cores);
  [[nodiscard]] bool has_server() const override { return false; }
  Result<void> open_client() override;
  void ask(std::uint64_t rounds) override;
  void rest() override;

 private:
  struct alignas(64) Word {
    std::atomic<std::uint32_t> value;
  };
  struct Shared;
  [[noreturn]] void answer(std::uint32_t index);
  std::uint32_t processes_;
  std::vector<int> cores_;
  bool yields_;
  Shared* shared_;
  std::uint32_t round_ = 0;
};

}  // namespace tutti::bench
