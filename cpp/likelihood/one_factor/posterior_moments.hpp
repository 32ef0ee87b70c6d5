// Moments of a cluster's random effects given the data, on the user's scale.
#pragma once

#include <vector>

#include "likelihood/contributions.hpp"
#include "likelihood/one_factor/strip.hpp"

namespace multilevel::likelihood {

class PosteriorMoments {
 public:
  explicit PosteriorMoments(int q) : q_(static_cast<std::size_t>(q)), work_(2 * q_ * q_) {}

  /// At the mode v, with L^-1 and Lambda (q x q) and h = H^-1 kappa (q): the mean moves from the mode by what the third
  /// derivatives ask for, as the log-likelihood of a shifted prior would tell (Tierney, Kass and Kadane 1989).
  void add_at_mode(int cluster, const double* v, const double* h, const double* Linv, const double* lambda,
                   const ClusterRows& of, Contributions& to);

  /// Over nodes v (q each) with their shares.
  void add_over_nodes(int cluster, const std::vector<double>& share, const std::vector<double>& v, Contributions& to);

 private:
  struct Places;
  Places places(int cluster, Contributions& to) const;

  std::size_t q_;
  std::vector<double> work_;
};

}  // namespace multilevel::likelihood
