#include "likelihood/nested/modes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "family/of_row.hpp"
#include "likelihood/one_factor/conditional_mode.hpp"

namespace multilevel::likelihood {

NestedModes::NestedModes(const family::Family& family, int most_rows, int most_units, int most_clusters, int q_inner,
                         int q_outer)
    : states_(static_cast<std::size_t>(most_clusters)),
      old_(most_units, most_clusters, q_inner, q_outer),
      step_(most_units, most_clusters, q_inner, q_outer),
      gradient_(q_inner, 1, most_units),
      sums_(q_inner, 1, most_units) {
  if (!family.log_concave())
    several_ = std::make_unique<Several>(most_rows, most_units, most_clusters, q_inner, q_outer);
}

NestedModes::Several::Several(int most_rows, int most_units, int most_clusters, int q_inner, int q_outer)
    : scan(most_rows, std::max(most_units, most_clusters)),
      slope(static_cast<std::size_t>(most_rows)),
      cluster(slope.size()),
      best(most_units, most_clusters, q_inner, q_outer),
      best_f(static_cast<std::size_t>(most_clusters)),
      outer(best_f),
      peaks(best_f.size() * ModeScan::most_peaks),
      ended_elsewhere(best_f.size()) {}

int NestedModes::find(const Place& place, NestedEffects& v, bool stay, Sums& sums) {
  if (several_ && !stay) return find_largest(place, v, sums);
  const int m = place.rows.n_clusters;
  std::fill(states_.begin(), states_.begin() + m, State{});
  climb(place, v, m, sums);
  for (int c = 0; c < m; ++c)
    if (states_[static_cast<std::size_t>(c)].failed) return c;
  return -1;
}

/// Newton's method for the clusters that are not done; `active` of them.
void NestedModes::climb(const Place& place, NestedEffects& v, int active, Sums& sums) {
  const NestedRows& rows = place.rows;
  const int m = rows.n_clusters;
  const double tolerance = tolerance_of(place.lambda_inner.squaredNorm() + place.lambda_outer.squaredNorm());
  auto fail = [&](State& state) {
    state.failed = state.done = true;
    --active;
  };
  for (int iteration = 0; active > 0 && iteration < most_newton_steps; ++iteration) {
    evaluate_active(place, v);
    for (int c = 0; c < m; ++c) {
      State& state = states_[static_cast<std::size_t>(c)];
      if (state.done) continue;
      const Range units = rows.units(c), own = rows.rows(units), one{c, c + 1};
      const double square = v.square(rows, c);
      const double f = numeric::sum(own.last - own.first, place.arrays.at_mode.value + own.first) - 0.5 * square;
      switch (state.course.arrive(f, square == 0.0)) {
        case ModeCourse::Turn::shrink: {
          const double factor = state.course.shrinkage();
          v.inner.scale(units, factor);
          v.outer.scale(one, factor);
          continue;
        }
        case ModeCourse::Turn::enter:
          if (!enter_domain(place, c, v)) fail(state);
          continue;
        case ModeCourse::Turn::back:
          step_.inner.scale(units, 0.5);
          step_.outer.scale(one, 0.5);
          move(rows, c, v);
          continue;
        case ModeCourse::Turn::fail:
          fail(state);
          continue;
        case ModeCourse::Turn::step:
          break;
      }
      const double decrement = newton_step(place, c, v, state.concave);
      if (!std::isfinite(decrement)) {
        fail(state);
        continue;
      }
      ++sums.newton_steps;
      const bool last = state.course.is_last(decrement, tolerance);
      if (const double reach = state.course.leave(f, decrement); reach > 1.0) {
        step_.inner.scale(units, reach);
        step_.outer.scale(one, reach);
      }
      old_.inner.copy(units, v.inner);
      old_.outer.copy(one, v.outer);
      move(rows, c, v);
      if (last) {
        state.done = true;
        --active;
      }
    }
  }
  for (int c = 0; c < m && active > 0; ++c) {
    State& state = states_[static_cast<std::size_t>(c)];
    if (!state.done) fail(state);
  }
}

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

/// Moves v so that rows outside the domain come nearer to what their responses make of eta. False where v cannot.
bool NestedModes::enter_domain(const Place& place, int cluster, NestedEffects& v) {
  const NestedRows& rows = place.rows;
  NestedArrays& arrays = place.arrays;
  const Range units = rows.units(cluster), own = rows.rows(units), one{cluster, cluster + 1};
  double *weight = arrays.scratch, *weighted = arrays.shift;
  for (int j = own.first; j < own.last; ++j) {
    weight[j] = std::isfinite(arrays.at_mode.value[j]) ? 0.0 : outside_weight;
    weighted[j] = weight[j] * (family::start_eta(place.family, rows.data, j) - arrays.eta[j]);
  }
  rows.inner_sums(units, weighted, sums_);
  gradient_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, place.lambda_inner.transpose(), sums_, gradient_);
  const OuterVector b = rows.outer_sums(own, weighted);
  const OuterVector right = place.lambda_outer.transpose().lazyProduct(b);
  OuterVector outer(rows.q_outer);
  if (!place.arrow.factor(rows, cluster, weight, 1.0, place.lambda_inner, place.lambda_outer)) return false;
  place.arrow.solve(rows, cluster, gradient_, right, step_.inner, outer);
  step_.set_outer(cluster, outer);
  const double size = step_.square(rows, cluster);
  v.inner.add(units, 1.0, step_.inner);
  v.outer.add(one, 1.0, step_.outer);
  return std::isfinite(size) && size > 0.0;
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

/// Clusters search from the peaks along one of their own effects.
bool NestedModes::look_along_outer(int a, const Place& place, NestedEffects& v, Sums& sums) {
  Several& s = *several_;
  const NestedRows& rows = place.rows;
  linear_predictor(rows, place.arrays, place.lambda_inner, place.lambda_outer, s.best, 0, rows.n_clusters);
  set_slopes(rows, rows.z_outer, place.lambda_outer, a);
  std::copy_n(s.best.outer.at(a), rows.n_clusters, s.outer.data());
  const ModeScan::Line line{rows.n_rows, rows.n_clusters,  place.arrays.eta, s.slope.data(),
                            rows.data,   s.cluster.data(), s.outer.data()};
  s.scan.run(place.family, line);
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

void NestedModes::move(const NestedRows& rows, int cluster, NestedEffects& v) const {
  const Range units = rows.units(cluster), one{cluster, cluster + 1};
  v.inner.copy(units, old_.inner);
  v.inner.add(units, 1.0, step_.inner);
  v.outer.copy(one, old_.outer);
  v.outer.add(one, 1.0, step_.outer);
}

void NestedModes::linear_predictor(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
                                   const OuterMatrix& lambda_outer, const NestedEffects& v, int first, int last) {
  for (int c = first; c < last; ++c) {
    const Range units = rows.units(c), own = rows.rows(units);
    std::copy(arrays.fixed_eta + own.first, arrays.fixed_eta + own.last, arrays.eta + own.first);
    sums_.fill(units, 0.0);
    linear_algebra::add_product(units, 1.0, lambda_inner, v.inner, sums_);
    rows.add_inner(own, sums_, arrays.eta);
    rows.add_outer(own, lambda_outer.lazyProduct(v.outer_of(c)), arrays.eta);
  }
}

/// One call of the family for every run of neighbouring clusters that still move.
void NestedModes::evaluate_active(const Place& place, const NestedEffects& v) {
  const NestedRows& rows = place.rows;
  NestedArrays& arrays = place.arrays;
  const int m = rows.n_clusters;
  for (int c = 0; c < m;) {
    if (states_[static_cast<std::size_t>(c)].done) {
      ++c;
      continue;
    }
    int last = c + 1;
    while (last < m && (place.family.costs_per_call() || !states_[static_cast<std::size_t>(last)].done)) ++last;
    linear_predictor(rows, arrays, place.lambda_inner, place.lambda_outer, v, c, last);
    const Range own = rows.rows({rows.units(c).first, rows.units(last - 1).last});
    family::RowDerivatives out;
    out.value = arrays.at_mode.value + own.first;
    out.eta[0] = arrays.at_mode.eta[0] + own.first;
    out.eta[1] = arrays.at_mode.eta[1] + own.first;
    place.family.derivatives(family::Order::step, rows.family_rows(own, arrays.eta), out);
    c = last;
  }
}

/// step = H^-1 f'(v); returns the Newton decrement f'(v)'step. Where the observed H is not positive definite (a density
/// that is not log-concave) the expected information takes its place: it never points downhill.
/// Where neither can be factorized, a share of it is.
double NestedModes::newton_step(const Place& place, int cluster, const NestedEffects& v, bool& concave) {
  const NestedRows& rows = place.rows;
  NestedArrays& arrays = place.arrays;
  const OuterMatrix &lambda_inner = place.lambda_inner, &lambda_outer = place.lambda_outer;
  const Range units = rows.units(cluster), own = rows.rows(units);
  rows.inner_sums(units, arrays.at_mode.eta[0], sums_);
  gradient_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), sums_, gradient_);
  gradient_.add(units, -1.0, v.inner);
  const OuterVector b = rows.outer_sums(own, arrays.at_mode.eta[0]);
  OuterVector gradient = lambda_outer.transpose().lazyProduct(b);
  gradient -= v.outer_of(cluster);
  OuterVector step(rows.q_outer);
  auto solve = [&] {
    place.arrow.solve(rows, cluster, gradient_, gradient, step_.inner, step);
    step_.set_outer(cluster, step);
    double decrement = gradient.dot(step);
    for (int a = 0; a < rows.q_inner; ++a)
      decrement +=
          numeric::dot(units.last - units.first, gradient_.at(a) + units.first, step_.inner.at(a) + units.first);
    return decrement;
  };
  for (const bool observed : {true, false}) {
    if (!observed && !several_) break;  // by rounding alone
    if (!observed) place.family.expected_information(rows.family_rows(own, arrays.eta), arrays.scratch + own.first);
    const double* second = observed ? arrays.at_mode.eta[1] : arrays.scratch;
    if (!place.arrow.factor(rows, cluster, second, observed ? -1.0 : 1.0, lambda_inner, lambda_outer)) continue;
    concave = observed;
    return solve();
  }
  concave = false;
  const double* second = several_ ? arrays.scratch : arrays.at_mode.eta[1];
  for (double share = first_share; share > least_share; share *= first_share) {
    if (!place.arrow.factor(rows, cluster, second, several_ ? share : -share, lambda_inner, lambda_outer)) continue;
    const double decrement = share * solve();
    step_.inner.scale(units, share);
    step_.outer.scale({cluster, cluster + 1}, share);
    return std::max(decrement, not_done);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace multilevel::likelihood
