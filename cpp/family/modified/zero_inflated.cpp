// More zeros than the family has: log(pi + (1 - pi) exp(l(0))) for y = 0, else log(1 - pi) + l(y), pi = logistic(zeta).
#include <cmath>

#include "family/modified/make.hpp"
#include "family/modified/zero_part.hpp"

namespace multilevel::family {

namespace {

constexpr double no_zeros = -30.0;  // of zeta: what is added to a log density is below 1e-13 / P(0)

/// The density of zero as a function of u = l(0) and zeta. With p = pi / P(0), the share of the zeros that this part
/// has, and q = 1 - p all derivatives are products: nothing cancels.
struct Zero {
  Zero(Lanes u, Lanes zeta) {
    const Logistic own(zeta), share(zeta - u);
    pi = own.yes;
    p = share.yes;
    q = share.no;
    const Lanes lost = own.no * -numeric::expm1(u);  // 1 - P(0)
    const Lanes larger = numeric::select(u > zeta, u, zeta), sum = larger + share.far - own.softplus;
    value = numeric::select(lost < 0.5, numeric::log1p(-lost), sum);
    const Lanes pq = p * q;
    by_u = {q, pq, pq * (p - q), pq * (1.0 - 6.0 * pq)};
    zeta_first = p * lost;
    by_u_of_zeta = {-by_u.f2, -by_u.f3, -by_u.f4, Lanes{}};
    zeta_second = zeta_first * (q - pi);
    by_u_of_zeta_zeta = {by_u.f3, by_u.f4, Lanes{}, Lanes{}};
  }
  Lanes pi, p, q, value, zeta_first, zeta_second;
  Outer by_u, by_u_of_zeta, by_u_of_zeta_zeta;  ///< derivatives by u, of the value and of its derivatives by zeta
};

class ZeroInflated final : public ZeroPart {
 public:
  explicit ZeroInflated(std::unique_ptr<Family> base)
      : ZeroPart(std::move(base), "inflation", "the probability of a zero beside those of the family itself",
                 no_zeros) {}

  double supremum(const Observation& row, const double* phi) const override {
    const double pi = share(phi), zeta = phi[n_base_];
    const double best = base_->supremum(base_row(row), phi);
    if (row.response == 0.0) return row.weight * std::log1p((1.0 - pi) * std::expm1(best));
    return row.weight * ((zeta < 0.0 ? std::log1p(-pi) : std::log(pi) - zeta) + best);
  }
  int recession(const Observation& row) const override { return base_->recession(base_row(row)); }

  double response_mean(double eta, const double* phi, double second) const override {
    return (1.0 - share(phi)) * base_->response_mean(eta, phi, second);
  }
  double response_variance(double eta, const double* phi, double second) const override {
    const double pi = share(phi), mean = base_->response_mean(eta, phi, second);
    return (1.0 - pi) * (base_->response_variance(eta, phi, second) + pi * mean * mean);
  }

 protected:
  void picked_derivatives(Order order, const Picked& rows, int kind, BlockDerivatives& out) const override {
    if (kind == others) {
      base_derivatives(order, rows, false, out);
      return add_no_zero(order, rows, out);
    }
    BlockDerivatives u;
    base_derivatives(order, rows, false, u);
    const int highest = BlockDerivatives::highest(order), by_phi = BlockDerivatives::highest_by_phi(order),
              by_pair = BlockDerivatives::highest_by_pair(order), z = n_base_;
    for (int i = 0; i < rows.n; i += lane_count) {
      const int n = std::min(lane_count, rows.n - i);
      const Zero own(series_kernel::take(u.value, i, n), zeta(rows, i, n));
      // Where the family has as good as no zeros, its derivatives may be too large to multiply.
      const numeric::LaneBits some = own.q > 0.0;
      auto take = [&](const double* from) {
        return numeric::select(some, series_kernel::take(from, i, n), numeric::broadcast(0.0));
      };
      auto inwards = [&](const double (*from)[block_rows], int last) {
        Inwards d{};
        Lanes* all[4] = {&d.d0, &d.d1, &d.d2, &d.d3};
        for (int a = 0; a <= last; ++a) *all[a] = take(from[a]);
        return d;
      };
      auto put = [&](double* to, Lanes x) { series_kernel::put(to, i, n, x); };
      put(out.value, own.value);
      Lanes to[4];
      Inwards by_eta{};
      Lanes* all[4] = {&by_eta.d1, &by_eta.d2, &by_eta.d3, &by_eta.d4};
      for (int a = 0; a < highest; ++a) *all[a] = take(u.eta[a]);
      chain_eta(own.by_u, by_eta, highest, to);
      for (int a = 0; a < highest; ++a) put(out.eta[a], to[a]);
      if (order == Order::step) continue;
      Inwards v[few_phi];
      for (int r = 0; r < n_base_; ++r) {
        v[r] = inwards(u.phi[r], by_phi);
        chain_phi(own.by_u, by_eta, v[r], by_phi, to);
        for (int a = 0; a <= by_phi; ++a) put(out.phi[r][a], to[a]);
        for (int s = 0; s <= r; ++s) {
          const int pair = phi_pair(r, s);
          chain_pair(own.by_u, by_eta, v[r], v[s], inwards(u.phi_phi[pair], by_pair), by_pair, to);
          for (int a = 0; a <= by_pair; ++a) put(out.phi_phi[pair][a], to[a]);
        }
        chain_phi(own.by_u_of_zeta, by_eta, v[r], by_pair == 0 ? 0 : 3, to);
        for (int a = 0; a <= by_pair; ++a) put(out.phi_phi[phi_pair(z, r)][a], to[a]);
      }
      put(out.phi[z][0], own.zeta_first);
      chain_eta(own.by_u_of_zeta, by_eta, highest, to);
      for (int a = 1; a <= by_phi; ++a) put(out.phi[z][a], to[a - 1]);
      put(out.phi_phi[phi_pair(z, z)][0], own.zeta_second);
      chain_eta(own.by_u_of_zeta_zeta, by_eta, 2, to);
      for (int a = 1; a <= by_pair; ++a) put(out.phi_phi[phi_pair(z, z)][a], to[a - 1]);
    }
  }

  /// Over all responses: (1 - pi) (the base's - P(0) p u'^2), P(0) the base's.
  void picked_information(const Picked& rows, int, double* out) const override {
    BlockDerivatives zero;
    base_derivatives(Order::step, rows, true, zero);
    base_information(rows, out);
    for (int i = 0; i < rows.n; i += lane_count) {
      const int n = std::min(lane_count, rows.n - i);
      const Lanes u = series_kernel::take(zero.value, i, n), slope = series_kernel::take(zero.eta[0], i, n);
      const Lanes at = zeta(rows, i, n), mass = numeric::exp(u);
      const Lanes lost = numeric::select(mass > 0.0, mass * numeric::logistic(at - u) * slope * slope, Lanes{});
      series_kernel::put(out, i, n, numeric::logistic(-at) * (series_kernel::take(out, i, n) - lost));
    }
  }
};

}  // namespace

std::unique_ptr<Family> make_zero_inflated(std::unique_ptr<Family> base) {
  return std::make_unique<ZeroInflated>(std::move(base));
}

}  // namespace multilevel::family
