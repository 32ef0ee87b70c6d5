// The sum of all rows' log densities, panels side by side.
#pragma once

#include <functional>
#include <vector>

#include "likelihood/objective.hpp"
#include "numeric/compensated_sum.hpp"

namespace multilevel::likelihood {

/// The total of `value` over the rows, cluster by cluster, once `evaluate` has set those of a panel (by its number);
/// `partial` are the sums of the chunks.
double row_total(const model::Model& model, int threads, const Monitor& monitor, const double* value,
                 std::vector<numeric::CompensatedSum>& partial, const std::function<void(int panel)>& evaluate);

}  // namespace multilevel::likelihood
