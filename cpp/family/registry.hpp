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

// One function per family file: the entries of that family, default link first.
std::vector<Entry> binomial_entries();
std::vector<Entry> poisson_entries();
std::vector<Entry> gaussian_entries();

}  // namespace multilevel::family
