// Small dense types of a cluster: dimension Q known to the compiler, or up to Max without allocation, or any.
#pragma once

#include <Eigen/Dense>

namespace multilevel::linear_algebra {

template <int Q, int Max>
struct Small {
  using Vector = Eigen::Matrix<double, Q, 1, 0, Max, 1>;
  using Matrix = Eigen::Matrix<double, Q, Q, 0, Max, Max>;
  using VectorMap = Eigen::Map<Vector>;
  using ConstVectorMap = Eigen::Map<const Vector>;
  using MatrixMap = Eigen::Map<Matrix>;
  using ConstMatrixMap = Eigen::Map<const Matrix>;
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
template <class Matrix>
Matrix lower_half_diagonal(const Matrix& m) {
  Matrix r = m.template triangularView<Eigen::Lower>();
  r.diagonal() *= 0.5;
  return r;
}

/// The symmetric matrix with this lower triangle.
template <class Matrix>
Matrix symmetric_from_lower(const Matrix& m) {
  Matrix r = m.template selfadjointView<Eigen::Lower>();
  return r;
}

}  // namespace multilevel::linear_algebra
