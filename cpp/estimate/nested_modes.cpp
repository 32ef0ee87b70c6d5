#include "estimate/nested_modes.hpp"

#include <cmath>
#include <limits>

#include "estimate/conditional_mode.hpp"

namespace multilevel::estimate {

NestedModes::NestedModes(int most_units, int most_clusters, int q_inner, int q_outer)
    : states_(static_cast<std::size_t>(most_clusters)),
      old_(most_units, most_clusters, q_inner, q_outer),
      step_(most_units, most_clusters, q_inner, q_outer),
      gradient_(q_inner, 1, most_units),
      sums_(q_inner, 1, most_units) {}

int NestedModes::find(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                      const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const double* phi,
                      NestedEffects& v, BlockArrow& arrow, long& newton_steps) {
  const int m = rows.n_clusters;
  int active = m;
  std::fill(states_.begin(), states_.begin() + m, State{});
  for (int iteration = 0; active > 0 && iteration < most_newton_steps; ++iteration) {
    evaluate_active(rows, arrays, family, lambda_inner, lambda_outer, phi, v);
    for (int c = 0; c < m; ++c) {
      State& state = states_[static_cast<std::size_t>(c)];
      if (state.done) continue;
      const Range units = rows.units(c), own = rows.rows(units), one{c, c + 1};
      const double square = v.square(rows, c);
      const double f = numeric::sum(own.last - own.first, arrays.at_mode.value + own.first) - 0.5 * square;
      if (!state.started && !std::isfinite(f)) {
        // Outside the domain at the start: towards v = 0, and there only beta can help.
        if (square == 0.0 || ++state.halvings > most_halvings) return c;
        const double factor = state.halvings == most_halvings ? 0.0 : 0.5;
        v.inner.scale(units, factor);
        v.outer.scale(one, factor);
        continue;
      }
      if (state.started && !(f >= state.f - 1e-9 * (1.0 + std::fabs(state.f)))) {
        if (++state.halvings > most_halvings) return c;
        step_.inner.scale(units, 0.5);
        step_.outer.scale(one, 0.5);
        move(rows, c, v);
        continue;
      }
      const double decrement = newton_step(rows, arrays, family, lambda_inner, lambda_outer, phi, c, v, arrow);
      if (!std::isfinite(decrement)) return c;
      ++newton_steps;
      state.started = true;
      state.halvings = 0;
      state.f = f;
      old_.inner.copy(units, v.inner);
      old_.outer.copy(one, v.outer);
      move(rows, c, v);
      if (decrement < mode_tolerance) {
        state.done = true;
        --active;
      }
    }
  }
  for (int c = 0; c < m && active > 0; ++c)
    if (!states_[static_cast<std::size_t>(c)].done) return c;
  return -1;
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
    numeric::add_product(units, 1.0, lambda_inner, v.inner, sums_);
    rows.add_inner(own, sums_, arrays.eta);
    rows.add_outer(own, lambda_outer.lazyProduct(v.outer_of(c)), arrays.eta);
  }
}

/// One call of the family for every run of neighbouring clusters that still move.
void NestedModes::evaluate_active(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                                  const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const double* phi,
                                  const NestedEffects& v) {
  const int m = rows.n_clusters;
  for (int c = 0; c < m;) {
    if (states_[static_cast<std::size_t>(c)].done) {
      ++c;
      continue;
    }
    int last = c + 1;
    while (last < m && !states_[static_cast<std::size_t>(last)].done) ++last;
    linear_predictor(rows, arrays, lambda_inner, lambda_outer, v, c, last);
    const Range own = rows.rows({rows.units(c).first, rows.units(last - 1).last});
    family::RowDerivatives out;
    out.value = arrays.at_mode.value + own.first;
    out.eta[0] = arrays.at_mode.eta[0] + own.first;
    out.eta[1] = arrays.at_mode.eta[1] + own.first;
    family.derivatives(family::Order::step, rows.family_rows(own, arrays.eta), phi, out);
    c = last;
  }
}

/// step = H^-1 f'(v); returns the Newton decrement f'(v)'step. Where the observed H is not positive definite (a density
/// that is not log-concave) the expected information takes its place: it never points downhill.
double NestedModes::newton_step(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                                const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const double* phi,
                                int cluster, const NestedEffects& v, BlockArrow& arrow) {
  const Range units = rows.units(cluster), own = rows.rows(units);
  rows.inner_sums(units, arrays.at_mode.eta[0], sums_);
  gradient_.fill(units, 0.0);
  numeric::add_product(units, 1.0, lambda_inner.transpose(), sums_, gradient_);
  gradient_.add(units, -1.0, v.inner);
  const OuterVector b = rows.outer_sums(own, arrays.at_mode.eta[0]);
  OuterVector gradient = lambda_outer.transpose().lazyProduct(b);
  gradient -= v.outer_of(cluster);
  for (const bool observed : {true, false}) {
    if (!observed) family.expected_information(rows.family_rows(own, arrays.eta), phi, arrays.scratch + own.first);
    const double* second = observed ? arrays.at_mode.eta[1] : arrays.scratch;
    if (!arrow.factor(rows, cluster, second, observed ? -1.0 : 1.0, lambda_inner, lambda_outer)) continue;
    OuterVector step(rows.q_outer);
    arrow.solve(rows, cluster, gradient_, gradient, step_.inner, step);
    step_.set_outer(cluster, step);
    double decrement = gradient.dot(step);
    for (int a = 0; a < rows.q_inner; ++a)
      decrement +=
          numeric::dot(units.last - units.first, gradient_.at(a) + units.first, step_.inner.at(a) + units.first);
    return decrement;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace multilevel::estimate
