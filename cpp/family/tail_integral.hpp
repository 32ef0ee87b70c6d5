// The log probability of a tail where the distribution function has no closed form: the integral of the density beyond
// the response by Gauss-Legendre rules. They run on series, so that its derivatives are those of the sum, and exact. A
// tail is compiled in a file of its own: beside a density it takes the compiler's allowance of inlining away from it.
//
// A path leads away from the mode, along a variable in which the density falls off smoothly:
//   struct Path {
//     template <class T> explicit Path(const T& eta, const T* phi);        // of the values, lane by lane
//     double start(int lane, double response) const;                        // where it begins; zero is the mode
//     double fall(int lane, double v) const;                                // -log density along it, zero at zero
//     double response(int lane, double v) const;
//     double log_slope(int lane, double v) const;                           // of the response along the path
//   };
#pragma once

#include <array>
#include <cmath>

#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace tail_integral {

inline constexpr int n_nodes = 16;
inline constexpr double far = 42.0;     // what lies further down is lost in rounding
inline constexpr double finest = 1.0;   // length of the panel at the response; each further one is twice as long
inline constexpr int least_panels = 4;  // and a steep tail is cut so often at least
inline constexpr int most_panels = 24;

struct Rule {
  std::array<double, n_nodes> node, log_weight;  ///< on (0, 1)
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
      r.log_weight[at] = -std::log((1.0 - x * x) * slope * slope);
    }
    return r;
  }();
  return made;
}

/// How far from `start` on, in the direction away from zero, the density has fallen by e^-far.
template <class Path>
double reach(const Path& path, int lane, double start, double side) {
  const double wanted = path.fall(lane, start) + far;
  double length = 1e-9;
  while (path.fall(lane, start + side * length) < wanted && length < 1e6) length *= 2.0;
  double lower = 0.5 * length;
  for (int k = 0; k < 20; ++k) {
    const double middle = 0.5 * (lower + length);
    (path.fall(lane, start + side * middle) < wanted ? lower : length) = middle;
  }
  return length;
}

}  // namespace tail_integral

template <class Density, class Path>
struct TailIntegral {
  static constexpr int n_phi = Density::n_phi;
  static constexpr bool two_numbers = true;

  /// Below the response (second = 1) or above it (-1).
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    using namespace tail_integral;
    const Path path(eta, phi);
    Lanes start, side, length;
    int n_panels = least_panels;
    for (int i = 0; i < lane_count; ++i) {
      start[i] = path.start(i, row.response[i]);
      side[i] = start[i] < 0.0 ? -1.0 : 1.0;
      length[i] = reach(path, i, start[i], side[i]);
      while (std::ldexp(length[i], -n_panels + 1) > finest && n_panels < most_panels) ++n_panels;
    }
    auto at = [&](Lanes v, Lanes log_weight) {
      Row node = row;
      node.weight = numeric::broadcast(1.0);
      for (int i = 0; i < lane_count; ++i) {
        node.response[i] = path.response(i, v[i]);
        log_weight[i] += path.log_slope(i, v[i]);
      }
      return Density::value(eta, node, phi) + log_weight;
    };
    const Lanes highest = numeric::constant_term(at(start, numeric::broadcast(0.0)));
    T sum = numeric::constant_like(eta, numeric::broadcast(0.0));
    for (int panel = 0; panel < n_panels; ++panel) {
      const double from = panel == 0 ? 0.0 : std::ldexp(1.0, panel - n_panels);
      const double width = std::ldexp(1.0, panel + 1 - n_panels) - from;
      for (std::size_t k = 0; k < n_nodes; ++k) {
        const Lanes v = start + side * length * (from + width * rule().node[k]);
        const Lanes weight = numeric::log(length * width) + rule().log_weight[k] - highest;
        sum = sum + exp(at(v, weight));
      }
    }
    const T beyond = log(sum) + highest;
    return select(side * row.second < 0.0, beyond, log1mexp(-beyond));
  }
};

}  // namespace multilevel::family
