#include "family/best_fit.hpp"

#include <algorithm>
#include <cmath>

namespace multilevel::family {

AtEta at_eta(const Family& family, const Observation& row, const double* phi, double eta) {
  AtEta at{};
  RowDerivatives out;
  out.value = &at.value;
  out.eta[0] = &at.d1;
  out.eta[1] = &at.d2;
  family.derivatives(Order::step,
                     {1, &eta, {&row.response, &row.second, &row.weight, Phi::constant(phi, family.n_phi())}}, out);
  return at;
}

double largest_log_density(const Family& family, const Observation& row, const double* phi, double eta) {
  constexpr double enough = 1e-8;
  constexpr int most_steps = 100, most_halvings = 40;
  constexpr double longest = 3.0;
  if (!(row.weight > 0.0)) return 0.0;
  AtEta best = at_eta(family, row, phi, eta);
  for (int i = 0; i < most_steps; ++i) {
    const double step = best.d2 < 0.0 ? -best.d1 / best.d2 : std::copysign(longest, best.d1);
    if (best.d2 < 0.0 && best.d1 * step < enough) return best.value + 0.5 * best.d1 * step;
    double length = std::clamp(step, -longest, longest);
    AtEta next{};
    int halvings = 0;
    for (;; length *= 0.5) {
      next = at_eta(family, row, phi, eta + length);
      if (next.value >= best.value) break;
      if (++halvings > most_halvings) return best.value;
    }
    eta += length;
    best = next;
  }
  return best.value;
}

}  // namespace multilevel::family
