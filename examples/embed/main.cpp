// An ensemble inside a C++ program: launch it, ask it, lose a member, get it back.
//
//   launch ──▶ predict ──▶ kill a worker ──▶ predict: answered without it ──▶ predict: healed ──▶
//   predict_async
//
// Three models decide whether a tumour is benign; each runs in a process of its own. Every call returns a
// value or a tutti::Error: no call throws, none ends this program, and a model that crashes cannot either.
#include <array>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iomanip>
#include <iostream>
#include <string>
#include <thread>
#include <tutti/tutti.hpp>

using namespace std::chrono_literals;

namespace {

const std::string kModels = EXAMPLES "/models/breast_cancer/";
const std::array<const char*, 2> kClasses = {"malignant", "benign"};
constexpr std::uint32_t kFeatures = 30;
constexpr std::uint32_t kRows = 3;

// Three rows of examples/data/breast_cancer_test.csv: malignant, malignant, benign.
// Rows are float32, one after the other; NaN would mean a missing number.
constexpr std::array<float, kRows * kFeatures> kTumours = {
    11.42,  20.38,  77.58, 386.1, 0.1425,   0.2839,  0.2414,  0.1052,  0.2597,  0.09744,
    0.4956, 1.156,  3.445, 27.23, 0.00911,  0.07458, 0.05661, 0.01867, 0.05963, 0.009208,
    14.91,  26.5,   98.87, 567.7, 0.2098,   0.8663,  0.6869,  0.2575,  0.6638,  0.173,

    20.29,  14.34,  135.1, 1297,  0.1003,   0.1328,  0.198,   0.1043,  0.1809,  0.05883,
    0.7572, 0.7813, 5.438, 94.44, 0.01149,  0.02461, 0.05688, 0.01885, 0.01756, 0.005115,
    22.54,  16.67,  152.2, 1575,  0.1374,   0.205,   0.4,     0.1625,  0.2364,  0.07678,

    13.54,  14.36,  87.46, 566.3, 0.09779,  0.08129, 0.06664, 0.04781, 0.1885,  0.05766,
    0.2699, 0.7886, 2.058, 23.56, 0.008462, 0.0146,  0.02387, 0.01315, 0.0198,  0.0023,
    15.11,  19.26,  99.7,  711.2, 0.144,    0.1773,  0.239,   0.1288,  0.2977,  0.07259,
};

int fail(const tutti::Error& error) {
  std::cerr << tutti::describe(error) << '\n';
  return EXIT_FAILURE;
}

/// The label of each row and how sure the ensemble is; then what each member said, or why it is missing.
void print(const tutti::Prediction& prediction) {
  const auto& answer = std::get<tutti::Classification>(prediction.value);
  for (std::uint32_t row = 0; row < prediction.rows; ++row) {
    const std::uint32_t label = answer.labels[row];
    std::cout << "  row " << row << ": " << kClasses[label] << ", probability "
              << answer.probabilities[row * prediction.outputs + label] << '\n';
  }
  for (std::size_t member = 0; member < prediction.votes.size(); ++member) {
    const tutti::Vote& vote = prediction.votes[member];
    std::cout << "  " << vote.member << ": ";
    if (!vote.voted()) {
      std::cout << "missing, " << describe(vote.fate) << '\n';
      continue;
    }
    std::cout << "voted benign with";
    for (std::uint32_t row = 0; row < prediction.rows; ++row) {
      std::cout << ' ' << prediction.part(member).row(row)[1];
    }
    std::cout << '\n';
  }
}

/// Asks again and again until the answer is, or is not, without a member. Reuses one Prediction's memory.
tutti::Result<void> ask_until(tutti::Ensemble& ensemble, tutti::MatrixView x, bool degraded,
                              tutti::Prediction& prediction) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (auto asked = ensemble.predict(x, prediction); !asked) return asked;
    if (prediction.degraded() == degraded) return {};
    std::this_thread::sleep_for(10ms);
  }
  return std::unexpected(tutti::Error{.code = tutti::Errc::not_ready,
                                      .what = degraded ? "nobody was missed" : "the member did not come back",
                                      .where = ensemble.config().name,
                                      .hint = "Ensemble::status() shows how each member is"});
}

}  // namespace

int main() {
  auto ensemble = tutti::EnsembleBuilder{}
                      .name("tumours")
                      .classes({kClasses.begin(), kClasses.end()})
                      .features(kFeatures)
                      .member("boosted", kModels + "boosted.json")
                      .member("logistic", kModels + "logistic.safetensors")
                      .weight(2)
                      .member("network", kModels + "network.safetensors")
                      .combine(tutti::soft_vote())  // the weighted mean of the members' probabilities
                      .quorum(2)                    // fewer than two votes are an error, not an answer
                      .deadline(2s)                 // who is later is left out of that answer
                      .launch();
  if (!ensemble) return fail(ensemble.error());

  std::cout << std::fixed << std::setprecision(4) << "everybody votes:\n";
  const tutti::MatrixView x{kTumours.data(), kRows, kFeatures};
  auto prediction = ensemble->predict(x);
  if (!prediction) return fail(prediction.error());
  print(*prediction);

  // A drill: SIGKILL, as a crash inside the model would end its process. Nobody has to notice and nothing has
  // to be restarted by hand; the answer names who is missing.
  if (auto killed = ensemble->kill_worker("boosted"); !killed) return fail(killed.error());
  if (auto asked = ask_until(*ensemble, x, true, *prediction); !asked) return fail(asked.error());
  std::cout << "a worker was killed, and the others answer (degraded):\n";
  print(*prediction);

  if (auto asked = ask_until(*ensemble, x, false, *prediction); !asked) return fail(asked.error());
  std::cout << "its successor votes (healed):\n";
  print(*prediction);

  // Without waiting: the callback runs in a thread of the ensemble's, so it only hands the answer over.
  std::promise<tutti::Result<tutti::Prediction>> promise;
  auto sent = ensemble->predict_async(x, [&promise](tutti::Result<void> outcome, tutti::Prediction answer) {
    if (outcome) {
      promise.set_value(std::move(answer));
    } else {
      promise.set_value(std::unexpected(outcome.error()));
    }
  });
  if (!sent) return fail(sent.error());
  auto later = promise.get_future().get();
  if (!later) return fail(later.error());
  std::cout << "asked without waiting:\n";
  print(*later);
  return EXIT_SUCCESS;
}  // the ensemble's workers end here
