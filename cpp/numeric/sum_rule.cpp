#include "numeric/sum_rule.hpp"

#include <Eigen/Eigenvalues>
#include <cmath>

namespace multilevel::numeric {

namespace {

SumRule rule_of(int k) {
  const double count = std::ldexp(1.0, k), middle = 0.5 * (count - 1.0);
  // In units of half the length, so that entries are of size one.
  Eigen::VectorXd below(SumRule::size - 1);
  for (int i = 1; i < SumRule::size; ++i) {
    const double share = i / count;
    below[i - 1] = i * std::sqrt((1.0 - share * share) / (4.0 * i * i - 1.0));
  }
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen;
  eigen.computeFromTridiagonal(Eigen::VectorXd::Zero(SumRule::size), below);
  SumRule rule{};
  for (int i = 0; i < SumRule::size; ++i) {
    const int mirror = SumRule::size - 1 - i;
    const double node = 0.5 * (eigen.eigenvalues()[i] - eigen.eigenvalues()[mirror]);
    const double one = eigen.eigenvectors()(0, i), other = eigen.eigenvectors()(0, mirror);
    const auto at = static_cast<std::size_t>(i);
    const bool all = k == SumRule::least;  // as many nodes as numbers
    rule.node[at] = all ? i : middle + 0.5 * count * node;
    rule.weight[at] = all ? 1.0 : 0.5 * count * (one * one + other * other);
  }
  return rule;
}

}  // namespace

const SumRule& SumRule::of(int k) {
  static const auto rules = [] {
    std::array<SumRule, most - least + 1> made{};
    for (int i = least; i <= most; ++i) made[static_cast<std::size_t>(i - least)] = rule_of(i);
    return made;
  }();
  return rules[static_cast<std::size_t>(k - least)];
}

}  // namespace multilevel::numeric
