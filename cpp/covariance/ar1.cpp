// First-order autoregression: the correlation of columns i and j is rho^|i - j|, rho = tanh(tau).
#include "covariance/scaled_correlation.hpp"

namespace multilevel::covariance {

namespace {

class Ar1 final : public ScaledCorrelation {
 public:
  using ScaledCorrelation::ScaledCorrelation;

 protected:
  Series correlation_series(int, const Series& tau) const override {
    // tanh(tau) with its digits at both ends: (1 - e^-2|tau|) / (1 + e^-2|tau|), the sign put back
    const double sign = tau.c[0][0] < 0.0 ? -1.0 : 1.0;
    const Series e = exp((-2.0 * sign) * tau), one = constant_like(e, numeric::broadcast(1.0));
    return sign * ((one - e) / (one + e));
  }
  std::vector<Series> factor_series(int q, const Series& tau) const override {
    // The first column is rho^t; column s goes on with rho^(t - s) sqrt(1 - rho^2).
    const Series rho = correlation_series(q, tau);
    const Series innovation = 2.0 * exp(-0.5 * (softplus(2.0 * tau) + softplus(-2.0 * tau)));  // sqrt(1 - rho^2)
    std::vector<Series> R;
    for (int column = 0; column < q; ++column) {
      Series now = column == 0 ? constant_like(rho, numeric::broadcast(1.0)) : innovation;
      for (int row = column; row < q; ++row) {
        R.push_back(now);
        now = now * rho;
      }
    }
    return R;
  }
};

}  // namespace

const Structure& ar1() {
  static const Ar1 instance("ar1", true);
  return instance;
}

const Structure& heterogeneous_ar1() {
  static const Ar1 instance("heterogeneous ar1", false);
  return instance;
}

}  // namespace multilevel::covariance
