// Sums over rows: the inner loops of everything. Vectorised, in an order that depends on n alone.
#pragma once

#include <cstddef>

namespace multilevel::numeric {

inline double sum(int n, const double* a) {
  double s = 0.0;
#pragma omp simd reduction(+ : s)
  for (int j = 0; j < n; ++j) s += a[j];
  return s;
}

inline double dot(int n, const double* a, const double* b) {
  double s = 0.0;
#pragma omp simd reduction(+ : s)
  for (int j = 0; j < n; ++j) s += a[j] * b[j];
  return s;
}

inline double dot(int n, const double* a, const double* b, const double* c) {
  double s = 0.0;
#pragma omp simd reduction(+ : s)
  for (int j = 0; j < n; ++j) s += a[j] * b[j] * c[j];
  return s;
}

/// y += a x
inline void add_multiple(int n, double a, const double* x, double* y) {
#pragma omp simd
  for (int j = 0; j < n; ++j) y[j] += a * x[j];
}

/// out[k * stride_k + r * stride_r] = x_k' c_r for columns x_0.. and c_0.., four columns of c for one reading of x.
inline void cross_products(int n, int n_x, const double* const* x, int n_c, const double* const* c, double* out,
                           std::ptrdiff_t stride_x, std::ptrdiff_t stride_c) {
  for (int k = 0; k < n_x; ++k) {
    const double* xk = x[k];
    double* to = out + k * stride_x;
    int r = 0;
    for (; r + 4 <= n_c; r += 4) {
      const double *c0 = c[r], *c1 = c[r + 1], *c2 = c[r + 2], *c3 = c[r + 3];
      double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
      for (int j = 0; j < n; ++j) {
        s0 += xk[j] * c0[j];
        s1 += xk[j] * c1[j];
        s2 += xk[j] * c2[j];
        s3 += xk[j] * c3[j];
      }
      to[r * stride_c] = s0;
      to[(r + 1) * stride_c] = s1;
      to[(r + 2) * stride_c] = s2;
      to[(r + 3) * stride_c] = s3;
    }
    for (; r < n_c; ++r) to[r * stride_c] = dot(n, xk, c[r]);
  }
}

}  // namespace multilevel::numeric
