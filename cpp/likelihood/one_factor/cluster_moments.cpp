#include "likelihood/one_factor/cluster_moments.hpp"

#include <algorithm>

namespace multilevel::likelihood {

void MomentColumns::set(const ClusterRows& of) {
  const int first = of.first, n = of.n;
  RowArrays& rows = of.rows;
  const auto z = [&](int a) { return of.strip.z[static_cast<std::size_t>(a)] + first; };
  const double *d2 = rows.at_mode.eta[1] + first, *d3 = rows.at_mode.eta[2] + first, *d4 = rows.at_mode.eta[3] + first;
  const double* leverage = rows.leverage + first;
  for (int a = 0; a < q_; ++a) {
    const double* za = z(a);
    double *w = column(w_z(a)), *l4 = column(l4_z(a));
    for (int j = 0; j < n; ++j) w[j] = -d2[j] * za[j];
    for (int j = 0; j < n; ++j) l4[j] = d4[j] * leverage[j] * za[j];
    for (int b = 0; b <= a; ++b) {
      double* l3 = column(l3_zz(a, b));
      const double* zb = z(b);
      for (int j = 0; j < n; ++j) l3[j] = d3[j] * za[j] * zb[j];
    }
  }
}

void MomentColumns::set_nodes(const ClusterRows& of, const NodePowers& powers, const NodeAverages& averages) {
  const int n = of.n;
  const auto weigh = [&](const double* d2, int a, double* w) {
    const double* za = of.strip.z[static_cast<std::size_t>(a)] + of.first;
    for (int j = 0; j < n; ++j) w[j] = -d2[j] * za[j];
  };
  for (int a = 0; a < q_; ++a) {
    weigh(averages.d2(0), a, column(node_w_z(a)));
    for (int b = 0; b < powers.n_moved(); ++b)
      weigh(averages.d2(powers.coordinate(b)), a, column(node_w_t_z(a, powers.moved[static_cast<std::size_t>(b)])));
  }
}

}  // namespace multilevel::likelihood
