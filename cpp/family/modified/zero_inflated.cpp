// More zeros than the family has: log(pi + (1 - pi) exp(l(0))) for y = 0, else log(1 - pi) + l(y), pi = logistic(zeta).
#include <array>
#include <cmath>

#include "family/modified/make.hpp"
#include "family/modified/zero_bounds.hpp"
#include "family/modified/zero_part.hpp"

namespace multilevel::family {

namespace {

constexpr auto ones = [] {
  std::array<double, block_rows> all{};
  for (double& one : all) one = 1.0;
  return all;
}();
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
  void suprema(int n, const Observations& data, double* out) const override {
    for (int first = 0; first < n; first += block_rows) {
      const int m = std::min(block_rows, n - first);
      const Observations rows = data.from(first);
      double* to = out + first;
      base_->suprema(m, base_rows(rows), to);
      for (int i = 0; i < m; i += lane_count) {
        const int lanes = std::min(lane_count, m - i);
        const Logistic own(zeta(rows.phi, i, lanes));
        const Lanes best = series_kernel::take(to, i, lanes);
        const numeric::LaneBits none = series_kernel::take(rows.response, i, lanes) == 0.0;
        const Lanes of_zero = numeric::log1p(own.no * numeric::expm1(numeric::select(none, best, Lanes{})));
        series_kernel::put(
            to, i, lanes,
            series_kernel::take(rows.weight, i, lanes) * numeric::select(none, of_zero, best - own.softplus));
      }
    }
  }

  /// With s, p and q as above and P = s / k a zero has f'' = q (p s^2 - s (1 - P)), which is at most p q s (s + P - 1),
  /// and a third derivative of at most p q s^3 + 3 p q s^2 + q s |(1 - P) (1 - 2 P)|; of other counts
  /// f'' = -(y + k) P (1 - P) is negative, and the third derivative at most (y + k) times the largest P (1 - P) (1 - 2
  /// P).
  bool bounds(int n, const Observations& data, const Bounds& out) const override {
    double failures[block_rows];
    ZeroBounds zero(Lanes{}, numeric::broadcast(1.0));
    for (int first = 0; first < n; first += block_rows) {
      const int n_own = std::min(block_rows, n - first);
      const Observations rows = data.from(first);
      if (!base_->failures(n_own, base_rows(rows), failures)) return false;
      for (int i = 0; i < n_own; i += lane_count) {
        const int m = std::min(lane_count, n_own - i);
        const Lanes k = series_kernel::take(failures, i, m), y = series_kernel::take(rows.response, i, m),
                    weight = series_kernel::take(rows.weight, i, m), at = zeta(rows.phi, i, m);
        const numeric::LaneBits none = y == 0.0;
        if (!zero.is_of(at, k)) zero = ZeroBounds(at, k);
        series_kernel::put(out.second + first, i, m, numeric::select(none, weight * zero.second, Lanes{}));
        series_kernel::put(out.third + first, i, m, weight * numeric::select(none, zero.third, (y + k) * most_bent));
      }
    }
    suprema(n, data, out.value);
    return true;
  }
  /// Where eta moves by `near` the second derivative of a count above zero changes by a factor of at most e^near, since
  /// the third is not larger; so do w and s of a zero.
  bool third_near(const Rows& rows, double near, double* out) const override {
    double failures[block_rows], value[block_rows], d1[block_rows], d2[block_rows];
    RowDerivatives base;
    base.value = value;
    base.eta[0] = d1;
    base.eta[1] = d2;
    const double factor = std::exp(near);
    for (int first = 0; first < rows.n; first += block_rows) {
      const int n_own = std::min(block_rows, rows.n - first);
      const Observations data = rows.data.from(first);
      if (!base_->failures(n_own, base_rows(data), failures)) return false;
      base_->derivatives(Order::step, {n_own, rows.eta + first, base_rows(data)}, base);
      for (int i = 0; i < n_own; i += lane_count) {
        const int m = std::min(lane_count, n_own - i);
        const Lanes w = -series_kernel::take(value, i, m), at = zeta(data.phi, i, m);
        const Lanes s = slope_of(factor * w, series_kernel::take(failures, i, m));
        const Lanes first_odds = at + w / factor, last_odds = at + factor * w;
        const Logistic low(first_odds), high(last_odds);
        const Lanes quarter = numeric::broadcast(0.25);
        const Lanes pq = numeric::select(first_odds > 0.0, low.yes * low.no,
                                         numeric::select(last_odds < 0.0, high.yes * high.no, quarter));
        const Lanes of_zero = s * (pq * s * (s + 3.0) + low.no);
        const numeric::LaneBits none = series_kernel::take(data.response, i, m) == 0.0;
        series_kernel::put(out + first, i, m,
                           series_kernel::take(data.weight, i, m) *
                               numeric::select(none, of_zero, -factor * series_kernel::take(d2, i, m)));
      }
    }
    return true;
  }
  /// Zeros are the family's own, all of them or none.
  int n_parts() const override { return 2; }
  void leave_part(int k, Phi& phi) const override {
    static constexpr double zeta[] = {-1e9, 40.0};
    phi.value[n_base_] = &zeta[k];
    phi.step[n_base_] = 0;
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

 private:
  /// Up to block_rows rows as the base has them, with unit weights.
  Observations base_rows(const Observations& rows) const {
    return {rows.response, rows.second, trials_are_weight_ ? rows.second : ones.data(), rows.phi};
  }
};

}  // namespace

std::unique_ptr<Family> make_zero_inflated(std::unique_ptr<Family> base) {
  return std::make_unique<ZeroInflated>(std::move(base));
}

}  // namespace multilevel::family
