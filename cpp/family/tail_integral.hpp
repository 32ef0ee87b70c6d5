// What lies beyond a response where the distribution function has no closed form: the integral of a density that falls
// off smoothly from there on, by Gauss-Legendre rules.
#pragma once

#include <array>
#include <cmath>

#include "numeric/lanes.hpp"

namespace multilevel::family::tail_integral {

using numeric::lane_count, numeric::Lanes;

inline constexpr int n_nodes = 16;
inline constexpr double far = 42.0;     // what lies further down is lost in rounding
inline constexpr double finest = 1.0;   // length of the panel at the response; each further one is twice as long
inline constexpr int least_panels = 4;  // and a steep tail is cut so often at least
inline constexpr int most_panels = 24;

struct Rule {
  std::array<double, n_nodes> node, weight;  ///< on (0, 1)
};

inline const Rule& rule() {
  static const Rule made = [] {
    Rule r;
    for (int i = 0; i < n_nodes; ++i) {
      double x = std::cos(3.14159265358979323846 * (i + 0.75) / (n_nodes + 0.5)), slope = 1.0;
      for (int step = 0; step < 20; ++step) {
        double p = 1.0, before = 0.0;
        for (int k = 1; k <= n_nodes; ++k) {
          const double next = ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k;
          before = p;
          p = next;
        }
        slope = n_nodes * (x * p - before) / (x * x - 1.0);
        x -= p / slope;
      }
      const auto at = static_cast<std::size_t>(i);
      r.node[at] = 0.5 * (1.0 - x);
      r.weight[at] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    return r;
  }();
  return made;
}

/// Calls visit(v, weight) for all nodes of an integral from zero to the lanes' lengths; weights are of a unit length.
template <class Visit>
inline void for_each_node(Lanes length, const Visit& visit) {
  int n_panels = least_panels;
  for (int i = 0; i < lane_count; ++i)
    while (std::ldexp(length[i], -n_panels + 1) > finest && n_panels < most_panels) ++n_panels;
  for (int panel = 0; panel < n_panels; ++panel) {
    const double from = panel == 0 ? 0.0 : std::ldexp(1.0, panel - n_panels);
    const double width = std::ldexp(1.0, panel + 1 - n_panels) - from;
    for (std::size_t k = 0; k < n_nodes; ++k) visit(length * (from + width * rule().node[k]), width * rule().weight[k]);
  }
}

/// How far a convex function climbs to `far`: Newton's method from a length that is too long, which it stays. `climb`
/// gives the function and its slope.
struct Climb {
  Lanes value, slope;
};
template <class Function>
inline Lanes reach(Lanes too_long, const Function& climb) {
  constexpr int most_steps = 60;
  constexpr double near = 0.999;
  Lanes length = too_long;
  for (int step = 0; step < most_steps; ++step) {
    const Climb at = climb(length);
    const Lanes next = length - (at.value - far) / at.slope;
    const numeric::LaneBits shorter = next < near * length;
    length = numeric::select(shorter, next, length);
    if (!numeric::any(shorter)) break;
  }
  return length;
}

}  // namespace multilevel::family::tail_integral
