// The Fisher information of the entries of Lambda in the working linear mixed model, cluster by cluster.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "likelihood/one_factor/touches.hpp"
#include "likelihood/one_factor/trait_row.hpp"

namespace multilevel::likelihood {

template <int D>
class TraitInformation {
  using Matrix = typename TraitSizes<D>::Matrix;

 public:
  /// `entry_trait`: of each entry of Lambda, whose parameters are [p, phi).
  TraitInformation(int p, int phi, std::vector<int> entry_trait)
      : p_(p), phi_(phi), entry_trait_(std::move(entry_trait)) {
    for (auto& own : tau_) own.resize(at(phi - p));
  }

  /// Of rows [first, last), tr(T D_a T D_b) / 2 for entries a >= b, with D_a = d(Lambda Lambda')/d entry a and
  /// T = B - B Lambda H^-1 Lambda' B, B = Z' W Z.
  void add(const TraitRows& own, const Touches& touches, const TraitPlace& place, int first, int last,
           Eigen::MatrixXd& information) {
    const int n = phi_ - p_;
    Matrix S;  // Lambda' T Lambda = I - H^-1
    for (int a = 0; a < D; ++a)
      for (int b = 0; b < D; ++b) {
        S[at(a)][at(b)] = a == b ? 1.0 : 0.0;
        for (int c = std::max(a, b); c < D; ++c) S[at(a)][at(b)] -= place.L[a * D + c] * place.L[b * D + c];
      }
    for (auto& tau : tau_) std::fill(tau.begin(), tau.end(), 0.0);
    for (int j = first; j < last; ++j) {
      const auto tilde = along_L<D>(own, place, j);
      const double W = -own.rows.at_mode.eta[1][j];
      for (int e = touches.first(j); e < touches.first(j + 1); ++e) {
        const Touch& x = touches[e];
        if (x.kind < 1 || x.kind > D) continue;
        const int a = x.parameter - p_;
        for (int c = 0; c < D; ++c) tau_[at(c)][at(a)] += W * x.value * tilde[at(c)];
        for (int g = touches.first(j); g <= e; ++g)
          if (const Touch& y = touches[g]; y.kind >= 1)
            information(a, y.parameter - p_) += S[at(x.kind - 1)][at(y.kind - 1)] * W * x.value * y.value;
      }
    }
    if constexpr (D == 1) {
      const double factor = place.L[0] * place.L[0] - S[0][0];
      const double* tau = tau_[0].data();
      for (int b = 0; b < n; ++b) {
        if (tau[b] == 0.0) continue;
        double* to = &information(0, b);
        const double times = factor * tau[b];
#pragma omp simd
        for (int a = b; a < n; ++a) to[a] += times * tau[a];
      }
    } else {
      for (int b = 0; b < n; ++b)
        for (int a = b; a < n; ++a) {
          const int x = entry_trait_[at(a)], y = entry_trait_[at(b)];
          double tt = 0.0;
          for (int c = 0; c < D; ++c) tt += tau_[at(c)][at(a)] * tau_[at(c)][at(b)];
          information(a, b) += times_L(place, x, b) * times_L(place, y, a) - S[at(x)][at(y)] * tt;
        }
    }
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// Entry `trait` of L times tau of an entry of Lambda.
  double times_L(const TraitPlace& place, int trait, int entry) const {
    double sum = 0.0;
    for (int c = trait; c < D; ++c) sum += place.L[trait * D + c] * tau_[at(c)][at(entry)];
    return sum;
  }

  int p_, phi_;
  std::vector<int> entry_trait_;
  std::array<std::vector<double>, D> tau_;  ///< L' Lambda' B, by the row of each entry
};

}  // namespace multilevel::likelihood
