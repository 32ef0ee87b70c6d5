// Products of small dense matrices, where the preparations that pay for large ones would cost more than the product.
//
// All matrices are column-major. Rows are read several at a time: behind the last entry of the left factor of
// subtract_product, lane_count - 1 further doubles must be readable (`read_ahead`).
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "numeric/lanes.hpp"

namespace multilevel::linear_algebra {

using numeric::broadcast, numeric::lane_count, numeric::Lanes, numeric::load, numeric::store;

inline constexpr int read_ahead = lane_count - 1;

/// body(0), .., body(N - 1) with constants, so that arrays indexed by them can live in registers.
template <int N, class Body>
inline void unrolled(const Body& body) {
  [&]<int... K>(std::integer_sequence<int, K...>) {
    (body(std::integral_constant<int, K>()), ...);
  }(std::make_integer_sequence<int, N>());
}

/// sum[v][j] = rows v * lane_count .. of A times column j of B, whose entry (p, j) is b[p * step + j * stride].
template <int V, int N>
inline void multiply_tile(int depth, const double* a, std::ptrdiff_t leading, const double* b, std::ptrdiff_t step,
                          std::ptrdiff_t stride, Lanes (&sum)[V][N]) {
  unrolled<V>([&](auto v) { unrolled<N>([&](auto j) { sum[v][j] = Lanes{}; }); });
  for (int p = 0; p < depth; ++p, a += leading, b += step) {
    Lanes x[V];
    unrolled<V>([&](auto v) { x[v] = load(a + v * lane_count); });
    unrolled<N>([&](auto j) {
      const Lanes y = broadcast(b[j * stride]);
      unrolled<V>([&](auto v) { sum[v][j] += x[v] * y; });
    });
  }
}

/// Calls use(first row, number of rows, sum) for some rows of A (m x depth) times N columns of B at a time.
template <int N, class Use>
inline void multiply_columns(int m, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                             std::ptrdiff_t step, std::ptrdiff_t stride, const Use& use) {
  constexpr int most = 3;
  int i = 0;
  for (; i + most * lane_count <= m; i += most * lane_count) {
    Lanes sum[most][N];
    multiply_tile<most, N>(depth, a + i, leading, b, step, stride, sum);
    use(i, most * lane_count, sum);
  }
  for (; i < m; i += lane_count) {
    Lanes sum[1][N];
    multiply_tile<1, N>(depth, a + i, leading, b, step, stride, sum);
    use(i, m - i < lane_count ? m - i : lane_count, sum);
  }
}

/// C -= sum, in the first `rows` of the rows.
template <int V, int N>
inline void subtract_tile(const Lanes (&sum)[V][N], int rows, double* c, std::ptrdiff_t leading) {
  if (rows >= V * lane_count) {
    unrolled<N>([&](auto j) {
      unrolled<V>([&](auto v) {
        double* to = c + j * leading + v * lane_count;
        store(to, load(to) - sum[v][j]);
      });
    });
  } else {
    double plain[N][V * lane_count];
    unrolled<N>([&](auto j) { unrolled<V>([&](auto v) { store(&plain[j][v * lane_count], sum[v][j]); }); });
    for (int j = 0; j < N; ++j)
      for (int i = 0; i < rows; ++i) c[i + j * leading] -= plain[j][i];
  }
}

/// C (m x N) -= A B
template <int N>
inline void subtract_columns(int m, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                             std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c) {
  multiply_columns<N>(m, depth, a, leading, b, step, stride,
                      [&](int i, int rows, const auto& sum) { subtract_tile(sum, rows, c + i, leading_c); });
}

/// body(constant) with the constant N = n, 1 <= n <= 4, known to the compiler.
template <class Body>
inline auto with_constant(int n, const Body& body) {
  switch (n) {
    case 1:
      return body(std::integral_constant<int, 1>());
    case 2:
      return body(std::integral_constant<int, 2>());
    case 3:
      return body(std::integral_constant<int, 3>());
    default:
      return body(std::integral_constant<int, 4>());
  }
}

/// C (m x n) -= A B, A of m x depth, entry (p, j) of B at b[p * step + j * stride].
void subtract_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                      std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c);

/// The same where only the entries on and below the diagonal of C are needed; the others may change, too.
void subtract_lower_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                            std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c);

/// C (m x n) -= A'B, A of depth x m, B of depth x n.
void subtract_transposed_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                                 std::ptrdiff_t leading_b, double* c, std::ptrdiff_t leading_c);

}  // namespace multilevel::linear_algebra
