#include "linear_algebra/dense_cholesky.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "linear_algebra/dense_kernels.hpp"

namespace multilevel::linear_algebra {

namespace {

constexpr int strips = 32;                    // up to so many columns go in strips of four, more are halved
constexpr int block = 256, small_block = 64;  // columns that are inverted together

int left_half(int width) { return (width / 2 + strips - 1) / strips * strips; }

/// The Cholesky factor of an N x N lower triangle. The reciprocals of its diagonal are kept.
template <int N>
bool factor_triangle(double* a, std::ptrdiff_t leading, double (&reciprocal)[N]) {
  for (int j = 0; j < N; ++j) {
    double* column = a + j * leading;
    for (int k = 0; k < j; ++k)
      for (int i = j; i < N; ++i) column[i] -= a[j + k * leading] * a[i + k * leading];
    const double pivot = column[j];
    if (!(pivot > 0.0 && pivot <= std::numeric_limits<double>::max())) return false;
    column[j] = std::sqrt(pivot);
    reciprocal[j] = 1.0 / column[j];
    for (int i = j + 1; i < N; ++i) column[i] *= reciprocal[j];
  }
  return true;
}

/// solve(row, type) for all rows, as many at a time as there are lanes, the rest one by one.
template <class Solve>
inline void each_row(int rows, const Solve& solve) {
  int i = 0;
  for (; i + lane_count <= rows; i += lane_count) solve(i, Lanes{});
  for (; i < rows; ++i) solve(i, double{});
}

template <class T>
inline T get(const double* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

/// X <- X L^-T for a strip of N columns.
template <int N>
inline void divide_strip_transposed(const double* factor, std::ptrdiff_t leading_factor, const double (&reciprocal)[N],
                                    double* x, int rows, std::ptrdiff_t leading) {
  double l[N][N];
  for (int j = 0; j < N; ++j)
    for (int k = 0; k < j; ++k) l[j][k] = factor[j + k * leading_factor];
  each_row(rows, [&](int i, auto kind) {
    decltype(kind) y[N];
    unrolled<N>([&](auto j) {
      y[j] = get<decltype(kind)>(x + i + j * leading);
      unrolled<j>([&](auto k) { y[j] -= y[k] * l[j][k]; });
      y[j] *= reciprocal[j];
      std::memcpy(x + i + j * leading, &y[j], sizeof kind);
    });
  });
}

/// X <- X L^-1 for a strip of N columns.
template <int N>
inline void divide_strip(const double* factor, std::ptrdiff_t leading_factor, double* x, int rows,
                         std::ptrdiff_t leading) {
  double l[N][N], reciprocal[N];
  for (int j = 0; j < N; ++j) {
    reciprocal[j] = 1.0 / factor[j + j * leading_factor];
    for (int k = j + 1; k < N; ++k) l[k][j] = factor[k + j * leading_factor];
  }
  each_row(rows, [&](int i, auto kind) {
    decltype(kind) y[N];
    unrolled<N>([&](auto reverse) {
      constexpr int j = N - 1 - reverse;
      y[j] = get<decltype(kind)>(x + i + j * leading);
      unrolled<reverse>([&](auto k) { y[j] -= y[N - 1 - k] * l[N - 1 - k][j]; });
      y[j] *= reciprocal[j];
      std::memcpy(x + i + j * leading, &y[j], sizeof kind);
    });
  });
}

/// A panel: each strip is updated by those before it, over its whole height.
bool factor_panel(double* a, int height, int width, std::ptrdiff_t leading) {
  for (int j = 0; j < width; j += 4) {
    double* strip = a + j + j * leading;
    const bool good = with_constant(std::min(4, width - j), [&](auto columns) {
      if (j > 0) subtract_columns<columns>(height - j, j, a + j, leading, a + j, leading, 1, strip, leading);
      double reciprocal[columns];
      if (!factor_triangle<columns>(strip, leading, reciprocal)) return false;
      divide_strip_transposed<columns>(strip, leading, reciprocal, strip + columns, height - j - columns, leading);
      return true;
    });
    if (!good) return false;
  }
  return true;
}

/// Z = L^-T L^-1 for N columns.
template <int N>
void invert_strip(const double* factor, std::ptrdiff_t leading_factor, double* inverse, std::ptrdiff_t leading) {
  double w[N][N] = {};
  for (int j = 0; j < N; ++j) {
    w[j][j] = 1.0 / factor[j + j * leading_factor];
    for (int i = j + 1; i < N; ++i) {
      double s = 0.0;
      for (int k = j; k < i; ++k) s += factor[i + k * leading_factor] * w[k][j];
      w[i][j] = -s / factor[i + i * leading_factor];
    }
  }
  for (int j = 0; j < N; ++j)
    for (int i = j; i < N; ++i) {
      double s = 0.0;
      for (int k = i; k < N; ++k) s += w[k][i] * w[k][j];
      inverse[i + j * leading] = inverse[j + i * leading] = s;
    }
}

/// From the last columns to the first. With Y = L_RJ L_JJ^-1: Z_RJ = -Z_RR Y and Z_JJ = L_JJ^-T L_JJ^-1 - Z_JR Y.
template <int Step, class Corner>
void invert_backwards(const double* factor, std::ptrdiff_t leading_factor, int width, double* inverse,
                      std::ptrdiff_t leading, double* work, const Corner& corner) {
  for (int j = (width - 1) / Step * Step; j >= 0; j -= Step) {
    const int columns = std::min(Step, width - j), rest = width - j - columns;
    const double* triangle = factor + j + j * leading_factor;
    double* z = inverse + j + j * leading;
    corner(columns, triangle, z);
    if (rest == 0) continue;
    for (int k = 0; k < columns; ++k) {
      const double* l = triangle + columns + k * leading_factor;
      std::copy(l, l + rest, work + static_cast<std::ptrdiff_t>(k) * rest);
      std::fill(z + columns + k * leading, z + columns + k * leading + rest, 0.0);
    }
    divide_by_factor(triangle, leading_factor, columns, work, rest, rest);
    subtract_product(rest, columns, rest, z + columns + columns * leading, leading, work, 1, rest, z + columns,
                     leading);
    mirror(z, columns, columns + rest, columns, leading);
    subtract_lower_product(columns, columns, rest, z + columns * leading, leading, work, 1, rest, z, leading);
    mirror(z, 1, columns, columns, leading);
  }
}

}  // namespace

void mirror(double* a, int begin, int end, int columns, std::ptrdiff_t leading) {
  constexpr int together = 8;
  for (int i = begin; i < end; i += together) {
    const int last = std::min(end, i + together);
    for (int k = 0; k < std::min(columns, last); ++k)
      for (int row = std::max(i, k + 1); row < last; ++row) a[k + row * leading] = a[row + k * leading];
  }
}

bool factor_trapezoid(double* a, int height, int width, std::ptrdiff_t leading) {
  if (width <= strips) return factor_panel(a, height, width, leading);
  const int half = left_half(width);
  double *below = a + half, *rest = below + half * leading;
  if (!factor_trapezoid(a, height, half, leading)) return false;
  subtract_lower_product(height - half, width - half, half, below, leading, below, leading, 1, rest, leading);
  return factor_trapezoid(rest, height - half, width - half, leading);
}

void divide_by_factor(const double* factor, std::ptrdiff_t leading_factor, int width, double* a, int m,
                      std::ptrdiff_t leading) {
  if (width > strips) {
    const int half = left_half(width);
    const double* below = factor + half;
    double* right = a + half * leading;
    divide_by_factor(below + half * leading_factor, leading_factor, width - half, right, m, leading);
    subtract_product(m, half, width - half, right, leading, below, 1, leading_factor, a, leading);
    return divide_by_factor(factor, leading_factor, half, a, m, leading);
  }
  for (int j = (width - 1) / 4 * 4; j >= 0; j -= 4)
    with_constant(std::min(4, width - j), [&](auto columns) {
      const int next = j + columns;
      double* strip = a + j * leading;
      if (next < width)
        subtract_columns<columns>(m, width - next, a + next * leading, leading, factor + next + j * leading_factor, 1,
                                  leading_factor, strip, leading);
      divide_strip<columns>(factor + j + j * leading_factor, leading_factor, strip, m, leading);
    });
}

std::ptrdiff_t inverse_work(int width) {
  return static_cast<std::ptrdiff_t>(block) * std::max(0, width - block) + small_block * block + 4 * small_block;
}

void invert_from_factor(const double* factor, std::ptrdiff_t leading_factor, int width, double* inverse,
                        std::ptrdiff_t leading, double* work) {
  if (width <= 4)
    return with_constant(width, [&](auto n) { invert_strip<n>(factor, leading_factor, inverse, leading); });
  double* panel_work = work + static_cast<std::ptrdiff_t>(block) * std::max(0, width - block);
  double* strip_work = panel_work + small_block * block;
  const auto strip = [&](int columns, const double* l, double* z) {
    with_constant(columns, [&](auto n) { invert_strip<n>(l, leading_factor, z, leading); });
  };
  const auto small_panel = [&](int columns, const double* l, double* z) {
    invert_backwards<4>(l, leading_factor, columns, z, leading, strip_work, strip);
  };
  const auto panel = [&](int columns, const double* l, double* z) {
    invert_backwards<small_block>(l, leading_factor, columns, z, leading, panel_work, small_panel);
  };
  invert_backwards<block>(factor, leading_factor, width, inverse, leading, work, panel);
}

void solve_lower(const double* factor, std::ptrdiff_t leading_factor, int width, double* x, int n,
                 std::ptrdiff_t leading) {
  if (width > strips && n > 2) {
    const int half = left_half(width);
    const double* below = factor + half;
    solve_lower(factor, leading_factor, half, x, n, leading);
    subtract_product(width - half, n, half, below, leading_factor, x, 1, leading, x + half, leading);
    return solve_lower(below + half * leading_factor, leading_factor, width - half, x + half, n, leading);
  }
  for (int j = 0; j < width; j += 4) {
    const int columns = std::min(4, width - j);
    const double* l = factor + j + j * leading_factor;
    for (int c = 0; c < n; ++c) {
      double* y = x + j + c * leading;
      for (int k = 0; k < columns; ++k) {
        for (int m = 0; m < k; ++m) y[k] -= l[k + m * leading_factor] * y[m];
        y[k] /= l[k + k * leading_factor];
      }
    }
    if (j + columns < width)
      subtract_product(width - j - columns, n, columns, l + columns, leading_factor, x + j, 1, leading, x + j + columns,
                       leading);
  }
}

void solve_lower_transposed(const double* factor, std::ptrdiff_t leading_factor, int width, double* x, int n,
                            std::ptrdiff_t leading) {
  if (width > strips && n > 2) {
    const int half = left_half(width);
    const double* below = factor + half;
    solve_lower_transposed(below + half * leading_factor, leading_factor, width - half, x + half, n, leading);
    subtract_transposed_product(half, n, width - half, below, leading_factor, x + half, leading, x, leading);
    return solve_lower_transposed(factor, leading_factor, half, x, n, leading);
  }
  for (int j = (width - 1) / 4 * 4; j >= 0; j -= 4) {
    const int columns = std::min(4, width - j);
    const double* l = factor + j + j * leading_factor;
    if (j + columns < width)
      subtract_transposed_product(columns, n, width - j - columns, l + columns, leading_factor, x + j + columns,
                                  leading, x + j, leading);
    for (int c = 0; c < n; ++c) {
      double* y = x + j + c * leading;
      for (int k = columns - 1; k >= 0; --k) {
        for (int m = k + 1; m < columns; ++m) y[k] -= l[m + k * leading_factor] * y[m];
        y[k] /= l[k + k * leading_factor];
      }
    }
  }
}

}  // namespace multilevel::linear_algebra
