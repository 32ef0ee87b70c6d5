// The loop over the clusters of a panel, for one size of random effect. Included by the files that instantiate it.
#pragma once

#include <cmath>
#include <limits>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/cluster_hessian.hpp"
#include "likelihood/one_factor/cluster_moments.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"
#include "likelihood/one_factor/likelihood.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "linear_algebra/dense.hpp"
#include "linear_algebra/small_factor.hpp"

namespace multilevel::likelihood {

inline constexpr int strip_node_rows = 32768;  // rows x nodes of a strip: its arrays stay in the second-level cache
inline constexpr int least_strip_rows = 64;

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
        rows_(std::max(strip_rows_, model.largest_cluster()), K_, model),
        columns_(model.largest_cluster(), q, K_ > 1),
        state_(q, K_, n_phi_, p_),
        second_(model, layout, rule, q, n_theta_),
        score_(p_ + n_theta_ + n_phi_),
        moment_work_(static_cast<std::size_t>(2 * q * q)) {
    int most = 1;
    for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
    finder_ = std::make_unique<ConditionalModes<Q>>(model.family(), std::max(strip_rows_, model.largest_cluster()),
                                                    most, std::max(q, 1));
    node_f_.resize(static_cast<std::size_t>(most) * static_cast<std::size_t>(K_));
    node_phi_.resize(node_f_.size() * static_cast<std::size_t>(n_phi_));
    node_phi_phi_.resize(node_f_.size() * static_cast<std::size_t>(n_phi_ * (n_phi_ + 1) / 2));
    Linv_.resize(static_cast<std::size_t>(most) * static_cast<std::size_t>(q * q));
    log_determinant_.resize(static_cast<std::size_t>(most));
    // Four columns of a product at a time; at a node, each derivative by the family's parameters has its own.
    const int parts = static_cast<int>(model.phi_parts().size());
    weighted_.resize(static_cast<std::size_t>(std::max(4, 2 * parts + parts * (parts + 1) / 2)),
                     std::vector<double>(static_cast<std::size_t>(std::max(strip_rows_, model.largest_cluster())) + 8));
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
      const int failed = finder_->find(strip_, rows_, model_.family(), lambda, modes, sums);
      if (failed >= 0) {
        sums.failed_cluster = strip_.first_cluster + failed;
        return;
      }
      finder_->linear_predictor(strip_, rows_, lambda, modes, 0, m);
    } else {
      std::copy(rows_.fixed_eta, rows_.fixed_eta + n, rows_.eta);
    }
    model_.family().derivatives(hessian_ || q_() > 0 || n_phi_ > 0 ? family::Order::full : family::Order::step,
                                {n, rows_.eta, strip_.data}, rows_.at_mode);
    rows_.spread_phi(strip_);

    for (int i = 0; i < m; ++i)
      if (!factor_at_mode(i, lambda, mode_covariance)) {
        sums.failed_cluster = strip_.first_cluster + i;
        return;
      }
    if (K_ > 1) evaluate_nodes(lambda, modes);
    for (int i = 0; i < m; ++i) add_cluster(i, lambda, modes + i * q_(), sums);
    add_fixed_effects(sums);
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

  bool factor_at_mode(int i, const Matrix& lambda, double* mode_covariance) {
    const auto at = static_cast<std::size_t>(i);
    log_determinant_[at] = 0.0;
    if (q_() == 0) return true;
    const Matrix B = -z_products(first_row(i), cluster_rows(i), rows_.at_mode.eta[1]);
    Matrix L = Matrix::Identity(q_(), q_()) + lambda.transpose() * B * lambda;
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

  /// v_k = mode + L^-T t_k.
  Vector node_v(int i, int k, const double* mode) const {
    const ConstMatrixMap Linv(Linv_.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(q_() * q_()), q_(),
                              q_());
    return ConstVectorMap(mode, q_()) + Linv.transpose() * ConstVectorMap(rule_.node(k), q_());
  }

  /// f(v_k) + t't/2 + log omega_k of all clusters, and the rows' derivatives at the nodes.
  void evaluate_nodes(const Matrix& lambda, const double* modes) {
    const int m = strip_.n_clusters();
    for (int k = 0; k < K_; ++k) {
      const double node_square = ConstVectorMap(rule_.node(k), q_()).squaredNorm();
      for (int i = 0; i < m; ++i) {
        const Vector v = node_v(i, k, modes + i * q_());
        node_f_[index(i, k)] =
            -0.5 * v.squaredNorm() + 0.5 * node_square + rule_.log_weights[static_cast<std::size_t>(k)];
        const Vector u = lambda * v;
        finder_->add_random_effects(strip_, rows_, first_row(i), first_row(i) + cluster_rows(i), u);
      }
      family::RowDerivatives out;
      out.value = rows_.scratch;
      out.eta[0] = rows_.node_d1(k);
      out.eta[1] = rows_.node_d2(k);
      const auto& parts = model_.phi_parts();
      std::size_t used = 0;
      for (std::size_t r = 0; r < parts.size(); ++r) {
        out.phi[r][0] = weighted_[used++].data();
        out.phi[r][1] = parts[r].constant ? rows_.node_d1_phi(k, parts[r].first) : weighted_[used++].data();
      }
      for (std::size_t pair = 0; pair < parts.size() * (parts.size() + 1) / 2; ++pair)
        out.phi_phi[pair][0] = weighted_[used++].data();
      model_.family().derivatives(family::Order::node, {strip_.n_rows, rows_.eta, strip_.data}, out);
      for (int i = 0; i < m; ++i) {
        node_f_[index(i, k)] += numeric::sum(cluster_rows(i), rows_.scratch + first_row(i));
        add_node_phi(i, k, out);
      }
    }
  }

  /// A cluster's derivatives at a node by the coefficients of the family's parameters.
  void add_node_phi(int i, int k, const family::RowDerivatives& out) {
    const int first = first_row(i), n = cluster_rows(i), pairs = n_phi_ * (n_phi_ + 1) / 2;
    for (int g = 0; g < n_phi_; ++g) {
      const double* x = strip_.phi[static_cast<std::size_t>(g)];
      const auto& own = out.phi[rows_.part(g)];
      node_phi_[index(i, k) * static_cast<std::size_t>(n_phi_) + static_cast<std::size_t>(g)] =
          x ? numeric::dot(n, own[0] + first, x + first) : numeric::sum(n, own[0] + first);
      double* to = rows_.node_d1_phi(k, g);
      for (int j = first; x && j < first + n; ++j) to[j] = x[j] * own[1][j];
      for (int h = 0; h <= g; ++h)
        node_phi_phi_[index(i, k) * static_cast<std::size_t>(pairs) +
                      static_cast<std::size_t>(family::phi_pair(g, h))] =
            rows_.pair_sum(strip_, first, n, g, h, out.phi_phi[family::phi_pair(rows_.part(g), rows_.part(h))][0],
                           nullptr);
    }
  }
  std::size_t index(int i, int k) const {
    return static_cast<std::size_t>(i) * static_cast<std::size_t>(K_) + static_cast<std::size_t>(k);
  }

  void add_cluster(int i, const Matrix& lambda, const double* mode, Sums& sums) {
    ClusterState<Q>& s = state_;
    const int first = first_row(i), n = cluster_rows(i);
    s.v = ConstVectorMap(mode, q_());
    s.b1 = z_sums(first, n, rows_.at_mode.eta[0]);
    s.B = -z_products(first, n, rows_.at_mode.eta[1]);
    s.Linv =
        ConstMatrixMap(Linv_.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(q_() * q_()), q_(), q_());
    for (int r = 0; r < n_phi_; ++r) {
      s.b1_phi[static_cast<std::size_t>(r)] = z_sums(first, n, rows_.phi(r, 1));
      s.B2_phi[static_cast<std::size_t>(r)] = z_products(first, n, rows_.phi(r, 2));
    }
    std::fill(s.phi_phi.begin(), s.phi_phi.end(), 0.0);
    double value = -log_determinant_[static_cast<std::size_t>(i)];
    if (K_ > 1)
      value += shares(i);
    else {
      s.share[0] = 1.0;
      value = numeric::sum(n, rows_.at_mode.value + first) - 0.5 * s.v.squaredNorm() + value;
    }
    sums.log_likelihood.add(value);

    // Posterior means over the nodes: rho starts as sum_k p_k l'_jk, curvature as sum_k p_k l''_jk.
    double *rho = rows_.rho + first, *curvature = rows_.curvature + first;
    std::fill(rho, rho + n, 0.0);
    std::fill(curvature, curvature + n, 0.0);
    Vector g_bar = Vector::Zero(q_());
    Matrix b1_v = Matrix::Zero(q_(), q_());
    s.C = Matrix::Zero(q_(), q_());
    for (double* x_phi : rows_.x_phi) std::fill(x_phi + first, x_phi + first + n, 0.0);
    for (int k = 0; k < K_; ++k) {
      const double share = s.share[static_cast<std::size_t>(k)];
      if (share == 0.0) clear_node(k, first, n);  // far out, or outside the domain, where derivatives are no numbers
      const double *d1 = rows_.node_d1(k), *d2 = rows_.node_d2(k);
      const Vector t = ConstVectorMap(rule_.node(k), q_());
      const Vector v_k = s.v + s.Linv.transpose() * t, b1_k = z_sums(first, n, d1),
                   g_k = lambda.transpose() * b1_k - v_k, gamma_k = s.Linv * g_k;
      s.at(s.node_v, k) = v_k;
      s.at(s.node_b1, k) = b1_k;
      s.at(s.node_g, k) = g_k;
      s.at(s.node_gamma, k) = gamma_k;
      g_bar += share * g_k;
      s.C += share * t * gamma_k.transpose();
      b1_v += share * b1_k * v_k.transpose();
      numeric::add_multiple(n, share, d1 + first, rho);
      numeric::add_multiple(n, share, d2 + first, curvature);
      if (hessian_) s.matrix_at(s.node_B, k) = -z_products(first, n, d2);
      for (int r = 0; r < n_phi_; ++r) {
        const auto at = static_cast<std::size_t>(k * n_phi_ + r);
        s.node_phi[at] = share == 0.0 ? 0.0
                         : K_ > 1
                             ? node_phi_[index(i, k) * static_cast<std::size_t>(n_phi_) + static_cast<std::size_t>(r)]
                             : numeric::sum(n, rows_.phi(r, 0) + first);
        VectorMap(s.node_b1_phi.data() + static_cast<std::ptrdiff_t>(at) * q_(), q_()) =
            z_sums(first, n, rows_.node_d1_phi(k, r));
        numeric::add_multiple(n, share, rows_.node_d1_phi(k, r) + first,
                              rows_.x_phi[static_cast<std::size_t>(r)] + first);
      }
      if (hessian_ && share != 0.0) add_phi_phi(i, k, share);
    }

    // A = L^-T (I + Cs) L^-1 and the leverages z_j' Lambda A Lambda' z_j.
    s.A = s.Linv.transpose() * (Matrix::Identity(q_(), q_()) + linear_algebra::symmetric_from_lower(s.C)) * s.Linv;
    s.Az = lambda * s.A * lambda.transpose();
    double *leverage = rows_.leverage + first, *shift = rows_.shift + first, *c = rows_.scratch + first;
    const double *d2 = rows_.at_mode.eta[1] + first, *d3 = rows_.at_mode.eta[2] + first,
                 *d4 = rows_.at_mode.eta[3] + first;
    quadratic_form(first, n, s.Az, leverage);
    for (int j = 0; j < n; ++j) c[j] = 0.5 * d3[j] * leverage[j];
    s.zc = z_sums(first, n, rows_.scratch);
    const Vector kappa = g_bar + lambda.transpose() * s.zc;
    s.h = s.Linv.transpose() * (s.Linv * kappa);
    s.hz = lambda * s.h;
    std::fill(shift, shift + n, 0.0);
    for (int a = 0; a < q_(); ++a) numeric::add_multiple(n, s.hz[a], z(a, first), shift);
    for (int j = 0; j < n; ++j) rho[j] += c[j] + d2[j] * shift[j];

    // Gradient: theta and phi here, beta from rho for the whole strip.
    const Matrix G =
        b1_v - s.B * lambda * s.A + s.zc * s.v.transpose() + s.b1 * s.h.transpose() - (s.B * s.hz) * s.v.transpose();
    for (int e = 0; e < n_theta_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      score_[p_ + e] = G(entry.row, entry.column);
    }
    for (int r = 0; r < n_phi_; ++r) {
      const auto R = static_cast<std::size_t>(r);
      double score = 0.5 * linear_algebra::sum_of_products(s.B2_phi[R], s.Az) + s.b1_phi[R].dot(s.hz);
      for (int k = 0; k < K_; ++k)
        score += s.share[static_cast<std::size_t>(k)] * s.node_phi[static_cast<std::size_t>(k * n_phi_ + r)];
      score_[p_ + n_theta_ + r] = score;
    }
    sums.gradient.tail(n_theta_ + n_phi_) += score_.tail(n_theta_ + n_phi_);
    if (sums.contributions && !sums.contributions->row_part()) add_contribution(i, lambda, value, *sums.contributions);
    if (!hessian_) return;

    // Row parts of the Hessian: d rho_j / d o_j and d rho_j / d phi at fixed cluster quantities.
    if (q_() > 0) make_columns(first, n);
    for (int j = 0; j < n; ++j) curvature[j] += 0.5 * d4[j] * leverage[j] + d3[j] * shift[j];
    for (int r = 0; r < n_phi_; ++r) {
      double* x_phi = rows_.x_phi[static_cast<std::size_t>(r)] + first;
      const double *d2_phi = rows_.phi(r, 2) + first, *d3_phi = rows_.phi(r, 3) + first;
      for (int j = 0; j < n; ++j) x_phi[j] += 0.5 * d3_phi[j] * leverage[j] + d2_phi[j] * shift[j];
    }
    second_.add(s, strip_, rows_, columns_, first, n, lambda, sums.hessian);
    if (n_theta_ > 0) add_theta_information(s, lambda, sums.theta_information);
  }

  /// Value, score and moments of a cluster, after its own sums are made.
  void add_contribution(int i, const Matrix& lambda, double value, Contributions& to) {
    const int cluster = strip_.first_cluster + i, first = first_row(i), n = cluster_rows(i);
    for (int k = 0; k < p_; ++k)
      score_[k] = numeric::dot(n, strip_.x[static_cast<std::size_t>(k)] + first, rows_.rho + first);
    to.value[to.of_cluster(cluster)] = value;
    to.gradient.col(to.of_cluster(cluster)) = score_;
    if (to.with_moments && q_() > 0) add_moments(cluster, first, n, lambda, to);
  }

  /// Of the random effects on the user's scale: means over the nodes. With one node the mean moves from the mode by
  /// what the third derivatives ask for, as the log-likelihood of a shifted prior would tell (Tierney, Kass and Kadane
  /// 1989).
  void add_moments(int cluster, int first, int n, const Matrix& lambda, Contributions& to) {
    const ClusterState<Q>& s = state_;
    const auto q = static_cast<std::size_t>(q_()), at = static_cast<std::size_t>(cluster) * q;
    const Eigen::MatrixXd& M = to.to_user;
    double *mean = to.moments.mean.data() + at, *third = to.moments.third.data() + at,
           *fourth = to.moments.fourth.data() + at, *covariance = to.moments.covariance.data() + at * q;
    std::fill(third, third + q, 0.0);
    std::fill(covariance, covariance + q * q, 0.0);
    if (K_ == 1) {
      double *half = moment_work_.data(), *own = half + q * q;  // L^-1 M' and L^-1 Lambda'
      for (std::size_t a = 0; a < q; ++a) {
        mean[a] = 0.0;
        for (std::size_t b = 0; b < q; ++b) {
          const auto A = static_cast<int>(a), B = static_cast<int>(b);
          mean[a] += M(A, B) * (s.v[B] + s.h[B]);
          half[b + a * q] = own[b + a * q] = 0.0;
          for (int c = 0; c < q_(); ++c) {
            half[b + a * q] += s.Linv(B, c) * M(A, c);
            own[b + a * q] += s.Linv(B, c) * lambda(A, c);
          }
        }
      }
      for (std::size_t a = 0; a < q; ++a) {
        for (std::size_t b = 0; b < q; ++b)
          for (std::size_t c = 0; c < q; ++c) covariance[b + a * q] += half[c + a * q] * half[c + b * q];
        fourth[a] = 3.0 * covariance[a + a * q] * covariance[a + a * q];
        // A force on a row's eta moves this effect by `slope`.
        for (int j = first; j < first + n; ++j) {
          double slope = 0.0;
          for (std::size_t b = 0; b < q; ++b) {
            double along = 0.0;
            for (std::size_t c = 0; c < q; ++c) along += half[c + a * q] * own[c + b * q];
            slope += along * strip_.z[b][j];
          }
          third[a] += rows_.at_mode.eta[2][j] * slope * slope * slope;
        }
      }
      return;
    }
    std::fill(mean, mean + q, 0.0);
    std::fill(fourth, fourth + q, 0.0);
    double* u = moment_work_.data();
    const auto place = [&](int k) {
      const double* v = s.node_v.data() + static_cast<std::size_t>(k) * q;
      for (std::size_t a = 0; a < q; ++a) {
        u[a] = 0.0;
        for (std::size_t b = 0; b < q; ++b) u[a] += M(static_cast<int>(a), static_cast<int>(b)) * v[b];
      }
    };
    for (int k = 0; k < K_; ++k) {
      place(k);
      for (std::size_t a = 0; a < q; ++a) mean[a] += s.share[static_cast<std::size_t>(k)] * u[a];
    }
    for (int k = 0; k < K_; ++k) {
      place(k);
      const double share = s.share[static_cast<std::size_t>(k)];
      for (std::size_t a = 0; a < q; ++a) u[a] -= mean[a];
      for (std::size_t a = 0; a < q; ++a) {
        for (std::size_t b = 0; b < q; ++b) covariance[b + a * q] += share * u[a] * u[b];
        third[a] += share * u[a] * u[a] * u[a];
        fourth[a] += share * u[a] * u[a] * u[a] * u[a];
      }
    }
  }

  /// Without random effects: row by row, into the parts that the caller named.
  void add_rows(Contributions& to) {
    const auto first = static_cast<std::int64_t>(model_.cluster_start(strip_.first_cluster));
    for (int j = 0; j < strip_.n_rows; ++j) {
      const auto part = to.row_part()[first + j];
      auto score = to.gradient.col(part);
      to.value[part] += rows_.at_mode.value[j];
      for (int k = 0; k < p_; ++k) score[k] += strip_.x[static_cast<std::size_t>(k)][j] * rows_.rho[j];
      for (int r = 0; r < n_phi_; ++r) {
        const double* x = strip_.phi[static_cast<std::size_t>(r)];
        score[p_ + r] += (x ? x[j] : 1.0) * rows_.at_mode.phi[rows_.part(r)][0][j];
      }
    }
  }

  /// share times the second derivatives by pairs of coefficients of the family's parameters.
  void add_phi_phi(int i, int k, double share) {
    const std::size_t pairs = state_.phi_phi.size();
    for (int g = 0; g < n_phi_; ++g)
      for (int h = 0; h <= g; ++h) {
        const auto pair = static_cast<std::size_t>(family::phi_pair(g, h));
        state_.phi_phi[pair] +=
            share * (K_ > 1 ? node_phi_phi_[index(i, k) * pairs + pair]
                            : rows_.pair_sum(strip_, first_row(i), cluster_rows(i), g, h,
                                             rows_.at_mode.phi_phi[family::phi_pair(rows_.part(g), rows_.part(h))][0],
                                             nullptr));
      }
  }

  /// Posterior shares of the nodes; returns the logarithm of their sum. A node where the link has left its domain has
  /// no share: the density of the responses is zero there.
  double shares(int i) {
    const double* f = node_f_.data() + index(i, 0);
    double largest = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < K_; ++k)
      if (f[k] > largest) largest = f[k];
    double total = 0.0;
    for (int k = 0; k < K_; ++k) {
      double& share = state_.share[static_cast<std::size_t>(k)];
      share = std::isnan(f[k]) ? 0.0 : std::exp(f[k] - largest);
      total += share;
    }
    for (auto& share : state_.share) share /= total;
    return largest + std::log(total);
  }

  void clear_node(int k, int first, int n) {
    std::fill(rows_.node_d1(k) + first, rows_.node_d1(k) + first + n, 0.0);
    std::fill(rows_.node_d2(k) + first, rows_.node_d2(k) + first + n, 0.0);
    for (int r = 0; r < n_phi_; ++r)
      std::fill(rows_.node_d1_phi(k, r) + first, rows_.node_d1_phi(k, r) + first + n, 0.0);
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

  void make_columns(int first, int n) {
    const double *d2 = rows_.at_mode.eta[1] + first, *d3 = rows_.at_mode.eta[2] + first,
                 *d4 = rows_.at_mode.eta[3] + first;
    const double *leverage = rows_.leverage + first, *curvature = rows_.curvature + first;
    for (int a = 0; a < q_(); ++a) {
      const double* za = z(a, first);
      double *w = columns_.column(columns_.w_z(a)), *l4 = columns_.column(columns_.l4_z(a));
      for (int j = 0; j < n; ++j) w[j] = -d2[j] * za[j];
      for (int j = 0; j < n; ++j) l4[j] = d4[j] * leverage[j] * za[j];
      for (int b = 0; b <= a; ++b) {
        double* l3 = columns_.column(columns_.l3_zz(a, b));
        const double* zb = z(b, first);
        for (int j = 0; j < n; ++j) l3[j] = d3[j] * za[j] * zb[j];
      }
    }
    if (K_ == 1) return;
    for (int a = 0; a < q_(); ++a) {
      double* w = columns_.column(columns_.node_w_z(a));
      const double* za = z(a, first);
      for (int j = 0; j < n; ++j) w[j] = -curvature[j] * za[j];  // curvature is sum_k p_k l''_jk so far
    }
    for (int b = 0; b < q_(); ++b) {
      double* tilt = rows_.scratch + first;  // sum_k p_k w_jk t_kb
      std::fill(tilt, tilt + n, 0.0);
      for (int k = 0; k < K_; ++k)
        numeric::add_multiple(n, -state_.share[static_cast<std::size_t>(k)] * rule_.node(k)[b],
                              rows_.node_d2(k) + first, tilt);
      for (int a = 0; a < q_(); ++a) {
        double* w = columns_.column(columns_.node_w_t_z(a, b));
        const double* za = z(a, first);
        for (int j = 0; j < n; ++j) w[j] = tilt[j] * za[j];
      }
    }
  }

  /// tr(T D_a T D_b) / 2 with D_a = d(Lambda Lambda')/d theta_a and T = B - B Lambda H^-1 Lambda' B, the cluster's
  /// information about u in the working linear mixed model.
  void add_theta_information(const ClusterState<Q>& s, const Matrix& lambda, Eigen::MatrixXd& information) {
    const Matrix half = s.Linv * lambda.transpose() * s.B;
    const Matrix T = s.B - half.transpose() * half;
    const Matrix TL = T * lambda, S = lambda.transpose() * TL;
    const auto& entries = layout_.entries();
    for (int a = 0; a < n_theta_; ++a)
      for (int b = 0; b <= a; ++b) {
        const auto &x = entries[static_cast<std::size_t>(a)], &y = entries[static_cast<std::size_t>(b)];
        information(a, b) += S(x.column, y.column) * T(x.row, y.row) + TL(y.row, x.column) * TL(x.row, y.column);
      }
  }

  /// X' rho into the gradient; X' D X and X' x_phi into the Hessian.
  void add_fixed_effects(Sums& sums) {
    const int n = strip_.n_rows;
    for (int k = 0; k < p_; ++k) sums.gradient[k] += numeric::dot(n, strip_.x[static_cast<std::size_t>(k)], rows_.rho);
    if (!hessian_) return;
    if (p_ > wide_)
      add_wide_products(sums);
    else
      add_products(sums);
    for (int r = 0; r < n_phi_; ++r)
      for (int k = 0; k < p_; ++k)
        sums.hessian(k, p_ + n_theta_ + r) +=
            numeric::dot(n, strip_.x[static_cast<std::size_t>(k)], rows_.x_phi[static_cast<std::size_t>(r)]);
  }

  /// X' D X four columns at a time.
  void add_products(Sums& sums) {
    const int n = strip_.n_rows;
    for (int k = 0; k < p_; k += 4) {
      const int block = std::min(4, p_ - k);
      const double* columns[4];
      for (int c = 0; c < block; ++c) {
        double* to = weighted_[static_cast<std::size_t>(c)].data();
        const double* x = strip_.x[static_cast<std::size_t>(k + c)];
        for (int j = 0; j < n; ++j) to[j] = rows_.curvature[j] * x[j];
        columns[c] = to;
      }
      // Rows 0 .. k + block - 1 of these columns; what lies below the diagonal is filled in by symmetry.
      products_.setZero(k + block, block);
      numeric::cross_products(n, k + block, strip_.x.data(), block, columns, products_.data(), 1, k + block);
      for (int c = 0; c < block; ++c)
        for (int row = 0; row <= k + c; ++row) {
          sums.hessian(row, k + c) += products_(row, c);
          if (row != k + c) sums.hessian(k + c, row) += products_(row, c);
        }
    }
  }

  /// The same by a matrix product, which pays when there are many columns.
  void add_wide_products(Sums& sums) {
    const int n = strip_.n_rows;
    wide_x_.resize(n, p_);
    for (int k = 0; k < p_; ++k)
      wide_x_.col(k) = Eigen::Map<const Eigen::VectorXd>(strip_.x[static_cast<std::size_t>(k)], n);
    wide_dx_ = Eigen::Map<const Eigen::VectorXd>(rows_.curvature, n).asDiagonal() * wide_x_;
    linear_algebra::add_transposed_times(1.0, wide_x_, wide_dx_, sums.hessian.topLeftCorner(p_, p_));
  }

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  bool hessian_;
  linear_algebra::Dimension<Q> q_;
  int p_, n_theta_, n_phi_, K_, strip_rows_;
  Strip strip_;
  RowArrays rows_;
  MomentColumns columns_;
  ClusterState<Q> state_;
  ClusterHessian<Q> second_;
  Eigen::VectorXd score_;  ///< of a cluster
  std::vector<double> moment_work_;
  std::unique_ptr<ConditionalModes<Q>> finder_;
  std::vector<double> node_f_, node_phi_, node_phi_phi_, Linv_, log_determinant_;
  std::vector<std::vector<double>> weighted_;
  static constexpr int wide_ = 16;
  Eigen::MatrixXd products_, wide_x_, wide_dx_;
};

}  // namespace multilevel::likelihood
