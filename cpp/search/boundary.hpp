// Variances that are zero and correlations at their end. Lambda is signed, so the log-likelihood is even in a vanishing
// column and zero is a stationary point; the exact Hessian there says whether it is a maximum: half of its diagonal
// entry is d log-likelihood / d variance. Only the standard deviations of Bounds::positive() need not be stationary.
#pragma once

#include "search/newton.hpp"

namespace multilevel::search {

/// d log-likelihood / d variance at a variance that is exactly zero: negative where zero is the maximum. With unit 1 it
/// is d log-likelihood / d standard deviation, where that is not zero; for a correlation at its end, the derivative
/// inwards.
struct BoundaryScore {
  static constexpr int correlation = -1;  ///< as `coefficient`
  int term, coefficient;                  ///< column of the term, or of its standard deviations
  double score;
  int unit;  ///< power of the coefficient's unit that the score is measured against
};

/// diag(Lambda) >= 0, by changing the sign of columns, and of the modes with them. Theta begins at psi[n_beta]. What
/// was measured at the old signs is to be measured again.
void make_diagonal_positive(const model::Layout& layout, const model::Model& model, int n_beta, Optimum& optimum);

/// Whether a point some of whose parameters are held is a maximum among all: no negative curvature, but for standard
/// deviations that stand at zero because the likelihood falls from there, and tau at their end.
bool is_maximum(const likelihood::Objective& objective, const Optimum& held);

/// Sets small columns of Lambda and small standard deviations to exactly zero, the smallest first, and far tau to their
/// end, where that costs no likelihood and the derivatives there say that it is a maximum; they are then no longer
/// free.
void settle_boundary(likelihood::Objective& objective, const model::Response& response, Optimum& optimum,
                     std::vector<bool>& free, const NewtonOptions& options, const likelihood::Monitor& monitor);

/// Which parameters are free at psi: all but the entries of columns of Lambda that are zero, standard deviations that
/// are zero, tau at their end, tau that nothing depends on, and parameters of the family at their limit.
std::vector<bool> free_parameters(const likelihood::Objective& objective, const Eigen::VectorXd& psi);

/// Scores at the boundary, on the internal scale.
std::vector<BoundaryScore> boundary_scores(const model::Layout& layout, const model::Model& model,
                                           const Optimum& optimum, const std::vector<bool>& free);

}  // namespace multilevel::search
