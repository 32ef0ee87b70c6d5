// One search with its boundaries, and what is done with where it ends: the same point as users would write it, and
// whether two ends are one place.
#pragma once

#include <vector>

#include "search/newton.hpp"

namespace multilevel::search {

/// A rough search that has less left to gain than it lacks, by this margin, is of no use; in log-likelihood.
inline constexpr double hopeless = 0.05;

bool has_boundaries(const likelihood::Objective& objective);

/// A search and its boundaries, from a start in the user's order. An end that is not what was needed has none to
/// settle.
Optimum climb(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
              std::vector<double> modes, std::vector<bool>& free, const NewtonOptions& options,
              const likelihood::Monitor& monitor);

/// A search that ended early, or the step that it left, can leave what is a zero for all purposes.
void clear_zeros(const likelihood::Objective& objective, Eigen::VectorXd& psi);

/// The same point in the user's order of coefficients, with nothing negative on the diagonal; one more step is taken
/// whose gain is too small to see, where that is free, and one that the search left to be taken.
void put_in_order(likelihood::Objective& objective, Optimum& optimum, bool polish);

/// Whether a point is no further from the best one than that one's curvature forgives.
bool near_by(const Optimum& best, const Eigen::VectorXd& psi);

/// Whether a rough search stands where the best one does.
bool same_place(const likelihood::Objective& objective, const Optimum& best, const Optimum& other);

}  // namespace multilevel::search
