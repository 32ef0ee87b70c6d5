// The marginal log-likelihood of the clusters of one panel: what objectives over independent clusters are made of.
#pragma once

#include "likelihood/sums.hpp"
#include "model/model.hpp"

namespace multilevel::likelihood {

/// One per thread: holds the workspace, so that nothing is allocated in the loop over clusters.
class PanelLikelihood {
 public:
  virtual ~PanelLikelihood() = default;

  /// `psi` has the entries of Lambda in place of theta. `modes` (of all levels, as model::Factor has them): where to
  /// start on entry, the conditional modes of v on return. `mode_covariance`, if not null, gets H^-1 of v, level by
  /// level.
  virtual void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums,
                   double* mode_covariance) = 0;
};

}  // namespace multilevel::likelihood
