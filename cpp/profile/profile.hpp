// Profiles of the log-likelihood: both sides of every quantity, in parallel, from a maximum that is given.
#pragma once

#include <string>
#include <vector>

#include "profile/curve.hpp"

namespace multilevel::profile {

struct ProfileOptions {
  int n_quadrature = 1;
  int threads = 1;
  double cutoff = 1.959963984540054;  ///< of zeta
  int steps = 4;                      ///< to each side
  double most_bytes = 0.0;            ///< as of a fit
};

/// A profile on the user's scale; the sides are the lower and the upper one.
struct Profile {
  Eigen::VectorXd values, zeta, slopes;  ///< ascending values, signed zeta, and its slope
  Eigen::MatrixXd psi;                   ///< a row per value
  double limits[2];
  End ends[2];
};

struct ProfileRecord {
  bool measured = false;  ///< whether the log-likelihood could be evaluated at psi
  double value = 0.0;     ///< of the log-likelihood at psi
  double most = 0.0;      ///< the largest that was seen
  std::vector<Profile> profiles;
};

/// `psi` is the maximum on the user's scale, `others` are lower ones. Linear mixed models are profiled by ML.
ProfileRecord profile(const model::Model& model, const model::Response& response, const Eigen::VectorXd& psi,
                      const std::vector<Eigen::VectorXd>& others, const std::vector<Quantity>& quantities,
                      const ProfileOptions& options, const likelihood::Monitor& monitor);

}  // namespace multilevel::profile
