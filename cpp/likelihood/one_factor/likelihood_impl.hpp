// The loop over the clusters of a panel, for one size of random effect. Included by the files that instantiate it.
#pragma once

#include <cmath>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/cluster_hessian.hpp"
#include "likelihood/one_factor/cluster_moments.hpp"
#include "likelihood/one_factor/cluster_nodes.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"
#include "likelihood/one_factor/fixed_products.hpp"
#include "likelihood/one_factor/likelihood.hpp"
#include "likelihood/one_factor/posterior_moments.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "linear_algebra/small_factor.hpp"

namespace multilevel::likelihood {

inline constexpr int strip_node_rows = 32768;  // rows x nodes of a strip: its arrays stay in the second-level cache
inline constexpr int least_strip_rows = 64;

inline int most_clusters_of(const model::Model& model) {
  int most = 1;
  for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
  return most;
}

template <int Q>
class PanelLikelihoodOf final : public PanelLikelihood {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;
  using VectorMap = typename linear_algebra::Small<Q>::VectorMap;
  using ConstVectorMap = typename linear_algebra::Small<Q>::ConstVectorMap;
  using MatrixMap = typename linear_algebra::Small<Q>::MatrixMap;
  using ConstMatrixMap = typename linear_algebra::Small<Q>::ConstMatrixMap;

 public:
  PanelLikelihoodOf(const model::Model& model, const model::Response& response, const model::Layout& layout,
                    const numeric::QuadratureRule& rule, Derivatives derivatives, int q)
      : model_(model),
        response_(response),
        layout_(layout),
        rule_(rule),
        hessian_(derivatives == Derivatives::hessian),
        q_(q),
        p_(model.p()),
        n_theta_(q > 0 ? layout.n_entries() : 0),
        n_phi_(model.n_phi()),
        K_(rule.size),
        strip_rows_(std::max(least_strip_rows, std::min(model.largest_panel(), strip_node_rows / K_))),
        most_rows_(std::max(strip_rows_, model.largest_cluster())),
        rows_(most_rows_, K_, model),
        powers_(rule),
        averages_(powers_, K_ > 1 ? model.largest_cluster() : 0, n_phi_, hessian_),
        columns_(model.largest_cluster(), q, K_ > 1),
        state_(q, K_, n_phi_, p_),
        finder_(model.family(), most_rows_, most_clusters_of(model), std::max(q, 1)),
        nodes_(model, rule, powers_, q, most_clusters_of(model), most_rows_),
        second_(model, layout, powers_, q, n_theta_),
        fixed_(p_, most_rows_),
        moments_(q),
        score_(p_ + n_theta_ + n_phi_) {
    const auto most = static_cast<std::size_t>(most_clusters_of(model));
    Linv_.resize(most * static_cast<std::size_t>(q * q));
    log_determinant_.resize(most);
  }

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override {
    for (int first = panel.first_cluster; first < panel.last_cluster && sums.failed_cluster < 0;) {
      int last = first + 1;
      while (last < panel.last_cluster && model_.cluster_start(last + 1) - model_.cluster_start(first) <= strip_rows_)
        ++last;
      strip_.set(model_, response_, panel, first, last, q_());
      strip_.data.phi =
          model_.phi_rows(panel, response_, static_cast<int>(model_.cluster_start(first) - panel.first_row),
                          strip_.n_rows, psi + p_ + n_theta_, rows_.phi_rows);
      add_strip(psi, modes, sums, mode_covariance);
      first = last;
    }
  }

 private:
  void add_strip(const double* psi, double* all_modes, Sums& sums, double* mode_covariance) {
    const int n = strip_.n_rows, m = strip_.n_clusters();
    double* modes = all_modes + static_cast<std::int64_t>(strip_.first_cluster) * q_();
    Matrix lambda = Matrix::Zero(q_(), q_());
    for (int e = 0; e < n_theta_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      lambda(entry.row, entry.column) = psi[p_ + e];
    }
    fixed_part(psi);
    if (q_() > 0) {
      const int failed = finder_.find(strip_, rows_, model_.family(), lambda, modes, sums);
      if (failed >= 0) {
        sums.failed_cluster = strip_.first_cluster + failed;
        return;
      }
      finder_.linear_predictor(strip_, rows_, lambda, modes, 0, m);
    } else {
      std::copy(rows_.fixed_eta, rows_.fixed_eta + n, rows_.eta);
    }
    model_.family().derivatives(hessian_ || q_() > 0 || n_phi_ > 0 ? family::Order::full : family::Order::step,
                                {n, rows_.eta, strip_.data}, rows_.at_mode);
    rows_.spread_phi(strip_);

    for (int i = 0; i < m; ++i)
      if (!factor_at_mode(i, lambda, mode_covariance, sums)) {
        sums.failed_cluster = strip_.first_cluster + i;
        return;
      }
    if (K_ > 1) nodes_.evaluate(strip_, rows_, lambda, modes, Linv_);
    for (int i = 0; i < m; ++i) add_cluster(i, lambda, modes + i * q_(), sums);
    fixed_.add_gradient(strip_, rows_, sums);
    if (hessian_) fixed_.add_hessian(strip_, rows_, p_ + n_theta_, sums);
    if (sums.contributions && sums.contributions->row_part()) add_rows(*sums.contributions);
  }

  int first_row(int i) const { return strip_.start[static_cast<std::size_t>(i)]; }
  int cluster_rows(int i) const { return strip_.start[static_cast<std::size_t>(i) + 1] - first_row(i); }
  const double* z(int a, int first) const { return strip_.z[static_cast<std::size_t>(a)] + first; }

  void fixed_part(const double* beta) {
    const int n = strip_.n_rows;
    double* o = rows_.fixed_eta;
    if (strip_.offset)
      std::copy(strip_.offset, strip_.offset + n, o);
    else
      std::fill(o, o + n, 0.0);
    for (int k = 0; k < p_; ++k) numeric::add_multiple(n, beta[k], strip_.x[static_cast<std::size_t>(k)], o);
  }

  /// Z' diag(w) Z of a cluster.
  Matrix z_products(int first, int n, const double* w) const {
    Matrix r(q_(), q_());
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) r(a, b) = r(b, a) = numeric::dot(n, z(a, first), z(b, first), w + first);
    return r;
  }
  Vector z_sums(int first, int n, const double* w) const {
    Vector r(q_());
    for (int a = 0; a < q_(); ++a) r[a] = numeric::dot(n, z(a, first), w + first);
    return r;
  }

  bool factor_at_mode(int i, const Matrix& lambda, double* mode_covariance, Sums& sums) {
    const auto at = static_cast<std::size_t>(i);
    log_determinant_[at] = 0.0;
    if (q_() == 0) return true;
    const Matrix B = -z_products(first_row(i), cluster_rows(i), rows_.at_mode.eta[1]);
    Matrix L = Matrix::Identity(q_(), q_()) + lambda.transpose() * B * lambda;
    for (int a = 0; a < q_(); ++a) sums.sharpest = std::max(sums.sharpest, L(a, a));
    if (!std::isfinite(L.sum()) || !linear_algebra::small::cholesky(q_(), L.data())) return false;
    for (int a = 0; a < q_(); ++a) log_determinant_[at] += std::log(L(a, a));
    Matrix Linv(q_(), q_());
    linear_algebra::small::inverse_of_lower(q_(), L.data(), Linv.data());
    MatrixMap(Linv_.data() + at * static_cast<std::size_t>(q_() * q_()), q_(), q_()) = Linv;
    if (mode_covariance) {
      MatrixMap covariance(mode_covariance + static_cast<std::int64_t>(strip_.first_cluster + i) * q_() * q_(), q_(),
                           q_());
      covariance = Linv.transpose() * Linv;
    }
    return true;
  }

  void add_cluster(int i, const Matrix& lambda, const double* mode, Sums& sums) {
    const ClusterRows of{strip_, rows_, first_row(i), cluster_rows(i)};
    set_state(i, of, mode);
    const double value = value_of(i, of);
    sums.log_likelihood.add(value);
    average_nodes(i, of, lambda);
    set_leverages(of, lambda);
    set_score(lambda);
    sums.gradient.tail(n_theta_ + n_phi_) += score_.tail(n_theta_ + n_phi_);
    if (sums.contributions && !sums.contributions->row_part())
      add_contribution(i, of, lambda, value, *sums.contributions);
    if (hessian_) add_hessian(of, lambda, sums);
  }

  /// What the rows' derivatives at the mode add up to.
  void set_state(int i, const ClusterRows& of, const double* mode) {
    ClusterState<Q>& s = state_;
    const int first = of.first, n = of.n;
    s.v = ConstVectorMap(mode, q_());
    s.b1 = z_sums(first, n, rows_.at_mode.eta[0]);
    s.B = -z_products(first, n, rows_.at_mode.eta[1]);
    s.Linv =
        ConstMatrixMap(Linv_.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(q_() * q_()), q_(), q_());
    for (int r = 0; r < n_phi_; ++r) {
      s.b1_phi[static_cast<std::size_t>(r)] = z_sums(first, n, rows_.phi(r, 1));
      s.B2_phi[static_cast<std::size_t>(r)] = z_products(first, n, rows_.phi(r, 2));
    }
  }

  /// The log-likelihood of a cluster; sets the shares of its nodes.
  double value_of(int i, const ClusterRows& of) {
    const double value = -log_determinant_[static_cast<std::size_t>(i)];
    if (K_ > 1) return value + nodes_.shares(i, state_.share);
    state_.share[0] = 1.0;
    return numeric::sum(of.n, rows_.at_mode.value + of.first) - 0.5 * state_.v.squaredNorm() + value;
  }

  /// Posterior means over the nodes: rho becomes sum_k p_k l'_jk, curvature sum_k p_k l''_jk.
  void average_nodes(int i, const ClusterRows& of, const Matrix& lambda) {
    ClusterState<Q>& s = state_;
    if (K_ == 1)
      take_mode(of);
    else
      take_nodes(of);
    add_phi(i, of);
    // g_k = Lambda' b1_k - v_k, C = sum_k p_k t_k (L^-1 g_k)'
    s.g_bar = lambda.transpose() * s.b1_bar - s.v;
    s.b1_v = s.b1_bar * s.v.transpose();
    if (K_ == 1) return;
    s.g_bar -= s.Linv.transpose() * s.t_bar;
    s.b1_v += s.b1_t * s.Linv;
    const Matrix t_v = s.t_t * s.Linv + s.t_bar * s.v.transpose();
    s.C = Matrix(s.b1_t.transpose() * lambda - t_v) * s.Linv.transpose();
  }

  /// With one node its rows are those of the mode.
  void take_mode(const ClusterRows& of) {
    ClusterState<Q>& s = state_;
    const int first = of.first, n = of.n;
    std::copy_n(rows_.at_mode.eta[0] + first, n, rows_.rho + first);
    std::copy_n(rows_.at_mode.eta[1] + first, n, rows_.curvature + first);
    s.b1_bar = s.b1;
    for (int r = 0; r < n_phi_; ++r) {
      const auto R = static_cast<std::size_t>(r);
      std::copy_n(rows_.phi(r, 1) + first, n, rows_.x_phi[R] + first);
      s.b1_bar_phi[R] = s.b1_phi[R];
    }
  }

  /// A node without a share has no rows.
  void take_nodes(const ClusterRows& of) {
    ClusterState<Q>& s = state_;
    for (int k = 0; k < K_; ++k)
      if (s.share[static_cast<std::size_t>(k)] == 0.0) nodes_.clear(of, k);
    averages_.set(of, s.share);
    const auto sums = [&](const double* rows) { return z_sums(of.first, of.n, rows - of.first); };
    s.b1_bar = sums(averages_.d1(0));
    for (int r = 0; hessian_ && r < n_phi_; ++r)
      s.b1_bar_phi[static_cast<std::size_t>(r)] = sums(averages_.d1_phi(r, 0));
    for (int a = 0; a < powers_.n_moved(); ++a) {
      const int to = powers_.moved[static_cast<std::size_t>(a)], column = powers_.coordinate(a);
      s.t_bar[to] = averages_.power(column);
      for (int b = 0; b <= a; ++b) {
        const int other = powers_.moved[static_cast<std::size_t>(b)];
        s.t_t(to, other) = s.t_t(other, to) = averages_.power(powers_.product(a, b));
      }
      linear_algebra::set_column(s.b1_t, to, sums(averages_.d1(column)));
      for (int r = 0; hessian_ && r < n_phi_; ++r)
        linear_algebra::set_column(s.b1_t_phi[static_cast<std::size_t>(r)], to, sums(averages_.d1_phi(r, column)));
    }
  }

  /// What the coefficients of the family's parameters need of the nodes.
  void add_phi(int i, const ClusterRows& of) {
    ClusterState<Q>& s = state_;
    const int first = of.first, n = of.n;
    std::fill(s.phi_phi.begin(), s.phi_phi.end(), 0.0);
    for (int k = 0; k < K_ && n_phi_ > 0; ++k) {
      const double share = s.share[static_cast<std::size_t>(k)];
      for (int r = 0; r < n_phi_; ++r)
        s.node_phi(k, r) = share == 0.0 ? 0.0 : K_ > 1 ? nodes_.phi(i, k, r) : numeric::sum(n, rows_.phi(r, 0) + first);
      if (!hessian_ || share == 0.0) continue;
      for (int g = 0; g < n_phi_; ++g)
        for (int h = 0; h <= g; ++h) {
          const int pair = family::phi_pair(g, h);
          s.phi_phi[static_cast<std::size_t>(pair)] +=
              share * (K_ > 1 ? nodes_.phi_phi(i, k, pair)
                              : rows_.pair_sum(strip_, first, n, g, h, rows_.at_mode.phi_phi, 0, nullptr));
        }
    }
  }

  /// A = L^-T (I + Cs) L^-1, the leverages z_j' Lambda A Lambda' z_j, and h; rho is whole then.
  void set_leverages(const ClusterRows& of, const Matrix& lambda) {
    ClusterState<Q>& s = state_;
    const int first = of.first, n = of.n;
    s.A = s.Linv.transpose() * (Matrix::Identity(q_(), q_()) + linear_algebra::symmetric_from_lower(s.C)) * s.Linv;
    s.Az = lambda * s.A * lambda.transpose();
    double *leverage = rows_.leverage + first, *shift = rows_.shift + first, *c = rows_.scratch + first;
    double* rho = rows_.rho + first;
    const double *d2 = rows_.at_mode.eta[1] + first, *d3 = rows_.at_mode.eta[2] + first;
    quadratic_form(first, n, s.Az, leverage);
    for (int j = 0; j < n; ++j) c[j] = 0.5 * d3[j] * leverage[j];
    s.zc = z_sums(first, n, rows_.scratch);
    const Vector kappa = s.g_bar + lambda.transpose() * s.zc;
    s.h = s.Linv.transpose() * (s.Linv * kappa);
    s.hz = lambda * s.h;
    std::fill(shift, shift + n, 0.0);
    for (int a = 0; a < q_(); ++a) numeric::add_multiple(n, s.hz[a], z(a, first), shift);
    for (int j = 0; j < n; ++j) rho[j] += c[j] + d2[j] * shift[j];
  }

  /// Of theta and phi; that of beta comes from rho for the whole strip.
  void set_score(const Matrix& lambda) {
    const ClusterState<Q>& s = state_;
    const Matrix G =
        s.b1_v - s.B * lambda * s.A + s.zc * s.v.transpose() + s.b1 * s.h.transpose() - (s.B * s.hz) * s.v.transpose();
    for (int e = 0; e < n_theta_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      score_[p_ + e] = G(entry.row, entry.column);
    }
    for (int r = 0; r < n_phi_; ++r) {
      const auto R = static_cast<std::size_t>(r);
      double score = 0.5 * linear_algebra::sum_of_products(s.B2_phi[R], s.Az) + s.b1_phi[R].dot(s.hz);
      score += numeric::dot(K_, s.share.data(), s.node_phi.col(r).data());
      score_[p_ + n_theta_ + r] = score;
    }
  }

  /// After the row parts of the Hessian: d rho_j / d o_j and d rho_j / d phi at fixed cluster quantities.
  void add_hessian(const ClusterRows& of, const Matrix& lambda, Sums& sums) {
    const int first = of.first, n = of.n;
    const double *d3 = rows_.at_mode.eta[2] + first, *d4 = rows_.at_mode.eta[3] + first;
    const double *leverage = rows_.leverage + first, *shift = rows_.shift + first;
    double* curvature = rows_.curvature + first;
    if (q_() > 0) columns_.set(of);
    if (K_ > 1) columns_.set_nodes(of, powers_, averages_);
    for (int j = 0; j < n; ++j) curvature[j] += 0.5 * d4[j] * leverage[j] + d3[j] * shift[j];
    for (int r = 0; r < n_phi_; ++r) {
      double* x_phi = rows_.x_phi[static_cast<std::size_t>(r)] + first;
      const double *d2_phi = rows_.phi(r, 2) + first, *d3_phi = rows_.phi(r, 3) + first;
      for (int j = 0; j < n; ++j) x_phi[j] += 0.5 * d3_phi[j] * leverage[j] + d2_phi[j] * shift[j];
    }
    second_.add(state_, of, columns_, averages_, lambda, sums.hessian);
    if (n_theta_ > 0) add_theta_information(lambda, sums.theta_information);
  }

  /// tr(T D_a T D_b) / 2 with D_a = d(Lambda Lambda')/d theta_a and T = B - B Lambda H^-1 Lambda' B, the cluster's
  /// information about u in the working linear mixed model.
  void add_theta_information(const Matrix& lambda, Eigen::MatrixXd& information) const {
    const Matrix &B = state_.B, half = state_.Linv * lambda.transpose() * B;
    const Matrix T = B - half.transpose() * half;
    const Matrix TL = T * lambda, S = lambda.transpose() * TL;
    const auto& entries = layout_.entries();
    for (int a = 0; a < n_theta_; ++a)
      for (int b = 0; b <= a; ++b) {
        const auto &x = entries[static_cast<std::size_t>(a)], &y = entries[static_cast<std::size_t>(b)];
        information(a, b) += S(x.column, y.column) * T(x.row, y.row) + TL(y.row, x.column) * TL(x.row, y.column);
      }
  }

  /// Value, score and moments of a cluster, after its own sums are made.
  void add_contribution(int i, const ClusterRows& of, const Matrix& lambda, double value, Contributions& to) {
    const int cluster = strip_.first_cluster + i;
    for (int k = 0; k < p_; ++k)
      score_[k] = numeric::dot(of.n, strip_.x[static_cast<std::size_t>(k)] + of.first, rows_.rho + of.first);
    to.value[to.of_cluster(cluster)] = value;
    to.gradient.col(to.of_cluster(cluster)) = score_;
    if (!to.with_moments || q_() == 0) return;
    const ClusterState<Q>& s = state_;
    if (K_ == 1)
      moments_.add_at_mode(cluster, s.v.data(), s.h.data(), s.Linv.data(), lambda.data(), of, to);
    else
      moments_.add_over_nodes(cluster, s.share, node_places(), to);
  }

  /// v_k = v + L^-T t_k of all nodes, one after the other.
  std::vector<double> node_places() const {
    std::vector<double> places(static_cast<std::size_t>(K_ * q_()));
    for (int k = 0; k < K_; ++k)
      VectorMap(places.data() + k * q_(), q_()) =
          state_.v + state_.Linv.transpose() * Vector(ConstVectorMap(rule_.node(k), q_()));
    return places;
  }

  /// Without random effects: row by row, into the parts that the caller named.
  void add_rows(Contributions& to) {
    const auto first = static_cast<std::int64_t>(model_.cluster_start(strip_.first_cluster));
    for (int j = 0; j < strip_.n_rows; ++j) {
      const auto part = to.row_part()[first + j];
      auto score = to.gradient.col(part);
      to.value[part] += rows_.at_mode.value[j];
      for (int k = 0; k < p_; ++k) score[k] += strip_.x[static_cast<std::size_t>(k)][j] * rows_.rho[j];
      for (int r = 0; r < n_phi_; ++r)
        for (const auto& use : strip_.phi[static_cast<std::size_t>(r)])
          score[p_ + r] += (use.column ? use.column[j] : 1.0) * rows_.at_mode.phi[use.part][0][j];
    }
  }

  void quadratic_form(int first, int n, const Matrix& m, double* out) const {
    std::fill(out, out + n, 0.0);
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) {
        const double factor = a == b ? m(a, b) : 2.0 * m(a, b);
        const double *za = z(a, first), *zb = z(b, first);
        for (int j = 0; j < n; ++j) out[j] += factor * za[j] * zb[j];
      }
  }

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  bool hessian_;
  linear_algebra::Dimension<Q> q_;
  int p_, n_theta_, n_phi_, K_, strip_rows_, most_rows_;
  Strip strip_;
  RowArrays rows_;
  NodePowers powers_;
  NodeAverages averages_;
  MomentColumns columns_;
  ClusterState<Q> state_;
  ConditionalModes<Q> finder_;
  ClusterNodes<Q> nodes_;
  ClusterHessian<Q> second_;
  FixedProducts fixed_;
  PosteriorMoments moments_;
  Eigen::VectorXd score_;                       ///< of a cluster
  std::vector<double> Linv_, log_determinant_;  ///< of the strip's clusters
};

}  // namespace multilevel::likelihood
