#include "search/rivals.hpp"

#include <algorithm>
#include <limits>

#include "search/certify.hpp"
#include "search/climb.hpp"

namespace multilevel::search {

namespace {

constexpr int most_climbs = 4;
constexpr int most_rounds = 2;
constexpr int short_climb = 40;          // iterations
constexpr double same_height = 1e-4;     // of two maxima: mirror images, or one in other coordinates
constexpr double same_rough_end = 3e-3;  // of two rough searches: they promise the same

/// The end of a rough search, climbed further and judged; a second time where the first left something.
Finding finish(likelihood::Objective& objective, const model::Response& response, const NewtonOptions& options,
               const likelihood::Monitor& monitor, const Eigen::VectorXd& start, std::size_t n_modes, Optimum& found,
               std::vector<bool>& free) {
  found.psi = start;
  Finding finding = Finding::can_rise;
  for (int round = 0; round < most_rounds && finding == Finding::can_rise; ++round) {
    const Eigen::VectorXd from = found.psi;
    found = climb(objective, response, from, std::vector<double>(n_modes, 0.0), free, options, monitor);
    if (found.ending != Ending::converged) break;
    put_in_order(objective, found, objective.cheap_hessian());
    finding = certify(objective, found, free, options.gain_tolerance);
  }
  return finding;
}

}  // namespace

bool find_rivals(likelihood::Objective& objective, const model::Response& response, const NewtonOptions& options,
                 const likelihood::Monitor& monitor, std::vector<End>& ends, Optimum& best, std::vector<bool>& free,
                 std::vector<Optimum>& rivals) {
  rivals.clear();
  NewtonOptions own = options;
  own.most_iterations = std::min(own.most_iterations, short_climb);
  std::sort(ends.begin(), ends.end(), [](const End& one, const End& other) { return one.value > other.value; });
  const double rounding = noise(best.sums);
  double before = std::numeric_limits<double>::infinity();
  int n_climbs = 0;
  for (const End& end : ends) {
    if (end.value < best.sums.value - nearly_as_high || n_climbs == most_climbs) break;
    if (before - end.value < same_rough_end || near_by(best, end.psi)) continue;
    before = end.value;
    ++n_climbs;
    std::vector<bool> own_free;
    Optimum found;
    const Finding finding = finish(objective, response, own, monitor, end.psi, best.modes.size(), found, own_free);
    if (found.ending != Ending::converged) continue;
    if (found.sums.value > best.sums.value + std::max(same_maximum, rounding)) {
      ends.push_back({best.sums.value, best.psi});
      best = std::move(found);
      free = std::move(own_free);
      return true;
    }
    const double below = best.sums.value - found.sums.value;
    if (finding == Finding::certified && below > std::max(same_height, rounding) && below < nearly_as_high &&
        !near_by(best, found.psi))
      rivals.push_back(std::move(found));
  }
  std::sort(rivals.begin(), rivals.end(),
            [](const Optimum& one, const Optimum& other) { return one.sums.value > other.sums.value; });
  const auto same = [](const Optimum& one, const Optimum& other) {
    return one.sums.value - other.sums.value < same_height;
  };
  rivals.erase(std::unique(rivals.begin(), rivals.end(), same), rivals.end());
  return false;
}

}  // namespace multilevel::search
