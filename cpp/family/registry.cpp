#include "family/registry.hpp"

#include <stdexcept>

namespace multilevel::family {

const std::vector<Entry>& registry() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> entries;
#define MULTILEVEL_ADD_FAMILY(name) \
  for (auto& entry : name##_entries()) entries.push_back(std::move(entry));
    MULTILEVEL_FAMILIES(MULTILEVEL_ADD_FAMILY)
#undef MULTILEVEL_ADD_FAMILY
    return entries;
  }();
  return all;
}

std::unique_ptr<Family> make_family(const std::string& name, const std::string& link) {
  std::string links;
  for (const auto& entry : registry()) {
    if (entry.name != name) continue;
    if (entry.link == link) return entry.make();
    links += (links.empty() ? "" : ", ") + entry.link;
  }
  if (links.empty()) throw std::invalid_argument("unknown family '" + name + "'");
  throw std::invalid_argument("family '" + name + "' has no link '" + link + "'; it has " + links);
}

}  // namespace multilevel::family
