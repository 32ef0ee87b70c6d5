// Other maxima that are nearly as high as the best one. Searches from elsewhere end at them; where there is one,
// standard errors describe one of several peaks, and a higher one may have been missed.
#pragma once

#include <vector>

#include "search/newton.hpp"

namespace multilevel::search {

/// Where a search from elsewhere ended that did not lead higher, or the best point before one did.
struct End {
  double value;
  Eigen::VectorXd psi;  ///< in the user's order
};

/// A peak as high as this below the best one is within what its data leave open: half of the 95 % point of chi-square
/// with one degree of freedom, which bounds an interval by the likelihood.
inline constexpr double nearly_as_high = 1.92;

/// Climbs from the highest `ends` and certifies what is found there. True when that is higher than `best`, which is
/// replaced and has to be certified itself; else `rivals` are the maxima that are nearly as high, the highest first.
bool find_rivals(likelihood::Objective& objective, const model::Response& response, const NewtonOptions& options,
                 const likelihood::Monitor& monitor, std::vector<End>& ends, Optimum& best, std::vector<bool>& free,
                 std::vector<Optimum>& rivals);

}  // namespace multilevel::search
