// What each independent part of the data contributes at given parameters, on the user's scale.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "likelihood/objective.hpp"

namespace multilevel::fit {

struct ContributionRequest {
  int n_quadrature = 1;
  bool moments = false;
  int threads = 1;
  double most_bytes = 0.0;                 ///< as in FitOptions
  const std::int32_t* row_part = nullptr;  ///< of models without random effects: the part of each row
  int n_parts = 0;                         ///< how many there are
};

struct ContributionRecord {
  bool good = false;            ///< false where a conditional mode cannot be found, or a number is not finite
  Eigen::VectorXd value;        ///< log-likelihoods with all constants, by part
  Eigen::MatrixXd gradient;     ///< derivatives by psi, a column per part
  std::vector<int> level_part;  ///< the part of each level of the leading factor
  int leading = 0;              ///< which factor that is
  // Per grouping factor, as FitRecord has its modes: on the user's scale.
  std::vector<Eigen::MatrixXd> mean, third, fourth;  ///< q x n_levels
  std::vector<Eigen::MatrixXd> covariance;           ///< q*q x n_levels
};

/// By maximum likelihood: also of linear mixed models, whatever they were fitted by.
ContributionRecord contributions(const model::Model& model, const double* y, const Eigen::VectorXd& psi,
                                 const ContributionRequest& request, const likelihood::Monitor& monitor);

}  // namespace multilevel::fit
