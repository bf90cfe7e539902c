// `tutti run` over many rows: rows a second, and how far the wall time is from what the models themselves
// take.
//
//   overhead = (wall - bound) / bound,   bound = max(slowest member's compute, compute / cores)
//
// No schedule can beat the bound: a member is one process, so the slowest one's own time must pass. compute
// is the sum of the members' time inside the model, as their workers measured it on the wall clock: with more
// workers than cores it holds the time in which a worker stood ready and another one ran. So the processor
// time of both sides is shown beside it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "peers.hpp"
#include "process_facts.hpp"

namespace tutti::bench {
namespace {

constexpr std::size_t kFeatures = 30;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// The example's rows, again and again, each number moved by up to a tenth so that no two rows agree.
class RowSource {
 public:
  RowSource() {
    std::ifstream file(TUTTI_BENCH_EXAMPLES "/data/breast_cancer_test.csv");
    std::getline(file, header_);
    header_ = header_.substr(0, header_.rfind(','));
    for (std::string line; std::getline(file, line);) {
      std::istringstream cells(line);
      std::string cell;
      for (std::size_t i = 0; i < kFeatures && std::getline(cells, cell, ','); ++i) {
        numbers_.push_back(std::stof(cell));
      }
    }
  }
  [[nodiscard]] const std::string& header() const noexcept { return header_; }
  [[nodiscard]] bool empty() const noexcept { return numbers_.size() < kFeatures; }
  void next(std::array<float, kFeatures>& row) {
    const std::size_t rows = numbers_.size() / kFeatures;
    const float* base = numbers_.data() + (row_++ % rows) * kFeatures;
    for (std::size_t i = 0; i < kFeatures; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      row[i] = base[i] * (0.9F + 0.2F * static_cast<float>(state_ >> 40U) / static_cast<float>(1U << 24U));
    }
  }

 private:
  std::string header_;
  std::vector<float> numbers_;
  std::size_t row_ = 0;
  std::uint64_t state_ = 1;
};

bool write_npy(const std::string& path, std::size_t rows) {
  const File file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file) return false;
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, kFeatures);
  header.resize(117, ' ');
  header += '\n';
  std::fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file.get());
  std::fwrite(header.data(), 1, header.size(), file.get());
  RowSource source;
  std::array<float, kFeatures> row;
  for (std::size_t i = 0; i < rows; ++i) {
    source.next(row);
    std::fwrite(row.data(), sizeof(float), row.size(), file.get());
  }
  return std::ferror(file.get()) == 0;
}

bool write_csv(const std::string& path, std::size_t rows) {
  const File file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file) return false;
  RowSource source;
  std::fprintf(file.get(), "%s\n", source.header().c_str());
  std::array<float, kFeatures> row;
  std::array<char, kFeatures * 16> line;
  for (std::size_t i = 0; i < rows; ++i) {
    source.next(row);
    char* at = line.data();
    for (const float number : row) {
      at = std::to_chars(at, line.data() + line.size(), number, std::chars_format::general, 6).ptr;
      *at++ = ',';
    }
    at[-1] = '\n';
    std::fwrite(line.data(), 1, static_cast<std::size_t>(at - line.data()), file.get());
  }
  return std::ferror(file.get()) == 0;
}

struct RunFacts {
  double rows = 0;
  double wall_ns = 0;
  double compute_ns = 0;          // of all members
  double slowest_compute_ns = 0;  // of the slowest one
  double workers_cpu_ns = 0;
  double supervisor_cpu_ns = 0;
};

Result<RunFacts> run_once(const Options& options, const std::string& input) {
  const std::string output = options.scratch + "/run.json";
  auto tutti = Program::start({TUTTI_BENCH_BIN "/tutti", "run", TUTTI_BENCH_EXAMPLES "/breast_cancer.toml",
                               "--input", input, "--json", "--set", "answer.deadline=2s"},
                              output);
  if (!tutti) return std::unexpected(tutti.error());
  std::map<pid_t, double> workers;
  const double until = std::max(options.until_ns, now_ns() + 10e9);
  while (!tutti->wait(std::chrono::milliseconds(50))) {
    for (const pid_t worker : children_of(tutti->pid())) {
      workers[worker] = std::max(workers[worker], facts_of(worker).cpu_ns);
    }
    if (now_ns() > until) return std::unexpected(Error{Errc::system, "no time left for this run", "", ""});
  }
  if (tutti->exit_code() != 0) {
    return std::unexpected(
        Error{Errc::system, fmt::format("tutti run ended with {}", tutti->exit_code()), "", ""});
  }
  std::ifstream file(output);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (json.is_discarded()) return std::unexpected(Error{Errc::system, "tutti run wrote no JSON", "", ""});
  RunFacts facts{.rows = json["rows"], .wall_ns = json["elapsed_ns"]};
  for (const auto& member : json["members"]) {
    const double compute_ns = member["compute_ns"];
    facts.compute_ns += compute_ns;
    facts.slowest_compute_ns = std::max(facts.slowest_compute_ns, compute_ns);
  }
  for (const auto& [pid, cpu] : workers) facts.workers_cpu_ns += cpu;
  facts.supervisor_cpu_ns = tutti->cpu_ns() - facts.workers_cpu_ns;
  return facts;
}

void measure_runs(Report& report, const Options& options, const std::string& kind, const std::string& input) {
  const auto cores = static_cast<double>(options.cores.size());
  Figure speed{.name = "rows a second, " + kind, .unit = "rows/s", .note = {}};
  Figure overhead{.name = "  overhead on the models' own time",
                  .unit = "",
                  .goal = kind == "NPY" ? std::optional<Goal>({Goal::Kind::at_most, 0.05}) : std::nullopt,
                  .note = "(wall - bound) / bound, bound = max(slowest member, compute / cores)"};
  Figure processor{.name = "  supervisor's CPU time over the workers'", .unit = "", .note = {}};
  Figure busy{.name = "  CPU time of all over wall x cores", .unit = "", .note = {}};
  Samples wall;
  Samples compute;
  const double until = std::min(options.until_ns, now_ns() + 20e9);
  for (int repeat = 0; repeat < 3 && (repeat == 0 || now_ns() < until); ++repeat) {
    const auto facts = run_once(options, input);
    if (!facts) return report.skip(kind, describe(facts.error()));
    speed.value.add(facts->rows / facts->wall_ns * 1e9);
    const double bound = std::max(facts->slowest_compute_ns, facts->compute_ns / cores);
    overhead.value.add((facts->wall_ns - bound) / bound);
    processor.value.add(facts->supervisor_cpu_ns / facts->workers_cpu_ns);
    busy.value.add((facts->supervisor_cpu_ns + facts->workers_cpu_ns) / facts->wall_ns / cores);
    wall.add(facts->wall_ns);
    compute.add(facts->compute_ns);
  }
  speed.note =
      fmt::format("wall {:.2f} s, members' compute {:.2f} s", wall.median() / 1e9, compute.median() / 1e9);
  for (Figure* figure : {&speed, &overhead, &processor, &busy}) report.add(std::move(*figure));
}

}  // namespace

void rows_case(Report& report, const Options& options) {
  const std::size_t rows = options.quick ? 50'000 : 1'000'000;
  report.section("rows",
                 fmt::format("tutti run, {} rows of 30 features, 3 members (breast_cancer.toml)", rows));
  if (RowSource().empty()) return report.skip("all", "examples/data/breast_cancer_test.csv cannot be read");
  const std::string npy = options.scratch + "/rows.npy";
  const std::string csv = options.scratch + "/rows.csv";
  if (!write_npy(npy, rows) || !write_csv(csv, rows)) {
    return report.skip("all", "the rows do not fit into the temporary directory");
  }
  measure_runs(report, options, "NPY", npy);
  measure_runs(report, options, "CSV", csv);
}

}  // namespace tutti::bench
