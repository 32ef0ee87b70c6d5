// Conditional modes of the clusters of a strip: Newton's method on f(v), all clusters in step.
//
// Going in step lets one vectorised pass over the rows serve clusters of any size, two rows as well as a thousand.
#pragma once

#include <cmath>
#include <vector>

#include "estimate/small.hpp"
#include "estimate/strip.hpp"

namespace multilevel::estimate {

inline constexpr double mode_tolerance = 1e-10;  // Newton decrement after which the last step is taken unseen
inline constexpr int most_newton_steps = 200;
inline constexpr int most_halvings = 60;

template <int Q, int Max>
class ConditionalModes {
  using Vector = typename Small<Q, Max>::Vector;
  using Matrix = typename Small<Q, Max>::Matrix;

 public:
  ConditionalModes(int most_clusters, int q)
      : q_(q),
        states_(static_cast<std::size_t>(most_clusters)),
        old_(static_cast<std::size_t>(most_clusters * q)),
        step_(old_) {}

  /// Returns the first cluster (within the strip) without a mode, or -1. `modes`: the strip's first cluster's v.
  int find(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda, const double* phi,
           double* modes, long& newton_steps) {
    const int m = strip.n_clusters();
    int active = m;
    for (int i = 0; i < m; ++i) states_[static_cast<std::size_t>(i)] = {};
    for (int iteration = 0; active > 0; ++iteration) {
      if (iteration == most_newton_steps) break;
      evaluate_active(strip, rows, family, lambda, phi, modes);
      for (int i = 0; i < m; ++i) {
        State& state = states_[static_cast<std::size_t>(i)];
        if (state.done) continue;
        Eigen::Map<Vector> v(modes + i * q_(), q_()), old(old_.data() + i * q_(), q_()),
            step(step_.data() + i * q_(), q_());
        const int first = strip.start[static_cast<std::size_t>(i)],
                  n = strip.start[static_cast<std::size_t>(i) + 1] - first;
        const double f = numeric::sum(n, rows.at_mode.value + first) - 0.5 * v.squaredNorm();
        if (!state.started && !std::isfinite(f)) {
          // Outside the domain at the start: towards v = 0, and there only beta can help.
          if (v.squaredNorm() == 0.0 || ++state.halvings > most_halvings) return i;
          v *= state.halvings == most_halvings ? 0.0 : 0.5;
          continue;
        }
        if (state.started && !(f >= state.f - 1e-9 * (1.0 + std::fabs(state.f)))) {
          if (++state.halvings > most_halvings) return i;
          step *= 0.5;
          v = old + step;
          continue;
        }
        const double decrement = newton_step(strip, rows, family, lambda, phi, first, n, v, step);
        if (!std::isfinite(decrement)) return i;
        ++newton_steps;
        state.started = true;
        state.halvings = 0;
        state.f = f;
        old = v;
        v += step;
        if (decrement < mode_tolerance) {
          state.done = true;
          --active;
        }
      }
    }
    for (int i = 0; i < m && active > 0; ++i)
      if (!states_[static_cast<std::size_t>(i)].done) return i;
    return -1;
  }

  /// eta of the rows of clusters [first, last) of the strip at u = Lambda v.
  void linear_predictor(const Strip& strip, RowArrays& rows, const Matrix& lambda, const double* modes, int first,
                        int last) {
    for (int i = first; i < last; ++i) {
      const Vector u = lambda * Eigen::Map<const Vector>(modes + i * q_(), q_());
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

 private:
  struct State {
    double f = 0.0;
    int halvings = 0;
    bool started = false, done = false;
  };

  /// One call of the family for every run of neighbouring clusters that still move.
  void evaluate_active(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                       const double* phi, const double* modes) {
    const int m = strip.n_clusters();
    for (int i = 0; i < m;) {
      if (states_[static_cast<std::size_t>(i)].done) {
        ++i;
        continue;
      }
      int last = i + 1;
      while (last < m && !states_[static_cast<std::size_t>(last)].done) ++last;
      linear_predictor(strip, rows, lambda, modes, i, last);
      const int first_row = strip.start[static_cast<std::size_t>(i)],
                n = strip.start[static_cast<std::size_t>(last)] - first_row;
      family::RowDerivatives out;
      out.value = rows.at_mode.value + first_row;
      out.eta[0] = rows.at_mode.eta[0] + first_row;
      out.eta[1] = rows.at_mode.eta[1] + first_row;
      family.derivatives(family::Order::step,
                         {n, rows.eta + first_row, strip.response + first_row, strip.weight + first_row}, phi, out);
      i = last;
    }
  }

  /// step = H^-1 f'(v); returns the Newton decrement f'(v)'step. Where the observed H is not positive definite (a
  /// density that is not log-concave) the expected information takes its place: it never points downhill.
  double newton_step(const Strip& strip, RowArrays& rows, const family::Family& family, const Matrix& lambda,
                     const double* phi, int first, int n, const Vector& v, Eigen::Map<Vector>& step) {
    Vector gradient(q_());
    Matrix h(q_(), q_());
    for (int a = 0; a < q_(); ++a)
      gradient[a] = numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first, rows.at_mode.eta[0] + first);
    gradient = (lambda.transpose() * gradient - v).eval();
    for (const bool observed : {true, false}) {
      const double* w = rows.at_mode.eta[1] + first;
      if (!observed) {
        family.expected_information({n, rows.eta + first, strip.response + first, strip.weight + first}, phi,
                                    rows.scratch + first);
        w = rows.scratch + first;
      }
      const double sign = observed ? -1.0 : 1.0;
      for (int a = 0; a < q_(); ++a)
        for (int b = 0; b <= a; ++b)
          h(a, b) = h(b, a) = sign * numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first,
                                                  strip.z[static_cast<std::size_t>(b)] + first, w);
      h = (Matrix::Identity(q_(), q_()) + lambda.transpose() * h * lambda).eval();
      const Eigen::LLT<Matrix> factor(h);
      if (factor.info() == Eigen::Success) {
        step = factor.solve(gradient);
        return gradient.dot(step);
      }
    }
    return std::numeric_limits<double>::quiet_NaN();
  }

  Dimension<Q> q_;
  std::vector<State> states_;
  std::vector<double> old_, step_;
};

}  // namespace multilevel::estimate
