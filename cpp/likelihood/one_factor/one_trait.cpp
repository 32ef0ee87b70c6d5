#include "likelihood/one_factor/one_trait.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "likelihood/one_factor/touches.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int strip_node_rows = 32768;  // rows x nodes of a strip: its arrays stay in the second-level cache
constexpr int least_strip_rows = 64;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

class OneTrait final : public PanelLikelihood {
 public:
  OneTrait(const model::Model& model, const model::Response& response, const model::Layout& layout,
           const numeric::QuadratureRule& rule, Derivatives derivatives, bool with_trait)
      : model_(model),
        response_(response),
        layout_(layout),
        rule_(rule),
        hessian_(derivatives == Derivatives::hessian),
        p_(model.p()),
        q_(with_trait ? model.q() : 0),
        phi_(p_ + (with_trait ? layout.n_entries() : 0)),
        P_(phi_ + model.n_phi()),
        R_(static_cast<int>(model.phi_parts().size())),
        n_arrays_(2 + 2 * R_ + R_ * (R_ + 1) / 2),
        K_(rule.size),
        S_((K_ + 5 + 3) / 4 * 4),
        strip_rows_(
            std::max(least_strip_rows, std::min(model.largest_panel(), 2 * strip_node_rows / (K_ * n_arrays_)))),
        most_rows_(std::max(strip_rows_, model.largest_cluster())),
        rows_(most_rows_, 1, model),
        stride_(at(most_rows_) + 8),
        w_(at(most_rows_) + 8),
        node_value_(w_.size()),
        local_(at(P_), -1),
        sums_(Eigen::MatrixXd::Zero(P_, P_)) {
    int most = 1;
    for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
    finder_ = std::make_unique<ConditionalModes<1>>(model.family(), most_rows_, most, 1);
    for (auto* array : {&mode_, &scale_}) array->resize(at(most));
    node_f_.resize(at(most) * at(K_));
    nodes_.resize(at(n_arrays_) * at(K_) * stride_);
    for (auto* array : {&share_, &tilted_, &v_, &f1_, &f2_}) array->resize(at(K_));
    for (auto* array : {&F_, &weighted_}) array->resize(at(P_) * at(S_));
    row_.resize(at(model.largest_cluster()));
    phi_mean_.resize(at(R_));
    phi_slope_.resize(at(R_));
    phi_phi_.resize(at(R_ * (R_ + 1) / 2));
    for (int k = 0; k < K_; ++k) t_.push_back(with_trait ? rule.node(k)[0] : 0.0);
    for (auto* array : {&v_psi_, &s_psi_, &H_psi_, &H_psi_v_, &E0_, &E1_, &mean_, &y_, &e_}) array->resize(at(P_));
  }

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override {
    for (int first = panel.first_cluster; first < panel.last_cluster && sums.failed_cluster < 0;) {
      int last = first + 1;
      while (last < panel.last_cluster && model_.cluster_start(last + 1) - model_.cluster_start(first) <= strip_rows_)
        ++last;
      strip_.set(model_, response_, panel, first, last, q_);
      strip_.data.phi =
          model_.phi_rows(panel, response_, static_cast<int>(model_.cluster_start(first) - panel.first_row),
                          strip_.n_rows, psi + phi_, rows_.phi_rows);
      add_strip(psi, modes, sums, mode_covariance);
      first = last;
    }
  }

 private:
  void add_strip(const double* psi, double* all_modes, Sums& sums, double* mode_covariance) {
    const int n = strip_.n_rows, m = strip_.n_clusters();
    touches_.set(strip_, layout_, phi_);
    double* o = rows_.fixed_eta;
    for (int j = 0; j < n; ++j) {
      double fixed = strip_.offset ? strip_.offset[j] : 0.0, own = 0.0;
      for (int e = touches_.first(j); e < touches_.first(j + 1); ++e) {
        const Touch& touch = touches_[e];
        if (touch.parameter < p_)
          fixed += psi[touch.parameter] * touch.value;
        else if (touch.parameter < phi_)
          own += psi[touch.parameter] * touch.value;
      }
      o[j] = fixed;
      w_[at(j)] = own;
    }

    // One random effect, the trait, whose column is w.
    Strip one = strip_;
    one.z.assign(1, w_.data());
    double* modes = all_modes + static_cast<std::int64_t>(strip_.first_cluster) * q_;
    for (int i = 0; i < m; ++i) mode_[at(i)] = q_ > 0 ? modes[i * q_] : 0.0;
    const Small lambda = Small::Identity(1, 1);
    const int failed = q_ > 0 ? finder_->find(one, rows_, model_.family(), lambda, mode_.data(), sums) : -1;
    for (int i = 0; q_ > 0 && i < m; ++i) {
      std::fill_n(modes + i * q_, q_, 0.0);
      modes[i * q_] = mode_[at(i)];
    }
    if (failed >= 0) {
      sums.failed_cluster = strip_.first_cluster + failed;
      return;
    }
    finder_->linear_predictor(one, rows_, lambda, mode_.data(), 0, m);
    model_.family().derivatives(family::Order::full, {n, rows_.eta, strip_.data}, rows_.at_mode);
    for (int i = 0; i < m; ++i) {
      const int first = strip_.start[at(i)], size = strip_.start[at(i) + 1] - first;
      const double H = 1.0 - numeric::dot(size, w_.data() + first, w_.data() + first, rows_.at_mode.eta[1] + first);
      if (!(H > 0.0) || !std::isfinite(H)) {
        sums.failed_cluster = strip_.first_cluster + i;
        return;
      }
      scale_[at(i)] = 1.0 / std::sqrt(H);
      if (!mode_covariance || q_ == 0) continue;
      Eigen::Map<Eigen::MatrixXd> own(mode_covariance + static_cast<std::int64_t>(strip_.first_cluster + i) * q_ * q_,
                                      q_, q_);
      own.setIdentity();
      own(0, 0) = 1.0 / H;
    }
    evaluate_nodes(m);
    if (hessian_) sums_.setZero();
    for (int i = 0; i < m; ++i) add_cluster(i, sums);
    if (!hessian_) return;
    flush_block();
    flush(sums.hessian);
  }

  // The derivatives at the nodes: by eta once and twice, by each of the family's parameters alone and with eta, and by
  // pairs of these.
  int by_phi(int part) const { return 2 + 2 * part; }
  int by_phi_eta(int part) const { return 3 + 2 * part; }
  int by_pair(int pair) const { return 2 + 2 * R_ + pair; }
  double* node_rows(int array, int k) { return nodes_.data() + (at(array) * at(K_) + at(k)) * stride_; }

  void evaluate_nodes(int m) {
    const int n = strip_.n_rows;
    for (int k = 0; k < K_; ++k) {
      for (int i = 0; i < m; ++i) {
        const double v = mode_[at(i)] + scale_[at(i)] * t_[at(k)];
        for (int j = strip_.start[at(i)]; j < strip_.start[at(i) + 1]; ++j)
          rows_.eta[j] = rows_.fixed_eta[j] + v * w_[at(j)];
        node_f_[at(i) * at(K_) + at(k)] = 0.5 * (t_[at(k)] * t_[at(k)] - v * v) + rule_.log_weights[at(k)];
      }
      family::RowDerivatives out;
      out.value = node_value_.data();
      out.eta[0] = node_rows(0, k);
      out.eta[1] = node_rows(1, k);
      for (int r = 0; r < R_; ++r) {
        out.phi[r][0] = node_rows(by_phi(r), k);
        out.phi[r][1] = node_rows(by_phi_eta(r), k);
      }
      for (int pair = 0; pair < R_ * (R_ + 1) / 2; ++pair) out.phi_phi[pair][0] = node_rows(by_pair(pair), k);
      model_.family().derivatives(R_ > 0 ? family::Order::node : family::Order::step, {n, rows_.eta, strip_.data}, out);
      for (int i = 0; i < m; ++i)
        node_f_[at(i) * at(K_) + at(k)] +=
            numeric::sum(strip_.start[at(i) + 1] - strip_.start[at(i)], node_value_.data() + strip_.start[at(i)]);
    }
  }

  void add_cluster(int i, Sums& sums) {
    const int first = strip_.start[at(i)], last = strip_.start[at(i) + 1];
    const double v = mode_[at(i)], s = scale_[at(i)], H = 1.0 / (s * s);
    const double value = shares(i) + std::log(s);
    sums.log_likelihood.add(value);

    // The parameters that the cluster's rows touch, side by side.
    touched_.clear();
    for (int e = touches_.first(first); e < touches_.first(last); ++e) {
      int& place = local_[at(touches_[e].parameter)];
      if (place >= 0) continue;
      place = static_cast<int>(touched_.size());
      touched_.push_back(touches_[e].parameter);
    }
    const int A = static_cast<int>(touched_.size());
    for (auto* array : {&v_psi_, &H_psi_, &H_psi_v_, &E0_, &E1_}) std::fill_n(array->data(), A, 0.0);
    std::fill_n(F_.data(), at(A) * at(S_), 0.0);
    std::fill_n(f1_.data(), K_, 0.0);
    std::fill_n(f2_.data(), K_, 0.0);
    for (int k = 0; k < K_; ++k) {
      v_[at(k)] = v + s * t_[at(k)];
      tilted_[at(k)] = share_[at(k)] * t_[at(k)];
    }
    gather(first, last);
    const double* __restrict nodes = v_.data();
    double H_v = 0.0, H_vv = 0.0;
    for (int j = first; j < last; ++j) {
      const double w = w_[at(j)], w2 = w * w, m1 = rows_.at_mode.eta[0][j], m2 = rows_.at_mode.eta[1][j],
                   m3 = rows_.at_mode.eta[2][j], m4 = rows_.at_mode.eta[3][j];
      H_v -= m3 * w2 * w;
      H_vv -= m4 * w2 * w2;
      const double* __restrict d1 = gathered(0, j - first), * __restrict d2 = gathered(1, j - first);
      numeric::add_multiple(K_, w, d1, f1_.data());
      numeric::add_multiple(K_, w2, d2, f2_.data());
      const Mixed by_share = mixed(share_.data(), d1, d2, w), by_tilt = mixed(tilted_.data(), d1, d2, w);
      row_[at(j - first)] = by_share;
      for (int e = touches_.first(j); e < touches_.first(j + 1); ++e) {
        const Touch& touch = touches_[e];
        const auto to = at(local_[at(touch.parameter)]);
        const double value = touch.value;
        double* __restrict F = F_.data() + to * at(S_);
        if (touch.parameter < p_) {
          v_psi_[to] += value * m2 * w;
          H_psi_[to] -= value * m3 * w2;
          H_psi_v_[to] -= value * m4 * w2 * w;
          numeric::add_multiple(K_, value, d1, F);
          E0_[to] += value * by_share.fixed;
          E1_[to] += value * by_tilt.fixed;
        } else if (touch.parameter < phi_) {
          v_psi_[to] += value * (m2 * v * w + m1);
          H_psi_[to] -= value * (m3 * v * w2 + 2.0 * m2 * w);
          H_psi_v_[to] -= value * (m4 * v * w2 * w + 3.0 * m3 * w2);
          for (int k = 0; k < K_; ++k) F[k] += value * d1[k] * nodes[k];
          E0_[to] += value * by_share.loading;
          E1_[to] += value * by_tilt.loading;
        } else {
          const auto& phi = rows_.at_mode.phi[touch.part];
          v_psi_[to] += value * phi[1][j] * w;
          H_psi_[to] -= value * phi[2][j] * w2;
          H_psi_v_[to] -= value * phi[3][j] * w2 * w;
          numeric::add_multiple(K_, value, gathered(by_phi(touch.part), j - first), F);
          const double* mixed = gathered(by_phi_eta(touch.part), j - first);
          E0_[to] += value * w * numeric::dot(K_, share_.data(), mixed);
          E1_[to] += value * w * numeric::dot(K_, tilted_.data(), mixed);
        }
      }
    }
    for (int k = 0; k < K_; ++k) {
      f1_[at(k)] -= v_[at(k)];
      f2_[at(k)] -= 1.0;
    }
    double alpha = 0.0, beta = 0.0, c0 = 0.0, c1 = 0.0, c2 = 0.0;
    for (int k = 0; k < K_; ++k) {
      const double share = share_[at(k)], t = t_[at(k)];
      alpha += share * f1_[at(k)];
      beta += share * f1_[at(k)] * t;
      c0 += share * f2_[at(k)];
      c1 += share * f2_[at(k)] * t;
      c2 += share * f2_[at(k)] * t * t;
    }
    for (int a = 0; a < A; ++a) {
      const auto to = at(a);
      v_psi_[to] /= H;
      s_psi_[to] = -0.5 * s / H * (H_psi_[to] + H_v * v_psi_[to]);
      double* F = F_.data() + to * at(S_);
      mean_[to] = move_scores(v_psi_[to], s_psi_[to], F);
      sums.gradient[touched_[to]] += mean_[to] + s_psi_[to] / s;
    }
    if (sums.contributions) add_contribution(i, value, H_v, *sums.contributions);
    if (hessian_) {
      const double by_s = beta + 1.0 / s, by_H = -0.5 * by_s * s / H, by_v = (alpha + by_H * H_v) / H;
      for (int a = 0; a < A; ++a) {
        const auto to = at(a);
        y_[to] = E0_[to] + c1 * s_psi_[to] - by_v * H_psi_[to] + by_H * H_psi_v_[to] +
                 0.5 * (c0 - by_v * H_v + by_H * H_vv) * v_psi_[to];
        e_[to] = E1_[to] + 0.5 * (c2 + 3.0 * by_s / s - 1.0 / (s * s)) * s_psi_[to];
      }
      add_products(A);
      for (int j = first; j < last; ++j) add_row(j, j - first, v, by_v, by_H);
      add_information(first, last, H, sums.theta_information);
    }
    for (const int parameter : touched_) local_[at(parameter)] = -1;
  }

  /// Value, score and moments of a cluster, after its own sums are made; see likelihood_impl.hpp.
  void add_contribution(int i, double value, double H_v, Contributions& to) {
    const int cluster = strip_.first_cluster + i, part = to.of_cluster(cluster);
    to.value[part] = value;
    for (std::size_t a = 0; a < touched_.size(); ++a)
      to.gradient(touched_[a], part) = mean_[a] + s_psi_[a] / scale_[at(i)];
    if (!to.with_moments) return;
    double mean = 0.0, variance = 0.0, third = 0.0, fourth = 0.0;  // of the trait
    if (K_ == 1) {
      variance = scale_[at(i)] * scale_[at(i)];
      mean = mode_[at(i)] - 0.5 * H_v * variance * variance;
      third = -H_v * variance * variance * variance;
      fourth = 3.0 * variance * variance;
    } else {
      for (int k = 0; k < K_; ++k) mean += share_[at(k)] * v_[at(k)];
      for (int k = 0; k < K_; ++k) {
        const double off = v_[at(k)] - mean, square = off * off;
        variance += share_[at(k)] * square;
        third += share_[at(k)] * square * off;
        fourth += share_[at(k)] * square * square;
      }
    }
    const auto first = at(cluster) * at(q_);
    for (int a = 0; a < q_; ++a) {
      const double by = to.to_user(a, 0), square = by * by;
      to.moments.mean[first + at(a)] = by * mean;
      to.moments.third[first + at(a)] = square * by * third;
      to.moments.fourth[first + at(a)] = square * square * fourth;
      for (int b = 0; b < q_; ++b)
        to.moments.covariance[(first + at(a)) * at(q_) + at(b)] = by * to.to_user(b, 0) * variance;
    }
  }

  /// Lets the nodes move with a parameter; returns the mean of the scores.
  double move_scores(double v_psi, double s_psi, double* __restrict F) const {
    const double* __restrict f1 = f1_.data(), * __restrict t = t_.data(), * __restrict share = share_.data();
    double mean = 0.0;
#pragma omp simd reduction(+ : mean)
    for (int k = 0; k < K_; ++k) {
      F[k] += f1[k] * (v_psi + t[k] * s_psi);
      mean += share[k] * F[k];
    }
    return mean;
  }

  /// The derivatives at the nodes of each row of a cluster, node after node; zero where the node has no share.
  void gather(int first, int last) {
    rows_of_cluster_ = last - first;
    gathered_.resize(at(n_arrays_) * at(rows_of_cluster_) * at(K_));
    for (int array = 0; array < n_arrays_; ++array)
      for (int k = 0; k < K_; ++k) {
        const bool some = share_[at(k)] > 0.0;
        const double* from = node_rows(array, k) + first;
        double* to = gathered(array, 0) + k;
        for (int j = 0; j < last - first; ++j) to[j * K_] = some ? from[j] : 0.0;
      }
  }
  double* gathered(int array, int row) {
    return gathered_.data() + (at(array) * at(rows_of_cluster_) + at(row)) * at(K_);
  }

  /// Sums over the nodes of a row's d2 l / dv d parameter, for a column of the fixed part or of the term that is one.
  struct Mixed {
    double fixed = 0.0, loading = 0.0;
    double n0 = 0.0, n1 = 0.0, n2 = 0.0;  ///< of d2 l / d eta^2, and times the node and its square
  };
  Mixed mixed(const double* __restrict weights, const double* __restrict d1, const double* __restrict d2,
              double w) const {
    if (!hessian_) return {};
    double first = 0.0, n0 = 0.0, n1 = 0.0, n2 = 0.0;
    const double* __restrict nodes = v_.data();
#pragma omp simd reduction(+ : first, n0, n1, n2)
    for (int k = 0; k < K_; ++k) {
      const double own = weights[k] * d2[k];
      first += weights[k] * d1[k];
      n0 += own;
      n1 += own * nodes[k];
      n2 += own * nodes[k] * nodes[k];
    }
    return {w * n0, w * n1 + first, n0, n1, n2};
  }

  /// The covariance of the nodes' scores, and the terms that are products of two vectors: F holds the scores, and these
  /// vectors side by side with them, so that all are one product of matrices.
  void add_products(int A) {
    for (int a = 0; a < A; ++a) {
      const auto to = at(a);
      double *F = F_.data() + to * at(S_), *other = weighted_.data() + to * at(S_);
      for (int k = 0; k < K_; ++k) other[k] = share_[at(k)] * F[k];
      const double own[] = {mean_[to], v_psi_[to], y_[to], s_psi_[to], e_[to]},
                   partner[] = {-mean_[to], y_[to], v_psi_[to], e_[to], s_psi_[to]};
      std::copy_n(own, 5, F + K_);
      std::copy_n(partner, 5, other + K_);
      std::fill(other + K_ + 5, other + S_, 0.0);
    }
    if (touched_ != block_) {
      flush_block();
      block_ = touched_;
    }
    const int width = (A + 3) / 4 * 4;
    side_by_side_.resize(at(S_) * at(width));
    products_.resize(at(A) * at(width));
    for (int a = 0; a < A; ++a)
      for (int k = 0; k < S_; ++k) side_by_side_[at(k) * at(width) + at(a)] = F_[at(a) * at(S_) + at(k)];
    for (int a = 0; a < A; ++a) {
      const int n = a / 4 * 4 + 4;  // up to the diagonal, in whole lanes
      double* __restrict to = products_.data() + at(a) * at(width);
      const double* w = weighted_.data() + at(a) * at(S_);
      for (int k = 0; k < S_; k += 4) {
        const double* __restrict f0 = side_by_side_.data() + at(k) * at(width);
        const double* __restrict f1 = f0 + width, * __restrict f2 = f1 + width, * __restrict f3 = f2 + width;
        const double w0 = w[k], w1 = w[k + 1], w2 = w[k + 2], w3 = w[k + 3];
#pragma omp simd
        for (int b = 0; b < n; ++b) to[b] += w0 * f0[b] + w1 * f1[b] + w2 * f2[b] + w3 * f3[b];
      }
    }
  }

  /// Into the sums of the strip: clusters that touch the same parameters share their products.
  void flush_block() {
    const int A = static_cast<int>(block_.size()), width = (A + 3) / 4 * 4;
    for (int a = 0; a < A; ++a)
      for (int b = 0; b <= a; ++b) put(block_[at(a)], block_[at(b)], products_[at(a) * at(width) + at(b)]);
    block_.clear();
    std::fill(products_.begin(), products_.end(), 0.0);
  }

  /// What the row's own second derivatives add.
  void add_row(int j, int row, double v, double by_v, double by_H) {
    const double w = w_[at(j)], m2 = rows_.at_mode.eta[1][j], m3 = rows_.at_mode.eta[2][j],
                 m4 = rows_.at_mode.eta[3][j];
    const double n0 = row_[at(row)].n0, n1 = row_[at(row)].n1, n2 = row_[at(row)].n2;
    const double xx = n0 + by_v * m3 * w - by_H * m4 * w * w,
                 xz = n1 + by_v * (m3 * w * v + m2) - by_H * (m4 * v * w * w + 2.0 * m3 * w),
                 zz = n2 + by_v * (m3 * w * v * v + 2.0 * m2 * v) -
                      by_H * (m4 * v * v * w * w + 4.0 * m3 * w * v + 2.0 * m2);
    add_row_phi(j, row, v, by_v, by_H);
    for (int e = touches_.first(j); e < touches_.first(j + 1); ++e)
      for (int g = touches_.first(j); g <= e; ++g) {
        const Touch &x = touches_[e], &y = touches_[g];
        double second;
        if (x.part >= 0) {  // the family's parameters come last
          if (y.part >= 0)
            second = phi_phi_[at(family::phi_pair(std::max(x.part, y.part), std::min(x.part, y.part)))];
          else
            second = y.parameter < p_ ? phi_mean_[at(x.part)] : phi_slope_[at(x.part)];
        } else {
          const int loadings = (x.parameter >= p_) + (y.parameter >= p_);
          second = loadings == 0 ? xx : (loadings == 1 ? xz : zz);
        }
        // A coefficient that stands in two places meets itself twice.
        const double times = g != e && x.parameter == y.parameter ? 2.0 : 1.0;
        put(x.parameter, y.parameter, times * x.value * y.value * second);
      }
  }

  /// The same by a row's parameters of the family: with a column of the fixed part, with one of the term, by pairs.
  void add_row_phi(int j, int row, double v, double by_v, double by_H) {
    const double w = w_[at(j)];
    for (int r = 0; r < R_; ++r) {
      const auto& phi = rows_.at_mode.phi[r];
      const double* mixed = gathered(by_phi_eta(r), row);
      double n0 = 0.0, n1 = 0.0;
      for (int k = 0; k < K_; ++k) {
        const double own = share_[at(k)] * mixed[k];
        n0 += own;
        n1 += own * v_[at(k)];
      }
      phi_mean_[at(r)] = n0 + by_v * phi[2][j] * w - by_H * phi[3][j] * w * w;
      phi_slope_[at(r)] =
          n1 + by_v * (phi[2][j] * w * v + phi[1][j]) - by_H * (phi[3][j] * v * w * w + 2.0 * phi[2][j] * w);
    }
    for (int pair = 0; pair < R_ * (R_ + 1) / 2; ++pair) {
      const auto& second = rows_.at_mode.phi_phi[pair];
      phi_phi_[at(pair)] = numeric::dot(K_, share_.data(), gathered(by_pair(pair), row)) + by_v * second[1][j] * w -
                           by_H * second[2][j] * w * w;
    }
  }
  void put(int a, int b, double value) { sums_(std::max(a, b), std::min(a, b)) += value; }

  /// tr(T D_a T D_b) / 2 with D_a = d(lambda lambda')/d lambda_a and T = B - B lambda lambda' B / H.
  void add_information(int first, int last, double H, Eigen::MatrixXd& information) {
    const int n_entries = phi_ - p_;
    T_.setZero(n_entries, n_entries);
    tilt_.setZero(n_entries);
    double all = 0.0;  // lambda' B lambda
    for (int j = first; j < last; ++j) {
      const double W = -rows_.at_mode.eta[1][j], w = w_[at(j)];
      all += W * w * w;
      for (int e = touches_.first(j); e < touches_.first(j + 1); ++e) {
        const Touch& x = touches_[e];
        if (x.parameter < p_ || x.parameter >= phi_) continue;
        tilt_[x.parameter - p_] += W * w * x.value;
        for (int g = touches_.first(j); g <= e; ++g)
          if (const Touch& y = touches_[g]; y.parameter >= p_)
            T_(x.parameter - p_, y.parameter - p_) += W * x.value * y.value;
      }
    }
    // T lambda = B lambda (1 - all / H) = B lambda / H, since H = 1 + all.
    for (int a = 0; a < n_entries; ++a)
      for (int b = 0; b <= a; ++b)
        information(a, b) += all / H * (T_(a, b) - tilt_[a] * tilt_[b] / H) + tilt_[a] * tilt_[b] / (H * H);
  }

  void flush(Eigen::MatrixXd& hessian) const {
    for (int a = 0; a < P_; ++a)
      for (int b = 0; b <= a; ++b) {
        if (b < p_)
          hessian(b, a) += sums_(a, b);
        else
          hessian(a, b) += sums_(a, b);
        if (a < p_ && a != b) hessian(a, b) += sums_(a, b);
      }
  }

  /// Posterior shares of the nodes; returns the logarithm of their sum.
  double shares(int i) {
    const double* f = node_f_.data() + at(i) * at(K_);
    double largest = -std::numeric_limits<double>::infinity(), total = 0.0;
    for (int k = 0; k < K_; ++k)
      if (f[k] > largest) largest = f[k];
    for (int k = 0; k < K_; ++k) {
      share_[at(k)] = std::isnan(f[k]) ? 0.0 : std::exp(f[k] - largest);
      total += share_[at(k)];
    }
    for (double& share : share_) share /= total;
    return largest + std::log(total);
  }

  using Small = linear_algebra::Small<1>::Matrix;

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  bool hessian_;
  int p_, q_;
  int phi_, P_;       ///< where the family's parameters begin, and the number of all
  int R_, n_arrays_;  ///< the family's parameters, and arrays of derivatives at nodes
  int K_, S_;         ///< nodes, and numbers per parameter in products
  int strip_rows_, most_rows_;
  Strip strip_;
  RowArrays rows_;
  std::size_t stride_;  ///< rows of an array at a node
  std::unique_ptr<ConditionalModes<1>> finder_;
  std::vector<double> w_, node_value_;
  std::vector<double> mode_, scale_, node_f_;  // of the strip's clusters
  Touches touches_;
  std::vector<int> local_, touched_;  // where a parameter stands among those of the cluster, and which these are
  std::vector<double> t_, share_, tilted_, v_, f1_, f2_;  // of the nodes
  std::vector<double> nodes_;                             // of the strip's rows at the nodes
  int rows_of_cluster_ = 0;
  std::vector<double> gathered_;      // the same of a cluster, a row's nodes side by side
  std::vector<double> F_, weighted_;  // of parameters and nodes
  std::vector<double> side_by_side_;  // scores, node after node
  std::vector<double> products_;      // of parameters, of all clusters that touch those of the block
  std::vector<int> block_;
  std::vector<Mixed> row_;                              // of a cluster's rows, by the nodes' shares
  std::vector<double> phi_mean_, phi_slope_, phi_phi_;  // of a row
  std::vector<double> v_psi_, s_psi_, H_psi_, H_psi_v_, E0_, E1_, mean_, y_, e_;  // of parameters
  Eigen::MatrixXd sums_, T_;
  Eigen::VectorXd tilt_;
};

}  // namespace

bool is_one_trait(const model::Model& model) {
  return model.terms().size() == 1 && model.terms()[0].variable == 0 && model.q() > 1 &&
         model.terms()[0].structure->has_loadings() && model::spherical_effects(model, 0).size() == 1;
}

std::unique_ptr<PanelLikelihood> make_one_trait(const model::Model& model, const model::Response& response,
                                                const model::Layout& layout, const numeric::QuadratureRule& rule,
                                                Derivatives derivatives, bool with_trait) {
  return std::make_unique<OneTrait>(model, response, layout, rule, derivatives, with_trait);
}

}  // namespace multilevel::likelihood
