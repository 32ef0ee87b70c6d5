#include "likelihood/several_predictors/objective.hpp"

#include <utility>

#include "likelihood/several_predictors/likelihood.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

SeveralObjective::SeveralObjective(const model::Model& model, const model::Response& response, int n_quadrature,
                                   int threads, const Monitor& monitor)
    : SeveralObjective(model, response,
                       numeric::gauss_hermite(n_quadrature, model.q(), model::spherical_effects(model, 0)), threads,
                       monitor) {}

SeveralObjective::SeveralObjective(const model::Model& model, const model::Response& response,
                                   numeric::QuadratureRule rule, int threads, const Monitor& monitor)
    : GradientObjective(model, response, static_cast<double>(rule.size), threads, monitor), rule_(std::move(rule)) {}

std::unique_ptr<PanelLikelihood> SeveralObjective::make_worker() const {
  return std::make_unique<SeveralLikelihood>(model_, response_, layout_, rule_);
}

}  // namespace multilevel::likelihood
