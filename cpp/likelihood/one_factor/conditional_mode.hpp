// Conditional modes of the clusters of a strip.
//
// Where the density is log-concave there is one mode, and the search may start anywhere. Otherwise the largest is
// looked for: where a mode is proved to be the largest it does not matter where the search began, and where it is not,
// starts are what the parameters and the data alone decide. So a log-likelihood is a function of the parameters and not
// of what was evaluated before.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "family/of_row.hpp"
#include "likelihood/largest_mode.hpp"
#include "likelihood/mode_scan.hpp"
#include "likelihood/one_factor/cluster_climb.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "likelihood/sums.hpp"
#include "linear_algebra/small_spectrum.hpp"

namespace multilevel::likelihood {

inline constexpr double far_move = 10.0, hardly_any_move = 0.1;  // of eta, by one unit of v

inline constexpr int most_diagonal =
    4;  // with so few random effects, scans go along sums and differences of two as well

template <int Q>
class ConditionalModes : private ClusterClimb<Q> {
  using Climb = ClusterClimb<Q>;
  using Climb::climb;
  using Climb::evaluate_active;
  using Climb::precision;
  using Climb::q_;
  using Climb::solve;
  using Climb::states_;
  using typename Climb::ConstVectorMap;
  using typename Climb::Matrix;
  using typename Climb::State;
  using typename Climb::Vector;
  using typename Climb::VectorMap;

 public:
  using Climb::linear_predictor;

  ConditionalModes(const family::Family& family, int most_rows, int most_clusters, int q)
      : Climb(family, most_clusters, q) {
    if (!family.log_concave()) several_ = std::make_unique<Several>(family, most_rows, most_clusters, q);
  }

  /// Returns the first cluster (within the strip) without a mode, or -1. `modes`: the strip's first cluster's v; where
  /// the density is log-concave the search starts there.
  int find(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, double* modes,
           Sums& sums) {
    const int m = strip.n_clusters();
    if (several_) return find_largest(strip, rows, family, lambda, modes, sums);
    for (int i = 0; i < m; ++i) states_[static_cast<std::size_t>(i)] = {};
    climb(strip, rows, family, lambda, modes, m, sums);
    for (int i = 0; i < m; ++i)
      if (states_[static_cast<std::size_t>(i)].failed) return i;
    return -1;
  }

 private:
  /// What it takes to look for the largest of several modes.
  struct Several {
    Several(const family::Family& family, int most_rows, int most_clusters, int q)
        : scan(most_rows, most_clusters),
          slope(static_cast<std::size_t>(most_rows) + 8),
          level(slope.size()),
          best_v(static_cast<std::size_t>(most_clusters * q)),
          best_f(static_cast<std::size_t>(most_clusters)),
          effect(best_f),
          direction(best_v),
          ended_elsewhere(best_f.size()),
          proved(best_f.size()) {
      if (q > LargestMode::most_effects) return;
      largest = std::make_unique<LargestMode>(family, most_rows, q);
      for (auto& bound : bounds) bound.resize(slope.size());
      x.assign(static_cast<std::size_t>(q), slope);
    }

    ModeScan scan;
    Strip part;  ///< with the density of one part of a mixture
    std::vector<double> slope;
    std::vector<int> level;  ///< the cluster of each row
    std::vector<double> best_v, best_f, effect;
    std::vector<double> direction;      ///< of each cluster's v, of unit length: where a scan goes
    std::vector<char> ended_elsewhere;  ///< searches for this cluster's mode have found more than one
    std::vector<char> proved;           ///< the cluster's mode is known to be the largest
    std::unique_ptr<LargestMode> largest;
    std::vector<double> bounds[3];
    std::vector<std::vector<double>> x;  ///< what a unit of each v moves eta by
  };

  /// The largest mode: proved to be, where that can be done; of the others, the largest that searches from zero, from
  /// what the responses alone say of v, from the modes of the parts of a mixture, and from the peaks along each random
  /// effect arrive at.
  int find_largest(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                   double* modes, Sums& sums) {
    Several& s = *several_;
    const int m = strip.n_clusters();
    std::fill_n(s.best_v.data(), m * q_(), 0.0);
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      s.best_f[at] = -std::numeric_limits<double>::infinity();
      s.ended_elsewhere[at] = s.proved[at] = 0;
    }
    const int left = m - prove(strip, rows, family, lambda, modes, sums);
    if (left > 0) search_all(strip, rows, family, lambda, modes, left, sums);
    int failed = -1;
    for (int i = m - 1; i >= 0; --i) {
      const auto at = static_cast<std::size_t>(i);
      sums.several_modes += s.ended_elsewhere[at];
      if (s.proved[at]) continue;
      std::copy_n(s.best_v.data() + i * q_(), q_(), modes + i * q_());
      if (!std::isfinite(s.best_f[at])) failed = i;
    }
    return failed;
  }

  /// Climbs from zero, and sees whether what is found can be proved to be the largest; where it
  /// cannot, boxes are searched. Returns for how many clusters that has succeeded. What is found but not proved is
  /// kept.
  int prove(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, double* modes,
            Sums& sums) {
    Several& s = *several_;
    const int m = strip.n_clusters();
    if (!s.largest) return 0;
    const family::Family::Bounds bounds{s.bounds[0].data(), s.bounds[1].data(), s.bounds[2].data()};
    if (!family.bounds(strip.n_rows, strip.data, bounds)) return 0;
    for (int a = 0; a < q_(); ++a) {
      double* x = s.x[static_cast<std::size_t>(a)].data();
      std::fill_n(x, strip.n_rows, 0.0);
      for (int b = 0; b < q_(); ++b)
        if (lambda(b, a) != 0.0)
          numeric::add_multiple(strip.n_rows, lambda(b, a), strip.z[static_cast<std::size_t>(b)], x);
    }
    for (int i = 0; i < m; ++i) {
      states_[static_cast<std::size_t>(i)] = {};
      VectorMap v(modes + i * q_(), q_());
      v.setZero();  // a warm start would decide where the digits of a flat mode end
    }
    climb(strip, rows, family, lambda, modes, m, sums);
    int found = 0, proved = 0;
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      State& state = states_[at];
      const int first = strip.start[at];
      LargestMode::Cluster cluster{strip.start[at + 1] - first,
                                   rows.fixed_eta + first,
                                   {},
                                   strip.data.from(first),
                                   {bounds.value + first, bounds.second + first, bounds.third + first}};
      for (int a = 0; a < q_(); ++a)
        cluster.x[static_cast<std::size_t>(a)] = s.x[static_cast<std::size_t>(a)].data() + first;
      s.largest->set(cluster);
      double *v = modes + i * q_(), f = 0.0;
      const bool found_one = !state.failed && state.course.started() && state.concave;
      s.proved[at] = found_one && s.largest->is_largest(v, state.course.f(), rows.at_mode.eta[1] + first);
      state = {};
      state.done = true;
      if (!s.proved[at]) {
        s.proved[at] = s.largest->find(v, f);
        s.ended_elsewhere[at] = s.largest->met_another();
        state.done = !std::isfinite(f);
        found += !state.done;
      }
      proved += s.proved[at];
    }
    // To the last digit.
    climb(strip, rows, family, lambda, modes, found, sums);
    keep_best(m, modes);
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (!s.proved[at] || !states_[at].failed) continue;
      s.proved[at] = 0;
      --proved;
    }
    return proved;
  }

  /// Searches for those clusters, `left` of them, whose largest mode is not proved.
  void search_all(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                  double* modes, int left, Sums& sums) {
    Several& s = *several_;
    const int m = strip.n_clusters();
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (int j = strip.start[at]; j < strip.start[at + 1]; ++j) s.level[static_cast<std::size_t>(j)] = i;
    }
    for (const double side : {0.0, 1.0, -1.0}) {
      if (side < 0.0 && !family.is_even()) continue;
      if (side != 0.0) read_responses(strip, rows, family, side);
      for (int i = 0; i < m; ++i) {
        const auto at = static_cast<std::size_t>(i);
        states_[at] = {};
        states_[at].done = s.proved[at];
        if (s.proved[at]) continue;
        VectorMap v(modes + i * q_(), q_());
        if (side == 0.0)
          v.setZero();
        else
          from_responses(strip, rows, lambda, i, v);
      }
      climb(strip, rows, family, lambda, modes, left, sums);
      keep_best(m, modes);
    }
    for (int k = 0; k < family.n_parts(); ++k) {
      s.part = strip;
      family.leave_part(k, s.part.data.phi);
      for (const Strip* density : {&std::as_const(s.part), &strip}) {
        int active = 0;
        for (int i = 0; i < m; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const bool lost = density == &strip && states_[at].failed;
          states_[at] = {};
          states_[at].done = s.proved[at] || lost;
          if (states_[at].done) continue;
          if (density != &strip) VectorMap(modes + i * q_(), q_()).setZero();
          ++active;
        }
        climb(*density, rows, family, lambda, modes, active, sums);
      }
      keep_best(m, modes);
    }
    Vector direction(q_());
    for (int round = 0; family.far_modes() && round < (q_() == 1 ? 1 : most_rounds); ++round) {
      bool better = false;
      for (int a = 0; a < q_(); ++a)
        for (int b = q_() <= most_diagonal ? 0 : a; b < q_(); ++b) {
          direction.setZero();
          direction[a] = a == b ? 1.0 : std::sqrt(0.5);
          if (a != b) direction[b] = a < b ? std::sqrt(0.5) : -std::sqrt(0.5);
          for (int i = 0; i < m; ++i) VectorMap(s.direction.data() + i * q_(), q_()) = direction;
          better |= look_along(strip, rows, family, lambda, modes, sums);
          if (q_() > most_diagonal) break;
        }
      if (!better) break;
    }
    if (family.far_modes() || family.levels_off()) look_along_curvature(strip, rows, family, lambda, modes, sums);
  }

  /// Looks along the axes of each cluster's curvature, finely, where effects move a row far. Where effects are large f
  /// has narrow ridges askew to the random effects, whose tops searches that begin beside them do not come to.
  void look_along_curvature(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                            double* modes, Sums& sums) {
    if (!moves_far(strip, lambda, sums.at_leisure ? leaves_peak : far_move)) return;
    bool better = true;
    for (int round = 0; better && round < most_rounds; ++round) {
      better = false;
      for (int a = 0; a < q_(); ++a)
        if (take_axis(a, strip, rows, family, lambda))
          better |= look_along(strip, rows, family, lambda, modes, sums, true);
    }
  }

  /// Whether a unit of v moves some row's linear predictor by more than a curvature lasts.
  bool moves_far(const Strip& strip, const Matrix& lambda, double far) const {
    for (int a = 0; a < q_(); ++a)
      for (int j = 0; j < strip.n_rows; ++j) {
        double x = 0.0;
        for (int b = 0; b < q_(); ++b) x += lambda(b, a) * strip.z[static_cast<std::size_t>(b)][j];
        if (std::fabs(x) > far) return true;
      }
    return false;
  }

  /// The a-th axis of each cluster's curvature at its best mode, the flattest first, as the direction in which to look.
  /// False where rows hardly move along it.
  bool take_axis(int a, const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda) {
    Several& s = *several_;
    const int m = strip.n_clusters();
    Matrix axes(q_(), q_());
    for (int i = 0; i < m; ++i) states_[static_cast<std::size_t>(i)] = {};
    evaluate_active(strip, rows, family, lambda, s.best_v.data());
    bool moving = false;
    for (int i = 0; i < m; ++i) {
      const int first = strip.start[static_cast<std::size_t>(i)],
                n = strip.start[static_cast<std::size_t>(i) + 1] - first;
      Matrix h = precision(strip, lambda, first, n, rows.at_mode.eta[1] + first, -1.0);
      linear_algebra::small::diagonalize(q_(), h.data(), axes.data());
      const ConstVectorMap axis(axes.data() + a * q_(), q_());
      VectorMap(s.direction.data() + i * q_(), q_()) = axis;
      const Vector move = lambda * axis;
      for (int j = first; j < first + n && !moving; ++j) {
        double x = 0.0;
        for (int b = 0; b < q_(); ++b) x += move[b] * strip.z[static_cast<std::size_t>(b)][j];
        moving = std::fabs(x) > hardly_any_move;
      }
    }
    return moving;
  }

  /// What the responses of all rows alone would make of eta, less the fixed part, with the information there.
  void read_responses(const Strip& strip, RowArrays& rows, const family::Family& family, double side) {
    const int n = strip.n_rows;
    double* eta = rows.eta;
    for (int j = 0; j < n; ++j) eta[j] = side * family::start_eta(family, strip.data, j);
    family.expected_information({n, eta, strip.data}, rows.scratch);
    for (int j = 0; j < n; ++j) eta[j] -= rows.fixed_eta[j];
  }

  /// v of the linear model of these.
  void from_responses(const Strip& strip, RowArrays& rows, const Matrix& lambda, int i, VectorMap& v) {
    const int first = strip.start[static_cast<std::size_t>(i)],
              n = strip.start[static_cast<std::size_t>(i) + 1] - first;
    double *eta = rows.eta + first, *weight = rows.scratch + first;
    Vector right(q_());
    for (int a = 0; a < q_(); ++a)
      right[a] = numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first, weight, eta);
    v = lambda.transpose() * right;
    if (!solve(precision(strip, lambda, first, n, weight, 1.0), v.data()) || !v.allFinite()) v.setZero();
  }

  /// Takes the modes that have just been found where they are better. True where one is.
  bool keep_best(int m, const double* modes) {
    Several& s = *several_;
    bool better = false;
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const State& state = states_[at];
      // A saddle point is no mode.
      if (state.failed || !state.course.started() || !state.concave) continue;
      const ConstVectorMap v(modes + i * q_(), q_());
      VectorMap best(s.best_v.data() + i * q_(), q_());
      if (std::isfinite(s.best_f[at])) {
        if (!((v - best).squaredNorm() > same_mode * (1.0 + best.squaredNorm()))) continue;
        s.ended_elsewhere[at] = 1;
        if (!(state.course.f() > s.best_f[at])) continue;
      }
      s.best_f[at] = state.course.f();
      best = v;
      better = true;
    }
    return better;
  }

  /// Searches from the peaks of f along each cluster's direction, of unit length. True where one of them led to a
  /// better mode.
  bool look_along(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                  double* modes, Sums& sums, bool fine = false) {
    Several& s = *several_;
    const int m = strip.n_clusters();
    linear_predictor(strip, rows, lambda, s.best_v.data(), 0, m);
    std::fill_n(s.slope.data(), strip.n_rows, 0.0);
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const ConstVectorMap direction(s.direction.data() + i * q_(), q_());
      const Vector move = lambda * direction;
      const int first = strip.start[at], n = strip.start[at + 1] - first;
      for (int b = 0; b < q_(); ++b)
        numeric::add_multiple(n, move[b], strip.z[static_cast<std::size_t>(b)] + first, s.slope.data() + first);
      s.effect[at] = direction.dot(ConstVectorMap(s.best_v.data() + i * q_(), q_()));
    }
    const ModeScan::Line line{
        strip.n_rows, m, rows.eta, s.slope.data(), strip.data, s.level.data(), s.effect.data(), s.proved.data(), fine};
    s.scan.run(family, line);
    bool better = false;
    for (int r = 0; r < ModeScan::most_peaks; ++r) {
      int active = 0;
      for (int i = 0; i < m; ++i) {
        const auto at = static_cast<std::size_t>(i);
        State& state = states_[at];
        state = {};
        const double peak = s.scan.peak(i, r);
        state.done = std::isnan(peak) || peak == s.effect[at];
        if (state.done) continue;
        ++active;
        VectorMap v(modes + i * q_(), q_());
        v = ConstVectorMap(s.best_v.data() + i * q_(), q_()) +
            (peak - s.effect[at]) * ConstVectorMap(s.direction.data() + i * q_(), q_());
      }
      if (active == 0) continue;
      climb(strip, rows, family, lambda, modes, active, sums);
      better |= keep_best(m, modes);
    }
    return better;
  }

  std::unique_ptr<Several> several_;  ///< null where the density is log-concave
};

}  // namespace multilevel::likelihood
