#include "likelihood/one_factor/traits.hpp"

#include "model/spherical_effects.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int most_traits = 3;
constexpr int many_thresholds = 8;  // with fewer, to go by columns takes less time

int n_traits(const model::Model& model) {
  return model.q() > 0 ? static_cast<int>(model::spherical_effects(model, 0).size()) : 0;
}

}  // namespace

// One number of traits per file: traits_1.cpp and so on.
#define MULTILEVEL_DECLARE(n)                                                                                         \
  std::unique_ptr<PanelLikelihood> make_traits_##n(const model::Model&, const model::Response&, const model::Layout&, \
                                                   const numeric::QuadratureRule&, Derivatives, bool,                 \
                                                   std::shared_ptr<SparseRows>);
MULTILEVEL_DECLARE(1)
MULTILEVEL_DECLARE(2)
MULTILEVEL_DECLARE(3)
#undef MULTILEVEL_DECLARE

bool has_sparse_rows(const model::Model& model) {
  const int n = n_traits(model);
  if (n > most_traits) return false;
  const int thresholds = model.family().all_thresholds() ? 0 : model.n_thresholds();
  if (thresholds >= many_thresholds && thresholds >= model.p()) return true;
  return model.terms().size() == 1 && model.terms()[0].variable == 0 && model.terms()[0].structure->has_loadings() &&
         n < model.q();
}

std::unique_ptr<PanelLikelihood> make_traits(const model::Model& model, const model::Response& response,
                                             const model::Layout& layout, const numeric::QuadratureRule& rule,
                                             Derivatives derivatives, bool with_traits,
                                             std::shared_ptr<SparseRows> rows) {
  auto make = make_traits_1;
  const auto n = with_traits ? n_traits(model) : 0;
  if (n == 2) make = make_traits_2;
  if (n == 3) make = make_traits_3;
  return make(model, response, layout, rule, derivatives, with_traits, std::move(rows));
}

}  // namespace multilevel::likelihood
