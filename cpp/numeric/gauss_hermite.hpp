// Gauss-Hermite rules for the standard normal density (weights sum to one), by Golub and Welsch (1969); in three and
// more dimensions with fewer nodes than a product has.
#pragma once

#include <cstdint>
#include <vector>

namespace multilevel::numeric {

/// Node k is nodes[k * dimension ...], its weight exp(log_weights[k]).
struct QuadratureRule {
  int dimension = 0;
  int size = 0;
  std::vector<double> nodes;
  std::vector<double> log_weights;

  const double* node(int k) const {
    return nodes.data() + static_cast<std::size_t>(k) * static_cast<std::size_t>(dimension);
  }
};

/// The product of one rule per dimension or, from three dimensions on and for up to seven points, a reduced product:
/// some of its nodes, with new weights that are positive and symmetric, and moments that are those of the product up to
/// the total degree 2 * points + 1. So those up to 2 * points - 1 are right, and the error is that of the product rule,
/// to leading order (reduced_product.hpp).
QuadratureRule gauss_hermite(int points, int dimension);

/// The same in these of so many dimensions, ascending; in the others every node is at zero. That is exact where a
/// density does not depend on them.
QuadratureRule gauss_hermite(int points, int dimension, const std::vector<int>& moved);

/// How many nodes that rule has; a number of at least 10^15 stands for itself and anything beyond.
std::int64_t node_count(int points, int dimension);

}  // namespace multilevel::numeric
