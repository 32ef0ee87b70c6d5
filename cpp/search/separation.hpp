// Separation: a direction of beta, and of thresholds, along which the densities of some rows rise for ever and those of
// none fall.
#pragma once

#include <Eigen/Core>

#include "model/model.hpp"

namespace multilevel::search {

/// True when moving beta, and thresholds where there are some, along `direction`, which is of all parameters, for ever
/// raises the density of some rows and lowers none: no maximum exists.
/// Rows that move against their side by less than `tolerance` of the largest move count as standing still.
bool separates(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
               double tolerance);

}  // namespace multilevel::search
