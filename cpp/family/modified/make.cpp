#include "family/modified/make.hpp"

#include <algorithm>
#include <stdexcept>

#include "family/registry.hpp"

namespace multilevel::family {

std::vector<std::string> modifiers(const Family& family) {
  // A link that gives two linear predictors the same mean has two of everything.
  if (family.is_even() || !family.zero_part().empty() || family.n_phi() == max_phi) return {};
  if (family.mass_at_zero()) {
    if (family.support() == Support::counts) return {"truncated", "inflation", "hurdle"};
    return {"inflation", "hurdle"};
  }
  if (family.support() == Support::numbers || family.support() == Support::positive_counts) return {};
  return {"inflation", "hurdle"};
}

std::unique_ptr<Family> make_family(const std::string& name, const std::string& link, const std::string& zero) {
  const std::string prefix = "truncated_";
  const bool truncated = name.compare(0, prefix.size(), prefix) == 0;
  if (truncated && !zero.empty())
    throw std::invalid_argument("a truncated family has no zeros; the hurdle of family '" + name.substr(prefix.size()) +
                                "' is that family, truncated, with a part for the zeros");
  auto base = make_family(truncated ? name.substr(prefix.size()) : name, link);
  if (!truncated && zero.empty()) return base;
  const std::string wanted = truncated ? "truncated" : zero;
  const auto may = modifiers(*base);
  if (std::find(may.begin(), may.end(), wanted) == may.end())
    throw std::invalid_argument("family '" + base->name() + "' with the " + link + " link has no '" + wanted +
                                "' form");
  if (truncated) return make_truncated(std::move(base));
  if (zero == "inflation" && base->mass_at_zero()) return make_zero_inflated(std::move(base));
  // Where zero has no probability otherwise, the two are one.
  return make_hurdle(std::move(base), zero);
}

}  // namespace multilevel::family
