// Sums of a smooth function over many whole numbers, from its values at a few places.
#pragma once

#include <array>
#include <cstddef>

namespace multilevel::numeric {

/// Gauss's rule for the sum over 0, 1, ..., 2^k - 1: exact for polynomials of degree below 32, and for every function
/// where there are no more numbers than nodes. The nodes are zeros of a discrete Chebyshev polynomial (of Hahn's
/// family), whose recurrence is in closed form; for long sums they are Gauss-Legendre's.
struct SumRule {
  static constexpr int size = 16, least = 4, most = 54;  // nodes; of k
  std::array<double, size> node, weight;

  /// That of 2^k numbers, least <= k <= most.
  static const SumRule& of(int k);
};

}  // namespace multilevel::numeric
