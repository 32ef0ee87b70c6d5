// The gradient and the Hessian of one cluster after another, from what its rows touch. The letters are those of
// docs/theory.md.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "likelihood/one_factor/touches.hpp"
#include "likelihood/one_factor/trait_information.hpp"
#include "likelihood/one_factor/trait_means.hpp"
#include "likelihood/one_factor/trait_moves.hpp"
#include "likelihood/one_factor/trait_products.hpp"
#include "likelihood/sums.hpp"

namespace multilevel::likelihood {

template <int D>
class TraitCluster {
  using Of = TraitSizes<D>;
  using Lanes = numeric::Lanes;
  static constexpr int lanes = numeric::lane_count;

 public:
  /// `entry_trait`: of each entry of Lambda, whose parameters are [p, phi) of P.
  TraitCluster(const model::Model& model, std::vector<int> entry_trait, const TraitNodes& nodes, bool hessian,
               bool with_traits, int phi, int P)
      : hessian_(hessian),
        moving_(hessian && with_traits),
        p_(model.p()),
        K_(nodes.size()),
        width_(nodes.width()),
        length_(((K_ > 1 ? K_ + 1 : 0) + 2 * Of::n_moves + 3) / 4 * 4),
        row_(static_cast<int>(model.phi_parts().size())),
        means_(nodes, model.largest_cluster(), static_cast<int>(model.phi_parts().size()), hessian),
        moves_(hessian),
        products_(P, length_),
        information_(p_, phi, std::move(entry_trait)),
        local_(at(P), -1) {}

  /// Before the first cluster of a panel and after the last one.
  void start() { products_.start(); }
  void finish(Eigen::MatrixXd& hessian) {
    if (hessian_) products_.finish(p_, hessian);
  }

  /// Rows [first, last) of a strip that stands at its modes, and whose nodes are evaluated.
  void add(const TraitRows& own, const Touches& touches, TraitNodes& nodes, const TraitPlace& place, int first,
           int last, Sums& sums) {
    value_ = means_.set(own, nodes, place, first, last);
    for (int c = 0; c < D; ++c) value_ += std::log(place.L[c * D + c]);
    sums.log_likelihood.add(value_);
    moves_.set(own, place, means_, first, last);
    touched_.clear();
    parameters_.clear();
    for (int j = first; j < last; ++j) add_row(own, touches, nodes, place, j, means_.of_row(j - first));
    if (moving_) {
      products_.open(touched_);
      moves_.set_quadratic();
      information_.add(own, touches, place, first, last, sums.theta_information);
    }
    for (std::size_t a = 0; a < touched_.size(); ++a) {
      const double mean = moves_.move(parameters_[a]);
      sums.gradient[touched_[a]] += parameters_[a].score;
      if (moving_) give_products(nodes, a, mean);
    }
    for (const int parameter : touched_) local_[at(parameter)] = -1;
  }

  // Of the last cluster.
  double value() const { return value_; }
  const std::vector<int>& touched() const { return touched_; }
  double score(std::size_t a) const { return parameters_[a].score; }
  const TraitMeans<D>& means() const { return means_; }
  const TraitMoves<D>& moves() const { return moves_; }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  void add_row(const TraitRows& own, const Touches& touches, const TraitNodes& nodes, const TraitPlace& place, int j,
               const RowMeans<D>& mean) {
    row_.stand(own, place, j);
    row_.look(own, place, j, mean);
    if (hessian_) {
      row_.look_twice(own, place, j, mean, moves_.weights_of_mode());
      moves_.curve(row_.curvature(), row_.tilde());
    }
    for (int e = touches.first(j); e < touches.first(j + 1); ++e) {
      const Touch& touch = touches[e];
      const auto& direction = row_.of(touch.kind);
      int& local = local_[at(touch.parameter)];
      const bool fresh = local < 0;
      if (fresh) {
        local = static_cast<int>(touched_.size());
        touched_.push_back(touch.parameter);
        parameters_.push_back({});
      }
      Parameter<D>& to = parameters_[at(local)];
      to.score += touch.value * direction.score;
      for (std::size_t i = 0; i < Of::n_moves; ++i) to.move[i] += touch.value * direction.move[i];
      if (!hessian_) continue;
      for (std::size_t i = 0; i < Of::n_moves; ++i) to.meet[i] += touch.value * direction.meet[i];
      if (K_ > 1) add_scores(nodes, touch, j, local, fresh);
      add_pairs(touches, j, e);
    }
  }

  /// The row's own second derivatives by a touch and those before it.
  void add_pairs(const Touches& touches, int j, int e) {
    const Touch& touch = touches[e];
    for (int g = touches.first(j); g <= e; ++g) {
      const Touch& other = touches[g];
      // A coefficient that stands in two places meets itself twice.
      const double times = g != e && touch.parameter == other.parameter ? 2.0 : 1.0;
      const double second =
          touch.kind >= other.kind ? row_.second(touch.kind, other.kind) : row_.second(other.kind, touch.kind);
      products_.put(touch.parameter, other.parameter, times * touch.value * other.value * second);
    }
  }

  /// The row's derivatives by a parameter at the nodes.
  void add_scores(const TraitNodes& nodes, const Touch& touch, int j, int local, bool fresh) {
    const std::size_t begin = at(local) * at(width_);
    if (scores_.size() < begin + at(width_)) scores_.resize(begin + at(width_));
    double* to = scores_.data() + begin;
    const double* from = touch.kind <= D ? nodes.by_eta(1, j) : nodes.by_phi(touch.kind - 1 - D, j);
    const double* times = touch.kind > 0 && touch.kind <= D ? means_.trait(touch.kind - 1) : nullptr;
    for (int k = 0; k < width_; k += lanes) {
      Lanes own = touch.value * numeric::load(from + k);
      if (times) own *= numeric::load(times + k);
      numeric::store(to + k, fresh ? own : numeric::load(to + k) + own);
    }
  }

  /// The covariance of the nodes' scores, and the terms that are products of two vectors: all are one product of
  /// matrices, the vectors side by side with the scores. A single node's score has no variance.
  void give_products(const TraitNodes& nodes, std::size_t a, double mean) {
    Parameter<D>& one = parameters_[a];
    double *left = products_.left(a), *right = products_.right(a);
    const double* scores = scores_.data() + a * at(width_);
    for (int k = 0; k < width_ && K_ > 1; k += lanes) {
      Lanes score = numeric::load(scores + k);
      for (int b = 0; b < D; ++b) {
        Lanes step = numeric::broadcast(one.move[at(b)]);
        for (int c = b; c < D; ++c) step -= one.move[at(Of::move_of_L(b, c))] * numeric::load(nodes.t(c) + k);
        score += numeric::load(means_.force(b) + k) * step;
      }
      numeric::store(left + k, score);
      numeric::store(right + k, score * numeric::load(means_.share() + k));
    }
    moves_.meet(one);
    if (K_ > 1) {
      left += K_;
      right += K_;
      *left++ = mean;
      *right++ = -mean;
    }
    left = std::copy(one.meet.begin(), one.meet.end(), std::copy(one.move.begin(), one.move.end(), left));
    right = std::copy(one.move.begin(), one.move.end(), std::copy(one.meet.begin(), one.meet.end(), right));
    const int rest = length_ - (K_ > 1 ? K_ + 1 : 0) - 2 * Of::n_moves;
    std::fill_n(left, rest, 0.0);
    std::fill_n(right, rest, 0.0);
  }

  bool hessian_, moving_;  ///< the latter: and clusters have traits, so that nodes move
  int p_, K_, width_, length_;
  TraitRow<D> row_;
  TraitMeans<D> means_;
  TraitMoves<D> moves_;
  TraitProducts products_;
  TraitInformation<D> information_;
  double value_ = 0.0;
  std::vector<int> local_, touched_;  ///< where a parameter stands among those of the cluster, and which these are
  std::vector<Parameter<D>> parameters_;
  std::vector<double> scores_;  ///< of what is touched, node by node
};

}  // namespace multilevel::likelihood
