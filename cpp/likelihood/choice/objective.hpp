// One grouping factor, or none, where rows are alternatives of which one is chosen.
#pragma once

#include "likelihood/gradient_objective.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class ChoiceObjective final : public GradientObjective {
 public:
  ChoiceObjective(const model::Model& model, const model::Response& response, int n_quadrature,
                  bool with_random_effects, int threads, const Monitor& monitor);

  /// Without random effects the information is the Hessian.
  bool has_exact_hessian() const override { return !with_random_effects_; }
  bool any_order() const override { return rule_.size == 1; }

  /// Standard deviation of random effects that is plausible beside what beta leaves of the choices.
  double scatter(const Eigen::VectorXd& beta) const;

 protected:
  std::unique_ptr<PanelLikelihood> make_worker() const override;

 private:
  ChoiceObjective(const model::Model& model, const model::Response& response, numeric::QuadratureRule rule,
                  bool with_random_effects, int threads, const Monitor& monitor);

  numeric::QuadratureRule rule_;
};

}  // namespace multilevel::likelihood
