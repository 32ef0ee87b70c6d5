// How the nodes of a cluster move with its parameters: with the mode, and with L where L L' = H^-1. What the second
// derivatives make of these moves.
#pragma once

#include <algorithm>
#include <array>

#include "likelihood/one_factor/trait_means.hpp"

namespace multilevel::likelihood {

/// One that a cluster touches. Its move is first that of L^-1 times the mode and the derivative of L' H L at a fixed
/// mode, and after TraitMoves::move the upper triangle U, -L U the derivative of L, in place of the latter.
template <int D>
struct Parameter {
  double score = 0.0;  ///< at fixed nodes, and after TraitMoves::move of the log-likelihood
  typename TraitSizes<D>::Moves move{};
  typename TraitSizes<D>::Moves meet{};  ///< what meets the moves of other parameters in the Hessian
};

template <int D>
class TraitMoves {
  using Of = TraitSizes<D>;
  using Vector = typename Of::Vector;
  using Matrix = typename Of::Matrix;
  using Upper = typename Of::Upper;
  using Moves = typename Of::Moves;
  using Means = typename Of::Means;

 public:
  /// `twice`: whether for the Hessian.
  explicit TraitMoves(bool twice) : twice_(twice) {}

  /// Of rows [first, last): alpha and B, the means of f' and of f' t'; T, and with them lambda and C; W.
  void set(const TraitRows& own, const TraitPlace& place, const TraitMeans<D>& means, int first, int last) {
    const Means& of_nodes = means.of_nodes();
    for (int b = 0; b < D; ++b) {
      const double pulled = pull_of_mode<D>(place, b);
      alpha_[at(b)] = -pulled * of_nodes[0];
      for (int c = 0; c < D; ++c) {
        alpha_[at(b)] -= square_of_L<D>(place, b, c) * of_nodes[at(1 + c)];
        B_[at(b)][at(c)] = -pulled * of_nodes[at(1 + c)];
        for (int e = 0; e < D; ++e) B_[at(b)][at(c)] -= square_of_L<D>(place, b, e) * pair_of(of_nodes, e, c);
      }
    }
    for (auto& own_third : third_) own_third.fill(0.0);
    for (auto& own_spread : spread_) own_spread.fill(0.0);
    for (int j = first; j < last; ++j) {
      const Vector tilde = along_L<D>(own, place, j);
      const RowMeans<D>& mean = means.of_row(j - first);
      const double l3 = own.rows.at_mode.eta[2][j];
      for (int b = 0; b < D; ++b) {
        alpha_[at(b)] += tilde[at(b)] * mean.d1[0];
        for (int c = 0; c < D; ++c) B_[at(b)][at(c)] += tilde[at(b)] * mean.d1[at(1 + c)];
      }
      for (int c = 0; c < D; ++c)
        for (int b = 0; b <= c; ++b) {
          const double both = tilde[at(b)] * tilde[at(c)];
          for (int d = 0; d < D; ++d) third_[at(d)][at(upper(b, c))] -= l3 * both * tilde[at(d)];
          if (!twice_) continue;
          for (std::size_t w = 0; w < Of::n_weights; ++w) spread_[w][at(upper(b, c))] += mean.d2[w] * both;
        }
    }
    if (!twice_) return;
    for (int c = 0; c < D; ++c)
      for (int b = 0; b <= c; ++b)
        for (std::size_t w = 0; w < Of::n_weights; ++w)
          spread_[w][at(upper(b, c))] -= square_of_L<D>(place, b, c) * of_nodes[w];
    weigh_mode(place);
  }
  /// What the rows' second derivatives at the mode count.
  const ModeWeights<D>& weights_of_mode() const { return weights_of_mode_; }
  /// -f''' along L: of traits b, c and d.
  double third(int b, int c, int d) const { return third_[at(b)][at(upper(std::min(c, d), std::max(c, d)))]; }

  /// Adds what a row's part of the function of those weights has, twice by v.
  void curve(double curvature, const Vector& tilde) {
    for (int c = 0; c < D; ++c)
      for (int b = 0; b <= c; ++b) curved_[at(upper(b, c))] += curvature * tilde[at(b)] * tilde[at(c)];
  }

  /// From derivatives of L' H L at a fixed mode to those with the mode, U with -L U the derivative of L, and the whole
  /// score; returns the mean of the scores at nodes that move.
  double move(Parameter<D>& one) const {
    double mean = one.score, trace = 0.0;
    for (int b = 0; b < D; ++b) mean += alpha_[at(b)] * one.move[at(b)];
    for (int c = 0; c < D; ++c)
      for (int b = 0; b <= c; ++b) {
        double& u = one.move[at(Of::move_of_L(b, c))];
        for (int d = 0; d < D; ++d) u += third_[at(d)][at(upper(b, c))] * one.move[at(d)];
        if (b == c) u *= 0.5;
        if (b == c) trace += u;
        mean -= B_[at(b)][at(c)] * u;
      }
    one.score = mean - trace;
    return mean;
  }

  /// M of the second derivatives by two moves.
  void set_quadratic() {
    const auto spread = [&](int weight, int b, int d) {
      return spread_[at(weight)][at(upper(std::min(b, d), std::max(b, d)))];
    };
    for (int b = 0; b < D; ++b) {
      for (int d = 0; d < D; ++d) {
        quadratic_[at(b)][at(d)] = spread(0, b, d) + curved_[at(upper(std::min(b, d), std::max(b, d)))];
        for (int e = d; e < D; ++e) {
          const int u = Of::move_of_L(d, e);
          quadratic_[at(b)][at(u)] = quadratic_[at(u)][at(b)] = -spread(1 + e, b, d);
        }
      }
      for (int c = b; c < D; ++c)
        for (int d = 0; d < D; ++d)
          for (int e = d; e < D; ++e) {
            double sum = spread(1 + Of::move_of_L(std::min(c, e), std::max(c, e)), b, d);
            if (c == d) sum += B_[at(b)][at(e)] + (b == e ? 1.0 : 0.0);
            if (e == b) sum += B_[at(d)][at(c)];
            if (b == d) sum += C_[at(c)][at(e)];
            quadratic_[at(Of::move_of_L(b, c))][at(Of::move_of_L(d, e))] = sum;
          }
    }
  }

  /// Completes what meets the moves of others.
  void meet(Parameter<D>& one) const {
    for (std::size_t i = 0; i < Of::n_moves; ++i)
      for (std::size_t j = 0; j < Of::n_moves; ++j) one.meet[i] += 0.5 * quadratic_[i][j] * one.move[j];
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  static double pair_of(const Means& means, int b, int c) {
    return means[at(1 + Of::move_of_L(std::min(b, c), std::max(b, c)))];
  }

  void weigh_mode(const TraitPlace& place) {
    for (std::size_t c = 0; c < D; ++c)
      for (std::size_t b = 0; b <= c; ++b) C_[b][c] = C_[c][b] = B_[b][c] + (b == c ? 1.0 : 0.0);
    Vector gamma = alpha_;
    for (int b = 0; b < D; ++b)
      for (int c = 0; c < D; ++c)
        for (int d = 0; d < D; ++d) gamma[at(b)] -= 0.5 * C_[at(c)][at(d)] * third(b, c, d);
    for (int a = 0; a < D; ++a) {
      weights_of_mode_.lambda[at(a)] = 0.0;
      for (int b = a; b < D; ++b) weights_of_mode_.lambda[at(a)] += place.L[a * D + b] * gamma[at(b)];
      for (int e = 0; e < D; ++e) {
        double sum = 0.0;
        for (int b = a; b < D; ++b)
          for (int c = e; c < D; ++c) sum += place.L[a * D + b] * C_[at(b)][at(c)] * place.L[e * D + c];
        weights_of_mode_.C[at(a)][at(e)] = sum;
      }
    }
    curved_.fill(0.0);
  }

  bool twice_;
  Vector alpha_{};
  Matrix B_{}, C_{};
  std::array<Upper, D> third_{};
  std::array<Upper, Of::n_weights> spread_{};  ///< of f'' at the nodes, along L
  Upper curved_{};
  ModeWeights<D> weights_of_mode_{};
  std::array<Moves, Of::n_moves> quadratic_{};
};

}  // namespace multilevel::likelihood
