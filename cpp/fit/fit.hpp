// A whole fit: start, optimize, settle the boundary, certify. Everything in the record is on the user's scale.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "likelihood/one_factor/sparse_rows.hpp"
#include "search/ascent.hpp"
#include "search/boundary.hpp"

namespace multilevel::fit {

struct FitOptions {
  bool restricted = false;  ///< REML, for linear families
  int n_quadrature = 1;
  int threads = 1;
  double most_bytes = 0.0;  ///< for the factorization of crossed random effects; 0 is most of the machine's memory
  double gain_tolerance = 1e-9;
  int most_iterations = 100;
  Eigen::VectorXd start;         ///< psi on the user's scale, or empty
  bool restarts = true;          ///< search from elsewhere as well where anything looks odd
  bool check_quadrature = true;  ///< re-evaluate at the optimum with more points
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
  std::vector<search::BoundaryScore> boundary;
  QuadratureCheck quadrature;
  // Per grouping factor:
  std::vector<Eigen::MatrixXd> modes;            ///< q x n_levels: conditional modes of u
  std::vector<Eigen::MatrixXd> mode_covariance;  ///< q*q x n_levels: Lambda H^-1 Lambda'
  std::vector<Eigen::MatrixXd> projection;       ///< p x (q n_levels): X'V^-1 Z, of linear mixed models
  search::Ending ending = search::Ending::no_start;
  int failed_factor = -1, failed_level = -1;  ///< a level whose conditional mode could not be found
  int evaluations = 0, start_evaluations = 0, other_evaluations = 0;
  std::vector<search::Iteration> trace;
  std::vector<search::OtherStart> other_starts;  ///< what searches from elsewhere reached
  std::vector<search::End> other_maxima;         ///< nearly as high as what is reported
  double seconds = 0.0;
};

/// The most nodes per cluster.
inline constexpr int most_nodes = 10000;

/// The log-likelihood of all parameters, as its grouping factors ask for it. `rows`: of the same model and response.
std::unique_ptr<likelihood::Objective> make_objective(
    const model::Model& model, const model::Response& response, int n_quadrature, int threads,
    const likelihood::Monitor& monitor, likelihood::Derivatives derivatives = likelihood::Derivatives::hessian,
    double most_bytes = 0.0, std::shared_ptr<likelihood::SparseRows> rows = nullptr);

/// A record without a fit keeps its shapes, and no number in it passes for one.
FitRecord empty_record(const model::Model& model);

FitRecord fit(const model::Model& model, const model::Response& response, const FitOptions& options,
              const likelihood::Monitor& monitor);

}  // namespace multilevel::fit
