#include "likelihood/choice/objective.hpp"

#include <cmath>

#include "likelihood/choice/likelihood.hpp"
#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

namespace {

numeric::QuadratureRule rule_for(const model::Model& model, int n_quadrature, bool with_random_effects) {
  if (!with_random_effects || model.q() == 0) return numeric::gauss_hermite(1, 0);
  return numeric::gauss_hermite(n_quadrature, model.q(), model::spherical_effects(model, 0));
}

}  // namespace

ChoiceObjective::ChoiceObjective(const model::Model& model, const model::Response& response, int n_quadrature,
                                 bool with_random_effects, int threads, const Monitor& monitor)
    : ChoiceObjective(model, response, rule_for(model, n_quadrature, with_random_effects), with_random_effects, threads,
                      monitor) {}

ChoiceObjective::ChoiceObjective(const model::Model& model, const model::Response& response,
                                 numeric::QuadratureRule rule, bool with_random_effects, int threads,
                                 const Monitor& monitor)
    : GradientObjective(model, response, static_cast<double>(rule.size), threads, monitor, with_random_effects),
      rule_(std::move(rule)) {}

std::unique_ptr<PanelLikelihood> ChoiceObjective::make_worker() const {
  return std::make_unique<ChoiceLikelihood>(model_, response_, layout_, rule_, with_random_effects_);
}

double ChoiceObjective::scatter(const Eigen::VectorXd& beta) const {
  ChoiceLikelihood rows(model_, response_, layout_, rule_, with_random_effects_);
  double squares = 0.0, weights = 0.0;
  for (const auto& panel : model_.panels()) rows.add_scatter(panel, beta.data(), squares, weights);
  const double scale = 0.5 * std::sqrt(squares / weights);
  return std::isfinite(scale) && scale > 0.0 ? scale : 1.0;
}

}  // namespace multilevel::likelihood
