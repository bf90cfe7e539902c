// An ensemble inside a C++ program: launch it, ask it, lose a member, get it back.
//
//   launch ──▶ predict ──▶ kill a worker ──▶ predict: answered without it ──▶ predict: healed ──▶
//   predict_async
//
// Three models decide whether a tumour is benign; each runs in a process of its own. Every call returns a
// value or a tutti::Error: no call throws, none ends this program, and a model that crashes cannot either.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <iomanip>
#include <iostream>
#include <string>
#include <thread>
#include <tutti/tutti.hpp>
#include <utility>

using namespace std::chrono_literals;

namespace {

const std::string kModels = EXAMPLES "/models/breast_cancer/";
const std::array<const char*, 2> kClasses = {"malignant", "benign"};
constexpr std::uint32_t kFeatures = 30;
constexpr std::uint32_t kRows = 3;

// Three rows of examples/data/breast_cancer_test.csv: malignant, malignant, benign.
// Rows are float32, one after the other; NaN would mean a missing number.
constexpr std::array<float, kRows * kFeatures> kTumours = {
    11.42F,  20.38F,  77.58F, 386.1F,  0.1425F,   0.2839F,  0.2414F,  0.1052F,  0.2597F,  0.09744F,
    0.4956F, 1.156F,  3.445F, 27.23F,  0.00911F,  0.07458F, 0.05661F, 0.01867F, 0.05963F, 0.009208F,
    14.91F,  26.5F,   98.87F, 567.7F,  0.2098F,   0.8663F,  0.6869F,  0.2575F,  0.6638F,  0.173F,

    20.29F,  14.34F,  135.1F, 1297.0F, 0.1003F,   0.1328F,  0.198F,   0.1043F,  0.1809F,  0.05883F,
    0.7572F, 0.7813F, 5.438F, 94.44F,  0.01149F,  0.02461F, 0.05688F, 0.01885F, 0.01756F, 0.005115F,
    22.54F,  16.67F,  152.2F, 1575.0F, 0.1374F,   0.205F,   0.4F,     0.1625F,  0.2364F,  0.07678F,

    13.54F,  14.36F,  87.46F, 566.3F,  0.09779F,  0.08129F, 0.06664F, 0.04781F, 0.1885F,  0.05766F,
    0.2699F, 0.7886F, 2.058F, 23.56F,  0.008462F, 0.0146F,  0.02387F, 0.01315F, 0.0198F,  0.0023F,
    15.11F,  19.26F,  99.7F,  711.2F,  0.144F,    0.1773F,  0.239F,   0.1288F,  0.2977F,  0.07259F,
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
