// What an evaluation gives: value, gradient and Hessian, as sums over clusters.
#pragma once

#include <Eigen/Core>

#include "numeric/compensated_sum.hpp"

namespace multilevel::likelihood {

class Contributions;

/// What an evaluation is to compute beyond the value.
enum class Derivatives { gradient, hessian };

/// Sums over clusters; parameters are psi = (beta, theta, phi) on the model's internal scale.
struct Sums {
  numeric::CompensatedSum log_likelihood;  ///< of the clusters, without the response's constant
  double value = 0.0;                      ///< of all of them with the constant, set by Objective
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;            ///< complete only after complete()
  Eigen::MatrixXd hessian_error;      ///< of each entry, where differences gave them and tell; else empty
  Eigen::MatrixXd theta_information;  ///< Fisher information of theta in the working linear mixed model
  double sharpest = 0.0;              ///< the largest information of one random effect, its prior's as the unit
  int failed_cluster = -1;            ///< a cluster whose conditional mode could not be found, or -1
  long newton_steps = 0;
  long several_modes = 0;   ///< clusters where searches for the mode ended in different places; see mode_scan.hpp
  bool at_leisure = false;  ///< asks clusters to look for larger modes at leisure (Objective)
  Contributions* contributions = nullptr;  ///< also gets what each part adds, if there is one
  double log_dispersion = 0.0;             ///< log of a residual standard deviation that the objective has profiled out

  void start(int n_parameters, int n_theta, Derivatives derivatives);
  void add(const Sums& other);
  /// The clusters add the beta rows of all columns and the lower triangle of the rest; this fills in what symmetry
  /// gives.
  void complete(int n_beta);
};

}  // namespace multilevel::likelihood
