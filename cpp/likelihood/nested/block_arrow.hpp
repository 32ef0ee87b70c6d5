// The Cholesky factor of the negative second derivative of a cluster with nested units: H = I + Lambda'Z'WZ Lambda has
// a block for every unit, a border that ties each of them to the cluster's own effects, and a corner. With the units
// first and the corner last nothing fills in:
//   H = L L',  L_ii L_ii' = H_ii,  L_3i = H_3i L_ii^-T,  L_33 L_33' = H_33 - sum_i L_3i L_3i'.
// What is kept is L^-1: its blocks P_i = L_ii^-1, R_i = -L_33^-1 L_3i P_i and P_3 = L_33^-1.
#pragma once

#include "likelihood/nested/rows.hpp"

namespace multilevel::likelihood {

class BlockArrow {
 public:
  BlockArrow(int most_units, int most_clusters, int q_inner, int q_outer);

  /// From l'' of the rows, times `sign` (-1, or 1 when the array holds an information already). False where H is not
  /// positive definite.
  bool factor(const NestedRows& rows, int cluster, const double* second, double sign, const OuterMatrix& lambda_inner,
              const OuterMatrix& lambda_outer);
  /// (inner, outer) = H^-1 (g_inner, g_outer).
  void solve(const NestedRows& rows, int cluster, const linear_algebra::MatrixBatch& g_inner,
             const OuterVector& g_outer, linear_algebra::MatrixBatch& inner, OuterVector& outer);

  double log_determinant(int cluster) const { return log_determinant_[static_cast<std::size_t>(cluster)]; }
  Eigen::Map<const Eigen::MatrixXd> P_outer(int cluster) const { return {at(P_outer_, cluster), q_outer_, q_outer_}; }
  /// Z'WZ of the outer columns.
  Eigen::Map<const Eigen::MatrixXd> B_outer(int cluster) const { return {at(B_outer_, cluster), q_outer_, q_outer_}; }

  linear_algebra::MatrixBatch P, R;              ///< q_inner x q_inner, q_outer x q_inner
  linear_algebra::MatrixBatch B_inner, B_cross;  ///< Z'WZ of the inner columns, and of the outer with the inner ones

 private:
  const double* at(const std::vector<double>& of, int cluster) const {
    return of.data() + static_cast<std::size_t>(cluster) * static_cast<std::size_t>(q_outer_ * q_outer_);
  }
  double* at(std::vector<double>& of, int cluster) const {
    return of.data() + static_cast<std::size_t>(cluster) * static_cast<std::size_t>(q_outer_ * q_outer_);
  }

  int q_inner_, q_outer_;
  std::vector<double> P_outer_, B_outer_, log_determinant_;
  linear_algebra::MatrixBatch H_, BL_, cross_, border_, solved_;
};

}  // namespace multilevel::likelihood
