// Included by traits_1.cpp and so on: strip after strip, modes, nodes, clusters.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"
#include "likelihood/one_factor/trait_cluster.hpp"
#include "likelihood/one_factor/traits.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

template <int D>
class Traits final : public PanelLikelihood {
  using Square = typename linear_algebra::Small<D>::Matrix;

 public:
  Traits(const model::Model& model, const model::Response& response, const model::Layout& layout,
         const numeric::QuadratureRule& rule, Derivatives derivatives, bool with_traits,
         std::shared_ptr<SparseRows> rows)
      : model_(model),
        response_(response),
        hessian_(derivatives == Derivatives::hessian),
        p_(model.p()),
        q_(with_traits ? model.q() : 0),
        phi_(p_ + (with_traits ? layout.n_entries() : 0)),
        P_(phi_ + model.n_phi()),
        column_(with_traits ? model::spherical_effects(model, 0) : std::vector<int>{}),
        strip_rows_(rows_of_strips(model, rule, hessian_)),
        most_rows_(std::max(strip_rows_, model.largest_cluster())),
        rows_(most_rows_, 1, model),
        touches_(model, std::move(rows), layout, trait_of_columns(), D, phi_),
        nodes_(model, rule, column_, D, most_rows_, hessian_),
        cluster_(model, trait_of_entries(layout), nodes_, hessian_, with_traits && model.q() > 0, phi_, P_) {
    int most = 1;
    for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
    finder_ = std::make_unique<ConditionalModes<D>>(model.family(), most_rows_, most, D);
    for (auto& w : w_) {
      w.resize(at(most_rows_) + 8);
      columns_.push_back(w.data());
    }
    mode_.resize(at(most * D));
    L_.resize(at(most * D * D));
  }

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override {
    cluster_.start();
    for (int first = panel.first_cluster; first < panel.last_cluster && sums.failed_cluster < 0;) {
      int last = first + 1;
      while (last < panel.last_cluster && model_.cluster_start(last + 1) - model_.cluster_start(first) <= strip_rows_)
        ++last;
      strip_.set(model_, response_, panel, first, last, q_);
      touches_.set(panel, strip_);
      strip_.data.phi = touches_.phi_rows(strip_, psi + phi_, rows_.phi_rows);
      add_strip(psi, modes, sums, mode_covariance);
      first = last;
    }
    cluster_.finish(sums.hessian);
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// So many that what nodes need stays in the second-level cache; more where calls of the family are dear.
  static int rows_of_strips(const model::Model& model, const numeric::QuadratureRule& rule, bool hessian) {
    constexpr int cached = 49152, many = 1 << 20, least = 32;  // numbers; rows
    const int numbers = model.family().costs_per_call() ? many : cached;
    return std::max(least,
                    std::min(model.largest_panel(), numbers / TraitNodes::numbers_per_row(model, rule, hessian)));
  }
  std::vector<int> trait_of_columns() const {
    std::vector<int> trait(at(model_.q()), -1);
    for (std::size_t c = 0; c < column_.size(); ++c) trait[at(column_[c])] = static_cast<int>(c);
    return trait;
  }
  std::vector<int> trait_of_entries(const model::Layout& layout) const {
    const std::vector<int> of_column = trait_of_columns();
    std::vector<int> trait;
    for (int e = 0; e < phi_ - p_; ++e)
      trait.push_back(of_column[at(layout.entries()[static_cast<std::size_t>(e)].column)]);
    return trait;
  }

  void add_strip(const double* psi, double* all_modes, Sums& sums, double* mode_covariance) {
    set_predictors(psi);
    // The traits are random effects whose columns are those of w.
    Strip own = strip_;
    own.z = columns_;
    double* modes = all_modes + static_cast<std::int64_t>(strip_.first_cluster) * q_;
    const int m = strip_.n_clusters(), failed = find_modes(own, modes, sums);
    if (failed >= 0) {
      sums.failed_cluster = strip_.first_cluster + failed;
      return;
    }
    finder_->linear_predictor(own, rows_, Square::Identity(), mode_.data(), 0, m);
    model_.family().derivatives(family::Order::full, {strip_.n_rows, rows_.eta, strip_.data}, rows_.at_mode);
    places_.clear();
    for (int i = 0; i < m; ++i) {
      places_.push_back({mode_.data() + i * D, L_.data() + i * D * D});
      if (!factor_at_mode(i, mode_covariance, sums)) {
        sums.failed_cluster = strip_.first_cluster + i;
        return;
      }
    }
    const TraitRows traits{strip_, rows_, columns_};
    nodes_.evaluate(model_, traits, places_);
    for (int i = 0; i < m; ++i) {
      const TraitPlace& place = places_[at(i)];
      cluster_.add(traits, touches_, nodes_, place, strip_.start[at(i)], strip_.start[at(i) + 1], sums);
      if (sums.contributions && !sums.contributions->row_part())
        add_contribution(strip_.first_cluster + i, place, *sums.contributions);
    }
    if (sums.contributions && sums.contributions->row_part()) add_rows(*sums.contributions);
  }

  /// o and w of the rows.
  void set_predictors(const double* psi) {
    for (int j = 0; j < strip_.n_rows; ++j) {
      double fixed = strip_.offset ? strip_.offset[j] : 0.0;
      std::array<double, D> own{};
      for (int e = touches_.first(j); e < touches_.first(j + 1); ++e) {
        const Touch& touch = touches_[e];
        if (touch.kind > D) break;  // the family's parameters come last
        (touch.kind == 0 ? fixed : own[at(touch.kind - 1)]) += psi[touch.parameter] * touch.value;
      }
      rows_.fixed_eta[j] = fixed;
      for (int c = 0; c < D; ++c) w_[at(c)][at(j)] = own[at(c)];
    }
  }

  /// The first cluster without a mode, or -1.
  int find_modes(const Strip& own, double* modes, Sums& sums) {
    const int m = strip_.n_clusters();
    std::fill_n(mode_.data(), m * D, 0.0);
    if (q_ == 0) return -1;
    for (int i = 0; i < m; ++i)
      for (int c = 0; c < D; ++c) mode_[at(i * D + c)] = modes[i * q_ + column_[at(c)]];
    const int failed = finder_->find(own, rows_, model_.family(), Square::Identity(), mode_.data(), sums);
    std::fill_n(modes, m * q_, 0.0);
    for (int i = 0; i < m; ++i)
      for (int c = 0; c < D; ++c) modes[i * q_ + column_[at(c)]] = mode_[at(i * D + c)];
    return failed;
  }

  /// L with L L' = H^-1; false where H is not positive definite.
  bool factor_at_mode(int i, double* mode_covariance, Sums& sums) {
    const int first = strip_.start[at(i)], size = strip_.start[at(i) + 1] - first;
    double factor[D * D];
    double* L = L_.data() + i * D * D;
    for (int a = 0; a < D; ++a)
      for (int b = 0; b <= a; ++b)
        factor[a + b * D] = (a == b ? 1.0 : 0.0) - numeric::dot(size, columns_[at(a)] + first, columns_[at(b)] + first,
                                                                rows_.at_mode.eta[1] + first);
    for (int a = 0; a < D; ++a) sums.sharpest = std::max(sums.sharpest, factor[a + a * D]);
    if (!linear_algebra::small::cholesky(D, factor)) return false;
    // Column by column the inverse of the lower factor is row by row its transpose.
    linear_algebra::small::inverse_of_lower(D, factor, L);
    if (!mode_covariance || q_ == 0) return true;
    Eigen::Map<Eigen::MatrixXd> own(mode_covariance + static_cast<std::int64_t>(strip_.first_cluster + i) * q_ * q_, q_,
                                    q_);
    // Of effects that are no traits it never changes.
    if (const int last = q_ - 1; column_.back() == last || own(last, last) != 1.0) own.setIdentity();
    for (int a = 0; a < D; ++a)
      for (int b = 0; b < D; ++b) own(column_[at(a)], column_[at(b)]) = covariance(L, a, b);
    return true;
  }
  static double covariance(const double* L, int a, int b) {
    double sum = 0.0;
    for (int c = std::max(a, b); c < D; ++c) sum += L[a * D + c] * L[b * D + c];
    return sum;
  }

  /// Value, score and moments of the cluster that has just been added; see likelihood_impl.hpp.
  void add_contribution(int cluster, const TraitPlace& place, Contributions& to) {
    const int part = to.of_cluster(cluster);
    to.value[part] = cluster_.value();
    for (std::size_t a = 0; a < cluster_.touched().size(); ++a)
      to.gradient(cluster_.touched()[a], part) = cluster_.score(a);
    if (!to.with_moments) return;
    const Square variance = covariance_of_traits(place);
    const auto first = at(cluster) * at(q_);
    for (int a = 0; a < q_; ++a) {
      const Loadings own = loadings(to.to_user, a);
      const Moments moments = nodes_.size() > 1 ? over_nodes(own) : from_mode(place, own);
      to.moments.mean[first + at(a)] = moments.mean;
      to.moments.third[first + at(a)] = moments.third;
      to.moments.fourth[first + at(a)] = moments.fourth;
      for (int b = 0; b < q_; ++b)
        to.moments.covariance[(first + at(a)) * at(q_) + at(b)] = own.dot(variance * loadings(to.to_user, b));
    }
  }

  /// Without traits: row by row, into the parts that the caller named.
  void add_rows(Contributions& to) const {
    const auto first = static_cast<std::int64_t>(model_.cluster_start(strip_.first_cluster));
    const auto& mode = rows_.at_mode;
    for (int j = 0; j < strip_.n_rows; ++j) {
      const auto part = to.row_part()[first + j];
      auto score = to.gradient.col(part);
      to.value[part] += mode.value[j];
      for (int e = touches_.first(j); e < touches_.first(j + 1); ++e) {
        const Touch& touch = touches_[e];
        score[touch.parameter] += touch.value * (touch.kind == 0 ? mode.eta[0][j] : mode.phi[touch.kind - 1 - D][0][j]);
      }
    }
  }

  using Loadings = typename linear_algebra::Small<D>::Vector;
  struct Moments {
    double mean = 0.0, third = 0.0, fourth = 0.0;
  };

  /// Of a random effect on the user's scale.
  Loadings loadings(const Eigen::MatrixXd& to_user, int effect) const {
    Loadings own;
    for (int c = 0; c < D; ++c) own[c] = to_user(effect, column_[at(c)]);
    return own;
  }
  Loadings at_node(int k) const {
    Loadings v;
    for (int c = 0; c < D; ++c) v[c] = cluster_.means().trait(c)[k];
    return v;
  }

  Square covariance_of_traits(const TraitPlace& place) const {
    Square variance = Square::Zero();
    for (int a = 0; a < D && nodes_.size() == 1; ++a)
      for (int b = 0; b < D; ++b) variance(a, b) = covariance(place.L, a, b);
    if (nodes_.size() == 1) return variance;
    Loadings mean = Loadings::Zero();
    for (int k = 0; k < nodes_.size(); ++k) mean += cluster_.means().share()[k] * at_node(k);
    for (int k = 0; k < nodes_.size(); ++k)
      variance += cluster_.means().share()[k] * (at_node(k) - mean) * (at_node(k) - mean).transpose();
    return variance;
  }

  Moments over_nodes(const Loadings& own) const {
    Moments moments;
    for (int k = 0; k < nodes_.size(); ++k) moments.mean += cluster_.means().share()[k] * own.dot(at_node(k));
    for (int k = 0; k < nodes_.size(); ++k) {
      const double off = own.dot(at_node(k)) - moments.mean, share = cluster_.means().share()[k];
      moments.third += share * off * off * off;
      moments.fourth += share * off * off * off * off;
    }
    return moments;
  }

  Moments from_mode(const TraitPlace& place, const Loadings& own) const {
    Moments moments;
    Loadings along = Loadings::Zero();  // L' times the loadings
    for (int b = 0; b < D; ++b)
      for (int a = 0; a <= b; ++a) along[b] += place.L[a * D + b] * own[a];
    for (int b = 0; b < D; ++b) {
      moments.mean += own[b] * place.mode[b];
      for (int c = 0; c < D; ++c) {
        moments.mean -= 0.5 * along[b] * cluster_.moves().third(b, c, c);
        for (int d = 0; d < D; ++d) moments.third -= along[b] * along[c] * along[d] * cluster_.moves().third(b, c, d);
      }
    }
    moments.fourth = 3.0 * along.squaredNorm() * along.squaredNorm();
    return moments;
  }

  const model::Model& model_;
  const model::Response& response_;
  bool hessian_;
  int p_, q_;
  int phi_, P_;              ///< where the family's parameters begin, and the number of all
  std::vector<int> column_;  ///< of Lambda, of each trait
  int strip_rows_, most_rows_;
  Strip strip_;
  RowArrays rows_;
  Touches touches_;
  TraitNodes nodes_;
  TraitCluster<D> cluster_;
  std::unique_ptr<ConditionalModes<D>> finder_;
  std::array<std::vector<double>, D> w_;
  std::vector<const double*> columns_;  ///< w_
  std::vector<double> mode_, L_;        ///< of the strip's clusters
  std::vector<TraitPlace> places_;
};

}  // namespace multilevel::likelihood
