// The kinds of step of a search, from its best point to a better one. Each finds a point whose log-likelihood is higher
// and stands there, or says that it found none.
#pragma once

#include "search/bounds.hpp"
#include "search/newton.hpp"
#include "search/trust_region.hpp"

namespace multilevel::search {

/// Predicted gain above which Fisher information is made anew.
inline constexpr double far_away = 0.5;

class Steps {
 protected:
  Steps(likelihood::Objective& objective, const std::vector<bool>& free, const NewtonOptions& options);
  ~Steps() = default;

  static double* covariance(std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }
  /// A standard deviation of the responses, on the scale of eta.
  double unit() const { return model_.family().is_linear() && n_phi_ > 0 ? std::exp(best_.psi[p_ + n_theta_]) : 1.0; }
  /// The largest step of a coefficient beside the largest that is allowed.
  double beta_excess(const Eigen::VectorXd& step) const;
  /// Whether the quadratic may be trusted over this step: theta changes by less than half of its size.
  bool moderate(const Eigen::VectorXd& step) const;
  Eigen::VectorXd capped(Eigen::VectorXd step) const;
  /// Takes the point if its log-likelihood is at least `least`; best_ changes only then. From a `jump` nothing is
  /// learned about the curvature.
  bool try_point(const Eigen::VectorXd& psi, double least, bool jump = false);
  void take_trial(const Eigen::VectorXd& psi, bool same_coordinates);
  /// BFGS: what the step showed of the curvature goes into the Hessian; from far away into the Fisher information of
  /// the new point, near by into what has been learned so far.
  Eigen::MatrixXd updated_hessian(const Eigen::VectorXd& psi) const;
  /// Backtracking: Armijo, with the quadratic through value, slope and the failed value.
  bool try_line(const Eigen::VectorXd& step, const Eigen::VectorXd& gradient);
  /// Fisher scoring with the covariance matrix Sigma = Lambda Lambda' as the parameter:
  /// Sigma + D Lambda' + Lambda D', D = I_theta^-1 g_theta. Exact for balanced linear models, and good from far away,
  /// where the same step in Lambda is not.
  bool try_fisher(const Eigen::VectorXd& gradient);
  /// Of a linear model theta is relative to sigma, which has been profiled out. Where sigma goes to zero the likelihood
  /// levels off as 1 / theta^2, and Newton's method would get there by thirds.
  bool try_leap();
  /// The best step that the quadratic promises within a radius; the radius learns from what was had of it.
  bool try_trust(const ScaledInformation& information, const Eigen::VectorXd& gradient);
  /// Away from a saddle point, along the direction of the most negative curvature, both ways.
  bool try_curvature(const ScaledInformation& information);

  likelihood::Objective& objective_;
  const model::Model& model_;
  std::vector<bool> free_;  ///< without what the bounds hold
  const NewtonOptions& options_;
  int p_, n_theta_, n_phi_;
  Bounds bounds_;
  bool all_free_;         ///< whether the caller leaves all parameters free
  bool exact_ = true;     ///< whether best_.sums.hessian is the Hessian
  double radius_ = -1.0;  ///< of the trust region, in the coordinates of the scaled information; negative: none yet
  double curvature_length_ = 1.0;  ///< of the last step along a negative curvature, beside the longest
  Optimum best_;
  likelihood::Sums trial_;
  std::vector<double> trial_modes_, trial_covariance_;
};

}  // namespace multilevel::search
