// Zero or not, and if not, the family without its zeros: log pi for y = 0, else log(1 - pi) + l(y) - log(1 -
// exp(l(0))), the last term only where the family has zeros of its own.
#include <cmath>

#include "family/modified/make.hpp"
#include "family/modified/nonzero.hpp"
#include "family/modified/zero_part.hpp"

namespace multilevel::family {

namespace {

class Hurdle final : public ZeroPart {
 public:
  Hurdle(std::unique_ptr<Family> base, const std::string& kind)
      : ZeroPart(std::move(base), kind, "the probability of a zero", -std::numeric_limits<double>::infinity()) {}

  bool log_concave() const override { return mass_at_zero() ? base_->canonical() : base_->log_concave(); }
  bool far_modes() const override { return !log_concave() && base_->far_modes(); }
  bool levels_off() const override { return mass_at_zero() && base_->levels_off_without_zeros(); }

  double start_eta(const Observation& row) const override {
    // A zero says nothing of eta, and its information is zero.
    if (row.response == 0.0) return base_->start_eta(base_row({mass_at_zero() ? 1.0 : 0.5, row.second, 1.0}));
    return Modified::start_eta(row);
  }

  std::string trouble(const double* phi) const override {
    return mass_at_zero() ? nonzero_trouble(*base_, phi) : base_->trouble(phi);
  }
  double supremum(const Observation& row, const double* phi) const override {
    return row.weight * highest(row, phi, roughly);
  }

  int recession(const Observation& row) const override {
    if (row.response == 0.0) return either_way;
    return mass_at_zero() ? nonzero_recession(*base_, base_row(row)) : base_->recession(base_row(row));
  }

  double response_mean(double eta, const double* phi, double second) const override {
    return (1.0 - share(phi)) * nonzero(eta, phi, second).mean;
  }
  double response_variance(double eta, const double* phi, double second) const override {
    const Moments rest = nonzero(eta, phi, second);
    const double pi = share(phi);
    return (1.0 - pi) * (rest.variance + pi * rest.mean * rest.mean);
  }

 protected:
  double best(const Observation& row, const double* phi) const override { return highest(row, phi, exactly); }
  void picked_derivatives(Order order, const Picked& rows, int kind, BlockDerivatives& out) const override {
    if (kind == zeros) return only_zero(order, rows, out);
    base_derivatives(order, rows, false, out);
    if (mass_at_zero()) {
      BlockDerivatives zero;
      base_derivatives(order, rows, true, zero);
      add_log_complement(order, rows.n, n_base_, -1.0, zero, out);
    }
    add_no_zero(order, rows, out);
  }
  /// Given whether the response is zero.
  void picked_information(const Picked& rows, int kind, double* out) const override {
    if (kind == zeros) {
      std::fill_n(out, rows.n, 0.0);
      return;
    }
    base_information(rows, out);
    if (!mass_at_zero()) return;
    BlockDerivatives zero;
    base_derivatives(Order::step, rows, true, zero);
    truncated_information(rows.n, zero, out);
  }

 private:
  double highest(const Observation& row, const double* phi, double enough) const {
    const double pi = share(phi), zeta = phi[n_base_];
    if (row.response == 0.0) return zeta > 0.0 ? std::log(pi) : zeta + std::log1p(-pi);
    const double no_zero = zeta < 0.0 ? std::log1p(-pi) : std::log(pi) - zeta;
    if (!mass_at_zero()) return no_zero + base_->supremum(base_row(row), phi);
    auto rest = [&](double eta) {
      Point point = at(row, eta, phi);
      point.value -= no_zero;
      return point;
    };
    return no_zero + nonzero_supremum(*base_, row.response, row.second, rest, enough);
  }
  Moments nonzero(double eta, const double* phi, double second) const {
    const Moments all{base_->response_mean(eta, phi, second), base_->response_variance(eta, phi, second)};
    return mass_at_zero() ? without_zeros(all, log_zero(eta, phi, second)) : all;
  }
};

}  // namespace

std::unique_ptr<Family> make_hurdle(std::unique_ptr<Family> base, const std::string& zero) {
  return std::make_unique<Hurdle>(std::move(base), zero);
}

}  // namespace multilevel::family
