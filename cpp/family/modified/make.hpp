// A family by name, link and zero part: one of the registry, or what modifies one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "family/family.hpp"

namespace multilevel::family {

/// `name` may begin with "truncated_", "censored_" or "scaled_"; `zero` is empty, "inflation" or "hurdle". Throws
/// std::invalid_argument that says what there is, or why this cannot be modified so.
std::unique_ptr<Family> make_family(const std::string& name, const std::string& link, const std::string& zero);

/// What may modify a family: of "truncated", "inflation", "hurdle" and "censored".
std::vector<std::string> modifiers(const Family& family);

// The modified families. They take over the family; which families they take, modifiers() says.
std::unique_ptr<Family> make_truncated(std::unique_ptr<Family> base);
std::unique_ptr<Family> make_zero_inflated(std::unique_ptr<Family> base);
std::unique_ptr<Family> make_censored(std::unique_ptr<Family> base);
std::unique_ptr<Family> make_hurdle(std::unique_ptr<Family> base, const std::string& zero);

/// Rows of several kinds with a family each; `names`, of the kinds, stand before the names of parameters.
/// Throws std::invalid_argument where there are less than two, or one that cannot be among others.
std::shared_ptr<Family> make_by_row(const std::vector<std::string>& names,
                                    const std::vector<std::shared_ptr<const Family>>& members);

}  // namespace multilevel::family
