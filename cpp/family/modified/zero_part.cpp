#include "family/modified/zero_part.hpp"

#include <algorithm>
#include <cmath>

namespace multilevel::family {

std::vector<Parameter> ZeroPart::parameters() const {
  auto all = base_->parameters();
  Parameter own{"zero_probability", meaning_};
  own.scale = Scale::logit;
  own.part = "zero";
  if (std::isfinite(lower_limit_)) {
    own.lower_limit = lower_limit_;
    own.becomes = base_->name();
  }
  all.push_back(own);
  return all;
}

double ZeroPart::share(const double* phi) const {
  const double zeta = phi[n_base_], e = std::exp(-std::fabs(zeta));
  return (zeta >= 0.0 ? 1.0 : e) / (1.0 + e);
}

namespace {

void fill(double* to, int n, double value) { std::fill_n(to, n, value); }

}  // namespace

void ZeroPart::add_no_zero(Order order, const Picked& rows, BlockDerivatives& density) const {
  const int z = n_base_, own = phi_pair(z, z);
  if (order != Order::step) {
    for (int a = 0; a <= BlockDerivatives::highest_by_phi(order); ++a) fill(density.phi[z][a], rows.n, 0.0);
    for (int r = 0; r <= z; ++r)
      for (int a = 0; a <= BlockDerivatives::highest_by_pair(order); ++a)
        fill(density.phi_phi[phi_pair(z, r)][a], rows.n, 0.0);
  }
  for (int i = 0; i < rows.n; i += lane_count) {
    const int n = std::min(lane_count, rows.n - i);
    const Logistic at(zeta(rows, i, n));
    series_kernel::put(density.value, i, n, series_kernel::take(density.value, i, n) - at.softplus);
    if (order == Order::step) continue;
    series_kernel::put(density.phi[z][0], i, n, -at.yes);
    series_kernel::put(density.phi_phi[own][0], i, n, -at.yes * at.no);
  }
}

void ZeroPart::only_zero(Order order, const Picked& rows, BlockDerivatives& out) const {
  const RowDerivatives all = out.arrays(order, n_all_);
  fill(all.value, rows.n, 0.0);
  for (double* array : all.eta)
    if (array) fill(array, rows.n, 0.0);
  for (const auto& one : all.phi)
    for (double* array : one)
      if (array) fill(array, rows.n, 0.0);
  for (const auto& pair : all.phi_phi)
    for (double* array : pair)
      if (array) fill(array, rows.n, 0.0);
  const int z = n_base_;
  for (int i = 0; i < rows.n; i += lane_count) {
    const int n = std::min(lane_count, rows.n - i);
    const Lanes at = zeta(rows, i, n);
    series_kernel::put(out.value, i, n, -numeric::softplus(-at));
    if (order == Order::step) continue;
    const Lanes rest = numeric::logistic(-at);
    series_kernel::put(out.phi[z][0], i, n, rest);
    series_kernel::put(out.phi_phi[phi_pair(z, z)][0], i, n, -rest * numeric::logistic(at));
  }
}

}  // namespace multilevel::family
