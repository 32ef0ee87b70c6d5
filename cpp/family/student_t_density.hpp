// The log density of a response with Student's t distribution, and its tails, which are compiled apart from it (see
// tail_integral.hpp).
#pragma once

#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family::student_t {

inline constexpr double half_log_two_pi = 0.91893853320467274178;

template <class Link>
struct Density {
  static constexpr int n_phi = 2;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T constant = of_parameter(phi[1], [](const auto& own) {
      const auto half = 0.5 * exp(own);
      return half * log1p(exp(-own)) + numeric::stirling_remainder(half + 0.5) - numeric::stirling_remainder(half) +
             -0.5;
    });
    // half of n + 1, and what a squared residual is multiplied by
    const T half = of_parameter(phi[1], [](const auto& own) { return 0.5 * exp(own) + 0.5; });
    const T precision = of_parameter(-2.0 * phi[0] - phi[1], [](const auto& own) { return exp(own); });
    const T residual = Link::mean(eta) + (-row.response);
    const T square = row.weight * (residual * residual * precision);
    return constant - half * log1p(square) - phi[0];
  }
};

/// See Family::log_tail.
template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out);

}  // namespace multilevel::family::student_t
