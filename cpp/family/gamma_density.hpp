// The log density of a Gamma response, and its tails, which are compiled apart from it (see tail_integral.hpp).
#pragma once

#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family::gamma {

/// What does not depend on mu, of phi = log k.
template <class T>
[[gnu::always_inline]] inline T constant(const T& log_shape) {
  return 0.5 * log_shape - numeric::stirling_remainder(exp(log_shape)) + -0.91893853320467274178;
}

/// Of log y, without what does not depend on mu and k.
template <class T>
[[gnu::always_inline]] inline T log_density(const T& log_ratio, const T& log_shape) {
  const T shape = of_parameter(log_shape, [](const auto& own) { return exp(own); });
  return shape * (log_ratio - expm1(log_ratio)) +
         of_parameter(log_shape, [](const auto& own) { return constant(own); });
}

/// See Family::log_tail.
template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out);

}  // namespace multilevel::family::gamma
