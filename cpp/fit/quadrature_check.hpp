/// The same estimates with more quadrature points: what they would change.
#pragma once

#include <memory>

#include "fit/fit.hpp"

namespace multilevel::fit {

/// Nodes per cluster; of nested factors those of an inner unit for each of the outer level's.
double node_count(const model::Model& model, int points);

QuadratureCheck check_quadrature(const model::Model& model, const model::Response& response, const FitOptions& options,
                                 const search::Optimum& optimum, const Eigen::MatrixXd& covariance,
                                 const likelihood::Monitor& monitor,
                                 const std::shared_ptr<likelihood::SparseRows>& rows);

}  // namespace multilevel::fit
