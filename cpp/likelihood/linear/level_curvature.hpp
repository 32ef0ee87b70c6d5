// What one level of the only grouping factor adds to the second derivatives of a linear model's log-likelihood, along
// theta itself: a term of many coefficients with few parameters costs no more than these few.
//
// With T and R of curvature.hpp, D_k = dLambda / dtheta_k, U = T Lambda, G = Lambda'R, W = M_xx^-1 (if restricted) and
// c = (-beta, 1), everything is linear in D_k beside
//
//   K_l = T D_l H^-1 - U D_l'U + (T M_l) W G' + R W V_l'     of log|H|, and log|M_xx| (columns of X alone)
//   Q_l = (T M_l c) (G c)' + (R c) (V_l c)'                  of r2
//   M_l = D_l G + Lambda D_l'R,  V_l = U'D_l G - H^-1 D_l'R
//
// as 2 tr(D_k'K_l) and 2 tr(D_k'Q_l). H^-1 = I - Lambda'T Lambda stands for that difference, which has no digits where
// random effects leave next to no residual.
#pragma once

#include <Eigen/Core>
#include <utility>
#include <vector>

#include "model/layout.hpp"

namespace multilevel::likelihood {

class LevelCurvature {
 public:
  explicit LevelCurvature(std::vector<model::ThetaDirection> directions) : directions_(std::move(directions)) {}

  /// What a level is, in the notation above.
  struct Level {
    const Eigen::MatrixXd &T, &lambda, &R;
    Eigen::Map<const Eigen::MatrixXd> inverse;  ///< H^-1
  };
  /// Adds to the lower triangles of the second derivatives, and the slopes dM_k. `weight`: W, empty if not restricted.
  void add(const Level& level, const Eigen::VectorXd& contrast, const Eigen::MatrixXd& weight,
           Eigen::MatrixXd& log_part, Eigen::MatrixXd& square, std::vector<Eigen::MatrixXd>& slope);

 private:
  std::vector<model::ThetaDirection> directions_;
  Eigen::MatrixXd K_, left_, right_, DG_, DR_, TM_, V_;
};

}  // namespace multilevel::likelihood
