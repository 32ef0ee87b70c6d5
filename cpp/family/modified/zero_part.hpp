// The parameter that zero parts have in common: zeta, the log odds of a zero that the family itself does not explain.
#pragma once

#include "family/modified/modified.hpp"

namespace multilevel::family {

class ZeroPart : public Modified {
 public:
  std::string zero_part() const override { return kind_; }
  std::vector<Parameter> parameters() const override;

 protected:
  ZeroPart(std::unique_ptr<Family> base, const std::string& kind, const std::string& meaning, double lower_limit)
      : Modified(std::move(base), 1), kind_(kind), meaning_(meaning), lower_limit_(lower_limit) {}

  Lanes zeta(const Picked& rows, int i, int n) const { return series_kernel::take(rows.parameter[n_base_], i, n); }
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
