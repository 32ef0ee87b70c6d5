// From a log density written once to all derivatives of all rows: the density is evaluated on truncated Taylor series,
// a few rows at a time. A density is a struct with
//   static constexpr int n_phi;
//   template <class T> static T value(const T& eta, const Row& row, const T* phi);
#pragma once

#include <algorithm>

#include "family/family.hpp"
#include "numeric/second_order.hpp"
#include "numeric/taylor.hpp"

namespace multilevel::family {

// For plain lanes, which have no namespace that a call could be looked up in.
using numeric::exp;
using numeric::expm1;
using numeric::log1mexp;
using numeric::log1p;
using numeric::softplus;

using numeric::lane_count;
using numeric::Lanes;
using numeric::Taylor;

/// Observations side by side; see family::Observation.
struct Row {
  Lanes response, second, weight;
};

/// weight * series, and exactly zero where the weight is zero, even if the series is infinite there.
template <int D, class T>
inline Taylor<D, T> weighted(Lanes weight, const Taylor<D, T>& series);

inline Lanes weighted(Lanes weight, Lanes series) {
  return numeric::select(weight == 0.0, numeric::broadcast(0.0), weight * series);
}
template <int R>
inline numeric::SecondOrder<R> weighted(Lanes weight, numeric::SecondOrder<R> x) {
  x.value = weighted(weight, x.value);
  for (auto& slope : x.slope) slope = weighted(weight, slope);
  for (auto& second : x.second) second = weighted(weight, second);
  return x;
}
template <int D, class T>
inline Taylor<D, T> weighted(Lanes weight, const Taylor<D, T>& series) {
  Taylor<D, T> r;
  for (int k = 0; k <= D; ++k) r.c[k] = weighted(weight, series.c[k]);
  return r;
}

/// NaN outside the domain.
inline Lanes only_where(numeric::LaneBits feasible, Lanes value) {
  return numeric::select(feasible, value, numeric::broadcast(std::numeric_limits<double>::quiet_NaN()));
}
template <int R>
inline numeric::SecondOrder<R> only_where(numeric::LaneBits feasible, numeric::SecondOrder<R> x) {
  x.value = only_where(feasible, x.value);
  return x;
}
template <int D, class T>
inline Taylor<D, T> only_where(numeric::LaneBits feasible, Taylor<D, T> series) {
  series.c[0] = only_where(feasible, series.c[0]);
  return series;
}

/// A function of what does not depend on eta, such as the parameters of a family: of the series in phi alone.
template <class Function>
inline Lanes of_parameter(Lanes x, Function function) {
  return function(x);
}
template <int D, class T, class Function>
inline Taylor<D, T> of_parameter(const Taylor<D, T>& x, Function function) {
  Taylor<D, T> r = numeric::constant_like(x, numeric::broadcast(0.0));
  r.c[0] = function(x.c[0]);
  return r;
}

// Much of a density is a function of eta alone, or of one other number: a series in that alone costs a fraction, and
// `lifted` or numeric::compose make it one in everything.

/// x as a series in eta alone; it does not depend on the parameters.
template <int D, class T>
inline Taylor<D, Lanes> in_eta_alone(const Taylor<D, T>& x) {
  Taylor<D, Lanes> r;
  for (int k = 0; k <= D; ++k) r.c[k] = numeric::constant_term(x.c[k]);
  return r;
}
template <int D, class T>
inline Taylor<D, T> lifted(const Taylor<D, Lanes>& f, const Taylor<D, T>& like) {
  Taylor<D, T> r;
  for (int k = 0; k <= D; ++k) r.c[k] = numeric::constant_like(like.c[k], f.c[k]);
  return r;
}
/// The variable at the value of x: what a function is expanded in for compose(x, function).
template <int D, class T>
inline Taylor<D, Lanes> alone(const Taylor<D, T>& x) {
  Taylor<D, Lanes> r{};
  r.c[0] = numeric::constant_term(x);
  r.c[1] = numeric::broadcast(1.0);
  return r;
}

namespace series_kernel {

inline constexpr double factorial[5] = {1.0, 1.0, 2.0, 6.0, 24.0};

struct Block : Row {
  int n;
  Lanes eta;
  Lanes phi[max_phi];
};

/// From row i on; past the last row the first one of the block stands in.
inline Lanes take(const double* from, int i, int n) {
  return n == lane_count ? numeric::load(from + i) : numeric::load_partial(from + i, n, from[i]);
}

/// The rows from i on that fit the lanes, with so many of the family's parameters.
template <bool two_numbers = false>
inline Block block(const Rows& rows, int i, int n_phi) {
  Block b;
  b.n = std::min(lane_count, rows.n - i);
  b.eta = take(rows.eta, i, b.n);
  b.response = take(rows.data.response, i, b.n);
  b.weight = take(rows.data.weight, i, b.n);
  if constexpr (two_numbers) b.second = take(rows.data.second, i, b.n);
  for (int r = 0; r < n_phi; ++r)
    b.phi[r] =
        rows.data.phi.step[r] ? take(rows.data.phi.value[r], i, b.n) : numeric::broadcast(*rows.data.phi.value[r]);
  return b;
}

template <int n_phi = 0, bool two_numbers = false>
inline Block block(const Rows& rows, int i) {
  return block<two_numbers>(rows, i, n_phi);
}

/// Whether a density takes a second number.
template <class Density>
constexpr bool takes_two() {
  if constexpr (requires { Density::two_numbers; })
    return Density::two_numbers;
  else
    return false;
}

inline void put(double* to, int i, int n, Lanes x) {
  if (n == lane_count)
    numeric::store(to + i, x);
  else
    numeric::store_partial(to + i, x, n);
}

/// eta as the variable of the outer series.
template <int D, class T>
inline Taylor<D, T> variable(Lanes value, const T& like) {
  Taylor<D, T> x;
  x.c[0] = numeric::constant_like(like, value);
  x.c[1] = numeric::constant_like(like, numeric::broadcast(1.0));
  for (int k = 2; k <= D; ++k) x.c[k] = numeric::constant_like(like, numeric::broadcast(0.0));
  return x;
}

template <class Density, int D>
inline void by_eta(const Rows& rows, const RowDerivatives& out) {
  using T = Taylor<D, Lanes>;
  const T zero = variable<D>(numeric::broadcast(0.0), Lanes{});
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<Density::n_phi, takes_two<Density>()>(rows, i);
    T phi[std::max(1, Density::n_phi)] = {};
    for (int r = 0; r < Density::n_phi; ++r) phi[r] = numeric::constant_like(zero, b.phi[r]);
    const T value = Density::value(variable<D>(b.eta, Lanes{}), b, phi);
    put(out.value, i, b.n, value.c[0]);
    for (int a = 1; a <= D; ++a) put(out.eta[a - 1], i, b.n, factorial[a] * value.c[a]);
  }
}

/// What one parameter, or several together, are expanded in to second order.
template <int R>
struct Inner {
  using type = numeric::SecondOrder<R>;
  static void move(type& phi, int r) { phi.slope[r] = numeric::broadcast(1.0); }
  static Lanes slope(const type& x, int r) { return x.slope[r]; }
  static Lanes second(const type& x, int r, int s) { return x.second[phi_pair(r, s)]; }
};
template <>
struct Inner<1> {
  using type = Taylor<2, Lanes>;
  static void move(type& phi, int) { phi.c[1] = numeric::broadcast(1.0); }
  static Lanes slope(const type& x, int) { return x.c[1]; }
  static Lanes second(const type& x, int, int) { return 2.0 * x.c[2]; }
};

/// A series in the family's parameters inside the series in eta.
template <class Density, int D>
inline void by_eta_and_phi(const Rows& rows, const RowDerivatives& out) {
  constexpr int R = Density::n_phi;
  using In = Inner<R>;
  using T = Taylor<D, typename In::type>;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<R, takes_two<Density>()>(rows, i);
    const T eta = variable<D>(b.eta, typename In::type{});
    T phi[R];
    for (int r = 0; r < R; ++r) {
      phi[r] = numeric::constant_like(eta, b.phi[r]);
      In::move(phi[r].c[0], r);
    }
    const T value = Density::value(eta, b, phi);
    put(out.value, i, b.n, numeric::constant_term(value.c[0]));
    for (int a = 1; a <= D; ++a) put(out.eta[a - 1], i, b.n, factorial[a] * numeric::constant_term(value.c[a]));
    for (int r = 0; r < R; ++r) {
      for (int a = 0; a <= std::min(D, 3); ++a)
        if (out.phi[r][a]) put(out.phi[r][a], i, b.n, factorial[a] * In::slope(value.c[a], r));
      for (int s = 0; s <= r; ++s)
        for (int a = 0; a <= std::min(D, 2); ++a)
          if (double* to = out.phi_phi[phi_pair(r, s)][a]) put(to, i, b.n, factorial[a] * In::second(value.c[a], r, s));
    }
  }
}

}  // namespace series_kernel

/// Calls a function that is compiled for each order.
template <class Function>
void by_order(Order order, Function function) {
  if (order == Order::full)
    function.template operator()<Order::full>();
  else if (order == Order::node)
    function.template operator()<Order::node>();
  else
    function.template operator()<Order::step>();
}

template <class Density>
void series_derivatives(Order order, const Rows& rows, const RowDerivatives& out) {
  if constexpr (Density::n_phi > 0) {
    if (order == Order::full) return series_kernel::by_eta_and_phi<Density, 4>(rows, out);
    if (order == Order::node) return series_kernel::by_eta_and_phi<Density, 2>(rows, out);
  }
  if (order == Order::full)
    series_kernel::by_eta<Density, 4>(rows, out);
  else
    series_kernel::by_eta<Density, 2>(rows, out);
}

}  // namespace multilevel::family
