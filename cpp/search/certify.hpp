// The certifying step: judges parameters by what is measured there, whatever search brought them.
//
// Nothing that a search believed counts: value, gradient and Hessian are evaluated at the parameters themselves, in the
// user's order of coefficients, and the record of a fit holds these and no other numbers.
#pragma once

#include "search/newton.hpp"

namespace multilevel::search {

enum class Finding {
  certified,   ///< no gain left, no direction in which the log-likelihood bends upwards, zeros that are maxima
  can_rise,    ///< a step or a direction promises more
  runs_off,    ///< nothing is left to gain, and the step left is long: there is no maximum, or none to be told
  unmeasured,  ///< value or derivatives cannot be had there
};

/// Judges optimum.psi, whose coefficients must stand in the user's order. Everything else in `optimum` but its trace
/// and its ending becomes that of this point, `free` the parameters that are not at a boundary there. `gain_tolerance`
/// is raised to what rounding leaves.
Finding certify(likelihood::Objective& objective, Optimum& optimum, std::vector<bool>& free, double gain_tolerance);

}  // namespace multilevel::search
