#include "likelihood/nested/objective.hpp"

#include <utility>

#include "likelihood/nested/likelihood.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

namespace {

numeric::QuadratureRule rule(const model::Model& model, int points, int factor) {
  return numeric::gauss_hermite(points, model.factors()[static_cast<std::size_t>(factor)].q,
                                model::spherical_effects(model, factor));
}

}  // namespace

NestedObjective::NestedObjective(const model::Model& model, const model::Response& response, int n_quadrature,
                                 int threads, const Monitor& monitor)
    : NestedObjective(model, response, rule(model, n_quadrature, model.nesting()->inner),
                      rule(model, n_quadrature, model.nesting()->outer), threads, monitor) {}

NestedObjective::NestedObjective(const model::Model& model, const model::Response& response,
                                 numeric::QuadratureRule inner, numeric::QuadratureRule outer, int threads,
                                 const Monitor& monitor)
    : GradientObjective(model, response, static_cast<double>(inner.size) * outer.size, threads, monitor),
      inner_(std::move(inner)),
      outer_(std::move(outer)) {}

std::unique_ptr<PanelLikelihood> NestedObjective::make_worker() const {
  return std::make_unique<NestedLikelihood>(model_, response_, layout_, inner_, outer_);
}

}  // namespace multilevel::likelihood
