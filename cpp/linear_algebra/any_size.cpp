#include "linear_algebra/any_size.hpp"

#include <cmath>

#include "linear_algebra/dense.hpp"

namespace multilevel::linear_algebra {

namespace {

/// to = A B, entry (p, j) of B at b[p * step + j * stride]. Q is the size, or 0 where it is q.
template <int Q>
void multiply(int q, const double* __restrict a, const double* __restrict b, int step, int stride,
              double* __restrict to) {
  const int n = Q > 0 ? Q : q;
  for (int j = 0; j < n; ++j, b += stride, to += n) {
    for (int i = 0; i < n; ++i) to[i] = a[i] * b[0];
    for (int p = 1; p < n; ++p)
      for (int i = 0; i < n; ++i) to[i] += a[i + p * n] * b[p * step];
  }
}

void multiply(const AnyMatrix& x, const AnyMatrix& y, bool transposed, AnyMatrix& to) {
  const int q = x.rows(), step = transposed ? q : 1, stride = transposed ? 1 : q;
  switch (q) {
    case 0:
      return;
    case 3:
      return multiply<3>(q, x.data(), y.data(), step, stride, to.data());
    case 4:
      return multiply<4>(q, x.data(), y.data(), step, stride, to.data());
    case 5:
      return multiply<5>(q, x.data(), y.data(), step, stride, to.data());
    case 6:
      return multiply<6>(q, x.data(), y.data(), step, stride, to.data());
    default:
      break;
  }
  if (q <= most_in_place) return multiply<0>(q, x.data(), y.data(), step, stride, to.data());
  const Eigen::Map<const Eigen::MatrixXd> X(x.data(), q, q), Y(y.data(), q, q);
  Eigen::Map<Eigen::MatrixXd> To(to.data(), q, q);
  To.setZero();
  if (transposed)
    add_times_transposed(1.0, X, Y, To);
  else
    add_times(1.0, X, Y, To);
}

}  // namespace

double AnyVector::dot(const AnyVector& other) const {
  const double *x = data(), *y = other.data();
  double s = 0.0;
  for (int a = 0; a < size(); ++a) s += x[a] * y[a];
  return s;
}

bool AnyVector::allFinite() const {
  return std::all_of(data(), data() + size(), [](double x) { return std::isfinite(x); });
}

AnyVector& AnyVector::operator+=(const AnyVector& other) {
  double* x = data();
  const double* y = other.data();
  for (int a = 0; a < size(); ++a) x[a] += y[a];
  return *this;
}

AnyVector& AnyVector::operator-=(const AnyVector& other) {
  double* x = data();
  const double* y = other.data();
  for (int a = 0; a < size(); ++a) x[a] -= y[a];
  return *this;
}

AnyVector operator+(const AnyVector& x, const AnyVector& y) {
  AnyVector r = x;
  r += y;
  return r;
}

AnyVector operator-(const AnyVector& x, const AnyVector& y) {
  AnyVector r = x;
  r -= y;
  return r;
}

AnyVector operator-(const AnyVector& x) { return -1.0 * x; }

AnyVector operator*(double factor, const AnyVector& x) {
  AnyVector r(x.size());
  const double* from = x.data();
  double* to = r.data();
  for (int a = 0; a < x.size(); ++a) to[a] = factor * from[a];
  return r;
}

AnyMatrix::AnyMatrix(const OuterProduct& product) : AnyMatrix(product.x.size(), product.x.size()) {
  for (int b = 0; b < q_; ++b)
    for (int a = 0; a < q_; ++a) (*this)(a, b) = product.x[a] * product.y[b];
}

AnyMatrix::AnyMatrix(const TransposedMatrix& transposed)
    : AnyMatrix(transposed.matrix.rows(), transposed.matrix.rows()) {
  for (int b = 0; b < q_; ++b)
    for (int a = 0; a < q_; ++a) (*this)(a, b) = transposed.matrix(b, a);
}

AnyVector AnyMatrix::row(int a) const {
  AnyVector r(q_);
  for (int b = 0; b < q_; ++b) r[b] = (*this)(a, b);
  return r;
}

double AnyMatrix::sum() const {
  double s = 0.0;
  for (int i = 0; i < count(); ++i) s += data()[i];
  return s;
}

AnyMatrix& AnyMatrix::operator+=(const AnyMatrix& other) {
  double* x = data();
  const double* y = other.data();
  for (int i = 0; i < count(); ++i) x[i] += y[i];
  return *this;
}

AnyMatrix& AnyMatrix::operator-=(const AnyMatrix& other) {
  double* x = data();
  const double* y = other.data();
  for (int i = 0; i < count(); ++i) x[i] -= y[i];
  return *this;
}

AnyMatrix& AnyMatrix::operator+=(const OuterProduct& product) {
  const double *x = product.x.data(), *y = product.y.data();
  double* to = data();
  for (int b = 0; b < q_; ++b, to += q_)
    for (int a = 0; a < q_; ++a) to[a] += x[a] * y[b];
  return *this;
}

AnyMatrix operator+(const AnyMatrix& x, const AnyMatrix& y) {
  AnyMatrix r = x;
  r += y;
  return r;
}

AnyMatrix operator-(const AnyMatrix& x, const AnyMatrix& y) {
  AnyMatrix r = x;
  r -= y;
  return r;
}

AnyMatrix operator-(const AnyMatrix& x) { return -1.0 * x; }

AnyMatrix operator*(double factor, const AnyMatrix& x) {
  AnyMatrix r(x.rows(), x.rows());
  const double* from = x.data();
  double* to = r.data();
  for (int i = 0; i < x.count(); ++i) to[i] = factor * from[i];
  return r;
}

AnyMatrix operator*(const AnyMatrix& x, const AnyMatrix& y) {
  AnyMatrix r(x.rows(), x.rows());
  multiply(x, y, false, r);
  return r;
}

AnyMatrix operator*(const TransposedMatrix& x, const AnyMatrix& y) { return AnyMatrix(x) * y; }

AnyMatrix operator*(const AnyMatrix& x, const TransposedMatrix& y) {
  AnyMatrix r(x.rows(), x.rows());
  multiply(x, y.matrix, true, r);
  return r;
}

AnyMatrix operator*(const TransposedMatrix& x, const TransposedMatrix& y) {
  return AnyMatrix((y.matrix * x.matrix).transpose());
}

AnyVector operator*(const AnyMatrix& x, const AnyVector& y) {
  const int q = x.rows();
  AnyVector r = AnyVector::Zero(q);
  const double* column = x.data();
  double* to = r.data();
  for (int b = 0; b < q; ++b, column += q)
    for (int a = 0; a < q; ++a) to[a] += column[a] * y[b];
  return r;
}

AnyVector operator*(const TransposedMatrix& x, const AnyVector& y) {
  const int q = x.matrix.rows();
  AnyVector r(q);
  const double *column = x.matrix.data(), *from = y.data();
  for (int b = 0; b < q; ++b, column += q) {
    double s = 0.0;
    for (int a = 0; a < q; ++a) s += column[a] * from[a];
    r[b] = s;
  }
  return r;
}

AnyMatrix lower_half_diagonal(const AnyMatrix& m) {
  const int q = m.rows();
  AnyMatrix r(q, q);
  for (int b = 0; b < q; ++b)
    for (int a = 0; a < q; ++a) r(a, b) = a > b ? m(a, b) : (a == b ? 0.5 * m(a, a) : 0.0);
  return r;
}

AnyMatrix symmetric_from_lower(const AnyMatrix& m) {
  const int q = m.rows();
  AnyMatrix r(q, q);
  for (int b = 0; b < q; ++b)
    for (int a = b; a < q; ++a) r(a, b) = r(b, a) = m(a, b);
  return r;
}

double sum_of_products(const AnyMatrix& x, const AnyMatrix& y) {
  double s = 0.0;
  for (int i = 0; i < x.count(); ++i) s += x.data()[i] * y.data()[i];
  return s;
}

void add_to_row(AnyMatrix& m, int row, const AnyVector& x) {
  for (int b = 0; b < m.rows(); ++b) m(row, b) += x[b];
}

void add_to_column(AnyMatrix& m, int column, const AnyVector& x) {
  for (int a = 0; a < m.rows(); ++a) m(a, column) += x[a];
}

}  // namespace multilevel::linear_algebra
