#include "likelihood/one_factor/one_trait.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int strip_node_rows = 32768;  // rows x nodes of a strip: its arrays stay in the second-level cache
constexpr int least_strip_rows = 64;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// What a row touches: a column of the fixed part or of the term, and its value there.
struct Touch {
  int parameter;
  double value;
};

class OneTrait final : public PanelLikelihood {
 public:
  OneTrait(const model::Model& model, const model::Response& response, const model::Layout& layout,
           const numeric::QuadratureRule& rule, Derivatives derivatives)
      : model_(model),
        response_(response),
        layout_(layout),
        rule_(rule),
        hessian_(derivatives == Derivatives::hessian),
        p_(model.p()),
        q_(model.q()),
        P_(p_ + layout.n_entries()),
        K_(rule.size),
        strip_rows_(std::max(least_strip_rows, std::min(model.largest_panel(), strip_node_rows / K_))),
        most_rows_(std::max(strip_rows_, model.largest_cluster())),
        rows_(most_rows_, K_, model),
        w_(at(most_rows_) + 8),
        node_value_(w_.size()),
        local_(at(P_), -1),
        sums_(Eigen::MatrixXd::Zero(P_, P_)) {
    int most = 1;
    for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
    finder_ = std::make_unique<ConditionalModes<1>>(model.family(), most_rows_, most, 1);
    for (auto* array : {&mode_, &scale_}) array->resize(at(most));
    node_f_.resize(at(most) * at(K_));
    for (auto* array : {&share_, &v_, &f1_, &f2_, &weighted_}) array->resize(at(K_));
    for (auto* array : {&F_, &E_}) array->resize(at(P_) * at(K_));
    for (int k = 0; k < K_; ++k) t_.push_back(rule.node(k)[0]);
    for (auto* array : {&v_psi_, &s_psi_, &H_psi_, &H_psi_v_, &E0_, &E1_, &mean_, &y_, &e_}) array->resize(at(P_));
  }

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override {
    for (int first = panel.first_cluster; first < panel.last_cluster && sums.failed_cluster < 0;) {
      int last = first + 1;
      while (last < panel.last_cluster && model_.cluster_start(last + 1) - model_.cluster_start(first) <= strip_rows_)
        ++last;
      strip_.set(model_, response_, panel, first, last, q_);
      add_strip(psi, modes, sums, mode_covariance);
      first = last;
    }
  }

 private:
  void add_strip(const double* psi, double* all_modes, Sums& sums, double* mode_covariance) {
    const int n = strip_.n_rows, m = strip_.n_clusters();
    lambda_.assign(at(q_), 0.0);
    for (const auto& entry : layout_.entries()) lambda_[at(entry.row)] = psi[p_ + (&entry - layout_.entries().data())];
    std::fill_n(w_.data(), n, 0.0);
    for (int a = 0; a < q_; ++a) numeric::add_multiple(n, lambda_[at(a)], strip_.z[at(a)], w_.data());
    double* o = rows_.fixed_eta;
    if (strip_.offset)
      std::copy(strip_.offset, strip_.offset + n, o);
    else
      std::fill(o, o + n, 0.0);
    for (int k = 0; k < p_; ++k) numeric::add_multiple(n, psi[k], strip_.x[at(k)], o);
    list_touches();

    // One random effect, the trait, whose column is w.
    Strip one = strip_;
    one.z.assign(1, w_.data());
    double* modes = all_modes + static_cast<std::int64_t>(strip_.first_cluster) * q_;
    for (int i = 0; i < m; ++i) mode_[at(i)] = modes[i * q_];
    const Small lambda = Small::Identity(1, 1);
    const int failed = finder_->find(one, rows_, model_.family(), lambda, mode_.data(), sums);
    for (int i = 0; i < m; ++i) {
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
      if (!mode_covariance) continue;
      Eigen::Map<Eigen::MatrixXd> own(mode_covariance + static_cast<std::int64_t>(strip_.first_cluster + i) * q_ * q_,
                                      q_, q_);
      own.setIdentity();
      own(0, 0) = 1.0 / H;
    }
    evaluate_nodes(m);
    if (hessian_) sums_.setZero();
    for (int i = 0; i < m; ++i) add_cluster(i, sums);
    if (hessian_) flush(sums.hessian);
  }

  void list_touches() {
    const int n = strip_.n_rows;
    touches_.clear();
    first_touch_.clear();
    for (int j = 0; j < n; ++j) {
      first_touch_.push_back(static_cast<int>(touches_.size()));
      for (int k = 0; k < p_; ++k)
        if (const double x = strip_.x[at(k)][j]; x != 0.0) touches_.push_back({k, x});
      for (int e = 0; e < P_ - p_; ++e)
        if (const double z = strip_.z[at(layout_.entries()[at(e)].row)][j]; z != 0.0) touches_.push_back({p_ + e, z});
    }
    first_touch_.push_back(static_cast<int>(touches_.size()));
  }

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
      out.eta[0] = rows_.node_d1(k);
      out.eta[1] = K_ > 1 ? rows_.node_d2(k) : rows_.scratch;
      if (K_ == 1) out.eta[0] = rows_.rho;
      model_.family().derivatives(family::Order::step, {n, rows_.eta, strip_.data}, out);
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
    for (int e = first_touch_[at(first)]; e < first_touch_[at(last)]; ++e) {
      int& place = local_[at(touches_[at(e)].parameter)];
      if (place >= 0) continue;
      place = static_cast<int>(touched_.size());
      touched_.push_back(touches_[at(e)].parameter);
    }
    const int A = static_cast<int>(touched_.size());
    for (auto* array : {&v_psi_, &H_psi_, &H_psi_v_}) std::fill_n(array->data(), A, 0.0);
    std::fill_n(F_.data(), at(A) * at(K_), 0.0);
    std::fill_n(E_.data(), at(A) * at(K_), 0.0);
    std::fill_n(f1_.data(), K_, 0.0);
    std::fill_n(f2_.data(), K_, 0.0);
    for (int k = 0; k < K_; ++k) v_[at(k)] = v + s * t_[at(k)];
    gather(first, last);
    const double* __restrict nodes = v_.data();
    double H_v = 0.0, H_vv = 0.0;
    for (int j = first; j < last; ++j) {
      const double w = w_[at(j)], w2 = w * w, m1 = rows_.at_mode.eta[0][j], m2 = rows_.at_mode.eta[1][j],
                   m3 = rows_.at_mode.eta[2][j], m4 = rows_.at_mode.eta[3][j];
      H_v -= m3 * w2 * w;
      H_vv -= m4 * w2 * w2;
      const double* __restrict d1 = d1_.data() + at(j - first) * at(K_), * __restrict d2 =
                                                                             d2_.data() + at(j - first) * at(K_);
      numeric::add_multiple(K_, w, d1, f1_.data());
      numeric::add_multiple(K_, w2, d2, f2_.data());
      for (int e = first_touch_[at(j)]; e < first_touch_[at(j) + 1]; ++e) {
        const Touch& touch = touches_[at(e)];
        const auto to = at(local_[at(touch.parameter)]);
        const double value = touch.value;
        double* __restrict F = F_.data() + to * at(K_), * __restrict E = E_.data() + to * at(K_);
        if (touch.parameter < p_) {
          v_psi_[to] += value * m2 * w;
          H_psi_[to] -= value * m3 * w2;
          H_psi_v_[to] -= value * m4 * w2 * w;
          numeric::add_multiple(K_, value, d1, F);
          numeric::add_multiple(K_, value * w, d2, E);
        } else {
          v_psi_[to] += value * (m2 * v * w + m1);
          H_psi_[to] -= value * (m3 * v * w2 + 2.0 * m2 * w);
          H_psi_v_[to] -= value * (m4 * v * w2 * w + 3.0 * m3 * w2);
          for (int k = 0; k < K_; ++k) F[k] += value * d1[k] * nodes[k];
          for (int k = 0; k < K_; ++k) E[k] += value * (d2[k] * nodes[k] * w + d1[k]);
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
      double *F = F_.data() + to * at(K_), *E = E_.data() + to * at(K_);
      mean_[to] = E0_[to] = E1_[to] = 0.0;
      for (int k = 0; k < K_; ++k) {
        F[k] += f1_[at(k)] * (v_psi_[to] + t_[at(k)] * s_psi_[to]);
        mean_[to] += share_[at(k)] * F[k];
        E0_[to] += share_[at(k)] * E[k];
        E1_[to] += share_[at(k)] * t_[at(k)] * E[k];
      }
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
      for (int j = first; j < last; ++j) add_row(j, d2_.data() + at(j - first) * at(K_), v, by_v, by_H);
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

  /// The derivatives at the nodes of each row of a cluster, node after node; zero where the node has no share.
  void gather(int first, int last) {
    d1_.resize(at(last - first) * at(K_));
    d2_.resize(d1_.size());
    for (int k = 0; k < K_; ++k) {
      const bool some = share_[at(k)] > 0.0;
      const double *d1 = K_ > 1 ? rows_.node_d1(k) : rows_.rho, *d2 = K_ > 1 ? rows_.node_d2(k) : rows_.scratch;
      for (int j = first; j < last; ++j) {
        const auto to = at(j - first) * at(K_) + at(k);
        d1_[to] = some ? d1[j] : 0.0;
        d2_[to] = some ? d2[j] : 0.0;
      }
    }
  }

  /// The covariance of the nodes' scores, and the terms that are products of two vectors; F holds the scores.
  void add_products(int A) {
    for (int a = 0; a < A; ++a) {
      const double* Fa = F_.data() + at(a) * at(K_);
      for (int k = 0; k < K_; ++k) weighted_[at(k)] = share_[at(k)] * Fa[k];
      for (int b = 0; b <= a; ++b) {
        const auto A_ = at(a), B_ = at(b);
        const double value = numeric::dot(K_, weighted_.data(), F_.data() + B_ * at(K_)) - mean_[A_] * mean_[B_] +
                             v_psi_[A_] * y_[B_] + y_[A_] * v_psi_[B_] + s_psi_[A_] * e_[B_] + e_[A_] * s_psi_[B_];
        put(touched_[A_], touched_[B_], value);
      }
    }
  }

  /// What the row's own second derivatives add.
  void add_row(int j, const double* d2, double v, double by_v, double by_H) {
    const double w = w_[at(j)], m2 = rows_.at_mode.eta[1][j], m3 = rows_.at_mode.eta[2][j],
                 m4 = rows_.at_mode.eta[3][j];
    double n0 = 0.0, n1 = 0.0, n2 = 0.0;
    for (int k = 0; k < K_; ++k) {
      const double own = share_[at(k)] * d2[k];
      n0 += own;
      n1 += own * v_[at(k)];
      n2 += own * v_[at(k)] * v_[at(k)];
    }
    const double xx = n0 + by_v * m3 * w - by_H * m4 * w * w,
                 xz = n1 + by_v * (m3 * w * v + m2) - by_H * (m4 * v * w * w + 2.0 * m3 * w),
                 zz = n2 + by_v * (m3 * w * v * v + 2.0 * m2 * v) -
                      by_H * (m4 * v * v * w * w + 4.0 * m3 * w * v + 2.0 * m2);
    for (int e = first_touch_[at(j)]; e < first_touch_[at(j) + 1]; ++e)
      for (int g = first_touch_[at(j)]; g <= e; ++g) {
        const Touch &x = touches_[at(e)], &y = touches_[at(g)];
        const int loadings = (x.parameter >= p_) + (y.parameter >= p_);
        put(x.parameter, y.parameter, x.value * y.value * (loadings == 0 ? xx : (loadings == 1 ? xz : zz)));
      }
  }
  void put(int a, int b, double value) { sums_(std::max(a, b), std::min(a, b)) += value; }

  /// tr(T D_a T D_b) / 2 with D_a = d(lambda lambda')/d lambda_a and T = B - B lambda lambda' B / H.
  void add_information(int first, int last, double H, Eigen::MatrixXd& information) {
    const int n_entries = P_ - p_;
    T_.setZero(n_entries, n_entries);
    tilt_.setZero(n_entries);
    double all = 0.0;  // lambda' B lambda
    for (int j = first; j < last; ++j) {
      const double W = -rows_.at_mode.eta[1][j], w = w_[at(j)];
      all += W * w * w;
      for (int e = first_touch_[at(j)]; e < first_touch_[at(j) + 1]; ++e) {
        const Touch& x = touches_[at(e)];
        if (x.parameter < p_) continue;
        tilt_[x.parameter - p_] += W * w * x.value;
        for (int g = first_touch_[at(j)]; g <= e; ++g)
          if (const Touch& y = touches_[at(g)]; y.parameter >= p_)
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
  int p_, q_, P_, K_, strip_rows_, most_rows_;
  Strip strip_;
  RowArrays rows_;
  std::unique_ptr<ConditionalModes<1>> finder_;
  std::vector<double> lambda_, w_, node_value_;
  std::vector<double> mode_, scale_, node_f_;  // of the strip's clusters
  std::vector<Touch> touches_;
  std::vector<int> first_touch_;
  std::vector<int> local_, touched_;  // where a parameter stands among those of the cluster, and which these are
  std::vector<double> t_, share_, v_, f1_, f2_, weighted_;                        // of the nodes
  std::vector<double> d1_, d2_;                                                   // of a cluster's rows and nodes
  std::vector<double> F_, E_;                                                     // of parameters and nodes
  std::vector<double> v_psi_, s_psi_, H_psi_, H_psi_v_, E0_, E1_, mean_, y_, e_;  // of parameters
  Eigen::MatrixXd sums_, T_;
  Eigen::VectorXd tilt_;
};

}  // namespace

bool is_one_trait(const model::Model& model) {
  return model.terms().size() == 1 && model.terms()[0].variable == 0 && model.q() > 1 && model.n_phi() == 0 &&
         model.family().n_phi() == 0 && model.terms()[0].structure->kind() == covariance::Kind::loadings &&
         model::spherical_effects(model, 0).size() == 1;
}

std::unique_ptr<PanelLikelihood> make_one_trait(const model::Model& model, const model::Response& response,
                                                const model::Layout& layout, const numeric::QuadratureRule& rule,
                                                Derivatives derivatives) {
  return std::make_unique<OneTrait>(model, response, layout, rule, derivatives);
}

}  // namespace multilevel::likelihood
