// What a profile holds: a function of psi = (beta, theta, phi) on the user's scale, with its derivatives.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <limits>
#include <vector>

namespace multilevel::profile {

struct Slopes {
  double value;
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;
};

/// What is asked of a quantity; each has those before it.
enum class Order { value, gradient, hessian };

/// A quantity and where it may lie.
struct Quantity {
  std::function<Slopes(const Eigen::VectorXd& psi, Order order)> at;
  double lower = -std::numeric_limits<double>::infinity(), upper = std::numeric_limits<double>::infinity();
  /// The longest first step: of a quantity without a unit, whose slopes at an end of its range tell nothing.
  double longest_first = std::numeric_limits<double>::infinity();
  /// At `lower` the quantity is no function with a slope, but these positions of psi are zero: those of the row and the
  /// column of a Cholesky factor, for a standard deviation of zero. Empty where `lower` is a value like any other.
  std::vector<int> zeros_at_lower;
  /// Sets of positions of psi whose zeros make the quantity undefined, and so any value of it possible: those of the
  /// standard deviations of a correlation.
  std::vector<std::vector<int>> undefined_at_zeros;
};

/// weights' psi
Quantity linear(const Eigen::VectorXd& weights);
/// The length of a row of a Cholesky factor: a standard deviation. `row` has the positions of its entries in psi.
Quantity row_length(const std::vector<int>& row);
/// The cosine between two rows: a correlation. Positions by column, -1 where there is no entry.
Quantity row_cosine(const std::vector<int>& first, const std::vector<int>& second);

}  // namespace multilevel::profile
