// One grouping factor, several predictors with random effects.
#pragma once

#include "likelihood/gradient_objective.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class SeveralObjective final : public GradientObjective {
 public:
  SeveralObjective(const model::Model& model, const model::Response& response, int n_quadrature, int threads,
                   const Monitor& monitor);

  bool any_order() const override { return rule_.size == 1; }

 protected:
  std::unique_ptr<PanelLikelihood> make_worker() const override;

 private:
  SeveralObjective(const model::Model& model, const model::Response& response, numeric::QuadratureRule rule,
                   int threads, const Monitor& monitor);

  numeric::QuadratureRule rule_;
};

}  // namespace multilevel::likelihood
