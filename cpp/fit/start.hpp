// Where a fit starts: the generalized linear model for beta and phi, a share of its residual scatter for theta.
#pragma once

#include "likelihood/one_factor/sparse_rows.hpp"
#include "search/newton.hpp"

namespace multilevel::fit {

struct Start {
  Eigen::VectorXd psi;        ///< (beta, theta, phi)
  double value = -1.0 / 0.0;  ///< log-likelihood without random effects, where all rows were seen
  search::Ending ending = search::Ending::converged;  ///< or no_start, or exact_fit: then psi is of no use
};

/// Uses every stride-th panel. `rows`: of the same model and response.
Start starting_values(const model::Model& model, const model::Response& response, int stride, int threads,
                      const likelihood::Monitor& monitor, std::shared_ptr<likelihood::SparseRows> rows = nullptr);

/// The mean of the response, a dispersion of one and effects of ordinary size, whatever the data: where the regression
/// ran off, nothing that begins there finds its way back. Empty where that is no place to begin.
Eigen::VectorXd ordinary_values(const model::Model& model, const model::Response& response, int stride);

}  // namespace multilevel::fit
