// Where a search from elsewhere begins that starts at the best point there is: what is changed, one thing at a time.
#pragma once

#include <vector>

#include "search/other_starts.hpp"

namespace multilevel::search {

/// Starting values that differ from the best point in all variances at once, in the family's parameters, in one
/// component of the variances, which is larger, smaller, nearly zero, or not zero any more, or in the correlations.
std::vector<NamedStart> moves(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                              const Eigen::VectorXd& plain);

/// Starting values that differ from the best point where another maximum is likeliest: in variances of zero,
/// correlations at an end, the family's parameters, the level of the responses by `unit`s, and, where random columns
/// nearly repeat each other, in which of independent effects has the variance.
std::vector<NamedStart> likely_moves(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                     const Eigen::VectorXd& plain, double unit);

/// Coefficients of formulas of the family's parameters as at `plain`, but the first of the parameter that was `moved`:
/// they may stand where only the old value of that one wants them, from where no search comes back. True if that
/// changes any.
bool begin_formulas_anew(const likelihood::Objective& objective, const Eigen::VectorXd& plain, std::size_t moved,
                         Eigen::VectorXd& psi);

}  // namespace multilevel::search
