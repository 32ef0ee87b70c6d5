// The tails of Student's t distribution.
#include <cmath>

#include "family/link.hpp"
#include "family/student_t_density.hpp"
#include "family/tail_integral.hpp"

namespace multilevel::family::student_t {

namespace {

constexpr double log_two = 0.69314718055994530942;

/// Along v with y = mu + sigma sqrt(n) sinh(v): there the log density is -n log cosh v.
template <class Link>
struct Path {
  template <class T>
  Path(const T& eta, const T* phi)
      : mean(numeric::constant_term(Link::mean(eta))),
        df(numeric::exp(numeric::constant_term(phi[1]))),
        log_scale(numeric::constant_term(phi[0]) + 0.5 * numeric::constant_term(phi[1])) {}
  double start(int i, double response) const { return std::asinh((response - mean[i]) * std::exp(-log_scale[i])); }
  double fall(int i, double v) const { return df[i] * log_cosh(v); }
  double response(int i, double v) const { return mean[i] + std::exp(log_scale[i]) * std::sinh(v); }
  double log_slope(int i, double v) const { return log_scale[i] + log_cosh(v) - half_log_two_pi; }
  static double log_cosh(double v) {
    const double half = std::sinh(0.5 * v);
    return std::fabs(v) > 30.0 ? std::fabs(v) - log_two : std::log1p(2.0 * half * half);
  }

  Lanes mean, df, log_scale;
};

}  // namespace

template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out) {
  series_derivatives<TailIntegral<Density<Link>, Path<Link>>>(order, rows, out);
}

template void log_tail<link::Identity>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Log>(Order, const Rows&, const RowDerivatives&);

}  // namespace multilevel::family::student_t
