// What a family does unless it says otherwise; constants stand in the header.
#include "family/family.hpp"

#include <stdexcept>

namespace multilevel::family {

void Family::log_tail(Order, const Rows&, const RowDerivatives&) const {
  throw std::logic_error("family '" + name() + "' has no distribution function");
}

void Family::suprema(int n, const Observations& data, double* out) const {
  double own[max_phi] = {};
  const int n_own = n_phi();
  for (int j = 0; j < n; ++j) {
    for (int r = 0; r < n_own; ++r) own[r] = data.phi.at(r, j);
    out[j] = supremum(data[j], own);
  }
}

double Family::frequency_threshold(const std::vector<double>& counts, std::size_t k) const {
  double below = 0.0, all = 0.0;
  for (std::size_t m = 0; m < counts.size(); ++m) {
    all += counts[m];
    if (m <= k) below += counts[m];
  }
  return link_of_mean(below / all);
}

double Family::response_variance(double eta, const double* phi, double second) const {
  const double one = dispersion(phi) * variance(mean(eta), phi);
  return support() == Support::trials ? one * variance_ratio(second, phi) / second : one;
}

}  // namespace multilevel::family
