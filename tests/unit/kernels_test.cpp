// Tiers 1 and 2 against tier 0, which trees_test holds against an oracle: the same bits from every set of
// kernels that this CPU runs, whatever the forest and the batch.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/random_forest.hpp"
#include "worker/jit/compiler.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"

namespace {

using namespace tutti;
using fixture::ForestMaker;
using fixture::Shape;

/// The place of the first number whose bits differ, or -1.
template <class Number>
std::ptrdiff_t first_difference(const std::vector<Number>& left, const std::vector<Number>& right) {
  using Bits = std::conditional_t<sizeof(Number) == 8, std::uint64_t, std::uint32_t>;
  const auto same = [](Number a, Number b) { return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b); };
  const auto place = std::ranges::mismatch(left, right, same);
  return place.in1 == left.end() ? -1 : place.in1 - left.begin();
}

/// Asks `compact` in batches of `batch` rows.
template <class Number>
std::vector<Number> sums_of(trees::CompactForest& compact, const Forest& forest, const std::vector<float>& x,
                            std::uint32_t batch) {
  const auto rows = static_cast<std::uint32_t>(x.size() / forest.features);
  std::vector<Number> margins(std::size_t{rows} * forest.groups(), Number{-1e30F});
  for (std::uint32_t row = 0; row < rows; row += batch) {
    const std::uint32_t count = std::min(batch, rows - row);
    compact.sum(
        {&x[std::size_t{row} * forest.features], count, forest.features},
        BasicMatrixView<Number>{&margins[std::size_t{row} * forest.groups()], count, forest.groups()});
  }
  return margins;
}

enum class Tier : std::uint8_t { one, two };

/// Compares all kernels with tier 0 in batches of all these sizes.
template <class Number>
void check_all_in(const Forest& forest, const std::vector<float>& x,
                  const std::vector<std::uint32_t>& batches, Tier tier) {
  const auto rows = static_cast<std::uint32_t>(x.size() / forest.features);
  std::vector<Number> wanted(std::size_t{rows} * forest.groups());
  sum_trees(forest, {x.data(), rows, forest.features},
            BasicMatrixView<Number>{wanted.data(), rows, forest.groups()});
  for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
    auto layout = trees::build_layout(forest);
    REQUIRE(layout.has_value());
    trees::CompactForest compact(std::move(*layout), *kernels);
    if (tier == Tier::two) {
      const auto bytes = compact.compile(trees::CompactForest::Choice::all);
      INFO((bytes ? "compiled" : bytes.error()));
      REQUIRE(bytes.value_or(0) > 0);
    }
    for (const std::uint32_t batch : batches) {
      INFO(kernels->name << ", batches of " << batch << " of " << rows << " rows");
      CHECK(first_difference(sums_of<Number>(compact, forest, x, batch), wanted) == -1);
    }
  }
}

void check_all(const Forest& forest, const std::vector<float>& x, const std::vector<std::uint32_t>& batches,
               Tier tier = Tier::one) {
  if (forest.wide) {
    check_all_in<double>(forest, x, batches, tier);
  } else {
    check_all_in<float>(forest, x, batches, tier);
  }
}

/// Whether this tutti was built with a compiler, which is then open.
bool has_compiler() {
  jit::open_compiler();
  const auto nothing = jit::compile("", {});
  return nothing.error().find("TUTTI_JIT=OFF") == std::string::npos;
}

/// Mappings of this process for which `accepts` holds. A line: "7f…-7f… r-xp 00000000 00:00 0 /lib/libc.so".
template <class Accepts>
std::ptrdiff_t count_mappings(Accepts accepts) {
  std::ifstream maps("/proc/self/maps");
  std::ptrdiff_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (accepts(line)) ++count;
  }
  return count;
}

TEST_CASE("kernels: every tier and every instruction set gives the same bits", "[kernels]") {
  // Method: random forests of all sizes that kernels distinguish (depths, planes in one register, two and
  // memory, more thresholds than a plane holds, vectors of trees that are not full), rows with and without
  // missing numbers, and batches round the widths of vectors and blocks.
  ForestMaker maker(20261122);
  constexpr std::uint32_t kFeatures[] = {1, 3, 17, 50, 63, 64, 65, 100, 128, 129, 300};
  for (std::uint32_t turn = 0; turn < 180; ++turn) {
    const std::uint32_t round = turn / 2;  // first in float, then in double
    Shape shape{.features = kFeatures[round % std::size(kFeatures)],
                .groups = round % 5 == 4 ? 1 + maker.below(4) : 1,
                .trees = 1 + maker.below(round % 7 == 0 ? 150 : 40),
                .depth = round % 15,
                .leaf_percent = round % 4 == 0 ? 2U : 25U,
                .thresholds = round % 6 == 5 ? 3000U : 5 + maker.below(300),
                .weighted = round % 8 == 3,
                .one_direction = round % 3 == 0,
                .wide = turn % 2 == 1};
    if (shape.depth > 9) shape.leaf_percent = 25;
    const Forest forest = maker.forest(shape);
    const std::uint32_t rows = 1 + maker.below(round % 9 == 0 ? 600 : 90);
    const std::vector<float> x = maker.rows(shape, rows, round % 2 == 0 ? 0 : maker.below(40));
    INFO("round " << round << (shape.wide ? " in double: " : ": ") << shape.trees << " trees of depth "
                  << shape.depth << ", " << shape.features << " features, " << shape.groups << " groups");
    check_all(forest, x, {rows, 1, 2, 5, 16, 31, 33, 64, 100, 129, 200, 256});
  }
}

TEST_CASE("kernels: a tree that is one leaf, and a batch without rows", "[kernels]") {
  ForestMaker maker(7);
  const Shape shape{.features = 2, .trees = 3, .depth = 0};
  const Forest forest = maker.forest(shape);
  check_all(forest, maker.rows(shape, 70, 20), {1, 4, 70});
  for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
    trees::CompactForest compact(trees::build_layout(forest).value(), *kernels);
    compact.sum({nullptr, 0, 2}, MutableMatrixView{nullptr, 0, 1});  // asserts and sanitizers would speak
  }
}

TEST_CASE("kernels: a sum that is minus zero stays so", "[kernels]") {
  // Goal: the lanes of a vector of trees that hold no tree add nothing, not even a plus zero.
  Forest forest;
  forest.features = 1;
  forest.base_margins = {-0.0F};
  forest.nodes = {{.value = -0.0F, .left = 0, .bits = 0}};
  forest.trees = {{.root = 0}};
  check_all(forest, {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F}, {1, 4, 6});

  forest.wide = true;
  forest.wide_base_margins = {-0.0};
  forest.wide_leaves = {-0.0};
  check_all(forest, {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F}, {1, 4, 6});
}

TEST_CASE("kernels: a forest that they do not suit says why", "[kernels]") {
  ForestMaker maker(8);
  Forest categorical = maker.forest({});
  categorical.category_splits.push_back({});
  CHECK(trees::build_layout(categorical).error() == "it has categorical splits");

  Forest linear = maker.forest({.wide = true});
  linear.linear_leaves.push_back({});
  CHECK(trees::build_layout(linear).error() == "it has linear leaves");

  Forest no_trees;
  no_trees.features = 1;
  no_trees.base_margins = {1.0F};
  CHECK(trees::build_layout(no_trees).error() == "it has no trees");

  Forest wide = maker.forest({.groups = 2000});
  CHECK(trees::build_layout(wide).error() == "it has 2000 outputs, more than 1024");
}

TEST_CASE("kernels: a compiler is not opened where memory is short, and says so", "[kernels][jit]") {
  if (!has_compiler()) return;
  // Another process: this one has it open already.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::execl("/proc/self/exe", "kernels_test", "kernels: opened with 64 MiB", nullptr);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("kernels: opened with 64 MiB", "[.]") {
  jit::open_compiler(64U << 20U);
  const auto nothing = jit::compile("kPortableKernels", {});
  REQUIRE(!nothing.has_value());
  CHECK(nothing.error() == "its memory limit leaves a compiler no room: 64 of 1024 MiB");
}

TEST_CASE("kernels: compiled for one forest they give the same bits", "[kernels][jit]") {
  // Method: forests that relay, leap with one, two and four pairs of registers, and have a second set of
  // planes for missing numbers; several outputs, both precisions. Every batch is answered by what was
  // compiled.
  if (!has_compiler()) return;
  ForestMaker maker(20261123);
  constexpr std::uint32_t kFeatures[] = {1, 17, 50, 64, 100, 129};
  for (std::uint32_t round = 0; round < std::size(kFeatures); ++round) {
    const Shape shape{.features = kFeatures[round],
                      .groups = round % 3 == 2 ? 3U : 1U,
                      .trees = 1 + maker.below(60),
                      .depth = 2 + round * 2,
                      .leaf_percent = 25,
                      .thresholds = 5 + maker.below(300),
                      .one_direction = round % 2 == 0,
                      .wide = round % 3 == 1};
    const Forest forest = maker.forest(shape);
    const std::uint32_t rows = 300;
    const std::vector<float> x = maker.rows(shape, rows, round == 0 ? 0 : 10);
    INFO("round " << round << (shape.wide ? " in double" : ""));
    check_all(forest, x, {rows, 1, 3, 16, 33, 64, 129, 256}, Tier::two);
  }
}

TEST_CASE("kernels: compiled code can be executed and not be written", "[kernels][jit]") {
  if (!has_compiler()) return;
  const auto anonymous_code = [](const std::string& line) {
    return line.find(" r-xp ") != std::string::npos && line.back() != ']' &&
           line.find('/') == std::string::npos;
  };
  const auto both = [](const std::string& line) { return line.find("wx") != std::string::npos; };
  ForestMaker maker(5);
  trees::CompactForest compact(trees::build_layout(maker.forest({})).value(), trees::chosen_kernels());
  REQUIRE(compact.compile().has_value());
  CHECK(count_mappings(anonymous_code) > 0);
  CHECK(count_mappings(both) == 0);
}

TEST_CASE("kernels: a kernel that there is not is an error", "[kernels][jit]") {
  if (!has_compiler()) return;
  CHECK(jit::compile("kNoKernels", {}).error() == "no such table of kernels");
  const std::vector<jit::Order> nameless{{.slot = 0, .view_bytes = 8, .fields = {}, .arguments = {}}};
  CHECK(jit::compile("kPortableKernels", nameless).error() == "its table of kernels has no function there");
}

}  // namespace
