#include "family/modified/make.hpp"

#include <algorithm>
#include <stdexcept>

#include "family/registry.hpp"

namespace multilevel::family {

std::vector<std::string> modifiers(const Family& family) {
  std::vector<std::string> all;
  if (family.has_tails()) all.push_back("censored");
  // A link that gives two linear predictors the same mean has two of everything.
  if (family.is_even() || !family.zero_part().empty()) return all;
  if (family.support() == Support::counts) all.push_back("truncated");
  // A truncated count gets its zeros back by the hurdle of the count itself.
  if (zero_among(family.support()) == Zero::ordinary || family.support() == Support::positive_counts) return all;
  if (family.n_phi() == few_phi) return all;
  all.push_back("inflation");
  // Zeros and numbers are two questions to the Tweedie family too, but its numbers without zeros are nobody's.
  if (family.support() != Support::nonnegative) all.push_back("hurdle");
  return all;
}

std::unique_ptr<Family> make_family(const std::string& name, const std::string& link, const std::string& zero) {
  std::string by = zero, base_name = name;
  if (const std::string scaled = "scaled_"; name.compare(0, scaled.size(), scaled) == 0) {
    auto base = make_family(name.substr(scaled.size()), link)->with_scale();
    if (!base || !zero.empty()) throw std::invalid_argument("family '" + name + "' does not exist");
    return base;
  }
  for (const std::string word : {"truncated", "censored"}) {
    if (name.compare(0, word.size() + 1, word + "_") != 0) continue;
    if (!zero.empty()) throw std::invalid_argument("family '" + name + "' has no zero part");
    by = word;
    base_name = name.substr(word.size() + 1);
  }
  auto base = make_family(base_name, link);
  if (by.empty()) return base;
  const auto may = modifiers(*base);
  if (std::find(may.begin(), may.end(), by) == may.end())
    throw std::invalid_argument("family '" + base_name + "' with the " + link + " link has no '" + by + "' form");
  if (by == "truncated") return make_truncated(std::move(base));
  if (by == "censored") return make_censored(std::move(base));
  if (by == "inflation" && base->mass_at_zero()) return make_zero_inflated(std::move(base));
  // Where zero has no probability otherwise, the two are one.
  return make_hurdle(std::move(base), by);
}

}  // namespace multilevel::family
