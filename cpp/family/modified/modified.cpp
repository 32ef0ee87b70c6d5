#include "family/modified/modified.hpp"

#include <cmath>

namespace multilevel::family {

namespace {

constexpr double none[block_rows] = {};

/// weight * x, and exactly zero where the weight is zero.
void scatter(const Picked& rows, const double* from, double* to) {
  if (!to) return;
  for (int k = 0; k < rows.n; ++k) to[rows.row[k]] = rows.weight[k] == 0.0 ? 0.0 : rows.weight[k] * from[k];
}

double* shifted(double* array, int by) { return array ? array + by : nullptr; }

}  // namespace

void Picked::take(const Rows& rows, int first, const int* kinds, int n_rows, int kind, int n_phi) {
  // Every row is written, and kept by counting it: which rows are of a kind is nothing that a processor could foresee.
  const Observations data = rows.data.from(first);
  const double* own_eta = rows.eta + first;
  n = 0;
  for (int j = 0; j < n_rows; ++j) {
    row[n] = j;
    eta[n] = own_eta[j];
    response[n] = data.response[j];
    weight[n] = data.weight[j];
    n += kinds[j] == kind;
  }
  auto gather = [&](const double* from, double* to) {
    for (int k = 0; k < n; ++k) to[k] = from[row[k]];
  };
  if (data.second)
    gather(data.second, second);
  else
    std::fill_n(second, n, 1.0);
  std::fill_n(unit, n, 1.0);
  for (int r = 0; r < n_phi; ++r) {
    phi.step[r] = data.phi.step[r];
    phi.value[r] = data.phi.value[r];
    if (!phi.step[r]) continue;
    gather(data.phi.value[r], parameter[r]);
    phi.value[r] = parameter[r];
  }
}

template <class Visit>
void Modified::by_kind(const Rows& rows, Visit visit) const {
  int kinds[block_rows];
  Picked picked;
  for (int first = 0; first < rows.n; first += block_rows) {
    const int n = std::min(block_rows, rows.n - first);
    for (int j = 0; j < n; ++j) kinds[j] = kind_of(rows.data[first + j]);
    for (int kind = 0; kind < n_kinds(); ++kind) {
      picked.take(rows, first, kinds, n, kind, n_all_);
      if (picked.n > 0) visit(kind, picked, first);
    }
  }
}

Observation Modified::prepare(double y, double second, double prior_weight, double* constant) const {
  *constant = 0.0;
  if (y == 0.0 && !mass_at_zero()) return {0.0, second, prior_weight};
  const Observation own = base_->prepare(y, second, 1.0, constant);
  *constant *= prior_weight;
  return {own.response, trials_are_weight_ ? own.weight : own.second, prior_weight};
}

void Modified::derivatives(Order order, const Rows& rows, const RowDerivatives& out) const {
  BlockDerivatives result;
  by_kind(rows, [&](int kind, const Picked& picked, int first) {
    picked_derivatives(order, picked, kind, result);
    scatter(picked, result.value, out.value + first);
    for (int a = 0; a < BlockDerivatives::highest(order); ++a) scatter(picked, result.eta[a], out.eta[a] + first);
    if (order == Order::step) return;
    for (int r = 0; r < n_all_; ++r)
      for (int a = 0; a <= BlockDerivatives::highest_by_phi(order); ++a)
        scatter(picked, result.phi[r][a], shifted(out.phi[r][a], first));
    for (int pair = 0; pair < n_all_ * (n_all_ + 1) / 2; ++pair)
      for (int a = 0; a <= BlockDerivatives::highest_by_pair(order); ++a)
        scatter(picked, result.phi_phi[pair][a], shifted(out.phi_phi[pair][a], first));
  });
}

void Modified::expected_information(const Rows& rows, double* out) const {
  double result[block_rows];
  by_kind(rows, [&](int kind, const Picked& picked, int first) {
    picked_information(picked, kind, result);
    for (int k = 0; k < picked.n; ++k)
      if (!(result[k] > 0.0)) result[k] = 0.0;
    scatter(picked, result, out + first);
  });
}

void Modified::base_derivatives(Order order, const Picked& rows, bool at_zero, BlockDerivatives& out) const {
  const double* weight = trials_are_weight_ ? rows.second : rows.unit;
  base_->derivatives(order, {rows.n, rows.eta, {at_zero ? none : rows.response, rows.second, weight, rows.phi}},
                     out.arrays(order, n_base_));
}

void Modified::base_information(const Picked& rows, double* out) const {
  const double* weight = trials_are_weight_ ? rows.second : rows.unit;
  base_->expected_information({rows.n, rows.eta, {rows.response, rows.second, weight, rows.phi}}, out);
}

Modified::Point Modified::at(const Observation& row, double eta, const double* phi) const {
  Point point;
  const double one = 1.0;
  RowDerivatives out;
  out.value = &point.value;
  out.eta[0] = &point.d1;
  out.eta[1] = &point.d2;
  derivatives(Order::step, {1, &eta, {&row.response, &row.second, &one, Phi::constant(phi, n_all_)}}, out);
  return point;
}

Modified::Point Modified::base_at(const Observation& row, double eta, const double* phi) const {
  Point point;
  const Observation own = base_row(row);
  RowDerivatives out;
  out.value = &point.value;
  out.eta[0] = &point.d1;
  out.eta[1] = &point.d2;
  base_->derivatives(Order::step, {1, &eta, {&own.response, &own.second, &own.weight, Phi::constant(phi, n_base_)}},
                     out);
  return point;
}

double Modified::log_zero(double eta, const double* phi, double second) const {
  return base_at({0.0, second, 1.0}, eta, phi).value;
}

double Modified::unit_deviance(double y, double mu, const double* phi) const {
  double constant;
  const Observation row = prepare(y, 1.0, 1.0, &constant);
  return 2.0 * (best(row, phi) - at(row, link_of_mean(mu), phi).value) * dispersion(phi);
}

// With x = -u and z = x / x_0 the function is G(z) = log(1 - exp(-x_0 z)) at z = 1: its derivatives stay finite where
// the probability of zero is as close to one as can be. G' = w = x_0 / (exp(x_0 z) - 1), w' = -w (x_0 + w).
namespace {

struct Truncation {
  Truncation(const BlockDerivatives& u, int i, int n)
      : u_value(series_kernel::take(u.value, i, n)), x(-u_value), inverse(1.0 / u_value), w(x / numeric::expm1(x)) {
    g.f1 = w;
    g.f2 = -w * (x + w);
    g.f3 = -g.f2 * (x + 2.0 * w);
    g.f4 = -g.f3 * (x + 2.0 * w) - 2.0 * g.f2 * g.f2;
  }
  Lanes u_value, x, inverse, w;
  Outer g;
};

/// log(1 - e^-x), with one logarithm: of -expm1(-x) where that is below a half, or of 1 - e^-x and what it rounds off.
Lanes log_complement(Lanes x) {
  const Lanes power = numeric::exp(-x), one_less = 1.0 - power, zero = numeric::broadcast(0.0);
  const numeric::LaneBits small = x < 0.69314718055994531;
  const Lanes rounded = ((1.0 - one_less) - power) / one_less;
  return numeric::log(numeric::select(small, -numeric::expm1(-x), one_less)) + numeric::select(small, zero, rounded);
}

Lanes scaled(Lanes by, const double* from, int i, int n) { return by * series_kernel::take(from, i, n); }

void add(double* to, int i, int n, Lanes x) { series_kernel::put(to, i, n, series_kernel::take(to, i, n) + x); }

}  // namespace

void add_log_complement(Order order, int n_rows, int n_phi, double sign, const BlockDerivatives& u,
                        BlockDerivatives& density) {
  const int highest = BlockDerivatives::highest(order), by_phi = BlockDerivatives::highest_by_phi(order),
            by_pair = BlockDerivatives::highest_by_pair(order);
  for (int i = 0; i < n_rows; i += lane_count) {
    const int n = std::min(lane_count, n_rows - i);
    const Truncation own(u, i, n);
    const numeric::LaneBits some = own.x >= std::numeric_limits<double>::min();
    add(density.value, i, n, sign * only_where(some, log_complement(own.x)));
    Lanes to[4];
    auto inwards = [&](const double (*from)[block_rows], int last) {
      Inwards d{};
      Lanes* all[4] = {&d.d0, &d.d1, &d.d2, &d.d3};
      for (int a = 0; a <= last; ++a) *all[a] = scaled(own.inverse, from[a], i, n);
      return d;
    };
    Inwards z{};
    Lanes* all[4] = {&z.d1, &z.d2, &z.d3, &z.d4};
    for (int a = 0; a < highest; ++a) *all[a] = scaled(own.inverse, u.eta[a], i, n);
    chain_eta(own.g, z, highest, to);
    for (int a = 0; a < highest; ++a) add(density.eta[a], i, n, sign * to[a]);
    if (order == Order::step) continue;
    Inwards v[few_phi];
    for (int r = 0; r < n_phi; ++r) {
      v[r] = inwards(u.phi[r], by_phi);
      chain_phi(own.g, z, v[r], by_phi, to);
      for (int a = 0; a <= by_phi; ++a) add(density.phi[r][a], i, n, sign * to[a]);
      for (int s = 0; s <= r; ++s) {
        const int pair = phi_pair(r, s);
        chain_pair(own.g, z, v[r], v[s], inwards(u.phi_phi[pair], by_pair), by_pair, to);
        for (int a = 0; a <= by_pair; ++a) add(density.phi_phi[pair][a], i, n, sign * to[a]);
      }
    }
  }
}

// Over all responses E(-d2) = P(not zero) E(-d2 | not zero) - P(0) u''.
void truncated_information(int n_rows, const BlockDerivatives& u, double* information) {
  for (int i = 0; i < n_rows; i += lane_count) {
    const int n = std::min(lane_count, n_rows - i);
    const Truncation own(u, i, n);
    const Lanes zero = numeric::exp(own.u_value), second = series_kernel::take(u.eta[1], i, n);
    const Lanes z1 = scaled(own.inverse, u.eta[0], i, n), z2 = own.inverse * second;
    const Lanes all = series_kernel::take(information, i, n);
    series_kernel::put(information, i, n,
                       (all + zero * second) / -numeric::expm1(own.u_value) + own.g.f2 * z1 * z1 + own.g.f1 * z2);
  }
}

Moments without_zeros(const Moments& all, double log_zero) {
  const double rest = -std::expm1(log_zero), mean = all.mean / rest;
  return {mean, (all.variance + all.mean * all.mean) / rest - mean * mean};
}

}  // namespace multilevel::family
