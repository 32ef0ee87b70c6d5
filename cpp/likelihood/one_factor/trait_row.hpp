// What a row says of the derivatives of its cluster. Parameters come in kinds: one of the fixed part moves eta by its
// column, a loading by its column times a trait, and one of the family's parameters moves the density itself. All that
// a row has to say of a parameter depends on its kind, but for the value of its column.
//
// Traits are measured from the mode in units of L, where L L' = H^-1: a tilde in the formulas of docs/theory.md.
#pragma once

#include <array>
#include <vector>

#include "family/family.hpp"
#include "likelihood/one_factor/trait_nodes.hpp"

namespace multilevel::likelihood {

/// Position of (b, c), b <= c, in an upper triangle.
inline constexpr int upper(int b, int c) { return c * (c + 1) / 2 + b; }

template <int D>
struct TraitSizes {
  static constexpr int n_upper = D * (D + 1) / 2;
  static constexpr int n_moves = D + n_upper;    ///< of the nodes: with the mode, and with L, an upper triangle
  static constexpr int n_weights = 1 + n_moves;  ///< of nodes: their shares, times coordinates, times pairs of these
  using Vector = std::array<double, D>;
  using Matrix = std::array<Vector, D>;
  using Upper = std::array<double, n_upper>;
  using Moves = std::array<double, n_moves>;
  using Means = std::array<double, n_weights>;
  static constexpr int move_of_L(int b, int c) { return D + upper(b, c); }
};

/// L' w of a row.
template <int D>
typename TraitSizes<D>::Vector along_L(const TraitRows& own, const TraitPlace& place, int row) {
  typename TraitSizes<D>::Vector r{};
  for (std::size_t b = 0; b < D; ++b)
    for (std::size_t c = 0; c <= b; ++c) r[b] += place.L[c * D + b] * own.w[c][row];
  return r;
}

/// Sums over the nodes, by each of the weights, of a row's derivatives by eta, and of those by the family's parameters,
/// which are pointers to as many as there are.
template <int D>
struct RowMeans {
  using Means = typename TraitSizes<D>::Means;
  Means d1, d2;
  const double* phi;
  const Means* phi_eta;
  const double* pair;
};

/// The second derivatives of the log-likelihood hold those of lambda' g + <C, sum l'' w w'> / 2 at the mode, g = f'.
template <int D>
struct ModeWeights {
  typename TraitSizes<D>::Vector lambda;
  typename TraitSizes<D>::Matrix C;
};

template <int D>
class TraitRow {
  using Of = TraitSizes<D>;
  using Vector = typename Of::Vector;

 public:
  explicit TraitRow(int parts)
      : parts_(parts), of_(static_cast<std::size_t>(1 + D + parts)), second_(of_.size() * of_.size()) {}

  /// A parameter of a kind whose column is one.
  struct Direction {
    double score = 0.0;         ///< mean of the log density's derivative at fixed nodes
    typename Of::Moves move{};  ///< of the mode, and of L' H L at a fixed mode
    typename Of::Moves meet{};  ///< what meets the moves with other parameters in the Hessian
  };
  const Direction& of(int kind) const { return of_[static_cast<std::size_t>(kind)]; }
  /// The row's own second derivative by parameters of two kinds, the first no less than the second.
  double second(int a, int b) const { return second_[place(a, b)]; }
  /// Of the function that `weights` of the mode make, twice by eta.
  double curvature() const { return curvature_; }
  const Vector& tilde() const { return tilde_; }

  /// w of the row.
  void stand(const TraitRows& own, const TraitPlace& at, int row) {
    for (int c = 0; c < D; ++c) w_[c] = own.w[c][row];
    tilde_ = along_L<D>(own, at, row);
  }

  /// Scores and moves.
  void look(const TraitRows& own, const TraitPlace& at, int row, const RowMeans<D>& mean) {
    const auto& mode = own.rows.at_mode;
    const double l1 = mode.eta[0][row], l2 = mode.eta[1][row], l3 = mode.eta[2][row];
    Direction& fixed = of_[0];
    fixed.score = mean.d1[0];
    for (int c = 0; c < D; ++c) {
      fixed.move[c] = l2 * tilde_[c];
      for (int b = 0; b <= c; ++b) fixed.move[Of::move_of_L(b, c)] = -l3 * tilde_[b] * tilde_[c];
    }
    for (int e = 0; e < D; ++e) {
      Direction& own_loading = of_[static_cast<std::size_t>(1 + e)];
      const double v = at.mode[e], *ell = at.L + e * D;
      own_loading.score = along(at, e, mean.d1);
      for (int c = 0; c < D; ++c) {
        own_loading.move[c] = l2 * v * tilde_[c] + l1 * ell[c];
        for (int b = 0; b <= c; ++b)
          own_loading.move[Of::move_of_L(b, c)] =
              -l3 * v * tilde_[b] * tilde_[c] - l2 * (ell[b] * tilde_[c] + tilde_[b] * ell[c]);
      }
    }
    for (int r = 0; r < parts_; ++r) {
      Direction& parameter = of_[static_cast<std::size_t>(1 + D + r)];
      const double p1 = mode.phi[r][1][row], p2 = mode.phi[r][2][row];
      parameter.score = mean.phi[r];
      for (int c = 0; c < D; ++c) {
        parameter.move[c] = p1 * tilde_[c];
        for (int b = 0; b <= c; ++b) parameter.move[Of::move_of_L(b, c)] = -p2 * tilde_[b] * tilde_[c];
      }
    }
  }

  /// What the Hessian needs beyond these.
  void look_twice(const TraitRows& own, const TraitPlace& at, int row, const RowMeans<D>& mean,
                  const ModeWeights<D>& weights) {
    const auto& mode = own.rows.at_mode;
    const double l2 = mode.eta[1][row], l3 = mode.eta[2][row], l4 = mode.eta[3][row];
    Vector Cw;
    double omega = 0.0, c = 0.0;
    for (int b = 0; b < D; ++b) {
      Cw[b] = 0.0;
      for (int e = 0; e < D; ++e) Cw[b] += weights.C[b][e] * w_[e];
      omega += w_[b] * weights.lambda[b];
      c += w_[b] * Cw[b];
    }
    const double once = l2 * omega + 0.5 * l3 * c;
    curvature_ = l3 * omega + 0.5 * l4 * c;
    const double own_second = mean.d2[0] + curvature_, pull = mean.d1[0] + once;

    second_[place(0, 0)] = own_second;
    meet(of_[0].meet, own_second, mean.d2);
    Vector kappa, crossed;
    for (int e = 0; e < D; ++e) {
      const double v = at.mode[e], *ell = at.L + e * D;
      kappa[e] = l2 * weights.lambda[e] + l3 * Cw[e];
      const typename Of::Means with_v = times_trait(at, e, mean.d2);
      crossed[e] = with_v[0];
      const double second = crossed[e] + curvature_ * v + kappa[e];
      auto& own_meet = of_[static_cast<std::size_t>(1 + e)].meet;
      meet(own_meet, second, with_v);
      for (int b = 0; b < D; ++b) {
        own_meet[b] += pull * ell[b];
        for (int g = b; g < D; ++g) own_meet[Of::move_of_L(b, g)] -= ell[b] * mean.d1[1 + g];
      }
      second_[place(1 + e, 0)] = second;
      for (int f = 0; f <= e; ++f) {
        const double u = at.mode[f];
        second_[place(1 + e, 1 + f)] =
            along(at, f, with_v) + curvature_ * v * u + kappa[e] * u + kappa[f] * v + l2 * weights.C[e][f];
      }
    }
    for (int r = 0; r < parts_; ++r) {
      const auto& phi = mode.phi[r];
      const double p1 = phi[1][row], p2 = phi[2][row], p3 = phi[3][row];
      const auto& means = mean.phi_eta[r];
      const double curved = p2 * omega + 0.5 * p3 * c;
      second_[place(1 + D + r, 0)] = means[0] + curved;
      meet(of_[static_cast<std::size_t>(1 + D + r)].meet, means[0] + curved, means);
      for (int e = 0; e < D; ++e)
        second_[place(1 + D + r, 1 + e)] =
            along(at, e, means) + curved * at.mode[e] + p1 * weights.lambda[e] + p2 * Cw[e];
      for (int s = 0; s <= r; ++s) {
        const int pair = family::phi_pair(r, s);
        const auto& both = mode.phi_phi[pair];
        second_[place(1 + D + r, 1 + D + s)] = mean.pair[pair] + both[1][row] * omega + 0.5 * both[2][row] * c;
      }
    }
  }

 private:
  std::size_t place(int a, int b) const {
    return static_cast<std::size_t>(a) * of_.size() + static_cast<std::size_t>(b);
  }

  /// The mean of a function times trait e, mode_e + L_e't.
  static double along(const TraitPlace& at, int e, const typename Of::Means& means) {
    double sum = at.mode[e] * means[0];
    for (int b = e; b < D; ++b) sum += at.L[e * D + b] * means[1 + b];
    return sum;
  }
  /// That, and the same times each coordinate.
  static typename Of::Means times_trait(const TraitPlace& at, int e, const typename Of::Means& means) {
    typename Of::Means r{};
    r[0] = along(at, e, means);
    for (int c = 0; c < D; ++c) {
      r[1 + c] = at.mode[e] * means[1 + c];
      for (int b = e; b < D; ++b)
        r[1 + c] += at.L[e * D + b] * means[1 + Of::move_of_L(std::min(b, c), std::max(b, c))];
    }
    return r;
  }
  void meet(typename Of::Moves& to, double second, const typename Of::Means& means) const {
    for (int c = 0; c < D; ++c) {
      to[c] = second * tilde_[c];
      for (int b = 0; b <= c; ++b) to[Of::move_of_L(b, c)] = -tilde_[b] * means[1 + c];
    }
  }

  int parts_;
  Vector w_{}, tilde_{};
  std::vector<Direction> of_;
  std::vector<double> second_;
  double curvature_ = 0.0;
};

}  // namespace multilevel::likelihood
