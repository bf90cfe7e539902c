// The rules, once more: as their definitions in combine.hpp read, a row at a time and without thought for
// speed.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "supervisor/stress/checker.hpp"

namespace tutti::stress {
namespace {

using Row = std::vector<double>;

struct Voter {
  const Row* row;
  double weight;
};

// Members of weight 0 do not count unless nobody else voted.
std::vector<Voter> voters_of(const EnsembleConfig& config, const std::vector<Row>& parts) {
  std::vector<Voter> voters;
  double sum = 0;
  for (std::size_t m = 0; m < parts.size(); ++m) {
    if (parts[m].empty() || config.members[m].weight <= 0) continue;
    voters.push_back({&parts[m], config.members[m].weight});
    sum += config.members[m].weight;
  }
  if (voters.empty()) {
    for (const Row& part : parts) {
      if (!part.empty()) voters.push_back({&part, 1});
    }
    sum = static_cast<double>(voters.size());
  }
  for (Voter& voter : voters) voter.weight /= sum;
  return voters;
}

Row weighted_mean(const std::vector<Voter>& voters, std::size_t outputs) {
  Row mean(outputs, 0.0);
  for (const Voter& voter : voters) {
    for (std::size_t o = 0; o < outputs; ++o) mean[o] += voter.weight * (*voter.row)[o];
  }
  return mean;
}

// The votes on one output, sorted; `cut` are left out at each end.
double trimmed(const std::vector<Voter>& voters, std::size_t output, std::size_t cut) {
  std::vector<double> votes;
  for (const Voter& voter : voters) votes.push_back((*voter.row)[output]);
  std::ranges::sort(votes);
  double sum = 0;
  for (std::size_t i = cut; i < votes.size() - cut; ++i) sum += votes[i];
  return sum / static_cast<double>(votes.size() - 2 * cut);
}

Row geometric(const std::vector<Voter>& voters, std::size_t outputs, Task task) {
  constexpr double kSmallest = 0x1p-126;
  Row logarithms(outputs, 0.0);
  double least = HUGE_VAL;
  for (const Voter& voter : voters) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const double vote = (*voter.row)[o];
      least = std::min(least, vote);
      if (task == Task::classification || vote > 0)
        logarithms[o] += voter.weight * std::log(std::max(vote, kSmallest));
    }
  }
  if (task == Task::regression) {
    if (least < 0) return weighted_mean(voters, outputs);
    return {least == 0 ? 0.0 : std::exp(logarithms[0])};
  }
  const double most = *std::ranges::max_element(logarithms);
  for (double& number : logarithms) number = std::exp(number - most);
  return logarithms;
}

Row shares_of_first_choices(const std::vector<Voter>& voters, std::size_t outputs) {
  Row shares(outputs, 0.0);
  for (const Voter& voter : voters) {
    const auto top = std::ranges::max_element(*voter.row) - voter.row->begin();
    shares[static_cast<std::size_t>(top)] += voter.weight;
  }
  return shares;
}

// Ranks by counting: one more than the smaller ones, and half of the equal ones.
Row ranks(const std::vector<Voter>& voters, std::size_t outputs) {
  Row mean(outputs, 0.0);
  for (const Voter& voter : voters) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const double mine = (*voter.row)[o];
      const auto smaller =
          static_cast<double>(std::ranges::count_if(*voter.row, [&](double v) { return v < mine; }));
      const auto equal = static_cast<double>(std::ranges::count(*voter.row, mine));
      mean[o] += voter.weight * (smaller + (equal + 1) / 2);
    }
  }
  return mean;
}

Row stacked(const EnsembleConfig& config, const std::vector<Row>& parts, const Row& stand_in) {
  const std::size_t outputs = stand_in.size();
  Row scores = config.combine.intercept;
  scores.resize(outputs, 0.0);
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < parts.size() * outputs; ++i) {
      const Row& part = parts[i / outputs].empty() ? stand_in : parts[i / outputs];
      scores[o] += config.combine.coefficients[o][i] * part[i % outputs];
    }
  }
  if (config.task == Task::regression) return scores;
  const double most = *std::ranges::max_element(scores);
  for (double& score : scores) score = std::exp(score - most);
  return scores;
}

void scale_to_one(Row& row) {
  for (double& number : row) number = std::max(number, 0.0);
  const double sum = std::accumulate(row.begin(), row.end(), 0.0);
  for (double& number : row) number = sum > 0 ? number / sum : 1.0 / static_cast<double>(row.size());
}

}  // namespace

std::vector<double> recompute(const EnsembleConfig& config, const std::vector<std::vector<double>>& parts) {
  const std::vector<Voter> voters = voters_of(config, parts);
  const std::size_t outputs = config.outputs();
  const std::size_t count = voters.size();
  Row answer(outputs, 0.0);
  switch (config.combine.rule) {
    case CombineRule::mean:
      for (const Voter& voter : voters) {
        for (std::size_t o = 0; o < outputs; ++o) answer[o] += (*voter.row)[o] / static_cast<double>(count);
      }
      return answer;
    case CombineRule::weighted_mean:
    case CombineRule::soft_vote:
      return weighted_mean(voters, outputs);
    case CombineRule::median:
      for (std::size_t o = 0; o < outputs; ++o) answer[o] = trimmed(voters, o, (count - 1) / 2);
      break;
    case CombineRule::trimmed_mean: {
      const auto cut = static_cast<std::size_t>(config.combine.trim * static_cast<double>(count) + 1e-9);
      for (std::size_t o = 0; o < outputs; ++o)
        answer[o] = trimmed(voters, o, std::min(cut, (count - 1) / 2));
      break;
    }
    case CombineRule::minimum:
    case CombineRule::maximum:
      for (std::size_t o = 0; o < outputs; ++o) {
        answer[o] = (*voters.front().row)[o];
        for (const Voter& voter : voters) {
          const double vote = (*voter.row)[o];
          answer[o] = config.combine.rule == CombineRule::minimum ? std::min(answer[o], vote)
                                                                  : std::max(answer[o], vote);
        }
      }
      break;
    case CombineRule::geometric_mean:
      answer = geometric(voters, outputs, config.task);
      break;
    case CombineRule::hard_vote:
      return shares_of_first_choices(voters, outputs);
    case CombineRule::rank_mean:
      answer = ranks(voters, outputs);
      break;
    case CombineRule::stacking:
      answer = stacked(config, parts, weighted_mean(voters, outputs));
      break;
  }
  if (config.task == Task::classification) scale_to_one(answer);
  return answer;
}

}  // namespace tutti::stress
