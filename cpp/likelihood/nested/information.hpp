// Fisher information of the working linear mixed model of clusters with nested units: what a search for the maximum
// starts its curvature from.
#pragma once

#include "likelihood/nested/block_arrow.hpp"
#include "likelihood/sums.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

class NestedInformation {
 public:
  NestedInformation(const model::Model& model, const model::Layout& layout, int most_units, int q_inner, int q_outer);

  /// Adds that of one cluster: X'WX - X'WS H^-1 S'WX for beta; for the entries of each factor's Lambda
  /// tr(T D_a T D_b) / 2 with D_a = d(Lambda Lambda')/d entry a and T = B - B Lambda H^-1 Lambda'B, level by level.
  /// `arrow` is factored at the mode; `second` holds l'' there.
  void add(const NestedRows& rows, int cluster, const BlockArrow& arrow, const double* second,
           const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, int first_inner, int first_outer,
           Sums& sums);

 private:
  void add_beta(const NestedRows& rows, int cluster, const BlockArrow& arrow, const double* second,
                const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, Eigen::MatrixXd& hessian);

  const model::Layout& layout_;
  int p_;
  std::vector<double> weighted_;
  std::vector<const double*> columns_;
  Eigen::VectorXd products_;
  Eigen::MatrixXd outer_x_, outer_g_, solved_;
  linear_algebra::MatrixBatch inner_x_, inner_g_, inner_solved_;
  linear_algebra::MatrixBatch LB_, LB_cross_, y_, y_outer_, T_, TL_, S_;
};

}  // namespace multilevel::likelihood
