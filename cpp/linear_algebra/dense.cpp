#include "linear_algebra/dense.hpp"

#include <cmath>
#include <limits>

#include <Eigen/Cholesky>
#include <Eigen/LU>

namespace multilevel::linear_algebra {

// Each kind of product is compiled once, as a sum.

void add_times(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to) {
  to.noalias() += factor * a * b;
}

void add_transposed_times(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to) {
  to.noalias() += factor * a.transpose() * b;
}

void add_times_transposed(double factor, const MatrixView& a, const MatrixView& b, Eigen::Ref<Eigen::MatrixXd> to) {
  to.noalias() += factor * a * b.transpose();
}

Eigen::MatrixXd times(const MatrixView& a, const MatrixView& b) {
  Eigen::MatrixXd product = Eigen::MatrixXd::Zero(a.rows(), b.cols());
  add_times(1.0, a, b, product);
  return product;
}

Eigen::MatrixXd transposed_times(const MatrixView& a, const MatrixView& b) {
  Eigen::MatrixXd product = Eigen::MatrixXd::Zero(a.cols(), b.cols());
  add_transposed_times(1.0, a, b, product);
  return product;
}

Eigen::MatrixXd times_transposed(const MatrixView& a, const MatrixView& b) {
  Eigen::MatrixXd product = Eigen::MatrixXd::Zero(a.rows(), b.rows());
  add_times_transposed(1.0, a, b, product);
  return product;
}

Eigen::VectorXd apply(const MatrixView& a, const VectorView& x) { return a * x; }
Eigen::VectorXd apply_transposed(const MatrixView& a, const VectorView& x) { return a.transpose() * x; }

Eigen::MatrixXd sandwich(const MatrixView& a, const MatrixView& s) { return times(transposed_times(a, s), a); }

void add_gram(const MatrixView& a, Eigen::MatrixXd& to) {
  to.selfadjointView<Eigen::Lower>().rankUpdate(a.transpose());
}

Cholesky::Cholesky(const Eigen::MatrixXd& symmetric) {
  const Eigen::LLT<Eigen::MatrixXd> llt(symmetric);
  factor_ = llt.matrixLLT();
  positive_definite_ = llt.info() == Eigen::Success;
}

double Cholesky::log_determinant() const { return 2.0 * factor_.diagonal().array().log().sum(); }

Eigen::MatrixXd Cholesky::lower() const { return factor_.triangularView<Eigen::Lower>(); }

Eigen::MatrixXd Cholesky::solve(const MatrixView& b) const {
  return solve_lower_transposed(factor_, solve_lower(factor_, b));
}

Eigen::MatrixXd solve_semidefinite(const Eigen::MatrixXd& symmetric, const MatrixView& b) {
  return Eigen::LDLT<Eigen::MatrixXd>(symmetric).solve(b);
}

// Eigen's L D L' takes its pivots from the diagonal as it was given, so that those of rounding may come first.
Eigen::MatrixXd semidefinite_root(const Eigen::MatrixXd& symmetric) {
  const auto n = symmetric.rows();
  Eigen::MatrixXd root(n, n);
  Eigen::VectorXd left = symmetric.diagonal();
  const double rounding = static_cast<double>(n) * std::numeric_limits<double>::epsilon() * left.maxCoeff();
  Eigen::Index rank = 0, pivot = 0;
  while (rank < n && left.maxCoeff(&pivot) > rounding) {
    auto column = root.col(rank);
    column = symmetric.col(pivot);
    column.noalias() -= root.leftCols(rank) * root.row(pivot).head(rank).transpose();
    column /= std::sqrt(left[pivot]);
    left -= column.cwiseAbs2();
    ++rank;
  }
  return root.leftCols(rank);
}

Eigen::MatrixXd solve_lower(const MatrixView& lower, const MatrixView& b) {
  Eigen::MatrixXd x = b;
  if (x.cols() == 1) {
    auto column = x.col(0);
    lower.triangularView<Eigen::Lower>().solveInPlace(column);
  } else {
    lower.triangularView<Eigen::Lower>().solveInPlace(x);
  }
  return x;
}

Eigen::MatrixXd solve_lower_transposed(const MatrixView& lower, const MatrixView& b) {
  Eigen::MatrixXd x = b;
  if (x.cols() == 1) {
    auto column = x.col(0);
    lower.triangularView<Eigen::Lower>().transpose().solveInPlace(column);
  } else {
    lower.triangularView<Eigen::Lower>().transpose().solveInPlace(x);
  }
  return x;
}

Eigen::MatrixXd solve_square(const Eigen::MatrixXd& a, const MatrixView& b) {
  if (a.rows() == 0) return Eigen::MatrixXd(0, b.cols());  // Eigen's decomposition would look for a largest entry
  return a.fullPivLu().solve(b);
}

Eigen::MatrixXd inverse(const Eigen::MatrixXd& a) {
  return solve_square(a, Eigen::MatrixXd::Identity(a.rows(), a.rows()));
}

double log_abs_determinant(const Eigen::MatrixXd& a) {
  return Eigen::FullPivLU<Eigen::MatrixXd>(a).matrixLU().diagonal().array().abs().log().sum();
}

}  // namespace multilevel::linear_algebra
