// One side of a profile: from the maximum outwards, point by point, to where the log-likelihood has fallen by as much
// as an interval allows, or to the end of what the quantity may be.
#pragma once

#include <vector>

#include "profile/constrained.hpp"

namespace multilevel::profile {

/// The maximum that a profile starts from, on the scale inside.
struct Summit {
  Eigen::VectorXd psi;
  std::vector<double> modes;
  double value = 0.0;
  Eigen::MatrixXd hessian;
  Eigen::VectorXd errors;               ///< how far each parameter may go, the others following
  std::vector<Eigen::VectorXd> others;  ///< lower maxima: away from the highest one of them may lie above it
};

struct CurvePoint {
  double value = 0.0;  ///< of the quantity
  double fall = 0.0;   ///< zeta without its sign: the square root of twice what the log-likelihood lost
  double slope = 0.0;  ///< of `fall` in the distance from the maximum; NaN at an end that is no point like the others
  Eigen::VectorXd psi;
  std::vector<double> modes;
};

enum class End {
  limit,      ///< where `fall` is the one that was asked for
  edge,       ///< the end of what the quantity may be; `fall` is less there
  unbounded,  ///< nothing is lost any more, however far the quantity goes
  failed,     ///< no maximum of the rest could be found further out
};

struct Side {
  std::vector<CurvePoint> points;  ///< outwards, without the maximum
  End end = End::failed;
  double limit = 0.0;                                      ///< where it ends; infinite where nothing is lost any more
  double most = -std::numeric_limits<double>::infinity();  ///< the largest log-likelihood on the way
};

/// `direction` is 1 or -1, `cutoff` the fall to find, on the way to which at least `steps` points are made.
Side climb_down(likelihood::Objective& whole, const model::Response& response, const model::UserScale& scale,
                const Summit& summit, const Quantity& quantity, int direction, double cutoff, int steps,
                const likelihood::Monitor& monitor);

}  // namespace multilevel::profile
