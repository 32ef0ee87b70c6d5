#include "estimate/panel_likelihood_impl.hpp"

namespace multilevel::estimate {

namespace {
constexpr int most_without_allocation = 12;
}

std::unique_ptr<PanelLikelihood> make_panel_likelihood_n(const model::Model& model, const model::Response& response, const numeric::QuadratureRule& rule,
                                                         Derivatives derivatives, int q) {
  if (q <= most_without_allocation)
    return std::make_unique<PanelLikelihoodOf<Eigen::Dynamic, most_without_allocation>>(model, response, rule, derivatives, q);
  return std::make_unique<PanelLikelihoodOf<Eigen::Dynamic, Eigen::Dynamic>>(model, response, rule, derivatives, q);
}

}  // namespace multilevel::estimate
