// Newton's method on f(v) for the clusters of a strip, all in step.
//
// Going in step lets one vectorised pass over the rows serve clusters of any size, two rows as well as a thousand.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "family/of_row.hpp"
#include "likelihood/mode_course.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "likelihood/sums.hpp"
#include "linear_algebra/small.hpp"
#include "linear_algebra/small_factor.hpp"

namespace multilevel::likelihood {

template <int Q>
class ClusterClimb {
 public:
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;
  using VectorMap = typename linear_algebra::Small<Q>::VectorMap;
  using ConstVectorMap = typename linear_algebra::Small<Q>::ConstVectorMap;

  /// Where a cluster's search is.
  struct State {
    ModeCourse course;
    bool done = false, failed = false;
    bool concave = false;  ///< whether the last step was made with the observed H
  };

  ClusterClimb(const family::Family& family, int most_clusters, int q)
      : q_(q),
        states_(static_cast<std::size_t>(most_clusters)),
        log_concave_(family.log_concave()),
        old_(static_cast<std::size_t>(most_clusters * q)),
        step_(old_) {}

  /// Newton's method for the clusters that are not done; `active` of them.
  void climb(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, double* modes,
             int active, Sums& sums) {
    const int m = strip.n_clusters();
    const double tolerance = tolerance_of(linear_algebra::sum_of_products(lambda, lambda));
    auto fail = [&](State& state) {
      state.failed = state.done = true;
      --active;
    };
    for (int iteration = 0; active > 0 && iteration < most_newton_steps; ++iteration) {
      evaluate_active(strip, rows, family, lambda, modes);
      for (int i = 0; i < m; ++i) {
        State& state = states_[static_cast<std::size_t>(i)];
        if (state.done) continue;
        VectorMap v(modes + i * q_(), q_()), old(old_.data() + i * q_(), q_()), step(step_.data() + i * q_(), q_());
        const int first = strip.start[static_cast<std::size_t>(i)],
                  n = strip.start[static_cast<std::size_t>(i) + 1] - first;
        const double f = numeric::sum(n, rows.at_mode.value + first) - 0.5 * v.squaredNorm();
        switch (state.course.arrive(f, v.squaredNorm() == 0.0)) {
          case ModeCourse::Turn::shrink:
            v *= state.course.shrinkage();
            continue;
          case ModeCourse::Turn::enter:
            if (!enter_domain(strip, rows, family, lambda, first, n, v)) fail(state);
            continue;
          case ModeCourse::Turn::back:
            step *= 0.5;
            v = old + step;
            continue;
          case ModeCourse::Turn::fail:
            fail(state);
            continue;
          case ModeCourse::Turn::step:
            break;
        }
        const double decrement = newton_step(strip, rows, family, lambda, first, n, v, step, state.concave);
        if (!std::isfinite(decrement)) {
          fail(state);
          continue;
        }
        ++sums.newton_steps;
        const bool last = state.course.is_last(decrement, tolerance);
        if (const double reach = state.course.leave(f, decrement); reach > 1.0) step *= reach;
        old = v;
        v += step;
        if (last) {
          state.done = true;
          --active;
        }
      }
    }
    for (int i = 0; i < m && active > 0; ++i) {
      State& state = states_[static_cast<std::size_t>(i)];
      if (!state.done) fail(state);
    }
  }

  /// One call of the family for every run of neighbouring clusters that still move; where calls are dear, one for all.
  void evaluate_active(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                       const double* modes) {
    const int m = strip.n_clusters();
    for (int i = 0; i < m;) {
      if (states_[static_cast<std::size_t>(i)].done) {
        ++i;
        continue;
      }
      int last = i + 1;
      while (last < m && (family.costs_per_call() || !states_[static_cast<std::size_t>(last)].done)) ++last;
      linear_predictor(strip, rows, lambda, modes, i, last);
      const int first_row = strip.start[static_cast<std::size_t>(i)],
                n = strip.start[static_cast<std::size_t>(last)] - first_row;
      family::RowDerivatives out;
      out.value = rows.at_mode.value + first_row;
      out.eta[0] = rows.at_mode.eta[0] + first_row;
      out.eta[1] = rows.at_mode.eta[1] + first_row;
      family.derivatives(family::Order::step, {n, rows.eta + first_row, strip.data.from(first_row)}, out);
      i = last;
    }
  }

  /// eta of the rows of clusters [first, last) of the strip at u = Lambda v.
  void linear_predictor(const Strip& strip, RowArrays& rows, const Matrix& lambda, const double* modes, int first,
                        int last) {
    for (int i = first; i < last; ++i) {
      const Vector u = lambda * ConstVectorMap(modes + i * q_(), q_());
      add_random_effects(strip, rows, strip.start[static_cast<std::size_t>(i)],
                         strip.start[static_cast<std::size_t>(i) + 1], u);
    }
  }

  /// eta = o + Z u for rows [first, last).
  void add_random_effects(const Strip& strip, RowArrays& rows, int first, int last, const Vector& u) const {
    double* __restrict eta = rows.eta;
    const double* __restrict o = rows.fixed_eta;
    const double* z = strip.z[0];
    const double u0 = u[0];
    for (int j = first; j < last; ++j) eta[j] = o[j] + u0 * z[j];
    for (int a = 1; a < q_(); ++a)
      numeric::add_multiple(last - first, u[a], strip.z[static_cast<std::size_t>(a)] + first, eta + first);
  }

  /// step = H^-1 f'(v); returns the Newton decrement f'(v)'step. Where the observed H is not positive definite (a
  /// density that is not log-concave) the expected information takes its place: it never points downhill. Where
  /// neither can be factorized, a share of it is.
  double newton_step(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, int first,
                     int n, const Vector& v, VectorMap& step, bool& concave) {
    Vector gradient(q_());
    for (int a = 0; a < q_(); ++a)
      gradient[a] = numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first, rows.at_mode.eta[0] + first);
    gradient = Vector(lambda.transpose() * gradient) - v;
    for (const bool observed : {true, false}) {
      const double* w = rows.at_mode.eta[1] + first;
      if (!observed && log_concave_) break;  // by rounding alone
      if (!observed) {
        family.expected_information({n, rows.eta + first, strip.data.from(first)}, rows.scratch + first);
        w = rows.scratch + first;
      }
      step = gradient;
      if (solve(precision(strip, lambda, first, n, w, observed ? -1.0 : 1.0), step.data())) {
        concave = observed;
        return gradient.dot(step);
      }
    }
    concave = false;
    const double* w = log_concave_ ? rows.at_mode.eta[1] + first : rows.scratch + first;
    for (double share = first_share; share > least_share; share *= first_share) {
      step = gradient;
      if (!solve(precision(strip, lambda, first, n, w, log_concave_ ? -share : share), step.data())) continue;
      step *= share;
      return std::max(gradient.dot(step), not_done);
    }
    return std::numeric_limits<double>::quiet_NaN();
  }

  /// I + Lambda' Z' diag(sign w) Z Lambda of a cluster.
  Matrix precision(const Strip& strip, const Matrix& lambda, int first, int n, const double* w, double sign) const {
    Matrix h(q_(), q_());
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b)
        h(a, b) = h(b, a) = sign * numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first,
                                                strip.z[static_cast<std::size_t>(b)] + first, w);
    return Matrix::Identity(q_(), q_()) + lambda.transpose() * h * lambda;
  }

  /// x = h^-1 x; false, and x as it was, where h is not positive definite.
  bool solve(Matrix h, double* x) const {
    if (!linear_algebra::small::cholesky(q_(), h.data())) return false;
    linear_algebra::small::forward(q_(), h.data(), x);
    linear_algebra::small::backward(q_(), h.data(), x);
    return true;
  }

 private:
  /// Moves v so that rows outside the domain come nearer to what their responses make of eta. False where v cannot.
  bool enter_domain(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, int first,
                    int n, VectorMap& v) {
    double *eta = rows.eta + first, *weight = rows.scratch + first;
    for (int j = 0; j < n; ++j) {
      weight[j] = std::isfinite(rows.at_mode.value[first + j]) ? 0.0 : outside_weight;
      eta[j] = family::start_eta(family, strip.data, first + j) - eta[j];
    }
    Vector right(q_());
    for (int a = 0; a < q_(); ++a)
      right[a] = numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first, weight, eta);
    Vector step = lambda.transpose() * right;
    if (!solve(precision(strip, lambda, first, n, weight, 1.0), step.data())) return false;
    v += step;
    return v.allFinite() && step.squaredNorm() > 0.0;
  }

 protected:
  linear_algebra::Dimension<Q> q_;
  std::vector<State> states_;

 private:
  bool log_concave_;
  std::vector<double> old_, step_;
};

}  // namespace multilevel::likelihood
