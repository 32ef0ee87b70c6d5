// A linear mixed model whose random effects can take all of the response has no maximum: sigma goes to zero.
#pragma once

#include "search/newton.hpp"

namespace multilevel::search {

/// Whether theta stands beside a sigma that the objective has profiled out.
bool is_relative_to_sigma(const likelihood::Objective& objective);

/// The same with a sigma that can be told from zero, relative to which theta is.
Eigen::VectorXd with_a_residual(const likelihood::Objective& objective, const Eigen::VectorXd& psi);

/// Whether nothing is left of sigma beside the random effects, and the likelihood has no opinion on how little.
bool residual_vanishes(const likelihood::Objective& objective, const Optimum& optimum);

/// Whether the value is the same with a third of sigma, far out: second derivatives by it are rounding there.
bool levels_off(likelihood::Objective& objective, const Optimum& optimum);

}  // namespace multilevel::search
