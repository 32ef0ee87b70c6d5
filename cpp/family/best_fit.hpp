// The largest log density of a row over eta, where it has no closed form, by Newton's method.
#pragma once

#include "family/family.hpp"

namespace multilevel::family {

struct AtEta {
  double value, d1, d2;
};
AtEta at_eta(const Family& family, const Observation& row, const double* phi, double eta);

/// For a density with one peak over eta, from `eta` on. What is left to gain at the end is added.
double largest_log_density(const Family& family, const Observation& row, const double* phi, double eta);

}  // namespace multilevel::family
