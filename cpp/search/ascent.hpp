// From starting values to a certified optimum: the search, boundaries, other starts where anything looks odd, and the
// certifying step, which alone decides what is reported.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "search/certify.hpp"
#include "search/rivals.hpp"

namespace multilevel::search {

/// What a search from elsewhere reached.
struct OtherStart {
  std::string name;
  double value;
};

struct AscentOptions {
  NewtonOptions newton;
  bool restarts = true;                          ///< search from elsewhere where anything looks odd
  std::function<Eigen::VectorXd()> plain_start;  ///< not from another fit; empty where there is none
  /// Whatever the data; empty, or not there, where that is no place to begin.
  std::function<Eigen::VectorXd()> ordinary_start;
  likelihood::Objective* scout = nullptr;  ///< the same model by a coarser rule, to look around with; may be null
  double floor = -1.0 / 0.0;               ///< a log-likelihood that is known to be within reach
  /// What the user's scale makes of parameters inside, read back: what is reported is that. May be empty.
  std::function<Eigen::VectorXd(const Eigen::VectorXd&)> read_back;
};

struct Ascent {
  Optimum optimum;         ///< in the user's order of coefficients, as certified
  std::vector<bool> free;  ///< parameters that are not at a boundary
  std::vector<OtherStart> others;
  std::vector<End> ends;        ///< of others, that seem to be maxima
  std::vector<Optimum> rivals;  ///< maxima that are nearly as high
  int other_evaluations = 0;    ///< of the searches from elsewhere
  int scout_evaluations = 0;    ///< of the scout
};

Ascent ascend(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
              std::vector<double> modes, const AscentOptions& options, const likelihood::Monitor& monitor);

}  // namespace multilevel::search
