// Conditional modes of the clusters of a panel with nested units: Newton's method on f(v), all clusters in step.
#pragma once

#include <limits>
#include <memory>

#include "likelihood/mode_course.hpp"
#include "likelihood/mode_scan.hpp"
#include "likelihood/nested/block_arrow.hpp"
#include "likelihood/sums.hpp"

namespace multilevel::likelihood {

/// The random effects v of a panel.
struct NestedEffects {
  NestedEffects(int most_units, int most_clusters, int q_inner, int q_outer)
      : inner(q_inner, 1, most_units), outer(q_outer, 1, most_clusters) {}

  OuterVector outer_of(int cluster) const {
    OuterVector v(outer.rows());
    for (int a = 0; a < outer.rows(); ++a) v[a] = outer.at(a)[cluster];
    return v;
  }
  void set_outer(int cluster, const OuterVector& v) {
    for (int a = 0; a < outer.rows(); ++a) outer.at(a)[cluster] = v[a];
  }
  /// v'v of a cluster with its units.
  double square(const NestedRows& rows, int cluster) const {
    double sum = outer_of(cluster).squaredNorm();
    const Range units = rows.units(cluster);
    for (int a = 0; a < inner.rows(); ++a)
      sum += numeric::dot(units.last - units.first, inner.at(a) + units.first, inner.at(a) + units.first);
    return sum;
  }

  linear_algebra::MatrixBatch inner, outer;
};

class NestedModes {
 public:
  NestedModes(const family::Family& family, int most_rows, int most_units, int most_clusters, int q_inner, int q_outer);

  /// What a search looks at.
  struct Place {
    const NestedRows& rows;
    NestedArrays& arrays;
    const family::Family& family;
    const OuterMatrix &lambda_inner, &lambda_outer;
    BlockArrow& arrow;
  };

  /// `v`: where to start on entry, the modes on return. Where the density is not log-concave the largest modes are
  /// looked for, wherever v stands, unless the search is to `stay`: to follow the mode where it begins. Returns the
  /// first cluster without a mode, or -1.
  int find(const Place& place, NestedEffects& v, bool stay, Sums& sums);

  /// eta of the rows of clusters [first, last) at v.
  void linear_predictor(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                        const OuterMatrix& lambda_outer, const NestedEffects& v, int first, int last);

 private:
  struct State {
    ModeCourse course;
    bool done = false, failed = false;
    bool concave = false;                                     ///< whether the last step was made with the observed H
    double least = -std::numeric_limits<double>::infinity();  ///< f at the start below which nothing is looked for
  };

  /// Units or clusters, and one of their effects at present.
  struct Levels {
    int count;
    const int* of_row;
    const double* effect;
  };

  /// A unit at another of its peaks, and what f is near it less what it is at present.
  struct Trial {
    int cluster, unit;
    double peak, promise;
  };

  /// What it takes to look for the largest of several modes.
  struct Several {
    Several(int most_rows, int most_units, int most_clusters, int q_inner, int q_outer);
    ModeScan scan;
    std::vector<double> slope;
    std::vector<int> cluster;  ///< of each row
    NestedEffects best;
    std::vector<double> best_f;
    std::vector<double> outer, peaks;   ///< an effect of the clusters before it moves, and its peaks
    std::vector<Trial> trials;          ///< units at their other peaks, by cluster
    std::vector<char> ended_elsewhere;  ///< searches for this cluster's mode have found more than one
  };

  void climb(const Place& place, NestedEffects& v, int active, Sums& sums);
  int find_largest(const Place& place, NestedEffects& v, Sums& sums);
  bool leaves_peaks(const Place& place);
  void set_slopes(const NestedRows& rows, const std::vector<const double*>& z, const OuterMatrix& lambda, int a);
  bool enter_domain(const Place& place, int cluster, NestedEffects& v);
  void from_responses(const Place& place, double side, Range clusters, NestedEffects& v);
  bool keep_best(const NestedRows& rows, const NestedEffects& v);
  bool settle(const Place& place, NestedEffects& v);
  bool look_along_inner(const Place& place, NestedEffects& v, Sums& sums);
  bool look_along_outer(int a, const Place& place, NestedEffects& v, Sums& sums);
  void scan_from_best(const Place& place, const std::vector<const double*>& z, const OuterMatrix& lambda, int a,
                      const Levels& levels);
  bool try_units(int a, const Place& place, NestedEffects& v, Sums& sums);
  bool try_aside(int a, double move, const Place& place, NestedEffects& v, Sums& sums);
  void start_from_best(const NestedRows& rows, int cluster, NestedEffects& v) const;
  void evaluate_active(const Place& place, const NestedEffects& v);
  double newton_step(const Place& place, int cluster, const NestedEffects& v, bool& concave);
  void move(const NestedRows& rows, int cluster, NestedEffects& v) const;  ///< v = old + step

  std::vector<State> states_;
  NestedEffects old_, step_;
  linear_algebra::MatrixBatch gradient_, sums_;
  std::unique_ptr<Several> several_;  ///< null where the density is log-concave
};

}  // namespace multilevel::likelihood
