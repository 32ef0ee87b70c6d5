// Averages over the quadrature nodes of a cluster, each with its share, of what stands at its rows.
//
// A node stands at v_k = mode + L^-T t_k. What the gradient and the Hessian need are averages of row quantities times
// 1, t_k or t_k t_k'; so the nodes are gone through once for each cluster, by a product of matrices, and never again
// for each parameter.
#pragma once

#include <vector>

#include <Eigen/Core>

#include "likelihood/one_factor/strip.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

inline int pair_count(int q) { return q * (q + 1) / 2; }
inline int pair_index(int a, int b) { return a >= b ? a * (a + 1) / 2 + b : b * (b + 1) / 2 + a; }

/// 1, the coordinates of a rule's nodes that differ between them, and the products of two of these: a column each.
struct NodePowers {
  explicit NodePowers(const numeric::QuadratureRule& rule);

  int n_moved() const { return static_cast<int>(moved.size()); }
  int coordinate(int a) const { return 1 + a; }
  int product(int a, int b) const { return 1 + n_moved() + pair_index(a, b); }

  std::vector<int> moved;  ///< the dimension that each coordinate is of
  Eigen::MatrixXd columns;
};

class NodeAverages {
 public:
  NodeAverages(const NodePowers& powers, int most_rows, int n_phi, bool second);

  /// Sets rho, curvature and x_phi of the cluster's rows, and the averages below.
  void set(const ClusterRows& of, const std::vector<double>& share);

  /// Of a power itself, and of what stands at a row times a power; those of l'' and of derivatives by coefficients of
  /// the family's parameters where second derivatives are asked for.
  double power(int column) const { return mean_[column]; }
  const double* d1(int column) const { return d1_.col(column).data(); }
  const double* d2(int column) const { return d2_.col(column).data(); }
  const double* d1_phi(int r, int column) const { return d1_phi_[static_cast<std::size_t>(r)].col(column).data(); }

 private:
  void average(const double* at_nodes, const ClusterRows& of, Eigen::MatrixXd& to) const;

  const NodePowers& powers_;
  bool second_;
  Eigen::VectorXd mean_;
  Eigen::MatrixXd weighted_;  ///< powers times -share: products are subtracted
  Eigen::MatrixXd d1_, d2_;   ///< rows of the cluster, a column for each power
  std::vector<Eigen::MatrixXd> d1_phi_;
};

}  // namespace multilevel::likelihood
