// The variance of each row's linear predictor that its random effects have given the data: s_j' H^-1 s_j, S = Z Lambda.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/joint/pattern.hpp"

namespace multilevel::likelihood {

/// Told the block of H^-1 of one cluster after another, in their order.
class Leverages {
 public:
  /// `leverage` gets one number per row.
  Leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda, double* leverage);

  void operator()(int cluster, const double* inverse);

 private:
  void of_two_scalars(int cluster, const double* inverse);
  void of_row(std::int64_t row, const double* inverse, int size);
  void add_effects(std::int64_t row, int first, int width, int start);

  const JointPattern& pattern_;
  const Eigen::MatrixXd& lambda_;
  double* leverage_;
  int panel_ = -1;
  std::vector<const double*> z_;  ///< the panel's columns, to be indexed by row
  // Of a row: what is not zero in s_j, and where.
  std::vector<double> s_;
  std::vector<int> place_;
  int count_ = 0;
};

}  // namespace multilevel::likelihood
