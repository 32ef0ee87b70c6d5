// Small dense types of a cluster: of a dimension known to the compiler, Eigen's; of any other, our own.
#pragma once

#include <Eigen/Core>

#include "linear_algebra/any_size.hpp"

namespace multilevel::linear_algebra {

template <int Q>
struct Small {
  using Vector = Eigen::Matrix<double, Q, 1>;
  using Matrix = Eigen::Matrix<double, Q, Q>;
  using VectorMap = Eigen::Map<Vector>;
  using ConstVectorMap = Eigen::Map<const Vector>;
  using MatrixMap = Eigen::Map<Matrix>;
  using ConstMatrixMap = Eigen::Map<const Matrix>;
};
template <>
struct Small<Eigen::Dynamic> {
  using Vector = AnyVector;
  using Matrix = AnyMatrix;
  using VectorMap = AnyVectorMap;
  using ConstVectorMap = AnyVector;
  using MatrixMap = AnyMatrixMap;
  using ConstMatrixMap = AnyMatrix;
};

/// The dimension: a constant for the compiler where Q is one.
template <int Q>
struct Dimension {
  explicit Dimension(int) {}
  constexpr int operator()() const { return Q; }
};
template <>
struct Dimension<Eigen::Dynamic> {
  explicit Dimension(int q) : value(q) {}
  int operator()() const { return value; }
  int value;
};

/// Lower triangle with the diagonal halved: d(L) = L Phi(L^-1 dH L^-T).
template <int Q>
Eigen::Matrix<double, Q, Q> lower_half_diagonal(const Eigen::Matrix<double, Q, Q>& m) {
  Eigen::Matrix<double, Q, Q> r = m.template triangularView<Eigen::Lower>();
  r.diagonal() *= 0.5;
  return r;
}

/// The symmetric matrix with this lower triangle.
template <int Q>
Eigen::Matrix<double, Q, Q> symmetric_from_lower(const Eigen::Matrix<double, Q, Q>& m) {
  return m.template selfadjointView<Eigen::Lower>();
}

/// The sum over the entries of both.
template <int Q>
double sum_of_products(const Eigen::Matrix<double, Q, Q>& x, const Eigen::Matrix<double, Q, Q>& y) {
  return x.cwiseProduct(y).sum();
}

template <int Q>
Eigen::Matrix<double, Q, 1> row_of(const Eigen::Matrix<double, Q, Q>& m, int row) {
  return m.row(row).transpose();
}
template <int Q>
void add_to_row(Eigen::Matrix<double, Q, Q>& m, int row, const Eigen::Matrix<double, Q, 1>& x) {
  m.row(row) += x.transpose();
}
template <int Q>
void add_to_column(Eigen::Matrix<double, Q, Q>& m, int column, const Eigen::Matrix<double, Q, 1>& x) {
  m.col(column) += x;
}
template <int Q>
void set_column(Eigen::Matrix<double, Q, Q>& m, int column, const Eigen::Matrix<double, Q, 1>& x) {
  m.col(column) = x;
}

}  // namespace multilevel::linear_algebra
