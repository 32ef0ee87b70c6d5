// A count that cannot be zero: l(y) - log(1 - exp(l(0))), y >= 1.
#include <cmath>

#include "family/modified/make.hpp"
#include "family/modified/nonzero.hpp"

namespace multilevel::family {

namespace {

class Truncated final : public Modified {
 public:
  explicit Truncated(std::unique_ptr<Family> base) : Modified(std::move(base), 0) {}

  std::string name() const override { return "truncated_" + base_->name(); }
  Support support() const override { return Support::positive_counts; }
  std::vector<Parameter> parameters() const override {
    auto own = base_->parameters();
    for (auto& parameter : own)
      if (!parameter.becomes.empty()) parameter.becomes = "truncated_" + parameter.becomes;
    return own;
  }
  bool mass_at_zero() const override { return false; }
  bool log_concave() const override { return base_->canonical(); }  // it stays an exponential family in eta
  bool far_modes() const override { return !log_concave() && base_->far_modes(); }
  bool levels_off() const override { return base_->levels_off_without_zeros(); }
  bool canonical() const override { return base_->canonical(); }

  std::string trouble(const double* phi) const override { return nonzero_trouble(*base_, phi); }
  double supremum(const Observation& row, const double* phi) const override {
    return row.weight * highest(row, phi, roughly);
  }
  int recession(const Observation& row) const override { return nonzero_recession(*base_, base_row(row)); }

  double response_mean(double eta, const double* phi, double second) const override {
    return moments(eta, phi, second).mean;
  }
  double response_variance(double eta, const double* phi, double second) const override {
    return moments(eta, phi, second).variance;
  }

 protected:
  double best(const Observation& row, const double* phi) const override { return highest(row, phi, exactly); }
  void picked_derivatives(Order order, const Picked& rows, int, BlockDerivatives& out) const override {
    BlockDerivatives zero;
    base_derivatives(order, rows, false, out);
    base_derivatives(order, rows, true, zero);
    add_log_complement(order, rows.n, n_base_, -1.0, zero, out);
  }
  void picked_information(const Picked& rows, int, double* out) const override {
    BlockDerivatives zero;
    base_derivatives(Order::step, rows, true, zero);
    base_information(rows, out);
    truncated_information(rows.n, zero, out);
  }

 private:
  double highest(const Observation& row, const double* phi, double enough) const {
    return nonzero_supremum(*base_, row.response, row.second, [&](double eta) { return at(row, eta, phi); }, enough);
  }
  Moments moments(double eta, const double* phi, double second) const {
    return without_zeros({base_->response_mean(eta, phi, second), base_->response_variance(eta, phi, second)},
                         log_zero(eta, phi, second));
  }
};

}  // namespace

std::unique_ptr<Family> make_truncated(std::unique_ptr<Family> base) {
  return std::make_unique<Truncated>(std::move(base));
}

}  // namespace multilevel::family
