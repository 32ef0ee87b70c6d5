// What the family of a row says, where rows may have families of their own (Family::n_members).
#pragma once

#include "family/family.hpp"

namespace multilevel::family {

/// Family::start_eta() of the row's own family.
inline double start_eta(const Family& family, const Observations& data, std::ptrdiff_t row) {
  if (family.n_members() == 1) return family.start_eta(data[row]);
  return family.member(static_cast<int>(data.phi.at(0, row))).start_eta(data[row]);
}

}  // namespace multilevel::family
