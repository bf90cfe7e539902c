#include "supervisor/guide/guide.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "supervisor/guide/random_product.hpp"

namespace tutti {
namespace {

using Clock = std::chrono::steady_clock;

/// Nanoseconds a call.
template <class Call>
double time_of(std::uint32_t iterations, Call&& call) {
  const Clock::time_point begun = Clock::now();
  for (std::uint32_t i = 0; i < iterations; ++i) call();
  return std::chrono::duration<double, std::nano>(Clock::now() - begun).count() / iterations;
}

template <class Real>
GuideTimes run(const RandomProductKernels<Real>& kernels, GeneratorState<Real>& state,
               std::uint32_t iterations) {
  std::vector<Real> data(kGuideRows * kGuideInner);
  std::vector<Real> weights(kGuideInner * kGuideColumns);
  std::vector<Real> result(kGuideRows * kGuideColumns);
  const auto generate = [&] {
    kernels.generate(state, data.data(), data.size());
    kernels.generate(state, weights.data(), weights.size());
  };
  generate();
  return {
      .generator = time_of(iterations, generate),
      .product = time_of(iterations, [&] { kernels.multiply(data.data(), weights.data(), result.data()); }),
      .together =
          time_of(iterations, [&] { kernels.generate_and_multiply(state, weights.data(), result.data()); })};
}

// One thread, as the kernels here. No apostrophe: the shell quotes it with those.
constexpr const char* kNumpy = R"(
import json, sys, time
import numpy as np
n = int(sys.argv[1])
random = np.random.default_rng(1).random
def timed(call):
    call()
    begun = time.perf_counter_ns()
    for _ in range(n): call()
    return (time.perf_counter_ns() - begun) / n
data, weights = random((100, 784)), random((784, 10))
print(json.dumps({"version": np.__version__,
                  "generator": timed(lambda: (random((100, 784)), random((784, 10)))),
                  "product": timed(lambda: data @ weights),
                  "together": timed(lambda: random((100, 784)) @ random((784, 10)))}))
)";

/// What numpy takes for the same, with that interpreter; nothing where it has no numpy.
std::optional<GuideTimes> run_numpy_with(std::string_view python, std::uint32_t iterations,
                                         std::string& version) {
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 {} -c '{}' {} 2>/dev/null",
                  python, kNumpy, iterations);
  // A fixed text: nothing in it comes from outside.
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "re"), ::pclose);
  if (!pipe) return std::nullopt;
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), pipe.get()));
  const auto said = nlohmann::json::parse(text, nullptr, false);
  if (!said.is_object()) return std::nullopt;
  version = said.value("version", "");
  return GuideTimes{.generator = said.value("generator", 0.0),
                    .product = said.value("product", 0.0),
                    .together = said.value("together", 0.0)};
}

std::optional<GuideTimes> run_numpy(std::uint32_t iterations, std::string& version) {
  // A python3 of the user's own may come first and lack what the system's has.
  for (const std::string_view python : {"python3", "/usr/bin/python3"}) {
    if (const auto times = run_numpy_with(python, iterations, version)) return times;
  }
  return std::nullopt;
}

}  // namespace

GuideReport run_guide(std::uint32_t iterations, std::uint32_t rounds,
                      const std::function<void(std::uint32_t)>& progress) {
  const RandomProduct best = random_products().front();
  GeneratorState<double> doubles(1);
  GeneratorState<float> floats(2);
  GuideReport report{.rounds = {}, .instruction_set = best.instruction_set, .numpy_version = {}};
  for (std::uint32_t round = 0; round < rounds; ++round) {
    report.rounds.push_back({.doubles = run(best.f64, doubles, iterations),
                             .floats = run(best.f32, floats, iterations),
                             .numpy = run_numpy(iterations, report.numpy_version)});
    progress(round + 1);
  }
  return report;
}

}  // namespace tutti
