// Decompositions and products of dense matrices of any size, compiled once.
//
// Eigen's are templates: a file that multiplies two matrices compiles Eigen's whole product for itself, one that takes
// eigenvalues a second and more of code. Files that do so once per evaluation come here instead; what is done for every
// cluster has a size known to the compiler (small.hpp) or loops of its own.
#pragma once

#include <Eigen/Core>

namespace multilevel::linear_algebra {

using MatrixView = Eigen::Ref<const Eigen::MatrixXd>;
using VectorView = Eigen::Ref<const Eigen::VectorXd>;

Eigen::MatrixXd times(const MatrixView& a, const MatrixView& b);             ///< A B
Eigen::MatrixXd transposed_times(const MatrixView& a, const MatrixView& b);  ///< A'B
Eigen::MatrixXd times_transposed(const MatrixView& a, const MatrixView& b);  ///< A B'
Eigen::VectorXd apply(const MatrixView& a, const VectorView& x);             ///< A x
Eigen::VectorXd apply_transposed(const MatrixView& a, const VectorView& x);  ///< A'x
Eigen::MatrixXd sandwich(const MatrixView& a, const MatrixView& s);          ///< A'S A
/// to += factor A B, factor A'B, factor A B'; `to` is no part of A or B.
void add_times(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to);
void add_transposed_times(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to);
void add_times_transposed(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to);
/// The lower triangle of `to` += A'A.
void add_gram(const MatrixView& a, Eigen::MatrixXd& to);

/// S = V diag(values) V', values ascending, from the lower triangle of S.
struct SymmetricEigen {
  explicit SymmetricEigen(const Eigen::MatrixXd& symmetric);

  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;
};

/// S = L L', from the lower triangle of S.
class Cholesky {
 public:
  explicit Cholesky(const Eigen::MatrixXd& symmetric);

  bool positive_definite() const { return positive_definite_; }
  /// log |S|
  double log_determinant() const;
  Eigen::MatrixXd lower() const;
  /// S^-1 B
  Eigen::MatrixXd solve(const MatrixView& b) const;

 private:
  Eigen::MatrixXd factor_;  // below and on the diagonal
  bool positive_definite_;
};

/// S^-1 B for a positive semidefinite S, by L D L' with pivots.
Eigen::MatrixXd solve_semidefinite(const Eigen::MatrixXd& symmetric, const MatrixView& b);
/// C with C C' = A, a column for each pivot that is not rounding.
Eigen::MatrixXd semidefinite_root(const Eigen::MatrixXd& symmetric);

/// L^-1 B and L'^-1 B, L a lower triangle.
Eigen::MatrixXd solve_lower(const MatrixView& lower, const MatrixView& b);
Eigen::MatrixXd solve_lower_transposed(const MatrixView& lower, const MatrixView& b);

/// A^-1 B by elimination with full pivots, A^-1, and log abs |A|.
Eigen::MatrixXd solve_square(const Eigen::MatrixXd& a, const MatrixView& b);
Eigen::MatrixXd inverse(const Eigen::MatrixXd& a);
double log_abs_determinant(const Eigen::MatrixXd& a);

/// Of a positive semidefinite S the matrix that makes the shortest of the least-squares solutions of S x = b.
Eigen::MatrixXd pseudo_inverse(const Eigen::MatrixXd& semidefinite);

}  // namespace multilevel::linear_algebra
