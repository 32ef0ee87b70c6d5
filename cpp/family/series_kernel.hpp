// From a log density written once to all derivatives of all rows: the density is evaluated on truncated Taylor series,
// a few rows at a time. A density is a struct with
//   static constexpr int n_phi;
//   template <class T> static T value(const T& eta, Lanes response, Lanes weight, const T* phi);
#pragma once

#include <algorithm>

#include "family/family.hpp"
#include "numeric/taylor.hpp"

namespace multilevel::family {

// For plain lanes, which have no namespace that a call could be looked up in.
using numeric::exp;
using numeric::expm1;
using numeric::log1p;

using numeric::lane_count;
using numeric::Lanes;
using numeric::Taylor;

/// weight * series, and exactly zero where the weight is zero, even if the series is infinite there.
template <int D, class T>
inline Taylor<D, T> weighted(Lanes weight, const Taylor<D, T>& series);

inline Lanes weighted(Lanes weight, Lanes series) {
  return numeric::select(weight == 0.0, numeric::broadcast(0.0), weight * series);
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

namespace series_kernel {

inline constexpr double factorial[5] = {1.0, 1.0, 2.0, 6.0, 24.0};

struct Block {
  int n;
  Lanes eta, response, weight;
};

/// The rows from i on that fit the lanes; past the last row the first one of the block stands in.
inline Block block(const Rows& rows, int i) {
  Block b{std::min(lane_count, rows.n - i), {}, {}, {}};
  if (b.n == lane_count) {
    b.eta = numeric::load(rows.eta + i);
    b.response = numeric::load(rows.response + i);
    b.weight = numeric::load(rows.weight + i);
  } else {
    b.eta = numeric::load_partial(rows.eta + i, b.n, rows.eta[i]);
    b.response = numeric::load_partial(rows.response + i, b.n, rows.response[i]);
    b.weight = numeric::load_partial(rows.weight + i, b.n, rows.weight[i]);
  }
  return b;
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
inline void by_eta(const Rows& rows, const double* phi, const RowDerivatives& out) {
  using T = Taylor<D, Lanes>;
  T fixed_phi[max_phi] = {};
  const T zero = variable<D>(numeric::broadcast(0.0), Lanes{});
  for (int r = 0; r < Density::n_phi; ++r) fixed_phi[r] = numeric::constant_like(zero, numeric::broadcast(phi[r]));
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i);
    const T value = Density::value(variable<D>(b.eta, Lanes{}), b.response, b.weight, fixed_phi);
    put(out.value, i, b.n, value.c[0]);
    for (int a = 1; a <= D; ++a) put(out.eta[a - 1], i, b.n, factorial[a] * value.c[a]);
  }
}

/// One parameter of the family: a series in phi of degree 2 inside the series in eta.
template <class Density, int D>
inline void by_eta_and_phi(const Rows& rows, const double* phi, const RowDerivatives& out) {
  static_assert(Density::n_phi == 1, "two parameters need the mixed series of the pair as well");
  using Inner = Taylor<2, Lanes>;
  using T = Taylor<D, Inner>;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i);
    const T eta = variable<D>(b.eta, Inner{});
    T moving_phi = numeric::constant_like(eta, numeric::broadcast(phi[0]));
    moving_phi.c[0].c[1] = numeric::broadcast(1.0);
    const T value = Density::value(eta, b.response, b.weight, &moving_phi);
    put(out.value, i, b.n, value.c[0].c[0]);
    for (int a = 1; a <= D; ++a) put(out.eta[a - 1], i, b.n, factorial[a] * value.c[a].c[0]);
    for (int a = 0; a <= std::min(D, 3); ++a)
      if (out.phi[0][a]) put(out.phi[0][a], i, b.n, factorial[a] * value.c[a].c[1]);
    for (int a = 0; a <= std::min(D, 2); ++a)
      if (out.phi_phi[0][a]) put(out.phi_phi[0][a], i, b.n, factorial[a] * 2.0 * value.c[a].c[2]);
  }
}

}  // namespace series_kernel

template <class Density>
void series_derivatives(Order order, const Rows& rows, const double* phi, const RowDerivatives& out) {
  if constexpr (Density::n_phi > 0) {
    if (order == Order::full) return series_kernel::by_eta_and_phi<Density, 4>(rows, phi, out);
    if (order == Order::node) return series_kernel::by_eta_and_phi<Density, 2>(rows, phi, out);
  }
  if (order == Order::full)
    series_kernel::by_eta<Density, 4>(rows, phi, out);
  else
    series_kernel::by_eta<Density, 2>(rows, phi, out);
}

}  // namespace multilevel::family
