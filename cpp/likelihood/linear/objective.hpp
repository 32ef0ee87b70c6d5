// Linear mixed models: the log-likelihood (ML) or restricted log-likelihood (REML) with beta and sigma profiled out, a
// function of theta alone, where Lambda is relative to sigma.
//
// The rows are read once, into cross-products of Z, X and y; an evaluation touches none of them. With
// H = I + Lambda' Z'WZ Lambda, U = Lambda' Z'W [X y], V = H^-1 U and M = [X y]'W[X y] - U'V:
//
//   beta = M_xx^-1 M_xy,   r2 = M_yy - M_xy' beta,   sigma^2 = r2 / nu,   nu = n (ML) or n - p (REML),
//   -2 log-likelihood = log|H| + nu (1 + log(2 pi sigma^2)) [+ log|M_xx| for REML].
//
// Bates, Maechler, Bolker and Walker (2015) for the profiled deviance; docs/theory.md for its derivatives.
#pragma once

#include <memory>
#include <vector>

#include "likelihood/joint/moments.hpp"
#include "likelihood/linear/curvature.hpp"
#include "likelihood/objective.hpp"
#include "likelihood/point.hpp"
#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

class LinearObjective final : public Objective {
 public:
  LinearObjective(const model::Model& model, const model::Response& response, bool restricted, int threads,
                  const Monitor& monitor, double most_bytes = 0.0);

  bool evaluate(const Eigen::VectorXd& theta, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) override;
  bool has_exact_hessian() const override { return LinearCurvature::cheap(model_); }
  bool cheap_hessian() const override { return curvature_ != nullptr; }
  bool same_differences() const override { return true; }
  bool differentiate(const Eigen::VectorXd& theta, const std::vector<double>& modes, Sums& sums) override;
  void differentiate_ahead(const Eigen::VectorXd& theta) override;

  /// Whether least squares already leaves nothing of the response.
  bool exact() const { return exact_; }
  /// The log-likelihood without random effects, which least squares gives.
  double plain_value() const;
  /// Theta to start from.
  Eigen::VectorXd start() const;
  /// From psi = (beta, theta, phi) with Lambda absolute, to theta relative to sigma.
  Eigen::VectorXd relative(const Eigen::VectorXd& psi) const;
  /// Second derivatives at the last evaluation.
  void bend(const Eigen::VectorXd& theta);
  /// The Hessian of the profile, from its parts.
  Eigen::MatrixXd profile_hessian(const Eigen::VectorXd& square_slope, double variance) const;
  /// Makes the last evaluation and the last differences be those of this optimum. False when that cannot be.
  bool stand_at(Point& point);
  /// The optimum over theta as one over psi = (beta, theta, phi), Lambda absolute, phi = log sigma; its Hessian needs
  /// differentiate() to have been called there. With REML, beta's rows are those of generalized least squares.
  void expand(Point& point) const;
  /// The log-likelihood of all parameters, psi as expand() makes it, with its gradient and, where that is affordable,
  /// its Hessian; else Fisher information. ML alone.
  bool evaluate_all(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance);
  bool hessian_affordable() const { return curvature_ != nullptr; }
  /// Z'V^-1 X at the last evaluation, n_modes x p, on the internal scale.
  Eigen::MatrixXd projection() const;
  double work() const override;

 private:
  bool take_differences(const Eigen::VectorXd& theta);
  numeric::CompensatedSum profile_value(double log_part, double square) const;
  void set_cross_products(int first, const double* y, int threads);
  Eigen::MatrixXd products_without_modes();
  linear_algebra::Cholesky set_beta(const Eigen::MatrixXd& M);
  Eigen::VectorXd modes_of_residual() const;
  bool keeps_digits(const Eigen::VectorXd& modes) const;
  Eigen::VectorXd set_entry_slopes(const Eigen::VectorXd& modes, const linear_algebra::Cholesky& factor);
  void set_derivatives(const Eigen::VectorXd& theta, double variance, const Eigen::VectorXd& log_determinant_slope,
                       Derivatives wanted, Sums& sums);
  Eigen::MatrixXd products_by_rows() const;
  /// From theta relative to sigma to theta, the others as they are: derivatives with respect to (theta, phi).
  void make_absolute(const Eigen::VectorXd& theta, double phi, Eigen::VectorXd& gradient,
                     Eigen::MatrixXd& hessian) const;
  Eigen::MatrixXd relative_jacobian(const Eigen::VectorXd& theta, double phi) const;

  const model::Response& response_;
  bool restricted_, exact_ = false;
  JointPattern pattern_;
  CrossProducts products_;
  JointPrecision precision_;
  Eigen::MatrixXd zxy_, xy_;     ///< Z'W[X y], [X y]'W[X y], y less its least-squares fit
  Eigen::VectorXd own_squares_;  ///< the diagonal of B
  Eigen::VectorXd least_squares_;
  double nu_, log_scale_ = 0.0;                  ///< log determinant of beta's scale
  const Eigen::VectorXd* given_beta_ = nullptr;  ///< less least squares'; null: profiled out
  double given_variance_ = 0.0;
  // At the last evaluation:
  Eigen::VectorXd theta_;
  Eigen::MatrixXd lambda_, solved_, residual_, cross_;  ///< V, Z'W[X y] - B Lambda V, M_xx
  Eigen::VectorXd entry_slope_log_, entry_slope_square_;
  Eigen::VectorXd beta_, slope_log_, slope_square_;  ///< d (log|H| [+ log|M_xx|]), d r2
  Eigen::VectorXd beta_score_;                       ///< M_xy - M_xx beta, zero where beta is profiled out
  double log_part_ = 0.0, square_ = 0.0;
  // Second derivatives, from evaluate() or from differentiate():
  std::unique_ptr<LinearCurvature> curvature_;
  Eigen::VectorXd differentiated_;  ///< where
  Eigen::MatrixXd curve_log_, curve_square_, beta_slope_;
  std::vector<double> products_by_level_, inverse_by_level_;
};

}  // namespace multilevel::likelihood
