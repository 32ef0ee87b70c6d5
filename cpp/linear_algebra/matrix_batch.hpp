// Many small matrices of one shape, stored entry by entry: entry (a, b) of all of them is one run of numbers.
// Arithmetic on a range of them is then a vectorised loop per entry, whatever the shape, and needs no size known to the
// compiler.
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace multilevel::linear_algebra {

/// Members [first, last) of a batch.
struct Range {
  int first, last;
};

class MatrixBatch {
 public:
  MatrixBatch() = default;
  MatrixBatch(int rows, int columns, int count)
      : rows_(rows),
        columns_(columns),
        count_(static_cast<std::size_t>(count)),
        data_(count_ * static_cast<std::size_t>(rows * columns), 0.0) {}

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  /// Entry (a, b) of all members.
  double* at(int a, int b = 0) { return data_.data() + count_ * static_cast<std::size_t>(a * columns_ + b); }
  const double* at(int a, int b = 0) const {
    return data_.data() + count_ * static_cast<std::size_t>(a * columns_ + b);
  }

  void fill(Range r, double value) {
    for (int a = 0; a < rows_; ++a)
      for (int b = 0; b < columns_; ++b) std::fill(at(a, b) + r.first, at(a, b) + r.last, value);
  }
  void scale(Range r, double factor) {
    for (int a = 0; a < rows_; ++a)
      for (int b = 0; b < columns_; ++b) {
        double* x = at(a, b);
        for (int i = r.first; i < r.last; ++i) x[i] *= factor;
      }
  }
  void copy(Range r, const MatrixBatch& from) {
    for (int a = 0; a < rows_; ++a)
      for (int b = 0; b < columns_; ++b) std::copy(from.at(a, b) + r.first, from.at(a, b) + r.last, at(a, b) + r.first);
  }
  void add(Range r, double factor, const MatrixBatch& from) {
    for (int a = 0; a < rows_; ++a)
      for (int b = 0; b < columns_; ++b) {
        double* x = at(a, b);
        const double* y = from.at(a, b);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) x[i] += factor * y[i];
      }
  }
  void add_identity(Range r) {
    for (int a = 0; a < rows_; ++a) {
      double* x = at(a, a);
      for (int i = r.first; i < r.last; ++i) x[i] += 1.0;
    }
  }
  /// Copies the lower triangle to the upper.
  void make_symmetric(Range r) {
    for (int a = 0; a < rows_; ++a)
      for (int b = 0; b < a; ++b) std::copy(at(a, b) + r.first, at(a, b) + r.last, at(b, a) + r.first);
  }

 private:
  int rows_ = 0, columns_ = 0;
  std::size_t count_ = 0;
  std::vector<double> data_;
};

/// A batch as a factor of a product, perhaps transposed.
struct Operand {
  const MatrixBatch& batch;
  bool transposed = false;

  Operand(const MatrixBatch& b) : batch(b) {}
  Operand(const MatrixBatch& b, bool t) : batch(b), transposed(t) {}
  int rows() const { return transposed ? batch.columns() : batch.rows(); }
  int columns() const { return transposed ? batch.rows() : batch.columns(); }
  const double* at(int a, int b) const { return transposed ? batch.at(b, a) : batch.at(a, b); }
};

inline Operand transposed(const MatrixBatch& batch) { return {batch, true}; }

/// out += factor * x y, member by member.
inline void add_product(Range r, double factor, Operand x, Operand y, MatrixBatch& out) {
  for (int a = 0; a < out.rows(); ++a)
    for (int b = 0; b < out.columns(); ++b) {
      double* __restrict to = out.at(a, b);
      for (int c = 0; c < x.columns(); ++c) {
        const double *p = x.at(a, c), *s = y.at(c, b);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) to[i] += factor * p[i] * s[i];
      }
    }
}

/// The same with one matrix for all members on the left ...
template <class Matrix>
void add_product(Range r, double factor, const Eigen::MatrixBase<Matrix>& x, Operand y, MatrixBatch& out) {
  for (int a = 0; a < out.rows(); ++a)
    for (int b = 0; b < out.columns(); ++b) {
      double* __restrict to = out.at(a, b);
      for (int c = 0; c < y.rows(); ++c) {
        const double p = factor * x(a, c);
        const double* s = y.at(c, b);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) to[i] += p * s[i];
      }
    }
}

/// ... or on the right.
template <class Matrix>
void add_product(Range r, double factor, Operand x, const Eigen::MatrixBase<Matrix>& y, MatrixBatch& out) {
  for (int a = 0; a < out.rows(); ++a)
    for (int b = 0; b < out.columns(); ++b) {
      double* __restrict to = out.at(a, b);
      for (int c = 0; c < x.columns(); ++c) {
        const double s = factor * y(c, b);
        const double* p = x.at(a, c);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) to[i] += p[i] * s;
      }
    }
}

/// out += factor * the sum of x y over the members.
template <class Matrix>
void add_summed_product(Range r, double factor, Operand x, Operand y, Matrix& out) {
  for (int a = 0; a < x.rows(); ++a)
    for (int b = 0; b < y.columns(); ++b) {
      double sum = 0.0;
      for (int c = 0; c < x.columns(); ++c) {
        const double *p = x.at(a, c), *s = y.at(c, b);
#pragma omp simd reduction(+ : sum)
        for (int i = r.first; i < r.last; ++i) sum += p[i] * s[i];
      }
      out(a, b) += factor * sum;
    }
}

/// inverse = L^-1 with h = L L', from the lower triangle of h, which is overwritten by L. Returns the sum of log|L|;
/// NaN when a member is not positive definite.
inline double invert_factor(Range r, MatrixBatch& h, MatrixBatch& inverse) {
  const int q = h.rows();
  double log_determinant = 0.0;
  bool good = true;
  for (int a = 0; a < q; ++a)
    for (int b = 0; b <= a; ++b) {
      double* __restrict x = h.at(a, b);
      for (int c = 0; c < b; ++c) {
        const double *p = h.at(a, c), *s = h.at(b, c);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) x[i] -= p[i] * s[i];
      }
      if (a == b) {
        for (int i = r.first; i < r.last; ++i) {
          good &= x[i] > 0.0 && std::isfinite(x[i]);
          x[i] = std::sqrt(x[i]);
          log_determinant += std::log(x[i]);
        }
      } else {
        const double* pivot = h.at(b, b);
        for (int i = r.first; i < r.last; ++i) x[i] /= pivot[i];
      }
    }
  if (!good) return std::nan("");
  for (int b = 0; b < q; ++b)
    for (int a = 0; a < q; ++a) {
      double* __restrict x = inverse.at(a, b);
      const double* pivot = h.at(a, a);
      std::fill(x + r.first, x + r.last, a == b ? 1.0 : 0.0);
      if (a < b) continue;
      for (int c = b; c < a; ++c) {
        const double *p = h.at(a, c), *s = inverse.at(c, b);
#pragma omp simd
        for (int i = r.first; i < r.last; ++i) x[i] -= p[i] * s[i];
      }
      for (int i = r.first; i < r.last; ++i) x[i] /= pivot[i];
    }
  return log_determinant;
}

}  // namespace multilevel::linear_algebra
