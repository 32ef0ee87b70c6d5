// The tails of the Gamma distribution.
#include <cmath>

#include "family/gamma_density.hpp"
#include "family/link.hpp"
#include "family/tail_integral.hpp"

namespace multilevel::family::gamma {

namespace {

/// The response is log y here, which may lie further down than the logarithm of any number.
template <class Link>
struct DensityOfLog {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    return log_density(numeric::constant_like(eta, row.response) - Link::log_mean(eta), phi[0]);
  }
};

/// Along log y - log mu, where the log density is k (v - e^v).
template <class Link>
struct Path {
  template <class T>
  Path(const T& eta, const T* phi)
      : log_mean(numeric::constant_term(Link::log_mean(eta))), shape(numeric::exp(numeric::constant_term(phi[0]))) {}
  double start(int i, double response) const { return std::log(response) - log_mean[i]; }
  double fall(int i, double v) const { return shape[i] * (std::expm1(v) - v); }
  double response(int i, double v) const { return log_mean[i] + v; }
  double log_slope(int, double) const { return 0.0; }

  Lanes log_mean, shape;
};

}  // namespace

template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out) {
  series_derivatives<TailIntegral<DensityOfLog<Link>, Path<Link>>>(order, rows, out);
}

template void log_tail<link::Log>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Inverse>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Identity>(Order, const Rows&, const RowDerivatives&);

}  // namespace multilevel::family::gamma
