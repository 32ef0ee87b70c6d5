// Supernodal Cholesky factorization of symmetric positive definite matrices whose pattern is fixed: solves, the
// log-determinant, and the entries of the inverse on the pattern of the factor (Takahashi, Fagan and Chin 1973).
//
// The same code serves a dense matrix (one supernode), a block diagonal one (a supernode per block) and everything
// between. Rows and columns are counted in the order of elimination. Results depend on the pattern and the values
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numeric/large_pages.hpp"

namespace multilevel::linear_algebra {

/// Consecutive columns of the factor that share their rows below the triangle. Their values are one column-major array
/// of height() rows; what is strictly above the diagonal is padding.
struct Supernode {
  int first;          ///< its first column
  int width;          ///< number of columns
  int n_below;        ///< rows below the triangle
  const int* below;   ///< those rows, ascending
  std::int64_t base;  ///< where its values begin

  int end() const { return first + width; }
  int height() const { return width + n_below; }
};

/// The pattern of the factor: order and supernodes. Immutable, shared by threads.
class SymbolicCholesky {
 public:
  /// Either triangle, column by column: rows[start[j]] .. rows[start[j + 1]]. Duplicates are allowed, the diagonal is
  /// implied.
  SymbolicCholesky(int n, const std::vector<std::int64_t>& start, const std::vector<int>& rows);

  int n() const { return static_cast<int>(place_.size()); }
  /// Length of the array of values.
  std::int64_t n_values() const { return bases_.back(); }
  /// Of one factorization.
  double flops() const { return flops_; }
  /// Original index -> position in the order of elimination.
  const std::vector<int>& place() const { return place_; }

  int n_supernodes() const { return static_cast<int>(first_.size()) - 1; }
  int supernode_of(int position) const { return supernode_of_[static_cast<std::size_t>(position)]; }
  Supernode supernode(int s) const {
    const auto k = static_cast<std::size_t>(s);
    const int width = first_[k + 1] - first_[k];
    const auto n_below = static_cast<int>(below_start_[k + 1] - below_start_[k]);
    return {first_[k], width, n_below, below_.data() + below_start_[k], bases_[k]};
  }

  /// Where entry (i, j) stands among the values; i >= j, in the pattern.
  std::int64_t position(int i, int j) const;

  /// values -= block at rows and columns index[0] < index[1] < ..: the lower triangle of an r x r column-major block.
  void subtract_clique(const int* index, int r, const double* block, double* values) const;
  /// The reverse: the full symmetric block.
  void gather_clique(const int* index, int r, const double* values, double* block) const;

 private:
  std::vector<int> place_, first_, supernode_of_, below_;
  std::vector<std::int64_t> below_start_, bases_;
  double flops_ = 0.0;
};

/// A factorization: the values and the workspace of one thread.
class SparseCholesky {
 public:
  explicit SparseCholesky(const SymbolicCholesky& symbolic);

  /// The lower triangle of the matrix before factor(), the factor afterwards.
  double* values() { return values_.data(); }
  const double* values() const { return values_.data(); }
  void clear();

  /// False when a pivot is not positive or not finite.
  bool factor();
  /// log |A|
  double log_determinant() const;
  /// A x = b in place; `leading` is the distance between columns.
  void solve(double* rhs, int n_columns, std::ptrdiff_t leading) const;
  /// L x = b and L' x = b in place.
  void forward(double* rhs, int n_columns, std::ptrdiff_t leading) const;
  void backward(double* rhs, int n_columns, std::ptrdiff_t leading) const;

  /// Computes the entries of the inverse on the pattern of the factor; the factor stays. The first call allocates them.
  void invert();
  /// Laid out as the values are.
  const double* inverse() const { return inverse_.data(); }

 private:
  void update(const Supernode& target, const Supernode& from, int begin, int end, const int* relative);
  template <int W>
  void invert_narrow(const Supernode& node);
  void invert_wide(const Supernode& node);
  int nowhere() const { return static_cast<int>(relative_.size()) - 1; }
  void find_rows(const Supernode& earlier, int begin, const Supernode& later);

  const SymbolicCholesky& symbolic_;
  numeric::LargeArray values_, inverse_;
  std::vector<int> place_;                      // of a row among those of one supernode
  std::vector<int> relative_;                   // places of the rows of one supernode among those of another
  std::vector<int> waiting_, next_, progress_;  // supernodes that update a later one, and how far each has got
  std::vector<double> scaled_;  // L_RJ L_JJ^-1 of one supernode, with J its columns and R its rows below
  mutable std::vector<double> work_;
};

}  // namespace multilevel::linear_algebra
