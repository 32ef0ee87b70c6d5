#include "model/spherical_effects.hpp"

#include <set>

namespace multilevel::model {

std::vector<int> spherical_effects(const Model& model, int factor) {
  std::set<int> found;
  const int first = model.factors()[static_cast<std::size_t>(factor)].first;
  for (const auto& term : model.terms())
    if (term.factor == factor)
      for (const auto& entry : term.structure->entries(term.q)) found.insert(term.first - first + entry.column);
  return {found.begin(), found.end()};
}

}  // namespace multilevel::model
