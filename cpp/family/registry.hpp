// The families and their links by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "family/family.hpp"

namespace multilevel::family {

using Maker = std::unique_ptr<Family> (*)();

struct Entry {
  std::string name;
  std::string link;  ///< the first entry of a family holds its default link
  Maker make;
};

const std::vector<Entry>& registry();

/// Throws std::invalid_argument that lists what there is.
std::unique_ptr<Family> make_family(const std::string& name, const std::string& link);

// Every family file defines NAME_entries(): the family with each of its links, default link first. A new family is one
// line in this list.
#define MULTILEVEL_FAMILIES(entry)                                                                                     \
  entry(binomial) entry(poisson) entry(gaussian) entry(gamma) entry(negative_binomial) entry(negative_binomial_1)      \
      entry(geometric) entry(generalized_poisson) entry(conway_maxwell_poisson) entry(beta) entry(beta_binomial)       \
          entry(ordered_beta) entry(lognormal) entry(inverse_gaussian) entry(exponential) entry(weibull)               \
              entry(student_t) entry(skew_normal) entry(tweedie) entry(cumulative) entry(adjacent) entry(continuation) \
                  entry(reverse_continuation) entry(choice)

#define MULTILEVEL_DECLARE_FAMILY(name) std::vector<Entry> name##_entries();
MULTILEVEL_FAMILIES(MULTILEVEL_DECLARE_FAMILY)
#undef MULTILEVEL_DECLARE_FAMILY

}  // namespace multilevel::family
