// A whole fit: start, optimize, settle the boundary, certify. Everything in the record is on the user's scale.
#pragma once

#include <string>
#include <vector>

#include "estimate/newton.hpp"

namespace multilevel::estimate {

struct FitOptions {
  int n_quadrature = 1;
  int threads = 1;
  double gain_tolerance = 1e-9;
  int most_iterations = 100;
  Eigen::VectorXd start;         ///< psi on the user's scale, or empty
  bool check_quadrature = true;  ///< re-evaluate at the optimum with more points
};

/// d log-likelihood / d variance at a variance that is exactly zero: negative where zero is the maximum.
struct BoundaryScore {
  int term, coefficient;
  double score;
};

struct QuadratureCheck {
  int n_points = 0;              ///< per dimension; 0: not made, it would have passed the cost limit
  bool exact = false;            ///< the approximation is exact, whatever the number of points
  double change_deviance = 0.0;  ///< of -2 log-likelihood, at the estimates
  Eigen::VectorXd shift;         ///< of each estimate, in standard errors; NaN at the boundary
};

struct FitRecord {
  Eigen::VectorXd psi;  ///< (beta, theta, phi)
  double value = 0.0;   ///< log-likelihood, constants included
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;
  Eigen::MatrixXd covariance;       ///< inverse of -hessian over the free parameters; NaN for those at the boundary
  Eigen::MatrixXd beta_covariance;  ///< of beta; for linear families given theta and phi, as mixed-model packages do
  Eigen::VectorXd eigenvalues;      ///< of the information scaled to a unit diagonal, ascending
  Eigen::VectorXd step;             ///< the Newton step that would come next
  double gain = 0.0;                ///< predicted gain of that step
  std::vector<BoundaryScore> boundary;
  QuadratureCheck quadrature;
  Eigen::MatrixXd modes;            ///< q x n_clusters: conditional modes of u
  Eigen::MatrixXd mode_covariance;  ///< q*q x n_clusters: Lambda H^-1 Lambda'
  Ending ending = Ending::no_start;
  int failed_cluster = -1;
  int evaluations = 0, start_evaluations = 0;
  std::vector<Iteration> trace;
  double seconds = 0.0;
};

/// The most nodes per cluster, points to the power of the number of random effects.
inline constexpr int most_nodes = 10000;

FitRecord fit(const model::Model& model, const model::Response& response, const FitOptions& options,
              const Monitor& monitor);

}  // namespace multilevel::estimate
