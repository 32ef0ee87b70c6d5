// Two nested grouping factors, quadrature on both levels.
#pragma once

#include "likelihood/gradient_objective.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class NestedObjective final : public GradientObjective {
 public:
  /// `n_quadrature` points per random effect on either level. The model has a nesting().
  NestedObjective(const model::Model& model, const model::Response& response, int n_quadrature, int threads,
                  const Monitor& monitor);

  bool any_order() const override { return model_.q() <= 2; }  // one effect on each level

 protected:
  std::unique_ptr<PanelLikelihood> make_worker() const override;

 private:
  NestedObjective(const model::Model& model, const model::Response& response, numeric::QuadratureRule inner,
                  numeric::QuadratureRule outer, int threads, const Monitor& monitor);

  numeric::QuadratureRule inner_, outer_;
};

}  // namespace multilevel::likelihood
