// The part of NestedModes that looks for the largest of several modes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "family/of_row.hpp"
#include "likelihood/nested/modes.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int most_trials = 16;                        // of a cluster along one effect of its units
constexpr double elsewhere = 1e-3;                     // of a unit's effect
constexpr double to_sides[] = {-1.2, -0.4, 0.4, 1.2};  // of a cluster's effect, its units following

}  // namespace

/// The largest mode that searches from zero, from what the responses alone say of v, and from peaks along the random
/// effects arrive at. Units are independent given their cluster's own effects, so all of them move at once.
int NestedModes::find_largest(const Place& place, NestedEffects& v, Sums& sums) {
  Several& s = *several_;
  const NestedRows& rows = place.rows;
  const int m = rows.n_clusters;
  const bool scans = place.family.far_modes() || (place.family.levels_off() && leaves_peaks(place));
  s.best.inner.fill({0, rows.n_units}, 0.0);
  s.best.outer.fill({0, m}, 0.0);
  for (int c = 0; c < m; ++c) {
    s.best_f[static_cast<std::size_t>(c)] = -std::numeric_limits<double>::infinity();
    s.ended_elsewhere[static_cast<std::size_t>(c)] = 0;
    const Range own = rows.rows(rows.units(c));
    std::fill(s.cluster.begin() + own.first, s.cluster.begin() + own.last, c);
  }
  for (const double side : {0.0, 1.0, -1.0}) {
    if (side < 0.0 && !place.family.is_even()) continue;
    v.inner.fill({0, rows.n_units}, 0.0);
    v.outer.fill({0, m}, 0.0);
    if (side != 0.0) from_responses(place, side, {0, m}, v);
    if (scans) settle(place, v);
    std::fill(states_.begin(), states_.begin() + m, State{});
    climb(place, v, m, sums);
    keep_best(rows, v);
  }
  for (int round = 0; scans && round < most_rounds; ++round) {
    bool better = false;
    for (int a = 0; a < rows.q_outer; ++a) better |= look_along_outer(a, place, v, sums);
    better |= look_along_inner(place, v, sums);
    for (int a = 0; a < rows.q_inner; ++a) better |= try_units(a, place, v, sums);
    for (int a = 0; a < rows.q_outer && sums.at_leisure; ++a)
      for (const double move : to_sides) better |= try_aside(a, move, place, v, sums);
    if (!better) break;
  }
  v.inner.copy({0, rows.n_units}, s.best.inner);
  v.outer.copy({0, m}, s.best.outer);
  int failed = -1;
  for (int c = m - 1; c >= 0; --c) {
    sums.several_modes += s.ended_elsewhere[static_cast<std::size_t>(c)];
    if (!std::isfinite(s.best_f[static_cast<std::size_t>(c)])) failed = c;
  }
  return failed;
}

/// Whether one unit of some random effect takes rows off their peaks.
bool NestedModes::leaves_peaks(const Place& place) {
  const NestedRows& rows = place.rows;
  auto moves_far = [&](const std::vector<const double*>& z, const OuterMatrix& lambda) {
    for (int a = 0; a < static_cast<int>(lambda.cols()); ++a) {
      set_slopes(rows, z, lambda, a);
      const auto first = several_->slope.begin();
      if (std::any_of(first, first + rows.n_rows, [](double x) { return std::fabs(x) > leaves_peak; })) return true;
    }
    return false;
  };
  return moves_far(rows.z_inner, place.lambda_inner) || moves_far(rows.z_outer, place.lambda_outer);
}

/// How much one unit of the a-th of a level's random effects moves each row.
void NestedModes::set_slopes(const NestedRows& rows, const std::vector<const double*>& z, const OuterMatrix& lambda,
                             int a) {
  std::vector<double>& slope = several_->slope;
  std::fill(slope.begin(), slope.begin() + rows.n_rows, 0.0);
  for (int b = 0; b < static_cast<int>(lambda.cols()); ++b)
    numeric::add_multiple(rows.n_rows, lambda(b, a), z[static_cast<std::size_t>(b)], slope.data());
}

/// v of the linear model in which every row says what its response alone would make of eta, for a range of clusters; v
/// is zero on entry, and stays so where there is none.
void NestedModes::from_responses(const Place& place, double side, Range clusters, NestedEffects& v) {
  const NestedRows& rows = place.rows;
  NestedArrays& arrays = place.arrays;
  const Range units{rows.units(clusters.first).first, rows.units(clusters.last - 1).last}, own = rows.rows(units);
  double *eta = arrays.eta, *weight = arrays.scratch, *weighted = arrays.shift;
  for (int j = own.first; j < own.last; ++j) eta[j] = side * family::start_eta(place.family, rows.data, j);
  place.family.expected_information(rows.family_rows(own, eta), weight + own.first);
  for (int j = own.first; j < own.last; ++j) weighted[j] = weight[j] * (eta[j] - arrays.fixed_eta[j]);
  rows.inner_sums(units, weighted, sums_);
  gradient_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, place.lambda_inner.transpose(), sums_, gradient_);
  for (int c = clusters.first; c < clusters.last; ++c) {
    const OuterVector b = rows.outer_sums(rows.rows(rows.units(c)), weighted);
    const OuterVector right = place.lambda_outer.transpose().lazyProduct(b);
    OuterVector outer(rows.q_outer);
    if (!place.arrow.factor(rows, c, weight, 1.0, place.lambda_inner, place.lambda_outer)) continue;
    place.arrow.solve(rows, c, gradient_, right, v.inner, outer);
    v.set_outer(c, outer);
    if (!std::isfinite(v.square(rows, c))) {
      v.inner.fill(rows.units(c), 0.0);
      v.outer.fill({c, c + 1}, 0.0);
    }
  }
}

/// Takes the modes that have just been found where they are better. True where one is.
bool NestedModes::keep_best(const NestedRows& rows, const NestedEffects& v) {
  Several& s = *several_;
  bool better = false;
  for (int c = 0; c < rows.n_clusters; ++c) {
    const State& state = states_[static_cast<std::size_t>(c)];
    double& best_f = s.best_f[static_cast<std::size_t>(c)];
    // A saddle point is no mode.
    if (state.failed || !state.course.started() || !state.concave) continue;
    const Range units = rows.units(c), one{c, c + 1};
    if (std::isfinite(best_f)) {
      old_.inner.copy(units, v.inner);
      old_.inner.add(units, -1.0, s.best.inner);
      old_.outer.copy(one, v.outer);
      old_.outer.add(one, -1.0, s.best.outer);
      if (!(old_.square(rows, c) > same_mode * (1.0 + s.best.square(rows, c)))) continue;
      s.ended_elsewhere[static_cast<std::size_t>(c)] = 1;
      if (!(state.course.f() > best_f)) continue;
    }
    best_f = state.course.f();
    s.best.inner.copy(units, v.inner);
    s.best.outer.copy(one, v.outer);
    better = true;
  }
  return better;
}

void NestedModes::start_from_best(const NestedRows& rows, int cluster, NestedEffects& v) const {
  v.inner.copy(rows.units(cluster), several_->best.inner);
  v.outer.copy({cluster, cluster + 1}, several_->best.outer);
}

/// Every unit goes to the best place along its effects, one after the other, with the clusters' own held. True where
/// one has moved.
bool NestedModes::settle(const Place& place, NestedEffects& v) {
  Several& s = *several_;
  const NestedRows& rows = place.rows;
  bool moved = false;
  for (int a = 0; a < rows.q_inner; ++a) {
    linear_predictor(rows, place.arrays, place.lambda_inner, place.lambda_outer, v, 0, rows.n_clusters);
    set_slopes(rows, rows.z_inner, place.lambda_inner, a);
    const ModeScan::Line line{rows.n_rows, rows.n_units,   place.arrays.eta, s.slope.data(),
                              rows.data,   rows.unit_of(), v.inner.at(a)};
    s.scan.run(place.family, line);
    s.scan.climb(place.family, line);
    for (int i = 0; i < rows.n_units; ++i) {
      if (!(s.scan.gain(i) > least_gain)) continue;
      v.inner.at(a)[i] = s.scan.best(i);
      moved = true;
    }
  }
  return moved;
}

/// Searches from where the units are best given the best place of their clusters.
bool NestedModes::look_along_inner(const Place& place, NestedEffects& v, Sums& sums) {
  const NestedRows& rows = place.rows;
  for (int c = 0; c < rows.n_clusters; ++c) start_from_best(rows, c, v);
  if (!settle(place, v)) return false;
  std::fill(states_.begin(), states_.begin() + rows.n_clusters, State{});
  climb(place, v, rows.n_clusters, sums);
  return keep_best(rows, v);
}

/// Lists the peaks along the a-th effect of all levels of a factor, from the best places.
void NestedModes::scan_from_best(const Place& place, const std::vector<const double*>& z, const OuterMatrix& lambda,
                                 int a, const Levels& levels) {
  const NestedRows& rows = place.rows;
  linear_predictor(rows, place.arrays, place.lambda_inner, place.lambda_outer, several_->best, 0, rows.n_clusters);
  set_slopes(rows, z, lambda, a);
  several_->scan.run(place.family, {rows.n_rows, levels.count, place.arrays.eta, several_->slope.data(), rows.data,
                                    levels.of_row, levels.effect});
}

/// Each unit in turn searches from its other peaks along one effect: lower while the others are held, they may lead
/// higher once the effects of its cluster follow. The clusters do so side by side.
bool NestedModes::try_units(int a, const Place& place, NestedEffects& v, Sums& sums) {
  Several& s = *several_;
  const NestedRows& rows = place.rows;
  const double* effect = s.best.inner.at(a);
  scan_from_best(place, rows.z_inner, place.lambda_inner, a, {rows.n_units, rows.unit_of(), effect});
  s.trials.clear();
  for (int c = 0; c < rows.n_clusters; ++c) {
    const auto first = static_cast<std::ptrdiff_t>(s.trials.size());
    const Range units = rows.units(c);
    for (int i = units.first; i < units.last; ++i)
      for (int r = 0; r < ModeScan::most_peaks; ++r) {
        const double peak = s.scan.peak(i, r);
        if (std::isnan(peak) || std::fabs(peak - effect[i]) < elsewhere) continue;
        if (s.scan.promise(i, r) > -worth_a_search) s.trials.push_back({c, i, peak, s.scan.promise(i, r)});
      }
    std::stable_sort(s.trials.begin() + first, s.trials.end(),
                     [](const auto& one, const auto& other) { return one.promise > other.promise; });
    if (s.trials.end() - s.trials.begin() - first > most_trials)
      s.trials.erase(s.trials.begin() + first + most_trials, s.trials.end());
  }
  bool better = false;
  for (int round = 0; round < most_trials; ++round) {
    int active = 0;
    for (int c = 0; c < rows.n_clusters; ++c) {
      State& state = states_[static_cast<std::size_t>(c)];
      state = {};
      state.done = true;
    }
    for (std::size_t k = 0, first = 0; k < s.trials.size(); ++k) {
      const auto& trial = s.trials[k];
      if (trial.cluster != s.trials[first].cluster) first = k;
      if (k - first != static_cast<std::size_t>(round)) continue;
      State& state = states_[static_cast<std::size_t>(trial.cluster)];
      state.done = false;
      state.least = s.best_f[static_cast<std::size_t>(trial.cluster)] - worth_a_search;
      start_from_best(rows, trial.cluster, v);
      v.inner.at(a)[trial.unit] = trial.peak;
      ++active;
    }
    if (active == 0) break;
    climb(place, v, active, sums);
    better |= keep_best(rows, v);
  }
  return better;
}

/// Clusters search from aside of where they are along one of their own effects, their units at the best places there.
bool NestedModes::try_aside(int a, double move, const Place& place, NestedEffects& v, Sums& sums) {
  const NestedRows& rows = place.rows;
  for (int c = 0; c < rows.n_clusters; ++c) {
    start_from_best(rows, c, v);
    v.outer.at(a)[c] += move;
    states_[static_cast<std::size_t>(c)] = {};
    states_[static_cast<std::size_t>(c)].least = several_->best_f[static_cast<std::size_t>(c)] - worth_a_search;
  }
  settle(place, v);
  climb(place, v, rows.n_clusters, sums);
  return keep_best(rows, v);
}

/// Clusters search from the peaks along one of their own effects.
bool NestedModes::look_along_outer(int a, const Place& place, NestedEffects& v, Sums& sums) {
  Several& s = *several_;
  const NestedRows& rows = place.rows;
  std::copy_n(s.best.outer.at(a), rows.n_clusters, s.outer.data());
  scan_from_best(place, rows.z_outer, place.lambda_outer, a, {rows.n_clusters, s.cluster.data(), s.outer.data()});
  for (int c = 0; c < rows.n_clusters; ++c)
    for (int r = 0; r < ModeScan::most_peaks; ++r)
      s.peaks[static_cast<std::size_t>(c * ModeScan::most_peaks + r)] = s.scan.peak(c, r);
  bool better = false;
  for (int r = 0; r < ModeScan::most_peaks; ++r) {
    int active = 0;
    for (int c = 0; c < rows.n_clusters; ++c) {
      State& state = states_[static_cast<std::size_t>(c)];
      state = {};
      start_from_best(rows, c, v);
      const double peak = s.peaks[static_cast<std::size_t>(c * ModeScan::most_peaks + r)];
      state.done = std::isnan(peak) || peak == s.outer[static_cast<std::size_t>(c)];
      if (state.done) continue;
      ++active;
      v.outer.at(a)[c] = peak;
    }
    if (active == 0) continue;
    settle(place, v);
    climb(place, v, active, sums);
    better |= keep_best(rows, v);
  }
  return better;
}

}  // namespace multilevel::likelihood
