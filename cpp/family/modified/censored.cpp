// Responses of which only a range may be known. A row's response is a number and the other end of its range: the same
// number where it is known exactly, minus infinity where all that is known is that it lies below, infinity where it
// lies above, and otherwise a larger number. The log density is l(y), log F(y), log S(y) or log(F(upper) - F(lower)).
#include <cmath>

#include "family/modified/make.hpp"
#include "family/modified/modified.hpp"

namespace multilevel::family {

namespace {

class Censored final : public Modified {
 public:
  explicit Censored(std::unique_ptr<Family> base) : Modified(std::move(base), 0) {}

  std::string name() const override { return "censored_" + base_->name(); }
  bool has_residual() const override { return base_->has_residual(); }
  bool two_numbers() const override { return true; }

  Observation prepare(double y, double other, double prior_weight, double* constant) const override {
    *constant = 0.0;
    if (y == other) base_->prepare(y, 1.0, 1.0, constant);
    *constant *= prior_weight;
    return {y, other, prior_weight};
  }

  double start_eta(const Observation& row) const override {
    const bool between = std::isfinite(row.second);
    return base_->start_eta({between ? 0.5 * (row.response + row.second) : row.response, 1.0, 1.0});
  }

  // What a log-concave density shifts over a range is log-concave in the shift.
  bool log_concave() const override { return base_->log_concave() && base_->shifts(); }
  double supremum(const Observation& row, const double* phi) const override {
    if (!std::isfinite(row.second)) return 0.0;
    double constant;
    auto highest = [&](double y) { return base_->supremum(base_->prepare(y, 1.0, 1.0, &constant), phi) + constant; };
    const double lower = highest(row.response);
    if (row.response == row.second) return row.weight * (lower - constant);
    const double best = std::fmax(lower, highest(row.second)) + std::log(row.second - row.response);
    return row.weight * std::fmin(best, 0.0);
  }
  int recession(const Observation& row) const override {
    const double up = base_->mean(2.0) > base_->mean(1.0) ? 1 : -1;
    if (!std::isfinite(row.second)) return static_cast<int>(std::copysign(up, up * row.second));
    return row.response == row.second ? base_->recession({row.response, 1.0, 1.0}) : 0;
  }

  double response_mean(double eta, const double* phi, double) const override {
    return base_->response_mean(eta, phi, 1.0);
  }
  double response_variance(double eta, const double* phi, double) const override {
    return base_->response_variance(eta, phi, 1.0);
  }
  double unit_deviance(double y, double mu, const double* phi) const override {
    return base_->unit_deviance(y, mu, phi);
  }

 protected:
  enum { exact, tail, range };
  int n_kinds() const override { return 3; }
  int kind_of(const Observation& row) const override {
    return row.response == row.second ? exact : std::isfinite(row.second) ? range : tail;
  }

  void picked_derivatives(Order order, const Picked& rows, int kind, BlockDerivatives& out) const override {
    if (kind == exact) return base_derivatives(order, rows, false, out);
    double side[block_rows];
    if (kind == tail) {
      for (int k = 0; k < rows.n; ++k) side[k] = rows.second[k] < 0.0 ? 1.0 : -1.0;
      return tails(order, rows, rows.response, side, out);
    }
    // From the side on which there is less: log(exp(a) - exp(b)) = a + log(1 - exp(b - a)).
    double nearer[block_rows], further[block_rows];
    for (int k = 0; k < rows.n; ++k) {
      const bool above = 0.5 * (rows.response[k] + rows.second[k]) > base_->mean(rows.eta[k]);
      side[k] = above ? -1.0 : 1.0;
      nearer[k] = above ? rows.response[k] : rows.second[k];
      further[k] = above ? rows.second[k] : rows.response[k];
    }
    BlockDerivatives ratio;
    tails(order, rows, nearer, side, out);
    tails(order, rows, further, side, ratio);
    const RowDerivatives a = out.arrays(order, n_base_), b = ratio.arrays(order, n_base_);
    auto subtract = [&](const double* from, double* to) {
      for (int k = 0; to && k < rows.n; ++k) to[k] -= from[k];
    };
    subtract(a.value, b.value);
    for (int d = 0; d < 4; ++d) subtract(a.eta[d], b.eta[d]);
    for (int r = 0; r < n_base_; ++r)
      for (int d = 0; d < 4; ++d) subtract(a.phi[r][d], b.phi[r][d]);
    for (int pair = 0; pair < n_base_ * (n_base_ + 1) / 2; ++pair)
      for (int d = 0; d < 3; ++d) subtract(a.phi_phi[pair][d], b.phi_phi[pair][d]);
    add_log_complement(order, rows.n, n_base_, 1.0, ratio, out);
  }

  /// Of a range what is observed, where it is positive.
  void picked_information(const Picked& rows, int kind, double* out) const override {
    if (kind == exact) return base_information(rows, out);
    BlockDerivatives own;
    picked_derivatives(Order::step, rows, kind, own);
    for (int k = 0; k < rows.n; ++k) out[k] = -own.eta[1][k];
  }

 private:
  void tails(Order order, const Picked& rows, const double* y, const double* side, BlockDerivatives& out) const {
    base_->log_tail(order, {rows.n, rows.eta, {y, side, rows.unit, rows.phi}}, out.arrays(order, n_base_));
  }
};

}  // namespace

std::unique_ptr<Family> make_censored(std::unique_ptr<Family> base) {
  return std::make_unique<Censored>(std::move(base));
}

}  // namespace multilevel::family
