#include "likelihood/one_factor/likelihood_impl.hpp"

namespace multilevel::likelihood {

std::unique_ptr<PanelLikelihood> make_panel_likelihood_1(const model::Model& model, const model::Response& response,
                                                         const model::Layout& layout,
                                                         const numeric::QuadratureRule& rule, Derivatives derivatives,
                                                         int q) {
  return std::make_unique<PanelLikelihoodOf<1, 1>>(model, response, layout, rule, derivatives, q);
}

}  // namespace multilevel::likelihood
