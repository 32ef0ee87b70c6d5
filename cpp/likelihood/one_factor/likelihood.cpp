#include "likelihood/one_factor/likelihood.hpp"

#include "likelihood/one_factor/traits.hpp"

namespace multilevel::likelihood {

using Maker = std::unique_ptr<PanelLikelihood> (*)(const model::Model&, const model::Response&, const model::Layout&,
                                                   const numeric::QuadratureRule&, Derivatives, int);

// One size of random effect per file: likelihood_1.cpp and so on.
#define MULTILEVEL_DECLARE(suffix)                                                                             \
  std::unique_ptr<PanelLikelihood> make_panel_likelihood_##suffix(const model::Model&, const model::Response&, \
                                                                  const model::Layout&,                        \
                                                                  const numeric::QuadratureRule&, Derivatives, int);
MULTILEVEL_DECLARE(1)
MULTILEVEL_DECLARE(2)
MULTILEVEL_DECLARE(n)
#undef MULTILEVEL_DECLARE

std::unique_ptr<PanelLikelihood> make_panel_likelihood(const model::Model& model, const model::Response& response,
                                                       const model::Layout& layout, const numeric::QuadratureRule& rule,
                                                       Derivatives derivatives, bool with_random_effects,
                                                       std::shared_ptr<SparseRows> rows) {
  if (has_sparse_rows(model))
    return make_traits(model, response, layout, rule, derivatives, with_random_effects, std::move(rows));
  const int q = with_random_effects ? model.q() : 0;
  Maker make = make_panel_likelihood_n;
  if (q == 1) make = make_panel_likelihood_1;
  if (q == 2) make = make_panel_likelihood_2;
  return make(model, response, layout, rule, derivatives, q);
}

}  // namespace multilevel::likelihood
