// The log density of a response with Student's t distribution, and its tails, which are compiled apart from it (see
// tail_integral.hpp).
#pragma once

#include <limits>

#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family::student_t {

inline constexpr double half_log_two_pi = 0.91893853320467274178;

/// c(n) as above, as a function of log n, where that is the variable of a series or plain lanes. Rows share it: it is
/// computed where log n is not that of the rows before.
template <class T>
const T& constant_of(const T& log_df) {
  thread_local T last = numeric::constant_like(log_df, numeric::broadcast(std::numeric_limits<double>::quiet_NaN()));
  thread_local T value{};
  if (numeric::any(numeric::constant_term(log_df) != numeric::constant_term(last))) {
    last = log_df;
    const auto half = 0.5 * exp(log_df);
    value =
        half * log1p(exp(-log_df)) + numeric::stirling_remainder(half + 0.5) - numeric::stirling_remainder(half) + -0.5;
  }
  return value;
}

template <class Link>
struct Density {
  static constexpr int n_phi = 2;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T constant = of_parameter(phi[1], [](const auto& own) { return constant_of(own); });
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
