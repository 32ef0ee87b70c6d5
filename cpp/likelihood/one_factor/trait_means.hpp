// Posterior means over the nodes of a cluster: of the rows' derivatives, by themselves and times the coordinates of the
// nodes; and what f' is at each node.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "likelihood/one_factor/trait_nodes.hpp"
#include "likelihood/one_factor/trait_row.hpp"
#include "numeric/lane_total.hpp"

namespace multilevel::likelihood {

/// Entry (b, c) of L' L.
template <int D>
double square_of_L(const TraitPlace& place, int b, int c) {
  double sum = 0.0;
  for (int a = 0; a <= std::min(b, c); ++a) sum += place.L[a * D + b] * place.L[a * D + c];
  return sum;
}
/// Entry b of L' mode.
template <int D>
double pull_of_mode(const TraitPlace& place, int b) {
  double sum = 0.0;
  for (int a = 0; a <= b; ++a) sum += place.L[a * D + b] * place.mode[a];
  return sum;
}

template <int D>
class TraitMeans {
  using Of = TraitSizes<D>;
  using Vector = typename Of::Vector;
  using Means = typename Of::Means;
  using Lanes = numeric::Lanes;
  static constexpr int lanes = numeric::lane_count;

 public:
  /// `parts`: of the family's parameters. `twice`: whether for the Hessian.
  TraitMeans(const TraitNodes& nodes, int most_rows, int parts, bool twice)
      : twice_(twice), R_(parts), n_pairs_(parts * (parts + 1) / 2), width_(nodes.width()) {
    const std::size_t width = at(width_), most = at(most_rows);
    share_.resize(width);
    for (auto& own : weights_) own.resize(width);
    for (auto& own : trait_) own.resize(width);
    for (auto& own : force_) own.resize(width);
    of_row_.resize(most);
    phi_.resize(most * at(R_));
    phi_eta_.resize(most * at(R_));
    pair_.resize(most * at(n_pairs_));
  }

  /// Of rows [first, last). Returns the logarithm of the integral less that of |L|.
  double set(const TraitRows& own, TraitNodes& nodes, const TraitPlace& place, int first, int last) {
    if (nodes.size() == 1) return set_at_mode(own, nodes, place, first, last);
    const double value = nodes.shares(place, first, last, share_.data());
    set_weights(nodes, place);
    for (int b = 0; b < D && twice_; ++b)
      for (int k = 0; k < width_; k += lanes) {
        Lanes force = numeric::broadcast(-pull_of_mode<D>(place, b));
        for (int c = 0; c < D; ++c) force -= square_of_L<D>(place, b, c) * numeric::load(nodes.t(c) + k);
        numeric::store(force_[at(b)].data() + k, force);
      }
    for (int j = first; j < last; ++j) average_row(own, nodes, place, j, at(j - first));
    return value;
  }

  const double* share() const { return share_.data(); }
  /// A trait at the nodes.
  const double* trait(int c) const { return trait_[at(c)].data(); }
  /// L' f' at the nodes, where the Hessian is wanted.
  const double* force(int b) const { return force_[at(b)].data(); }
  /// Of one, and of the coordinates of the nodes.
  const Means& of_nodes() const { return of_nodes_; }
  const RowMeans<D>& of_row(int row) const { return of_row_[at(row)]; }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// Of one node, the mode itself.
  double set_at_mode(const TraitRows& own, const TraitNodes& nodes, const TraitPlace& place, int first, int last) {
    const auto& mode = own.rows.at_mode;
    share_[0] = 1.0;
    set_weights(nodes, place);
    double value = numeric::sum(last - first, mode.value + first);
    for (int c = 0; c < D; ++c) value -= 0.5 * place.mode[c] * place.mode[c];
    for (int j = first; j < last; ++j) {
      const std::size_t i = at(j - first), r0 = i * at(R_), pair0 = i * at(n_pairs_);
      for (int r = 0; r < R_; ++r) {
        phi_[r0 + at(r)] = mode.phi[r][0][j];
        if (twice_) phi_eta_[r0 + at(r)] = {mode.phi[r][1][j]};
      }
      for (int pair = 0; pair < n_pairs_ && twice_; ++pair) pair_[pair0 + at(pair)] = mode.phi_phi[pair][0][j];
      of_row_[i] = {{mode.eta[0][j]}, {mode.eta[1][j]}, phi_.data() + r0, phi_eta_.data() + r0, pair_.data() + pair0};
    }
    return value;
  }

  /// Shares of the nodes, times standard coordinates and their products, and the sums of all these; traits at nodes.
  void set_weights(const TraitNodes& nodes, const TraitPlace& place) {
    std::array<Lanes, Of::n_weights> sums{};
    for (int k = 0; k < width_; k += lanes) {
      std::array<Lanes, Of::n_weights> own;
      own[0] = numeric::load(share_.data() + k);
      for (int c = 0; c < D; ++c) {
        const Lanes t = numeric::load(nodes.t(c) + k);
        own[at(1 + c)] = own[0] * t;
        for (int b = 0; b <= c; ++b) own[at(1 + Of::move_of_L(b, c))] = own[at(1 + b)] * t;
        Lanes v = numeric::broadcast(place.mode[c]);
        for (int b = c; b < D; ++b) v += place.L[c * D + b] * numeric::load(nodes.t(b) + k);
        numeric::store(trait_[at(c)].data() + k, v);
      }
      for (std::size_t x = 0; x < own.size(); ++x) {
        numeric::store(weights_[x].data() + k, own[x]);
        sums[x] += own[x];
      }
    }
    for (std::size_t x = 0; x < sums.size(); ++x) of_nodes_[x] = numeric::total(sums[x]);
  }

  void average_row(const TraitRows& own, const TraitNodes& nodes, const TraitPlace& place, int j, std::size_t i) {
    RowMeans<D>& to = of_row_[i];
    if (twice_)
      average_twice(nodes.by_eta(1, j), nodes.by_eta(2, j), along_L<D>(own, place, j), to);
    else
      average<1 + D>(nodes.by_eta(1, j), to.d1);
    for (int r = 0; r < R_; ++r) {
      phi_[i * at(R_) + at(r)] = weighted(nodes.by_phi(r, j));
      if (twice_) average<Of::n_weights>(nodes.by_phi_eta(r, j), phi_eta_[i * at(R_) + at(r)]);
    }
    for (int pair = 0; pair < n_pairs_ && twice_; ++pair)
      pair_[i * at(n_pairs_) + at(pair)] = weighted(nodes.by_pair(pair, j));
    to.phi = phi_.data() + i * at(R_);
    to.phi_eta = phi_eta_.data() + i * at(R_);
    to.pair = pair_.data() + i * at(n_pairs_);
  }

  void average_twice(const double* d1, const double* d2, const Vector& tilde, RowMeans<D>& to) {
    std::array<Lanes, 1 + D> first{};
    std::array<Lanes, Of::n_weights> second{};
    for (int k = 0; k < width_; k += lanes) {
      const Lanes x = numeric::load(d1 + k), y = numeric::load(d2 + k);
      for (std::size_t b = 0; b < D; ++b) {
        double* force = force_[b].data() + k;
        numeric::store(force, numeric::load(force) + tilde[b] * x);
      }
      for (std::size_t w = 0; w < first.size(); ++w) first[w] += numeric::load(weights_[w].data() + k) * x;
      for (std::size_t w = 0; w < second.size(); ++w) second[w] += numeric::load(weights_[w].data() + k) * y;
    }
    for (std::size_t w = 0; w < first.size(); ++w) to.d1[w] = numeric::total(first[w]);
    for (std::size_t w = 0; w < second.size(); ++w) to.d2[w] = numeric::total(second[w]);
  }
  /// By the first n of the weights.
  template <std::size_t n>
  void average(const double* d, Means& to) const {
    std::array<Lanes, n> sums{};
    for (int k = 0; k < width_; k += lanes) {
      const Lanes x = numeric::load(d + k);
      for (std::size_t w = 0; w < n; ++w) sums[w] += numeric::load(weights_[w].data() + k) * x;
    }
    for (std::size_t w = 0; w < n; ++w) to[w] = numeric::total(sums[w]);
  }
  double weighted(const double* d) const {
    Lanes sum{};
    for (int k = 0; k < width_; k += lanes) sum += numeric::load(share_.data() + k) * numeric::load(d + k);
    return numeric::total(sum);
  }

  bool twice_;
  int R_, n_pairs_, width_;
  std::vector<double> share_;
  std::array<std::vector<double>, Of::n_weights> weights_;
  std::array<std::vector<double>, D> trait_, force_;
  Means of_nodes_{};
  std::vector<RowMeans<D>> of_row_;
  std::vector<double> phi_, pair_;
  std::vector<Means> phi_eta_;
};

}  // namespace multilevel::likelihood
