// Second derivatives of the profiled log-likelihood of a linear mixed model, exactly.
//
// With Sigma the covariance of the random effects of all levels, T = Z'V^-1 Z and R = Z'V^-1 [X y] (V relative to
// sigma^2), for entries a and b of Lambda, dSigma_a = E_a Lambda' + Lambda E_a' and d2Sigma_ab = E_a E_b' + E_b E_a':
//
//   d log|H| = tr(T dSigma_a)            d2 log|H| = tr(T d2Sigma_ab) - tr(T dSigma_a T dSigma_b)
//   dM_a     = -R' dSigma_a R            d2M_ab    = -R' (d2Sigma_ab - dSigma_a T dSigma_b - dSigma_b T dSigma_a) R
//
// and log|M_xx|, r2 and beta follow from M. T is block diagonal for one grouping factor; for several it is full, which
// is only worth its price while the random effects are few.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/joint/precision.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// log|H| with the digits that a factorization of H loses where random effects leave next to no residual.
double sharp_log_determinant(const JointPattern& pattern, const CrossProducts& products, const Eigen::MatrixXd& lambda);

class LinearCurvature {
 public:
  explicit LinearCurvature(const JointPattern& pattern) : pattern_(pattern) {}

  /// Whether it can be had at the price of an evaluation or two,
  static bool affordable(const model::Model& model);
  /// and whether it costs so little that every evaluation can have it.
  static bool cheap(const model::Model& model) { return affordable(model) && model.factors().size() == 1; }

  /// `inverse`: the blocks of H^-1 of the levels with themselves;
  /// `residual`: R; `cross`: M_xx.
  void set(const CrossProducts& products, const Eigen::MatrixXd& lambda, const model::Layout& layout,
           const double* theta, const double* inverse, const Eigen::MatrixXd& residual, const Eigen::MatrixXd& cross,
           const Eigen::VectorXd& beta, bool restricted);

  // As far as they come from Lambda's first derivatives in theta:
  Eigen::MatrixXd log_part;    ///< of log|H|, and of log|M_xx| if restricted
  Eigen::MatrixXd square;      ///< of r2
  Eigen::MatrixXd beta_slope;  ///< d beta / d theta, p x theta

 private:
  /// One factor with few random effects per level: everything from moments of T and R over the levels.
  Eigen::MatrixXd by_level(const CrossProducts& products, const Eigen::MatrixXd& lambda, const double* inverse) const;
  void add_by_moments(const CrossProducts& products, const Eigen::MatrixXd& lambda, const double* inverse,
                      const Eigen::MatrixXd& residual);
  /// Of all levels of several factors, T_ and R_.
  void add_block(const Eigen::MatrixXd& lambda, const std::vector<std::pair<int, int>>& levels);

  const JointPattern& pattern_;
  const model::Layout* layout_ = nullptr;
  bool restricted_ = false;
  Eigen::MatrixXd T_, R_, weight_;               ///< of the block; weight_ = M_xx^-1 if restricted
  Eigen::VectorXd contrast_;                     ///< (-beta, 1)
  std::vector<Eigen::MatrixXd> moved_, turned_;  ///< dSigma_a R, dSigma_a T
  std::vector<Eigen::MatrixXd> slope_;           ///< dM_a
};

}  // namespace multilevel::likelihood
