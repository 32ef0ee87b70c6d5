// Gauss-Hermite rules for the standard normal density (weights sum to one), by Golub and Welsch (1969).
#pragma once

#include <vector>

namespace multilevel::numeric {

/// Product rule in `dimension` dimensions: node k is nodes[k * dimension ...], its weight exp(log_weights[k]).
struct QuadratureRule {
  int dimension = 0;
  int size = 0;
  std::vector<double> nodes;
  std::vector<double> log_weights;

  const double* node(int k) const {
    return nodes.data() + static_cast<std::size_t>(k) * static_cast<std::size_t>(dimension);
  }
};

QuadratureRule gauss_hermite(int points, int dimension);

}  // namespace multilevel::numeric
