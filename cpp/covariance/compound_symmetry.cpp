// Compound symmetry: every two columns have the same correlation rho, which lies between -1 / (q - 1) and 1:
// rho = (e - 1) / (e + q - 1), e = exp(2 tau).
#include "covariance/scaled_correlation.hpp"

namespace multilevel::covariance {

namespace {

class CompoundSymmetry final : public ScaledCorrelation {
 public:
  using ScaledCorrelation::ScaledCorrelation;

 protected:
  Series correlation_series(int q, const Series& tau) const override {
    const Series e = exp(2.0 * tau);
    return (e + (-1.0)) / (e + (q - 1.0));
  }
  std::vector<Series> factor_series(int q, const Series& tau) const override {
    // With d_j = j e + q - j: R_jj^2 = q d_{j+1} / (d_1 d_j), and what is below it is
    // (e - 1) sqrt(q / (d_1 d_j d_{j+1})) in every row. No differences of nearly equal numbers.
    const Series e = exp(2.0 * tau);
    auto log_d = [&](int j) { return log(static_cast<double>(j) * e + static_cast<double>(q - j)); };
    const Series log_q = constant_like(e, numeric::log(numeric::broadcast(static_cast<double>(q))));
    std::vector<Series> R;
    for (int column = 0; column < q; ++column) {
      const Series shared = log_q - log_d(1) - log_d(column);
      R.push_back(exp(0.5 * (shared + log_d(column + 1))));
      const Series below = (e + (-1.0)) * exp(0.5 * (shared - log_d(column + 1)));
      for (int row = column + 1; row < q; ++row) R.push_back(below);
    }
    return R;
  }
};

}  // namespace

const Structure& compound_symmetry() {
  static const CompoundSymmetry instance("compound symmetry", false);
  return instance;
}

const Structure& homogeneous_compound_symmetry() {
  static const CompoundSymmetry instance("homogeneous compound symmetry", true);
  return instance;
}

}  // namespace multilevel::covariance
