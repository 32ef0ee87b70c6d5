// B = Z'WZ of several grouping factors, where it is not zero.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <vector>

#include "likelihood/joint/pattern.hpp"

namespace multilevel::likelihood {

/// Columns of a panel, and a weight for each pair of them (a * q + b, the same in either order), to be indexed by
/// sorted row.
struct PairedColumns {
  explicit PairedColumns(int q)
      : z(static_cast<std::size_t>(q)), weight(static_cast<std::size_t>(q) * static_cast<std::size_t>(q)) {}
  std::vector<const double*> z, weight;
};

/// B = Z'WZ on the pattern: per cluster its q x q block and its q x r border, and the blocks of the others.
struct CrossProducts {
  explicit CrossProducts(const JointPattern& pattern);
  /// `weight`: of the sorted rows.
  void set(const JointPattern& pattern, const double* weight);
  /// B_ab is the sum over rows of weight_ab z_a z_b.
  void set(const JointPattern& pattern, const std::function<void(const model::Panel&, PairedColumns&)>& columns);

  /// to = B x for vectors of all random effects, columns `leading` apart.
  void multiply(const JointPattern& pattern, const double* x, double* to, int n_columns, std::ptrdiff_t stride) const;

  /// Of B, for all random effects.
  Eigen::VectorXd diagonal(const JointPattern& pattern) const;

  std::vector<double> leading, border, blocks;

 private:
  void set_scalars(const JointPattern& pattern, const double* weight);
};

}  // namespace multilevel::likelihood
