// Many responses of one model: a fit each, side by side.
//
// The model is immutable, so that the fits share it; a fit runs in one thread and depends on no other, which makes
// every one the same, bit for bit, for any number of threads and whatever stands beside it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fit/fit.hpp"

namespace multilevel::fit {

struct ManyRecords {
  std::vector<FitRecord> records;    ///< without most of what belongs to levels of grouping factors
  std::vector<std::string> refused;  ///< why a response could not be taken; empty for all others
};

/// Fits the m columns of n_rows numbers each at `responses`; `threads` of the options are the fits made at a time.
/// Conditional modes are kept where they are asked for.
/// Throws likelihood::Interrupted when `keep_going`, which is asked in the calling thread, says so.
ManyRecords fit_many(const model::Model& model, const double* responses, int m, const FitOptions& options,
                     bool keep_modes, const std::function<bool()>& keep_going);

}  // namespace multilevel::fit
