// A likelihood can have several maxima. When a fit looks odd, the search is run again from elsewhere, and the best
// wins.
#pragma once

#include <string>
#include <vector>

#include "search/newton.hpp"

namespace multilevel::search {

inline constexpr double much_overlap = 0.8;  // squared cosine of two random columns that are not free to be recombined
inline constexpr double large_effect = 2.0;  // of a standard deviation, on the scale of eta or beside the residual's
inline constexpr int most_loadings = 8;      // of a term, to be looked at one by one

struct NamedStart {
  std::string name;
  Eigen::VectorXd psi;
  bool means_first = false;  ///< coefficients and variances follow the family's parameters before these move
};

/// Few enough to have several maxima whatever the model is.
bool has_few_rows(const likelihood::Objective& objective);

/// Whether a formula says how dispersed rows are by this part of phi.
bool is_dispersion_formula(const model::Model& model, std::size_t part);

/// Whether anything about an optimum suggests that there may be another: a boundary, a search that had trouble, few
/// data, random effects whose columns nearly repeat each other, a link whose linear predictor has bounds, a structure
/// or density known for several maxima.
bool looks_odd(const likelihood::Objective& objective, const Optimum& optimum, const std::vector<bool>& free);

/// Starting values that differ from `plain` in the variances: small, large, each in turn the larger one, and in the
/// correlations of structures. The most telling first.
std::vector<NamedStart> other_starts(const likelihood::Objective& objective, const Eigen::VectorXd& plain);

/// How far apart responses are on the scale of the linear predictor: their standard deviation where they are numbers
/// and the link is the identity, else one.
double unit_of_level(const model::Model& model, const model::Response& response);

/// `n` starting values here and there: variances, correlations, coefficients and the family's parameters are drawn
/// around the best point and around `plain` in turn; coefficients, where there are no variances, by `unit`s of the
/// level. The same for every fit of the model.
std::vector<NamedStart> scattered(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                  const Eigen::VectorXd& plain, double unit, int n);

/// Sizes of the columns of Lambda that a start may choose apart: one per term, or per coefficient where they are
/// independent. As positions in theta.
std::vector<std::vector<int>> components(const likelihood::Objective& objective);

/// How many of other_starts() the size of the data allows.
int affordable_starts(const likelihood::Objective& objective);

}  // namespace multilevel::search
