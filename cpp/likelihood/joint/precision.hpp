// H = I + Lambda' B Lambda, B = Z'WZ: the precision of the spherical random effects of all grouping factors given the
// data, factorized.
//
// The leading factor's part of H is block diagonal, a q x q block per level (a cluster of rows). Eliminating it leaves
// the Schur complement C of the other factors, which is kept sparse where its pattern is and dense where it fills:
//
//   H = [ D  E' ]     D_i = L_i L_i',  T_i = L_i^-1 E_i',  C = I + Lambda' B Lambda (others) - sum_i T_i' T_i.
//       [ E  .. ]
//
// The inverse is only ever needed between random effects that meet in a row; a cluster's rows meet those of its own
// level and of the levels of other factors that occur in it, the cluster's clique. Variances of zero need no care:
// nothing is divided by them.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <vector>

#include "likelihood/joint/products.hpp"

namespace multilevel::likelihood {

/// H factorized, for one thread.
class JointPrecision {
 public:
  explicit JointPrecision(const JointPattern& pattern);

  /// False when H is not positive definite.
  bool factor(const CrossProducts& products, const Eigen::MatrixXd& lambda);
  double log_determinant() const;
  /// What a cluster's own block and one scalar of the other factors add to it.
  double log_determinant_of_cluster(int i) const;
  double log_determinant_of_scalar(int scalar) const;
  /// x = H^-1 x for vectors of all random effects (Model::n_modes), columns `leading` apart.
  void solve(double* x, int n_columns, std::ptrdiff_t leading) const;

  /// Makes the inverse on the pattern; after it:
  void invert() { cholesky_.invert(); }
  /// H^-1 between the random effects that meet in a cluster, (q + r) x (q + r): its own level first, then its clique.
  void cluster_inverse(int i, double* inverse) const;
  /// H^-1 between the two levels of a block, q_a x q_b.
  void block_inverse(int block, double* inverse) const;

  /// Per level N = (B Lambda H^-1) of the level with itself, q x q, laid out like the modes' covariances; the blocks of
  /// H^-1 itself into `covariance` unless null; and `visit`, if any, sees every cluster_inverse on the way.
  void level_products(const CrossProducts& products, const Eigen::MatrixXd& lambda, double* N, double* covariance,
                      const std::function<void(int cluster, const double* inverse)>& visit = nullptr) const;

 private:
  struct Scales;

  void set_others(const CrossProducts& products, const Scales& scales);
  bool factor_cluster(int i, const CrossProducts& products, const Eigen::MatrixXd& leading, double& logs);
  void subtract_cluster(int i, const Scales& scales);
  void add_scalar_cluster(int i, const CrossProducts& products, const Scales& scales, const double* inverse,
                          double* N) const;
  void add_cluster(int i, const CrossProducts& products, const Scales& scales, const double* inverse, double* BL,
                   double* N) const;
  void add_blocks(const CrossProducts& products, const Scales& scales, double* N, double* covariance) const;

  const JointPattern& pattern_;
  linear_algebra::SparseCholesky cholesky_;
  std::vector<double> factor_, half_;  ///< L_i, T_i
  std::vector<double> block_;
  mutable std::vector<double> right_, clique_;
  double log_determinant_ = 0.0;
};

}  // namespace multilevel::likelihood
