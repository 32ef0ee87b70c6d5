// Where else may f(v) be large? A density that is not log-concave in eta can give a cluster several conditional modes,
// and the one that counts is the largest. A scan moves one random effect of all levels of a grouping factor at once
// over a grid, everything else held, and lists where f has peaks.
//
// The grid covers every place that can beat the present one: l is bounded, so for the level's rows j and its effect v a
// larger f has v^2 / 2 < sum_j (sup l_j - l_j(present)) + v(present)^2 / 2. It also has a point in every piece of the
// line between places where the density of a row vanishes.
#pragma once

#include <vector>

#include "family/family.hpp"

namespace multilevel::likelihood {

inline constexpr int most_rounds = 3;          // of scans along every random effect
inline constexpr double least_gain = 1e-6;     // of f, for an effect to move with the others held
inline constexpr double same_mode = 1e-8;      // squared distance between modes, relative to 1 + v'v
inline constexpr double worth_a_search = 3.0;  // how far below the best a trial may be before its Newton steps
inline constexpr double leaves_peak = 1.5;     // of eta, by one unit of v: off a row's peak, onto the level beside it

class ModeScan {
 public:
  static constexpr int most_peaks = 4;  ///< per level

  /// The rows, and what moves them: eta_j changes by slope_j for each unit of the effect of level[j].
  struct Line {
    int n_rows, n_levels;
    const double *eta, *slope;
    family::Observations data;
    const int* level;
    const double* effect;        ///< per level, at present
    const char* skip = nullptr;  ///< levels that are not looked at
    bool fine = false;           ///< whether the grid has more points where they are far apart in eta
    bool wants(int i) const { return !skip || !skip[i]; }
  };

  ModeScan(int most_rows, int most_levels);
  ~ModeScan();

  /// Finds the peaks of all levels, the most promising first.
  void run(const family::Family& family, const Line& line);
  /// The r-th peak of a level: a value of its effect, near a mode; NaN past the last. The present value itself where
  /// it is one.
  double peak(int level, int r) const { return peaks_[index(level, r)]; }
  /// What f is near that peak, less what it is at present.
  double promise(int level, int r) const {
    return promises_[index(level, r)] - present_[static_cast<std::size_t>(level)];
  }
  /// Climbs from the peaks of all levels to the largest value of f on the line. best() is the effect there, and gain()
  /// what it is better by than the present one; zero where nothing is better.
  void climb(const family::Family& family, const Line& line);
  double best(int level) const { return best_[static_cast<std::size_t>(level)]; }
  double gain(int level) const { return gain_[static_cast<std::size_t>(level)]; }

 private:
  static constexpr int n_even = 12, most_even = 60, most_pieces = 20, most_points = most_even + most_pieces + 1;
  struct Point {
    double at, f, slope, information;
    bool after_zero;  ///< the density of a row vanishes between the point before and this one
  };
  struct Climb {
    double at, f, step;
    int halvings;
    bool started, done;
  };

  static std::size_t index(int level, int r) {
    return static_cast<std::size_t>(level) * most_peaks + static_cast<std::size_t>(r);
  }
  Point* points(int level) { return points_.data() + static_cast<std::size_t>(level) * most_points; }
  void set_bounds(const family::Family& family, const Line& line);
  void find_reach(const family::Family& family, const Line& line);
  void find_zeros(const family::Family& family, const Line& line);
  void make_grid(const family::Family& family, const Line& line, int level);
  template <class Wanted>
  void take_rows(const Line& line, Wanted wanted);
  /// f and its derivatives on the line with every level's effect at at_[level].
  void evaluate(const family::Family& family, const Line& line);
  void list_peaks(int level);

  // The rows of the levels that are looked at.
  int n_rows_ = 0;
  std::vector<double> eta_, base_, own_slope_, response_, second_, weight_;
  std::vector<double> phi_[family::max_phi];  ///< where they differ from row to row
  family::Observations data_;
  // The rows' least upper bounds, for as long as rows and parameters stay what they are.
  std::vector<double> bound_;
  const double* bounded_ = nullptr;
  double bounded_phi_[family::max_phi] = {};
  std::vector<int> level_;
  std::vector<double> value_, d1_, d2_;
  // Levels:
  std::vector<double> at_, f_, slope_, information_;
  std::vector<double> zeros_;
  std::vector<int> zero_start_, n_points_;
  std::vector<Point> points_;
  std::vector<Climb> climbs_;
  std::vector<double> peaks_, promises_, best_, gain_, present_, reach_, steepest_;
};

}  // namespace multilevel::likelihood
