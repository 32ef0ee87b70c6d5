#include "likelihood/one_factor/cluster_moments.hpp"

#include <algorithm>

namespace multilevel::likelihood {

void MomentColumns::set(const ClusterRows& of, const std::vector<double>& share, const numeric::QuadratureRule& rule) {
  const int first = of.first, n = of.n;
  RowArrays& rows = of.rows;
  const auto z = [&](int a) { return of.strip.z[static_cast<std::size_t>(a)] + first; };
  const double *d2 = rows.at_mode.eta[1] + first, *d3 = rows.at_mode.eta[2] + first, *d4 = rows.at_mode.eta[3] + first;
  const double *leverage = rows.leverage + first, *curvature = rows.curvature + first;
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
  if (share.size() == 1) return;
  for (int a = 0; a < q_; ++a) {
    double* w = column(node_w_z(a));
    const double* za = z(a);
    for (int j = 0; j < n; ++j) w[j] = -curvature[j] * za[j];
  }
  for (int b = 0; b < q_; ++b) {
    double* tilt = rows.scratch + first;  // sum_k p_k w_jk t_kb
    std::fill(tilt, tilt + n, 0.0);
    for (std::size_t k = 0; k < share.size(); ++k) {
      const int node = static_cast<int>(k);
      numeric::add_multiple(n, -share[k] * rule.node(node)[b], rows.node_d2(node) + first, tilt);
    }
    for (int a = 0; a < q_; ++a) {
      double* w = column(node_w_t_z(a, b));
      const double* za = z(a);
      for (int j = 0; j < n; ++j) w[j] = tilt[j] * za[j];
    }
  }
}

}  // namespace multilevel::likelihood
