// Which spherical random effects of a level matter: a term whose Lambda has fewer columns than rows leaves the others
// at their prior, where an integral over them is one.
#pragma once

#include <vector>

#include "model/model.hpp"

namespace multilevel::model {

/// Their positions among the random effects of a level, ascending, counted from the factor's first one.
std::vector<int> spherical_effects(const Model& model, int factor);

}  // namespace multilevel::model
