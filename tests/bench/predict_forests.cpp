#include "predict_forests.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "worker/xgboost_reader.hpp"

namespace tutti::bench {
namespace {

constexpr std::uint32_t kTrainingRows = 12'000;

/// Linear in ten features, not so in four, and noise: every tree grows to its full depth.
std::vector<float> targets_of(const std::vector<float>& x) {
  std::mt19937 generator(2);
  std::normal_distribution<float> noise(0.0F, 0.5F);
  std::vector<float> y;
  for (std::size_t row = 0; row < x.size(); row += kForestFeatures) {
    const float* const numbers = &x[row];
    float sum = noise(generator);
    for (int feature = 0; feature < 10; ++feature)
      sum += numbers[feature] * (static_cast<float>(feature) - 4.5F) * 0.3F;
    sum += std::sin(3.0F * numbers[10]) * numbers[11] + numbers[12] * numbers[13];
    y.push_back(sum);
  }
  return y;
}

Result<XgboostModel> train(const ForestKind& kind, const XgboostLibrary& library) {
  using Parameters = std::vector<XgboostLibrary::Parameter>;
  fmt::print("training {} (once; it is kept)\n", kind.title);
  std::fflush(stdout);
  const std::vector<float> x = normal_rows(kTrainingRows, 1);
  const std::vector<float> y = targets_of(x);
  Parameters parameters{{"tree_method", "hist"}, {"max_depth", kind.depth},
                        {"nthread", "1"},        {"base_score", "0.5"},
                        {"seed", "7"},           {"verbosity", "0"}};
  const Parameters boosted{{"eta", "0.05"}};
  const Parameters random{
      {"eta", "1"}, {"subsample", "0.63"}, {"colsample_bynode", "0.4"}, {"num_parallel_tree", "200"}};
  const Parameters& more = kind.random_forest ? random : boosted;
  parameters.insert(parameters.end(), more.begin(), more.end());
  return library.train({x.data(), kTrainingRows, kForestFeatures}, y, parameters,
                       kind.random_forest ? 1 : 500);
}

}  // namespace

const std::vector<ForestKind>& forest_kinds() {
  static const std::vector<ForestKind> kinds{
      {"depth6", "500 boosted trees of depth 6", "6", false, {{1, 30}, {32, 12}, {256, 25}, {1024, 25}}},
      {"depth8", "500 boosted trees of depth 8", "8", false, {{1, 20}, {32, 7}, {256, 15}, {1024, 15}}},
      {"random12",
       "random forest, 200 trees of depth 12",
       "12",
       true,
       {{1, 10}, {8, 10}, {32, 10}, {256, 10}, {1024, 10}}}};
  return kinds;
}

std::vector<float> normal_rows(std::uint32_t count, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(std::size_t{count} * kForestFeatures);
  for (float& number : x) number = normal(generator);
  return x;
}

Result<TrainedForest> trained_forest(const ForestKind& kind, const std::string& directory,
                                     const XgboostLibrary& library) {
  const std::string path = fmt::format("{}/{}.json", directory, kind.name);
  std::string json;
  if (std::ifstream file(path, std::ios::binary); file) {
    json.assign(std::istreambuf_iterator<char>(file), {});
  } else {
    const Result<XgboostModel> trained = train(kind, library);
    if (!trained) return std::unexpected(trained.error());
    json = trained->json();
    std::filesystem::create_directories(directory);
    std::ofstream(path, std::ios::binary) << json;
  }
  Result<XgboostModel> peer = library.load(json);
  if (!peer) return std::unexpected(peer.error());
  Result<XgboostFile> read = read_xgboost(std::as_bytes(std::span(json)), path);
  if (!read) return std::unexpected(read.error());
  read->forest.features = kForestFeatures;
  read->forest.base_margins = {0.5F};
  return TrainedForest{std::move(read->forest), std::move(*peer)};
}

}  // namespace tutti::bench
