// Eigenvalues and eigenvectors of symmetric matrices of a few rows, column-major, at numbers that the caller holds.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "linear_algebra/small_factor.hpp"

namespace multilevel::linear_algebra::small {

inline constexpr int most_rotation_sweeps = 30;

/// The largest eigenvalue of a symmetric matrix, column-major; of three rows or more an upper bound of it.
inline double largest_eigenvalue(int q, const double* a) {
  if (q == 1) return a[0];
  if (q == 2) {
    const double half = 0.5 * (a[0] - a[3]);
    return 0.5 * (a[0] + a[3]) + std::sqrt(half * half + a[1] * a[1]);
  }
  // Wolkowicz and Styan (1980): mean + sqrt(q - 1) times the standard deviation of the eigenvalues.
  double trace = 0.0, squares = 0.0;
  for (int k = 0; k < q; ++k) trace += a[k * (q + 1)];
  for (int k = 0; k < q * q; ++k) squares += a[k] * a[k];
  const double mean = trace / q;
  return mean + std::sqrt(std::fmax(0.0, (squares / q - mean * mean) * (q - 1)));
}

/// a = L^-1 a L^-T for a symmetric matrix.
inline void whiten(int q, const double* L, double* a) {
  for (int c = 0; c < q; ++c) forward(q, L, a + c * q);
  for (int r = 0; r < q; ++r)
    for (int c = 0; c < r; ++c) std::swap(a[r + c * q], a[c + r * q]);
  for (int c = 0; c < q; ++c) forward(q, L, a + c * q);
}

/// Eigenvectors of a symmetric matrix, which becomes diagonal: Jacobi's rotations. In the order of the eigenvalues.
inline void diagonalize(int q, double* a, double* axes) {
  for (int k = 0; k < q * q; ++k) axes[k] = k % (q + 1) == 0 ? 1.0 : 0.0;
  for (int sweep = 0; sweep < most_rotation_sweeps; ++sweep) {
    bool diagonal = true;
    for (int i = 1; i < q; ++i)
      for (int j = 0; j < i; ++j) {
        const double own = a[i + j * q], first = a[j * (q + 1)], second = a[i * (q + 1)];
        if (!(std::fabs(own) > 1e-16 * (std::fabs(first) + std::fabs(second)))) continue;
        diagonal = false;
        const double half = 0.5 * (second - first) / own;
        const double t = (half < 0.0 ? -1.0 : 1.0) / (std::fabs(half) + std::sqrt(1.0 + half * half));
        const double c = 1.0 / std::sqrt(1.0 + t * t), s = t * c;
        for (int k = 0; k < q; ++k) {
          const double x = a[k + j * q], y = a[k + i * q], e = axes[k + j * q], f = axes[k + i * q];
          a[k + j * q] = c * x - s * y;
          a[k + i * q] = s * x + c * y;
          axes[k + j * q] = c * e - s * f;
          axes[k + i * q] = s * e + c * f;
        }
        for (int k = 0; k < q; ++k) {
          const double x = a[j + k * q], y = a[i + k * q];
          a[j + k * q] = c * x - s * y;
          a[i + k * q] = s * x + c * y;
        }
      }
    if (diagonal) break;
  }
  for (int i = 1; i < q; ++i)
    for (int j = i; j > 0 && a[j * (q + 1)] < a[(j - 1) * (q + 1)]; --j) {
      std::swap(a[j * (q + 1)], a[(j - 1) * (q + 1)]);
      std::swap_ranges(axes + j * q, axes + (j + 1) * q, axes + (j - 1) * q);
    }
}

}  // namespace multilevel::linear_algebra::small
