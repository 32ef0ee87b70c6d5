// Conditional modes of the clusters of a panel with nested units: Newton's method on f(v), all clusters in step.
#pragma once

#include "estimate/block_arrow.hpp"

namespace multilevel::estimate {

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

  MatrixBatch inner, outer;
};

class NestedModes {
 public:
  NestedModes(int most_units, int most_clusters, int q_inner, int q_outer);

  /// `v`: where to start on entry, the modes on return. Returns the first cluster without a mode, or -1.
  int find(const NestedRows& rows, NestedArrays& arrays, const family::Family& family, const OuterMatrix& lambda_inner,
           const OuterMatrix& lambda_outer, const double* phi, NestedEffects& v, BlockArrow& arrow, long& newton_steps);

  /// eta of the rows of clusters [first, last) at v.
  void linear_predictor(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                        const OuterMatrix& lambda_outer, const NestedEffects& v, int first, int last);

 private:
  struct State {
    double f = 0.0;
    int halvings = 0;
    bool started = false, done = false;
  };

  void evaluate_active(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                       const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const double* phi,
                       const NestedEffects& v);
  double newton_step(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                     const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const double* phi, int cluster,
                     const NestedEffects& v, BlockArrow& arrow);
  void move(const NestedRows& rows, int cluster, NestedEffects& v) const;  ///< v = old + step

  std::vector<State> states_;
  NestedEffects old_, step_;
  MatrixBatch gradient_, sums_;
};

}  // namespace multilevel::estimate
