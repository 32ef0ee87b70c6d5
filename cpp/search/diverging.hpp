// A maximum at infinity: Newton's method has nothing left to gain, and is still on its way.
#pragma once

#include "search/newton.hpp"

namespace multilevel::search {

/// The dispersion of the rows of a kind, where kinds have families of their own.
double dispersion_of(const likelihood::Objective& objective, const Eigen::VectorXd& psi, int kind);

/// Whether the step left is long although it gains less than `negligible`: the log-likelihood rises for ever, or what
/// the data say of the parameters that it moves is less than rounding leaves.
bool diverges(const likelihood::Objective& objective, const Optimum& optimum, double negligible);

}  // namespace multilevel::search
