#include "linear_algebra/sparse_cholesky.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense_cholesky.hpp"
#include "linear_algebra/dense_kernels.hpp"

namespace multilevel::linear_algebra {

namespace {

constexpr int narrow = 4;   // up to this width a supernode is treated entry by entry
constexpr int panel = 128;  // columns of the inverse that are gathered together
constexpr int few = 16;     // right-hand sides that are treated together

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

bool contiguous(const int* index, int n) { return index[n - 1] - index[0] == n - 1; }

/// target(relative[i], relative[j]) -= the product of rows i and j of A, for i >= j and the first `columns` rows j.
template <int W>
void subtract_narrow(const double* a, std::ptrdiff_t leading, int n, int columns, const int* relative, double* target,
                     std::ptrdiff_t leading_target) {
  for (int j = 0; j < columns; ++j) {
    double b[W];
    for (int k = 0; k < W; ++k) b[k] = a[j + k * leading];
    double* column = target + relative[j] * leading_target;
    for (int i = j; i < n; ++i) {
      double s = 0.0;
      for (int k = 0; k < W; ++k) s += a[i + k * leading] * b[k];
      column[relative[i]] -= s;
    }
  }
}

/// The same for `depth` columns of A.
void subtract_scattered(const double* a, std::ptrdiff_t leading, int n, int columns, int depth, const int* relative,
                        double* target, std::ptrdiff_t leading_target) {
  for (int j = 0; j < columns; j += 4)
    with_constant(std::min(4, columns - j), [&](auto some) {
      constexpr int N = some;
      const int* place = relative + j;
      multiply_columns<N>(n - j, depth, a + j, leading, a + j, leading, 1, [&](int i, int rows, const auto& sum) {
        constexpr int vectors = sizeof(sum) / sizeof(sum[0]);
        double plain[N][vectors * lane_count];
        unrolled<N>([&](auto k) { unrolled<vectors>([&](auto v) { store(&plain[k][v * lane_count], sum[v][k]); }); });
        for (int k = 0; k < N; ++k) {
          double* column = target + place[k] * leading_target;
          for (int row = 0; row < rows; ++row) column[place[i + row]] -= plain[k][row];
        }
      });
    });
}

template <int W>
void forward_narrow(const Supernode& node, const double* l, double* x) {
  double y[W];
  const std::ptrdiff_t leading = node.height();
  for (int k = 0; k < W; ++k) {
    double s = x[node.first + k];
    for (int m = 0; m < k; ++m) s -= l[k + m * leading] * y[m];
    x[node.first + k] = y[k] = s / l[k + k * leading];
  }
  for (int i = 0; i < node.n_below; ++i) {
    double s = 0.0;
    for (int k = 0; k < W; ++k) s += l[W + i + k * leading] * y[k];
    x[node.below[i]] -= s;
  }
}

template <int W>
void backward_narrow(const Supernode& node, const double* l, double* x) {
  double y[W];
  const std::ptrdiff_t leading = node.height();
  for (int k = 0; k < W; ++k) y[k] = x[node.first + k];
  for (int i = 0; i < node.n_below; ++i) {
    const double known = x[node.below[i]];
    for (int k = 0; k < W; ++k) y[k] -= l[W + i + k * leading] * known;
  }
  for (int k = W - 1; k >= 0; --k) {
    for (int m = k + 1; m < W; ++m) y[k] -= l[m + k * leading] * y[m];
    x[node.first + k] = y[k] /= l[k + k * leading];
  }
}

}  // namespace

SparseCholesky::SparseCholesky(const SymbolicCholesky& symbolic)
    : symbolic_(symbolic),
      values_(at(symbolic.n_values() + read_ahead)),
      place_(at(symbolic.n())),
      waiting_(at(symbolic.n_supernodes())),
      next_(at(symbolic.n_supernodes())),
      progress_(at(symbolic.n_supernodes())) {
  std::ptrdiff_t below = 0, scaled = 0, work = 0;
  for (int s = 0; s < symbolic.n_supernodes(); ++s) {
    const Supernode node = symbolic.supernode(s);
    const auto w = static_cast<std::ptrdiff_t>(node.width), r = static_cast<std::ptrdiff_t>(node.n_below);
    below = std::max(below, r);
    scaled = std::max(scaled, r * w);
    work = std::max({work, r * std::clamp<std::ptrdiff_t>(r, few, panel), inverse_work(node.width)});
  }
  relative_.resize(at(below + 1));
  scaled_.resize(at(scaled + read_ahead));
  work_.resize(at(work + read_ahead));
}

void SparseCholesky::clear() { std::fill(values_.begin(), values_.end(), 0.0); }

/// Subtracts from `target` the products of the rows begin .. of `from` with its rows begin .. end, which are columns of
/// the target.
void SparseCholesky::update(const Supernode& target, const Supernode& from, int begin, int end, const int* relative) {
  const int n = from.n_below - begin, columns = end - begin, depth = from.width;
  const std::ptrdiff_t leading = from.height(), leading_target = target.height();
  const double* a = values_.data() + from.base + depth + begin;
  double* to = values_.data() + target.base;
  if (depth <= narrow)
    with_constant(depth, [&](auto w) { subtract_narrow<w>(a, leading, n, columns, relative, to, leading_target); });
  else if (contiguous(relative, n))
    subtract_lower_product(n, columns, depth, a, leading, a, leading, 1, to + relative[0] * (1 + leading_target),
                           leading_target);
  else
    subtract_scattered(a, leading, n, columns, depth, relative, to, leading_target);
}

bool SparseCholesky::factor() {
  // A supernode fetches the updates from those that wait for it; then they wait for the next one that they reach.
  const auto wait = [&](int s, const Supernode& node, int progress) {
    const int later = symbolic_.supernode_of(node.below[progress]);
    progress_[at(s)] = progress;
    next_[at(s)] = waiting_[at(later)];
    waiting_[at(later)] = s;
  };
  std::fill(waiting_.begin(), waiting_.end(), -1);
  for (int s = 0; s < symbolic_.n_supernodes(); ++s) {
    const Supernode node = symbolic_.supernode(s);
    bool placed = false;
    for (int c = waiting_[at(s)]; c != -1;) {
      const int following = next_[at(c)], begin = progress_[at(c)];
      const Supernode from = symbolic_.supernode(c);
      const int* rows = from.below + begin;
      const int n = from.n_below - begin;
      int inside = 0;
      for (; inside < n && rows[inside] < node.end(); ++inside) relative_[at(inside)] = rows[inside] - node.first;
      if (inside < n) {
        if (!placed)
          for (int i = 0; i < node.n_below; ++i) place_[at(node.below[i])] = node.width + i;
        placed = true;
        for (int i = inside; i < n; ++i) relative_[at(i)] = place_[at(rows[i])];
        wait(c, from, begin + inside);
      }
      update(node, from, begin, begin + inside, relative_.data());
      c = following;
    }
    if (!factor_trapezoid(values_.data() + node.base, node.height(), node.width, node.height())) return false;
    if (node.n_below > 0) wait(s, node, 0);
  }
  return true;
}

double SparseCholesky::log_determinant() const {
  // One logarithm in all: of the product, whose exponent is set aside where it becomes large.
  double product = 1.0;
  std::int64_t exponent = 0;
  const auto fraction = [&](double x) {
    int e = 0;
    const double y = std::frexp(x, &e);
    exponent += e;
    return y;
  };
  for (int s = 0; s < symbolic_.n_supernodes(); ++s) {
    const Supernode node = symbolic_.supernode(s);
    const double* diagonal = values_.data() + node.base;
    for (int j = 0; j < node.width; ++j, diagonal += node.height() + 1) {
      product *= *diagonal > 1e-100 && *diagonal < 1e100 ? *diagonal : fraction(*diagonal);
      if (!(product > 1e-150 && product < 1e150)) product = fraction(product);
    }
  }
  return 2.0 * (std::log(product) + static_cast<double>(exponent) * 0.69314718055994530942);
}

void SparseCholesky::solve(double* rhs, int n_columns, std::ptrdiff_t leading) const {
  forward(rhs, n_columns, leading);
  backward(rhs, n_columns, leading);
}

void SparseCholesky::forward(double* rhs, int n_columns, std::ptrdiff_t leading) const {
  for (int begin = 0; begin < n_columns; begin += few) {
    const int columns = std::min(few, n_columns - begin);
    double* x = rhs + begin * leading;
    for (int s = 0; s < symbolic_.n_supernodes(); ++s) {
      const Supernode node = symbolic_.supernode(s);
      const double* l = values_.data() + node.base;
      if (node.width <= narrow) {
        with_constant(node.width, [&](auto w) {
          for (int c = 0; c < columns; ++c) forward_narrow<w>(node, l, x + c * leading);
        });
        continue;
      }
      const auto r = static_cast<std::ptrdiff_t>(node.n_below);
      solve_lower(l, node.height(), node.width, x + node.first, columns, leading);
      std::fill_n(work_.begin(), r * columns, 0.0);
      subtract_product(node.n_below, columns, node.width, l + node.width, node.height(), x + node.first, 1, leading,
                       work_.data(), r);
      for (int c = 0; c < columns; ++c)
        for (std::ptrdiff_t i = 0; i < r; ++i) x[node.below[i] + c * leading] += work_[at(i + c * r)];
    }
  }
}

void SparseCholesky::backward(double* rhs, int n_columns, std::ptrdiff_t leading) const {
  for (int begin = 0; begin < n_columns; begin += few) {
    const int columns = std::min(few, n_columns - begin);
    double* x = rhs + begin * leading;
    for (int s = symbolic_.n_supernodes() - 1; s >= 0; --s) {
      const Supernode node = symbolic_.supernode(s);
      const double* l = values_.data() + node.base;
      if (node.width <= narrow) {
        with_constant(node.width, [&](auto w) {
          for (int c = 0; c < columns; ++c) backward_narrow<w>(node, l, x + c * leading);
        });
        continue;
      }
      const auto r = static_cast<std::ptrdiff_t>(node.n_below);
      for (int c = 0; c < columns; ++c)
        for (std::ptrdiff_t i = 0; i < r; ++i) work_[at(i + c * r)] = x[node.below[i] + c * leading];
      subtract_transposed_product(node.width, columns, node.n_below, l + node.width, node.height(), work_.data(), r,
                                  x + node.first, leading);
      solve_lower_transposed(l, node.height(), node.width, x + node.first, columns, leading);
    }
  }
}

void SparseCholesky::invert() {
  inverse_.resize(values_.size());
  std::fill(place_.begin(), place_.end(), nowhere());
  for (int s = symbolic_.n_supernodes() - 1; s >= 0; --s) {
    const Supernode node = symbolic_.supernode(s);
    invert_from_factor(values_.data() + node.base, node.height(), node.width, inverse_.data() + node.base,
                       node.height(), work_.data());
    if (node.n_below == 0) continue;
    if (node.width > narrow)
      invert_wide(node);
    else
      with_constant(node.width, [&](auto w) { invert_narrow<w>(node); });
  }
}

/// relative_[i] = place of below[i] of the earlier supernode among the rows of a later one, from i = begin on. place_
/// must hold the numbers i of these rows, and for all others where to put what is not wanted.
void SparseCholesky::find_rows(const Supernode& earlier, int begin, const Supernode& later) {
  const int n = earlier.n_below;
  int i = begin;
  for (; i < n && earlier.below[i] < later.end(); ++i) relative_[at(i)] = earlier.below[i] - later.first;
  if (i == n) return;
  constexpr int factor = 8;
  if (later.n_below <= factor * (n - i)) {
    for (int k = 0; k < later.n_below; ++k) relative_[at(place_[at(later.below[k])])] = later.width + k;
    return;
  }
  const int *search = later.below, *const end = later.below + later.n_below;
  for (; i < n; ++i) {
    search = std::lower_bound(search, end, earlier.below[i]);
    relative_[at(i)] = later.width + static_cast<int>(search - later.below);
  }
}

/// With Y = L_RJ L_JJ^-1: Z_RJ = -Z_RR Y and Z_JJ = L_JJ^-T L_JJ^-1 - Y' Z_RJ, for a supernode of W columns J. Every
/// column of the lower triangle of Z_RR is read once.
template <int W>
void SparseCholesky::invert_narrow(const Supernode& node) {
  const int r = node.n_below;
  const std::ptrdiff_t leading = node.height();
  const double* l = values_.data() + node.base;
  double *z = inverse_.data() + node.base, *below = z + W, *y = scaled_.data();
  for (int k = 0; k < W; ++k) {
    std::copy_n(l + W + k * leading, r, y + static_cast<std::ptrdiff_t>(k) * r);
    std::fill_n(below + k * leading, r, 0.0);
  }
  divide_by_factor(l, leading, W, y, r, r);
  for (int i = 0; i < r; ++i) place_[at(node.below[i])] = i;
  for (int c = 0; c < r;) {
    const Supernode later = symbolic_.supernode(symbolic_.supernode_of(node.below[c]));
    find_rows(node, c, later);
    for (; c < r && node.below[c] < later.end(); ++c) {
      const double* column =
          inverse_.data() + later.base + relative_[at(c)] * static_cast<std::ptrdiff_t>(later.height());
      const int* place = relative_.data() + c;
      const int n = r - c;
      double* known = work_.data();
      for (int i = 0; i < n; ++i) known[i] = column[place[i]];
      for (int k = 0; k < W; ++k) {
        const double* scaled = y + c + static_cast<std::ptrdiff_t>(k) * r;
        double *to = below + c + k * leading, first = scaled[0], s = known[0] * first;
#pragma omp simd reduction(+ : s)
        for (int i = 1; i < n; ++i) {
          to[i] -= known[i] * first;
          s += known[i] * scaled[i];
        }
        to[0] -= s;
      }
    }
  }
  for (int i = 0; i < r; ++i) place_[at(node.below[i])] = nowhere();
  for (int j = 0; j < W; ++j)
    for (int k = 0; k <= j; ++k) {
      const double *a = below + j * leading, *b = y + static_cast<std::ptrdiff_t>(k) * r;
      double s = z[j + k * leading];
#pragma omp simd reduction(- : s)
      for (int i = 0; i < r; ++i) s -= a[i] * b[i];
      z[j + k * leading] = z[k + j * leading] = s;
    }
}

/// The same for many columns; Z_RR is gathered some columns at a time, or used where it is.
void SparseCholesky::invert_wide(const Supernode& node) {
  const int w = node.width, r = node.n_below;
  const std::ptrdiff_t leading = node.height(), leading_y = r;
  const double* l = values_.data() + node.base;
  double *z = inverse_.data() + node.base, *below = z + w, *y = scaled_.data();
  for (int k = 0; k < w; ++k) {
    std::copy_n(l + w + k * leading, r, y + k * leading_y);
    std::fill_n(below + k * leading, r, 0.0);
  }
  divide_by_factor(l, leading, w, y, r, leading_y);
  for (int i = 0; i < r; ++i) place_[at(node.below[i])] = i;
  for (int begin = 0; begin < r; begin += panel) {
    const int columns = std::min(panel, r - begin), rows = r - begin;
    const double* known = work_.data();
    std::ptrdiff_t leading_known = rows;
    for (int c = begin; c < begin + columns;) {
      const Supernode later = symbolic_.supernode(symbolic_.supernode_of(node.below[c]));
      const double* from = inverse_.data() + later.base;
      find_rows(node, c, later);
      if (c == begin && node.below[c + columns - 1] < later.end() && contiguous(relative_.data() + c, rows)) {
        leading_known = later.height();
        known = from + relative_[at(c)] * (1 + leading_known);
        break;
      }
      for (; c < begin + columns && node.below[c] < later.end(); ++c) {
        const double* column = from + relative_[at(c)] * static_cast<std::ptrdiff_t>(later.height());
        double* to = work_.data() + (c - begin) * static_cast<std::ptrdiff_t>(rows) - begin;
        for (int i = c; i < r; ++i) to[i] = column[relative_[at(i)]];
      }
    }
    if (known == work_.data()) mirror(work_.data(), 1, columns, columns, leading_known);
    subtract_product(rows, w, columns, known, leading_known, y + begin, 1, leading_y, below + begin, leading);
    subtract_transposed_product(columns, w, rows - columns, known + columns, leading_known, y + begin + columns,
                                leading_y, below + begin, leading);
  }
  for (int i = 0; i < r; ++i) place_[at(node.below[i])] = nowhere();
  constexpr int together = 16;
  for (int j = 0; j < w; j += together)
    subtract_transposed_product(w - j, std::min(together, w - j), r, below + j * leading, leading, y + j * leading_y,
                                leading_y, z + j + j * leading, leading);
  mirror(z, 1, w, w, leading);
}

}  // namespace multilevel::linear_algebra
