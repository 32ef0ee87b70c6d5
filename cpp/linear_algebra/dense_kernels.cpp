#include "linear_algebra/dense_kernels.hpp"

#include <algorithm>

namespace multilevel::linear_algebra {

namespace {

// A block of A stays in the second-level cache while it meets the columns of B; it must fit on the stack.
constexpr int block_depth = 128, block_rows = 96;
constexpr int tile_vectors = 3, tile_rows = tile_vectors * lane_count;
constexpr int pack_columns = 48, pack_depth = 48;  // from here on copying pays
static_assert(block_rows % tile_rows == 0);

/// C (M x N) -= A'B, a dot product per entry.
template <int M, int N>
void subtract_dots(int depth, const double* a, std::ptrdiff_t leading, const double* b, std::ptrdiff_t leading_b,
                   double* c, std::ptrdiff_t leading_c) {
  Lanes sum[M][N];
  unrolled<M>([&](auto i) { unrolled<N>([&](auto j) { sum[i][j] = Lanes{}; }); });
  int p = 0;
  for (; p + lane_count <= depth; p += lane_count) {
    Lanes x[M];
    unrolled<M>([&](auto i) { x[i] = load(a + p + i * leading); });
    unrolled<N>([&](auto j) {
      const Lanes y = load(b + p + j * leading_b);
      unrolled<M>([&](auto i) { sum[i][j] += x[i] * y; });
    });
  }
  unrolled<M>([&](auto i) {
    unrolled<N>([&](auto j) {
      double s = 0.0;
      for (int k = 0; k < lane_count; ++k) s += sum[i][j][k];
      for (int k = p; k < depth; ++k) s += a[k + i * leading] * b[k + j * leading_b];
      c[i + j * leading_c] -= s;
    });
  });
}

}  // namespace

namespace {

/// C (rows x n) -= A B for a block of A that is packed first: strips of `tile_rows` rows, filled up with zeros, one
/// column after the other. Column j is needed from row j - diagonal on.
void subtract_packed(int rows, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                     std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c, int diagonal) {
  alignas(64) double left[block_rows * block_depth], right[4 * block_depth];
  for (int i = 0; i < rows; i += tile_rows) {
    const int some = std::min(tile_rows, rows - i);
    double* to = left + i * depth;
    for (int p = 0; p < depth; ++p, to += tile_rows) {
      const double* from = a + i + p * leading;
      if (some == tile_rows) {
        for (int k = 0; k < tile_rows; ++k) to[k] = from[k];
      } else {
        for (int k = 0; k < tile_rows; ++k) to[k] = k < some ? from[k] : 0.0;
      }
    }
  }
  for (int j = 0; j < n; j += 4)
    with_constant(std::min(4, n - j), [&](auto columns) {
      // Columns of B are read as they are; rows would touch a page for every entry.
      const double* strip = b + j * stride;
      if (step != 1)
        for (int p = 0; p < depth; ++p)
          unrolled<columns>([&](auto k) { right[p * columns + k] = strip[p * step + k * stride]; });
      for (int i = std::max(0, (j - diagonal) / tile_rows * tile_rows); i < rows; i += tile_rows) {
        double* to = c + i + j * leading_c;
        for (int k = 0; k < columns; ++k) {
          __builtin_prefetch(to + k * leading_c, 1);
          __builtin_prefetch(to + k * leading_c + tile_rows - 1, 1);
        }
        Lanes sum[tile_vectors][columns];
        if (step != 1)
          multiply_tile<tile_vectors, columns>(depth, left + i * depth, tile_rows, right, columns, 1, sum);
        else
          multiply_tile<tile_vectors, columns>(depth, left + i * depth, tile_rows, strip, 1, stride, sum);
        subtract_tile(sum, rows - i, to, leading_c);
      }
    });
}

void subtract_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                      std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c, bool lower) {
  // Small: straight from where the matrices are. Else a block of A is copied and meets all columns of B.
  const bool pack = n >= pack_columns && depth >= pack_depth && m >= tile_rows;
  for (int p = 0; p < depth; p += block_depth)
    for (int i = 0; i < m; i += block_rows) {
      const int rows = std::min(block_rows, m - i), some = std::min(block_depth, depth - p);
      const int columns = lower ? std::min(n, i + rows) : n, diagonal = lower ? i : n;
      const double *left = a + i + p * leading, *right = b + p * step;
      if (pack) {
        subtract_packed(rows, columns, some, left, leading, right, step, stride, c + i, leading_c, diagonal);
        continue;
      }
      for (int j = 0; j < columns; j += 4)
        with_constant(std::min(4, columns - j), [&](auto k) {
          const int from = std::max(0, j - diagonal);
          subtract_columns<k>(rows - from, some, left + from, leading, right + j * stride, step, stride,
                              c + i + from + j * leading_c, leading_c);
        });
    }
}

}  // namespace

void subtract_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                      std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c) {
  subtract_product(m, n, depth, a, leading, b, step, stride, c, leading_c, false);
}

void subtract_lower_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                            std::ptrdiff_t step, std::ptrdiff_t stride, double* c, std::ptrdiff_t leading_c) {
  subtract_product(m, n, depth, a, leading, b, step, stride, c, leading_c, true);
}

void subtract_transposed_product(int m, int n, int depth, const double* a, std::ptrdiff_t leading, const double* b,
                                 std::ptrdiff_t leading_b, double* c, std::ptrdiff_t leading_c) {
  constexpr int block = 512;
  for (int p = 0; p < depth; p += block) {
    const int some = std::min(block, depth - p);
    for (int j = 0; j < n; j += 3)
      for (int i = 0; i < m; i += 4)
        with_constant(std::min(4, m - i), [&](auto rows) {
          const double *left = a + p + i * leading, *right = b + p + j * leading_b;
          double* to = c + i + j * leading_c;
          if (n - j >= 3)
            subtract_dots<rows, 3>(some, left, leading, right, leading_b, to, leading_c);
          else if (n - j == 2)
            subtract_dots<rows, 2>(some, left, leading, right, leading_b, to, leading_c);
          else
            subtract_dots<rows, 1>(some, left, leading, right, leading_b, to, leading_c);
        });
  }
}

}  // namespace multilevel::linear_algebra
