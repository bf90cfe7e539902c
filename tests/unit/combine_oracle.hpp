// The rules a second time: one row at a time, plain loops, long double, nothing shared with supervisor/.
//
// Written from the contract in supervisor/combine.hpp and the textbooks named in combine_answer.cpp. It is
// slow and obvious; where it and the fast one differ by more than rounding, one of them is wrong.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "supervisor/config/config.hpp"

namespace tutti::oracle {

using Real = long double;
using Row = std::vector<Real>;

/// One row as its members see it. A row of `votes` is empty where that member did not vote.
struct Question {
  CombineConfig config;
  Task task = Task::classification;
  std::vector<Row> votes;
  std::vector<Real> weights;
  std::size_t outputs = 0;
};

struct Reply {
  Row answer;
  Real spread = 0;
  Real disagreement = 0;
};

/// Those who count, weights summing to 1.
struct Electorate {
  std::vector<Row> votes;
  std::vector<Real> weights;
};

inline Electorate electorate(const Question& question) {
  Real sum = 0;
  for (std::size_t i = 0; i < question.votes.size(); ++i) {
    if (!question.votes[i].empty()) sum += question.weights[i];
  }
  Electorate result;
  for (std::size_t i = 0; i < question.votes.size(); ++i) {
    if (question.votes[i].empty()) continue;
    if (sum > 0 && question.weights[i] == 0) continue;
    result.votes.push_back(question.votes[i]);
    result.weights.push_back(sum > 0 ? question.weights[i] / sum : 1);
  }
  if (sum == 0) {
    for (Real& weight : result.weights) weight /= static_cast<Real>(result.weights.size());
  }
  return result;
}

inline Real float_largest() { return std::numeric_limits<float>::max(); }

inline Real clamp(Real value) { return std::min(std::max(value, -float_largest()), float_largest()); }

inline std::size_t top(const Row& row) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < row.size(); ++i) {
    if (row[i] > row[best]) best = i;
  }
  return best;
}

inline Row to_distribution(Row row) {
  Real sum = 0;
  for (Real& value : row) {
    if (value < 0) value = 0;
    sum += value;
  }
  for (Real& value : row) value = sum > 0 ? value / sum : Real{1} / static_cast<Real>(row.size());
  return row;
}

inline Row softmax(Row row) {
  const Real largest = row[top(row)];
  Real sum = 0;
  for (Real& value : row) sum += value = std::exp(value - largest);
  for (Real& value : row) value /= sum;
  return row;
}

inline Row mean(const Electorate& voters, bool weighted) {
  Row result(voters.votes.front().size(), 0);
  for (std::size_t i = 0; i < voters.votes.size(); ++i) {
    const Real weight = weighted ? voters.weights[i] : Real{1} / static_cast<Real>(voters.votes.size());
    for (std::size_t o = 0; o < result.size(); ++o) result[o] += weight * voters.votes[i][o];
  }
  return result;
}

inline Row of_sorted(const Electorate& voters, std::size_t cut) {
  Row result;
  for (std::size_t o = 0; o < voters.votes.front().size(); ++o) {
    Row column;
    for (const Row& votes : voters.votes) column.push_back(votes[o]);
    std::sort(column.begin(), column.end());
    Real sum = 0;
    for (std::size_t i = cut; i < column.size() - cut; ++i) sum += column[i];
    result.push_back(sum / static_cast<Real>(column.size() - 2 * cut));
  }
  return result;
}

inline Row geometric(const Electorate& voters, Task task) {
  const bool probabilities = task == Task::classification;
  Row result;
  for (std::size_t o = 0; o < voters.votes.front().size(); ++o) {
    bool negative = false;
    bool zero = false;
    Real product = 1;
    for (std::size_t i = 0; i < voters.votes.size(); ++i) {
      Real vote = voters.votes[i][o];
      if (probabilities) vote = std::max(vote, std::ldexp(Real{1}, -126));
      negative = negative || vote < 0;
      zero = zero || vote == 0;
      if (vote > 0) product *= std::pow(vote, voters.weights[i]);
    }
    result.push_back(negative ? mean(voters, true)[o] : zero ? 0 : product);
  }
  return result;
}

inline Row hard_vote(const Electorate& voters) {
  Row shares(voters.votes.front().size(), 0);
  for (std::size_t i = 0; i < voters.votes.size(); ++i) shares[top(voters.votes[i])] += voters.weights[i];
  const Real most = shares[top(shares)];
  const Row means = mean(voters, true);
  std::vector<std::size_t> tied;
  for (std::size_t o = 0; o < shares.size(); ++o) {
    if (shares[o] > most - 1e-9L) tied.push_back(o);
  }
  if (tied.size() > 1) {
    std::size_t winner = tied.front();
    for (const std::size_t o : tied) {
      if (means[o] > means[winner] + 1e-12L * std::abs(means[winner])) winner = o;
    }
    shares[winner] = std::nextafter(static_cast<float>(most), 2.0F);
  }
  return shares;
}

inline Row rank_mean(const Electorate& voters) {
  Row result(voters.votes.front().size(), 0);
  const Real classes = static_cast<Real>(result.size());
  for (std::size_t i = 0; i < voters.votes.size(); ++i) {
    const Row& votes = voters.votes[i];
    for (std::size_t o = 0; o < votes.size(); ++o) {
      const auto below =
          std::count_if(votes.begin(), votes.end(), [&](Real vote) { return vote < votes[o]; });
      const auto equal = std::count(votes.begin(), votes.end(), votes[o]);
      // The mean of the ranks below + 1 … below + equal.
      const Real rank = static_cast<Real>(below) + (static_cast<Real>(equal) + 1) / 2;
      result[o] += voters.weights[i] * rank / (classes * (classes + 1) / 2);
    }
  }
  return result;
}

inline Row stacking(const Question& question, const Electorate& voters) {
  const Row stand_in = mean(voters, true);
  Row scores;
  for (std::size_t o = 0; o < question.outputs; ++o) {
    Real score = question.config.intercept.empty() ? 0 : question.config.intercept[o];
    for (std::size_t i = 0; i < question.votes.size(); ++i) {
      const Row& input = question.votes[i].empty() ? stand_in : question.votes[i];
      for (std::size_t k = 0; k < question.outputs; ++k) {
        score += question.config.coefficients[o][i * question.outputs + k] * input[k];
      }
    }
    scores.push_back(score);
  }
  return question.task == Task::classification ? softmax(scores) : scores;
}

inline Row answer(const Question& question, const Electorate& voters) {
  const std::size_t count = voters.votes.size();
  Row row;
  switch (question.config.rule) {
    case CombineRule::mean:
      return mean(voters, false);
    case CombineRule::weighted_mean:
    case CombineRule::soft_vote:
      return mean(voters, true);
    case CombineRule::hard_vote:
      return hard_vote(voters);
    case CombineRule::rank_mean:
      return rank_mean(voters);
    case CombineRule::stacking:
      return stacking(question, voters);
    case CombineRule::median:
      row = of_sorted(voters, (count - 1) / 2);
      break;
    case CombineRule::trimmed_mean:
      row = of_sorted(voters,
                      static_cast<std::size_t>(question.config.trim * static_cast<Real>(count) + 1e-9L));
      break;
    case CombineRule::geometric_mean:
      row = geometric(voters, question.task);
      break;
    case CombineRule::minimum:
    case CombineRule::maximum:
      row = voters.votes.front();
      for (const Row& votes : voters.votes) {
        for (std::size_t o = 0; o < row.size(); ++o) {
          row[o] = question.config.rule == CombineRule::minimum ? std::min(row[o], votes[o])
                                                                : std::max(row[o], votes[o]);
        }
      }
      break;
  }
  return question.task == Task::classification ? to_distribution(row) : row;
}

/// The whole reply. `label` is the class the answer under test chose: rounding may turn a tie of ours.
inline Reply reply(const Question& question, std::size_t label) {
  const Electorate voters = electorate(question);
  Reply result;
  result.answer = answer(question, voters);
  for (Real& value : result.answer) value = clamp(value);
  if (question.task == Task::regression) {
    Real smallest = voters.votes.front().front();
    Real largest = smallest;
    const Real middle = mean(voters, true).front();
    for (std::size_t i = 0; i < voters.votes.size(); ++i) {
      const Real vote = voters.votes[i].front();
      smallest = std::min(smallest, vote);
      largest = std::max(largest, vote);
      result.spread += voters.weights[i] * (vote - middle) * (vote - middle);
    }
    result.spread = clamp(std::sqrt(result.spread));
    result.disagreement = clamp(largest - smallest);
    return result;
  }
  for (const Real probability : to_distribution(mean(voters, true))) {
    if (probability > 0 && question.outputs > 1) {
      result.spread -= probability * std::log(probability) / std::log(static_cast<Real>(question.outputs));
    }
  }
  for (std::size_t i = 0; i < voters.votes.size(); ++i) {
    if (top(voters.votes[i]) != label) result.disagreement += voters.weights[i];
  }
  return result;
}

}  // namespace tutti::oracle
