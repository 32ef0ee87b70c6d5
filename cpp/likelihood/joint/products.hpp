// B = Z'WZ of several grouping factors, where it is not zero.
#pragma once

#include <vector>

#include "likelihood/joint/pattern.hpp"

namespace multilevel::likelihood {

/// B = Z'WZ on the pattern: per cluster its q x q block and its q x r border, and the blocks of the others.
struct CrossProducts {
  explicit CrossProducts(const JointPattern& pattern);
  /// `weight`: of the sorted rows.
  void set(const JointPattern& pattern, const double* weight);

  /// to = B x for vectors of all random effects, columns `leading` apart.
  void multiply(const JointPattern& pattern, const double* x, double* to, int n_columns, std::ptrdiff_t stride) const;

  std::vector<double> leading, border, blocks;

 private:
  void set_scalars(const JointPattern& pattern, const double* weight);
};

}  // namespace multilevel::likelihood
