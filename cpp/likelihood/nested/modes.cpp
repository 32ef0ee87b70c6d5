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
      if (!state.course.started() && f < state.least) {
        fail(state);
        continue;
      }
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
