#include "likelihood/nested/nodes.hpp"

#include <cmath>
#include <limits>

#include "numeric/lanes.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int block_node_rows = 32768;  // rows x inner nodes of a block: its arrays stay in the second-level cache
constexpr int least_block_rows = 64;
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// f = exp(f - shift)
void exp_of_difference(int n, const double* shift, double* f) {
  using namespace numeric;
  int i = 0;
  for (; i + lane_count <= n; i += lane_count) store(f + i, exp(load(f + i) - load(shift + i)));
  if (i < n) store_partial(f + i, exp(load_partial(f + i, n - i, 0.0) - load_partial(shift + i, n - i, 0.0)), n - i);
}

Eigen::Map<const Eigen::VectorXd> node_of(const numeric::QuadratureRule& rule, int k) {
  return {rule.node(k), rule.dimension};
}

}  // namespace

NestedNodes::NestedNodes(const model::Model& model, const numeric::QuadratureRule& inner,
                         const numeric::QuadratureRule& outer, int most_units, int most_clusters, int q_inner,
                         int q_outer)
    : g(q_inner, 1, most_units),
      t_g(q_inner, q_inner, most_units),
      b_v(q_inner, q_inner, most_units),
      outer_t_g(q_outer, q_inner, most_units),
      first(q_inner, 1, most_units),
      second(q_inner, q_inner, most_units),
      inner_rule_(inner),
      outer_rule_(outer),
      phi_parts_(model.phi_parts()),
      q_inner_(q_inner),
      q_outer_(q_outer),
      n_phi_(model.n_phi()),
      outer_(static_cast<std::size_t>(most_clusters)),
      centre_(most_units, most_clusters, q_inner, q_outer),
      centre_eta_(static_cast<std::size_t>(model.largest_panel())),
      mean_d1_(centre_eta_.size()),
      mean_d1_t_(static_cast<std::size_t>(q_inner), std::vector<double>(centre_eta_.size())),
      log_inner_(static_cast<std::size_t>(most_units)),
      mean_t_(q_inner, 1, most_units),
      mean_tt_(q_inner, q_inner, most_units),
      mean_phi_(n_phi_, 1, most_units),
      scaled_lambda_(q_inner, q_inner, most_units),
      shift_(q_inner, 1, most_units),
      mean_b_(q_inner, 1, most_units),
      mean_bt_(q_inner, q_inner, most_units),
      mean_g_(q_inner, 1, most_units),
      work_(q_inner, q_inner, most_units) {
  const int rows = std::max(model.largest_cluster(),
                            std::min(model.largest_panel(), std::max(least_block_rows, block_node_rows / inner.size)));
  block_rows_ = static_cast<std::size_t>(rows) + 8;
  block_units_ = block_rows_;
  const auto K = static_cast<std::size_t>(inner.size);
  node_d1_.resize(block_rows_ * K);
  node_f_.resize(block_units_ * K);
  node_phi_.resize(block_units_ * K * static_cast<std::size_t>(n_phi_));
  largest_.resize(block_units_);
  scratch_.resize(block_rows_ * (3 + phi_parts_.size()));
}

void NestedNodes::integrate(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                            const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const NestedEffects& mode,
                            const BlockArrow& arrow) {
  start(rows, arrays, lambda_inner, arrow);
  for (int k = 0; k < outer_rule_.size; ++k) {
    place(rows, arrays, lambda_inner, lambda_outer, mode, arrow, node_of(outer_rule_, k));
    for (int first = 0; first < rows.n_units;) {
      int last = first + 1;
      while (last < rows.n_units &&
             rows.first_row(last + 1) - rows.first_row(first) + 8 <= static_cast<int>(block_rows_))
        ++last;
      evaluate(rows, arrays, family, arrow, {first, last});
      average(rows, {first, last});
      first = last;
    }
    for (int c = 0; c < rows.n_clusters; ++c) combine(rows, arrays, lambda_inner, lambda_outer, arrow, k, c);
  }
  for (int c = 0; c < rows.n_clusters; ++c) scale(rows, arrays, c, 1.0 / outer(c).total);
}

void NestedNodes::start(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                        const BlockArrow& arrow) {
  const Range all{0, rows.n_units};
  scaled_lambda_.fill(all, 0.0);
  linear_algebra::add_product(all, 1.0, arrow.P, lambda_inner.transpose(), scaled_lambda_);
  for (int a = 0; a < q_inner_; ++a) {
    double* to = arrays.scaled_z[static_cast<std::size_t>(a)];
    std::fill(to, to + rows.n_rows, 0.0);
    for (int b = 0; b < q_inner_; ++b) {
      const double *z = rows.z_inner[static_cast<std::size_t>(b)], *factor = scaled_lambda_.at(a, b);
      for (int j = 0; j < rows.n_rows; ++j) to[j] += factor[rows.unit(j)] * z[j];
    }
  }
  std::fill(arrays.rho, arrays.rho + rows.n_rows, 0.0);
  for (auto* batch : {&g, &t_g, &b_v, &outer_t_g, &first, &second}) batch->fill(all, 0.0);
  for (int c = 0; c < rows.n_clusters; ++c) {
    OuterMeans& means = outer_[static_cast<std::size_t>(c)];
    means.largest = minus_infinity;
    means.total = 0.0;
    means.g.setZero(q_outer_);
    means.t_g.setZero(q_outer_, q_outer_);
    means.b_v.setZero(q_outer_, q_outer_);
    means.phi.assign(static_cast<std::size_t>(n_phi_), 0.0);
    for (auto& moment : means.moments) moment.setZero(q_outer_);
    means.second.setZero(q_outer_, q_outer_);
  }
}

/// Where an outer node puts the centres of the inner rules, and eta there.
void NestedNodes::place(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                        const OuterMatrix& lambda_outer, const NestedEffects& mode, const BlockArrow& arrow,
                        const OuterVector& t_outer) {
  const Range all{0, rows.n_units};
  centre_.inner.copy(all, mode.inner);
  linear_algebra::add_product(all, 1.0, transposed(arrow.R), t_outer, centre_.inner);
  std::copy(arrays.fixed_eta, arrays.fixed_eta + rows.n_rows, centre_eta_.data());
  shift_.fill(all, 0.0);
  linear_algebra::add_product(all, 1.0, lambda_inner, centre_.inner, shift_);
  rows.add_inner({0, rows.n_rows}, shift_, centre_eta_.data());
  for (int c = 0; c < rows.n_clusters; ++c) {
    OuterVector v = mode.outer_of(c);
    v += arrow.P_outer(c).transpose().lazyProduct(t_outer);
    centre_.set_outer(c, v);
    rows.add_outer(rows.rows(rows.units(c)), lambda_outer.lazyProduct(v), centre_eta_.data());
  }
}

/// log of the integrand and l' of a block of units at all inner nodes.
void NestedNodes::evaluate(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                           const BlockArrow& arrow, Range units) {
  const Range own = rows.rows(units);
  const int n = own.last - own.first, m = units.last - units.first;
  double* eta = arrays.eta + own.first;
  for (int k = 0; k < inner_rule_.size; ++k) {
    const auto t = node_of(inner_rule_, k);
    std::copy(centre_eta_.data() + own.first, centre_eta_.data() + own.last, eta);
    for (int a = 0; a < q_inner_; ++a)
      numeric::add_multiple(n, t[a], arrays.scaled_z[static_cast<std::size_t>(a)] + own.first, eta);
    family::RowDerivatives out;
    out.value = scratch_.data();
    out.eta[0] = node(node_d1_, block_rows_, k);
    out.eta[1] = scratch_.data() + block_rows_;
    double* phi_value = scratch_.data() + 2 * block_rows_;
    double* unused = phi_value + phi_parts_.size() * block_rows_;
    for (std::size_t r = 0; r < phi_parts_.size(); ++r) {
      out.phi[r][0] = phi_value + r * block_rows_;
      out.phi[r][1] = unused;
    }
    for (std::size_t pair = 0; pair < phi_parts_.size() * (phi_parts_.size() + 1) / 2; ++pair)
      out.phi_phi[pair][0] = unused;
    family.derivatives(family::Order::node, rows.family_rows(own, arrays.eta), out);

    double* f = node(node_f_, block_units_, k);
    rows.sums(units, out.value - own.first, f - units.first);
    for (std::size_t r = 0; r < phi_parts_.size(); ++r)
      for (int g = phi_parts_[r].first; g < phi_parts_[r].last; ++g) {
        double* sums = node(node_phi_, block_units_, k * n_phi_ + g) - units.first;
        for (int i = units.first; i < units.last; ++i)
          sums[i] = rows.phi_sum({rows.first_row(i), rows.first_row(i + 1)}, g, out.phi[r][0] - own.first);
      }
    const double constant = inner_rule_.log_weights[static_cast<std::size_t>(k)] + 0.5 * t.squaredNorm();
    for (int i = 0; i < m; ++i) f[i] += constant;
    for (int a = 0; a < q_inner_; ++a) {
      double* v = largest_.data();
      std::copy(centre_.inner.at(a) + units.first, centre_.inner.at(a) + units.last, v);
      for (int b = 0; b < q_inner_; ++b) numeric::add_multiple(m, t[b], arrow.P.at(b, a) + units.first, v);
      for (int i = 0; i < m; ++i) f[i] -= 0.5 * v[i] * v[i];
    }
    // Outside of a link's domain the density of the responses is zero.
    for (int i = 0; i < m; ++i) f[i] = std::isnan(f[i]) ? minus_infinity : f[i];
  }
}

/// The inner integrals of a block of units, and means under the shares of their nodes.
void NestedNodes::average(const NestedRows& rows, Range units) {
  const Range own = rows.rows(units);
  const int n = own.last - own.first, m = units.last - units.first, K = inner_rule_.size;
  double* log_inner = log_inner_.data() + units.first;
  std::fill(largest_.begin(), largest_.begin() + m, minus_infinity);
  for (int k = 0; k < K; ++k) {
    const double* f = node(node_f_, block_units_, k);
    for (int i = 0; i < m; ++i)
      largest_[static_cast<std::size_t>(i)] = std::max(largest_[static_cast<std::size_t>(i)], f[i]);
  }
  for (int i = 0; i < m; ++i) {
    double& largest = largest_[static_cast<std::size_t>(i)];
    log_inner[i] = largest;
    if (largest == minus_infinity) largest = 0.0;
  }
  double* total = scratch_.data();
  std::fill(total, total + m, 0.0);
  for (int k = 0; k < K; ++k) {
    double* share = node(node_f_, block_units_, k);
    exp_of_difference(m, largest_.data(), share);
    for (int i = 0; i < m; ++i) total[i] += share[i];
  }
  for (int i = 0; i < m; ++i) {
    log_inner[i] += total[i] > 0.0 ? std::log(total[i]) : 0.0;
    total[i] = total[i] > 0.0 ? 1.0 / total[i] : 0.0;
  }

  mean_t_.fill(units, 0.0);
  mean_tt_.fill(units, 0.0);
  mean_phi_.fill(units, 0.0);
  double* mean_d1 = mean_d1_.data() + own.first;
  std::fill(mean_d1, mean_d1 + n, 0.0);
  for (auto& mean : mean_d1_t_) std::fill(mean.data() + own.first, mean.data() + own.last, 0.0);
  const int* unit = rows.unit_of() + own.first;
  double* weighted = scratch_.data() + block_rows_;
  for (int k = 0; k < K; ++k) {
    const auto t = node_of(inner_rule_, k);
    double* share = node(node_f_, block_units_, k);
    for (int i = 0; i < m; ++i) share[i] *= total[i];
    for (int a = 0; a < q_inner_; ++a) {
      numeric::add_multiple(m, t[a], share, mean_t_.at(a) + units.first);
      for (int b = 0; b <= a; ++b) numeric::add_multiple(m, t[a] * t[b], share, mean_tt_.at(a, b) + units.first);
    }
    for (int r = 0; r < n_phi_; ++r) {
      const double* d = node(node_phi_, block_units_, k * n_phi_ + r);
      double* mean = mean_phi_.at(r) + units.first;
      for (int i = 0; i < m; ++i) mean[i] += share[i] == 0.0 ? 0.0 : share[i] * d[i];
    }
    // Derivatives at a node without a share may be no numbers.
    const double* d1 = node(node_d1_, block_rows_, k);
    const double* own_share = share - units.first;
    for (int j = 0; j < n; ++j) {
      const double s = own_share[unit[j]];
      weighted[j] = s == 0.0 ? 0.0 : s * d1[j];
    }
    for (int j = 0; j < n; ++j) mean_d1[j] += weighted[j];
    for (int a = 0; a < q_inner_; ++a)
      numeric::add_multiple(n, t[a], weighted, mean_d1_t_[static_cast<std::size_t>(a)].data() + own.first);
  }
  mean_tt_.make_symmetric(units);
}

/// Adds what an outer node says of a cluster, with the node's weight; weights are relative to the largest so far.
void NestedNodes::combine(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                          const OuterMatrix& lambda_outer, const BlockArrow& arrow, int outer_node, int cluster) {
  OuterMeans& means = outer_[static_cast<std::size_t>(cluster)];
  const Range units = rows.units(cluster), own = rows.rows(units);
  const OuterVector t = node_of(outer_rule_, outer_node), v = centre_.outer_of(cluster);
  double log_weight =
      outer_rule_.log_weights[static_cast<std::size_t>(outer_node)] + 0.5 * t.squaredNorm() - 0.5 * v.squaredNorm();
  log_weight += numeric::sum(units.last - units.first, log_inner_.data() + units.first);
  if (!(log_weight > minus_infinity)) return;
  if (log_weight > means.largest) {
    const double factor = std::exp(means.largest - log_weight);
    if (means.total > 0.0) scale(rows, arrays, cluster, factor);
    means.total *= factor;
    means.largest = log_weight;
  }
  const double weight = std::exp(log_weight - means.largest);
  if (weight == 0.0) return;
  means.total += weight;
  numeric::add_multiple(own.last - own.first, weight, mean_d1_.data() + own.first, arrays.rho + own.first);

  // The units, given the outer node: g_i = Lambda'b_i - v_i, v_i = centre_i + P_i't_i.
  rows.inner_sums(units, mean_d1_.data(), mean_b_);
  for (int a = 0; a < q_inner_; ++a)
    for (int b = 0; b < q_inner_; ++b)
      rows.sums(units, rows.z_inner[static_cast<std::size_t>(a)], mean_d1_t_[static_cast<std::size_t>(b)].data(),
                mean_bt_.at(a, b));
  mean_g_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), mean_b_, mean_g_);
  mean_g_.add(units, -1.0, centre_.inner);
  linear_algebra::add_product(units, -1.0, transposed(arrow.P), mean_t_, mean_g_);
  g.add(units, weight, mean_g_);
  linear_algebra::add_product(units, weight, t, transposed(mean_g_), outer_t_g);
  linear_algebra::add_product(units, weight, mean_b_, transposed(centre_.inner), b_v);
  linear_algebra::add_product(units, weight, mean_bt_, arrow.P, b_v);
  linear_algebra::add_product(units, weight, transposed(mean_bt_), lambda_inner, t_g);
  linear_algebra::add_product(units, -weight, mean_t_, transposed(centre_.inner), t_g);
  linear_algebra::add_product(units, -weight, mean_tt_, arrow.P, t_g);

  // The cluster's own effects.
  const OuterVector b = rows.outer_sums(own, mean_d1_.data());
  OuterVector g_outer = lambda_outer.transpose().lazyProduct(b);
  g_outer -= v;
  means.g += weight * g_outer;
  means.t_g += weight * t.lazyProduct(g_outer.transpose());
  means.b_v += weight * b.lazyProduct(v.transpose());
  for (int r = 0; r < n_phi_; ++r)
    means.phi[static_cast<std::size_t>(r)] +=
        weight * numeric::sum(units.last - units.first, mean_phi_.at(r) + units.first);
  if (to_user_) add_moments(rows, arrow, t, weight, cluster);
}

/// Given t_3 = t: d_3 = P_3't and d_i = R_i't + P_i't_i.
void NestedNodes::add_moments(const NestedRows& rows, const BlockArrow& arrow, const OuterVector& t, double weight,
                              int cluster) {
  const Range units = rows.units(cluster);
  OuterMeans& means = outer_[static_cast<std::size_t>(cluster)];
  const OuterVector d = arrow.P_outer(cluster).transpose().lazyProduct(t);
  const OuterMatrix M = to_user_->block(outer_first_, outer_first_, q_outer_, q_outer_);
  const OuterVector u = M.lazyProduct(d);
  means.moments[0] += weight * d;
  means.moments[1] += weight * u.array().cube().matrix();
  means.moments[2] += weight * u.array().square().square().matrix();
  means.second += weight * d.lazyProduct(d.transpose());

  mean_g_.fill(units, 0.0);  // R't
  linear_algebra::add_product(units, 1.0, transposed(arrow.R), t, mean_g_);
  mean_b_.fill(units, 0.0);  // P'E(t_i)
  linear_algebra::add_product(units, 1.0, transposed(arrow.P), mean_t_, mean_b_);
  first.add(units, weight, mean_g_);
  first.add(units, weight, mean_b_);
  linear_algebra::add_product(units, weight, mean_g_, transposed(mean_g_), second);
  linear_algebra::add_product(units, weight, mean_g_, transposed(mean_b_), second);
  linear_algebra::add_product(units, weight, mean_b_, transposed(mean_g_), second);
  work_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, mean_tt_, arrow.P, work_);
  linear_algebra::add_product(units, weight, transposed(arrow.P), work_, second);
}

void NestedNodes::scale(const NestedRows& rows, NestedArrays& arrays, int cluster, double factor) {
  const Range units = rows.units(cluster), own = rows.rows(units);
  OuterMeans& means = outer_[static_cast<std::size_t>(cluster)];
  for (int j = own.first; j < own.last; ++j) arrays.rho[j] *= factor;
  for (auto* batch : {&g, &t_g, &b_v, &outer_t_g, &first, &second}) batch->scale(units, factor);
  means.g *= factor;
  means.t_g *= factor;
  means.b_v *= factor;
  for (double& phi : means.phi) phi *= factor;
  for (auto& moment : means.moments) moment *= factor;
  means.second *= factor;
}

}  // namespace multilevel::likelihood
