// The covariance that the predictors of a row have given the data by their random effects: s_a' H^-1 s_b for pairs of
// main variables, S = Z Lambda.
#pragma once

#include "likelihood/joint/pattern.hpp"
#include "likelihood/joint_several/densities.hpp"

namespace multilevel::likelihood {

/// Told the block of H^-1 of one cluster after another, in their order.
class PairLeverages {
 public:
  /// `leverage[pair]` gets a number per row.
  PairLeverages(const JointPattern& pattern, const JointDensities& densities, const Eigen::MatrixXd& lambda,
                std::vector<std::vector<double>>& leverage);

  void operator()(int cluster, const double* inverse);

 private:
  /// A random effect in a row: its entry of S, its place in the cluster's block, and its main variable.
  struct Effect {
    double s;
    int place, main;
  };

  void add_effects(std::int64_t row, int first, int width, int start);

  const JointPattern& pattern_;
  const JointDensities& densities_;
  const Eigen::MatrixXd& lambda_;
  std::vector<std::vector<double>>& leverage_;
  int panel_ = -1;
  PairedColumns columns_;
  std::vector<Effect> effects_;
};

}  // namespace multilevel::likelihood
