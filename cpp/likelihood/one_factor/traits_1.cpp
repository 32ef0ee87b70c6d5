#include "likelihood/one_factor/traits_impl.hpp"

namespace multilevel::likelihood {

std::unique_ptr<PanelLikelihood> make_traits_1(const model::Model& model, const model::Response& response,
                                               const model::Layout& layout, const numeric::QuadratureRule& rule,
                                               Derivatives derivatives, bool with_traits,
                                               std::shared_ptr<SparseRows> rows) {
  return std::make_unique<Traits<1>>(model, response, layout, rule, derivatives, with_traits, std::move(rows));
}

}  // namespace multilevel::likelihood
