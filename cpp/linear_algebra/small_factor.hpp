// Cholesky factors of small matrices, column-major q x q, by plain loops: blocks of one to a few numbers by the hundred
// thousand, where a general routine's overhead would be the cost.
#pragma once

#include <Eigen/Dense>
#include <cmath>

namespace multilevel::linear_algebra::small {

/// Lower factor in place of the lower triangle; false when the matrix is not positive definite.
inline bool cholesky(int q, double* L) {
  for (int c = 0; c < q; ++c) {
    double pivot = L[c + c * q];
    for (int k = 0; k < c; ++k) pivot -= L[c + k * q] * L[c + k * q];
    if (!(pivot > 0.0) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    L[c + c * q] = root;
    for (int r = c + 1; r < q; ++r) {
      double s = L[r + c * q];
      for (int k = 0; k < c; ++k) s -= L[r + k * q] * L[c + k * q];
      L[r + c * q] = s / root;
    }
  }
  return true;
}

/// x = L^-1 x
inline void forward(int q, const double* L, double* x) {
  for (int r = 0; r < q; ++r) {
    double s = x[r];
    for (int k = 0; k < r; ++k) s -= L[r + k * q] * x[k];
    x[r] = s / L[r + r * q];
  }
}

/// x = L^-T x
inline void backward(int q, const double* L, double* x) {
  for (int r = q - 1; r >= 0; --r) {
    double s = x[r];
    for (int k = r + 1; k < q; ++k) s -= L[k + r * q] * x[k];
    x[r] = s / L[r + r * q];
  }
}

/// (L L')^-1 into a column-major matrix with this leading dimension.
inline void inverse_from_factor(int q, const double* L, double* inverse, int leading) {
  for (int c = 0; c < q; ++c) {
    double* x = inverse + c * leading;
    for (int a = 0; a < q; ++a) x[a] = a == c ? 1.0 : 0.0;
    forward(q, L, x);
    backward(q, L, x);
  }
}

/// to = Lambda' x.
inline void transposed_times(int q, const Eigen::MatrixXd& lambda, const double* x, double* to) {
  for (int a = 0; a < q; ++a) {
    double s = 0.0;
    for (int k = 0; k < q; ++k) s += lambda(k, a) * x[k];
    to[a] = s;
  }
}

/// block = block Lambda, block p x q; `work` holds q numbers.
inline void times(int p, int q, double* block, const Eigen::MatrixXd& lambda, double* work) {
  for (int a = 0; a < p; ++a) {
    for (int k = 0; k < q; ++k) work[k] = block[a + k * p];
    for (int b = 0; b < q; ++b) {
      double s = 0.0;
      for (int k = 0; k < q; ++k) s += work[k] * lambda(k, b);
      block[a + b * p] = s;
    }
  }
}

/// to = Lambda' D Lambda (full); `work` holds q numbers.
inline void sandwich(int q, const Eigen::MatrixXd& lambda, const double* D, double* to, double* work) {
  for (int b = 0; b < q; ++b) {
    for (int a = 0; a < q; ++a) {
      double s = 0.0;
      for (int k = 0; k < q; ++k) s += D[a + k * q] * lambda(k, b);
      work[a] = s;
    }
    transposed_times(q, lambda, work, to + b * q);
  }
}

}  // namespace multilevel::linear_algebra::small
