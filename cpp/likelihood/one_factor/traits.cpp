#include "likelihood/one_factor/traits.hpp"

#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

// One number of traits per file: traits_1.cpp and so on.
#define MULTILEVEL_DECLARE(n)                                                                                         \
  std::unique_ptr<PanelLikelihood> make_traits_##n(const model::Model&, const model::Response&, const model::Layout&, \
                                                   const numeric::QuadratureRule&, Derivatives, bool);
MULTILEVEL_DECLARE(1)
MULTILEVEL_DECLARE(2)
MULTILEVEL_DECLARE(3)
#undef MULTILEVEL_DECLARE

int n_traits(const model::Model& model) {
  if (model.terms().size() != 1 || model.terms()[0].variable != 0 || !model.terms()[0].structure->has_loadings())
    return 0;
  const auto n = static_cast<int>(model::spherical_effects(model, 0).size());
  return n <= 3 && n < model.q() ? n : 0;
}

std::unique_ptr<PanelLikelihood> make_traits(const model::Model& model, const model::Response& response,
                                             const model::Layout& layout, const numeric::QuadratureRule& rule,
                                             Derivatives derivatives, bool with_traits) {
  auto make = make_traits_1;
  if (with_traits && n_traits(model) == 2) make = make_traits_2;
  if (with_traits && n_traits(model) == 3) make = make_traits_3;
  return make(model, response, layout, rule, derivatives, with_traits);
}

}  // namespace multilevel::likelihood
