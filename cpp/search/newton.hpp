// The optimizer: Fisher scoring on the covariance scale from far away, Newton with the exact Hessian near by, a trust
// region where neither serves.
//
// Both come from the same evaluation. The exact Hessian makes the end a certificate: the fit stops where the predicted
// gain (1/2) g' I^-1 g is negligible and I = -Hessian has no negative eigenvalue, not where a step happened to be
// short.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <string>
#include <vector>

#include "likelihood/objective.hpp"
#include "likelihood/point.hpp"
#include "search/scaled_information.hpp"

namespace multilevel::search {

/// Scaled curvature below minus this bends the wrong way: it is more than rounding.
inline constexpr double negative_curvature = 1e-7;

struct NewtonOptions {
  double gain_tolerance = 1e-9;  ///< absolute, in units of the log-likelihood
  int most_iterations = 100;
  bool look_for_separation = true;
  int patience = 6;              ///< iterations before a long step is looked at
  bool mode_covariance = true;   ///< whether the optimum is to have the covariances of the modes
  bool last_step_later = false;  ///< end where one more Newton step would leave nothing: the certificate takes it
  /// End without the Hessian where an evaluation does not give it and nothing odd is near by: the certificate makes it
  /// of the point that is reported.
  bool hessian_later = false;
  bool starts_near = false;  ///< the start is where Newton's method had led, by a coarser rule
  bool reorder = true;       ///< whether coefficients may change places while searching
  /// A log-likelihood that the end must reach to be of use, and how far ahead a search looks for it: so many
  /// iterations, each as good as the best of the last few.
  double needed = -std::numeric_limits<double>::infinity();
  int foresight = 100;
};

enum class Ending {
  converged,  ///< gain below the tolerance, no negative curvature
  iteration_limit,
  no_increase,   ///< no step raises the log-likelihood though the predicted gain is not negligible
  separation,    ///< the likelihood rises for ever in a direction of beta
  divergence,    ///< the likelihood rises for ever in a direction of theta
  exact_fit,     ///< the model reproduces the response: its dispersion goes to zero and the likelihood to infinity
  no_start,      ///< the log-likelihood is not finite at the start
  out_of_reach,  ///< it creeps, far below the log-likelihood that was needed
};

/// Whether more can be made of where a search ended: it has neither run away nor failed to begin.
inline bool worth_settling(Ending ending) {
  return ending == Ending::converged || ending == Ending::no_increase || ending == Ending::iteration_limit;
}

struct Iteration {
  double value, gain;
  std::string step;  ///< how the point was reached
};

/// psi is in the order of the objective's layout, which the search may change.
struct Optimum : likelihood::Point {
  Eigen::VectorXd differentiated;  ///< where differences gave the Hessian last, if an evaluation does not give it
  double gain = 0.0;               ///< predicted gain left
  bool step_left = false;          ///< one more step leaves nothing, and is still to be taken
  Ending ending = Ending::iteration_limit;
  std::vector<Iteration> trace;
};

/// In log-likelihood: less is the same maximum. Large counts leave no more digits of it.
inline constexpr double same_maximum = 1e-7;
/// What rounding leaves of a difference of log-likelihoods.
double noise(const likelihood::Sums& sums);

/// Maximizes over the parameters marked free. `response` is for the test of separation.
Optimum maximize(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
                 std::vector<double> modes, const std::vector<bool>& free, const NewtonOptions& options,
                 const likelihood::Monitor& monitor);

}  // namespace multilevel::search
