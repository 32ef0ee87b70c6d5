// The parameter that zero parts have in common: zeta, the log odds of a zero that the family itself does not explain.
#pragma once

#include "family/modified/modified.hpp"

namespace multilevel::family {

/// 1 / (1 + e^-x), what it lacks to one, log(1 + e^x) and log(1 + e^-|x|), from one exponential and one logarithm.
struct Logistic {
  explicit Logistic(Lanes x) {
    const Lanes size = numeric::abs(x), e = numeric::exp(-size);
    const auto parts = numeric::logistic_parts(e);
    const numeric::LaneBits positive = x >= 0.0;
    const Lanes rest = e * parts.reciprocal;
    yes = numeric::select(positive, parts.reciprocal, rest);
    no = numeric::select(positive, rest, parts.reciprocal);
    far = parts.softplus;
    softplus = 0.5 * (x + size) + far;
  }
  Lanes yes, no, softplus, far;
};

class ZeroPart : public Modified {
 public:
  std::string zero_part() const override { return kind_; }
  std::vector<Parameter> parameters() const override;

 protected:
  ZeroPart(std::unique_ptr<Family> base, const std::string& kind, const std::string& meaning, double lower_limit)
      : Modified(std::move(base), 1), kind_(kind), meaning_(meaning), lower_limit_(lower_limit) {}

  Lanes zeta(const Picked& rows, int i, int n) const {
    const double* from = rows.phi.value[n_base_];
    return rows.phi.step[n_base_] ? series_kernel::take(from, i, n) : numeric::broadcast(*from);
  }
  double share(const double* phi) const;  ///< the probability of a zero of this part

  /// Adds log(1 - pi) to a density that is given.
  void add_no_zero(Order order, const Picked& rows, BlockDerivatives& density) const;
  /// log(pi) alone.
  void only_zero(Order order, const Picked& rows, BlockDerivatives& out) const;

 private:
  std::string kind_, meaning_;
  double lower_limit_;
};

}  // namespace multilevel::family
