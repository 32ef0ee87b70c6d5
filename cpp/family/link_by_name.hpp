// Links at run time, as functions of a number.
#pragma once

#include <string>

namespace multilevel::family {

struct LinkFunctions {
  double (*mean)(double eta);
  double (*of_mean)(double mu);
};

/// Throws std::invalid_argument for a name that no link has.
LinkFunctions link_by_name(const std::string& name);

}  // namespace multilevel::family
