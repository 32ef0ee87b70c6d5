// The fixed effects' part of gradient and Hessian, over all rows of a strip at once.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/one_factor/strip.hpp"
#include "likelihood/panel_likelihood.hpp"

namespace multilevel::likelihood {

class FixedProducts {
 public:
  FixedProducts(int p, int most_rows);

  /// X' rho into the gradient.
  void add_gradient(const Strip& strip, const RowArrays& rows, Sums& sums) const;
  /// X' D X and X' x_phi into the Hessian; D is `curvature`, the coefficients phi begin at `first_phi`.
  void add_hessian(const Strip& strip, const RowArrays& rows, int first_phi, Sums& sums);

 private:
  void add_products(const Strip& strip, const RowArrays& rows, Sums& sums);
  void add_wide_products(const Strip& strip, const RowArrays& rows, Sums& sums);

  int p_;
  std::vector<std::vector<double>> weighted_;  ///< columns of D X
  Eigen::MatrixXd products_, wide_x_, wide_dx_;
};

}  // namespace multilevel::likelihood
