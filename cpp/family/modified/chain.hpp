// The chain rule for a function of a log density: from the derivatives of u by eta and by the family's parameters, and
// those of f by u, the derivatives of f(u). Each array holds one block of rows.
#pragma once

#include "family/series_kernel.hpp"

namespace multilevel::family {

inline constexpr int block_rows = 64;

/// All derivatives of the rows of a block.
struct BlockDerivatives {
  alignas(64) double value[block_rows];
  double eta[4][block_rows];
  double phi[few_phi][4][block_rows];
  double phi_phi[few_phi * (few_phi + 1) / 2][3][block_rows];

  /// Where a family with `n_phi` parameters writes them.
  RowDerivatives arrays(Order order, int n_phi) {
    RowDerivatives out;
    out.value = value;
    for (int a = 0; a < highest(order); ++a) out.eta[a] = eta[a];
    if (order == Order::step) return out;
    for (int r = 0; r < n_phi; ++r)
      for (int a = 0; a <= highest_by_phi(order); ++a) out.phi[r][a] = phi[r][a];
    for (int pair = 0; pair < n_phi * (n_phi + 1) / 2; ++pair)
      for (int a = 0; a <= highest_by_pair(order); ++a) out.phi_phi[pair][a] = phi_phi[pair][a];
    return out;
  }

  // The derivatives by eta that an order has, of the density and of its derivatives by one and by two parameters.
  static int highest(Order order) { return order == Order::full ? 4 : 2; }
  static int highest_by_phi(Order order) { return order == Order::full ? 3 : 1; }
  static int highest_by_pair(Order order) { return order == Order::full ? 2 : 0; }
};

/// f', f'', f''', f'''' at u.
struct Outer {
  Lanes f1, f2, f3, f4;
};

/// Derivatives by eta of u, and of its derivative by one or two parameters.
struct Inwards {
  Lanes d0, d1, d2, d3, d4;
};

/// d^a/d eta^a f(u), a = 1 .. 4 or less.
inline void chain_eta(const Outer& f, const Inwards& u, int highest, Lanes* to) {
  const Lanes square = u.d1 * u.d1;
  to[0] = f.f1 * u.d1;
  to[1] = f.f2 * square + f.f1 * u.d2;
  if (highest < 4) return;
  to[2] = f.f3 * square * u.d1 + 3.0 * f.f2 * u.d1 * u.d2 + f.f1 * u.d3;
  to[3] = f.f4 * square * square + 6.0 * f.f3 * square * u.d2 + f.f2 * (3.0 * u.d2 * u.d2 + 4.0 * u.d1 * u.d3) +
          f.f1 * u.d4;
}

/// d^a/d eta^a of the derivative of f(u) by a parameter, a = 0 .. 3 or less; v: derivatives of u by that parameter.
inline void chain_phi(const Outer& f, const Inwards& u, const Inwards& v, int highest, Lanes* to) {
  to[0] = f.f1 * v.d0;
  to[1] = f.f2 * v.d0 * u.d1 + f.f1 * v.d1;
  if (highest < 3) return;
  const Lanes square = u.d1 * u.d1;
  to[2] = f.f3 * v.d0 * square + f.f2 * (2.0 * u.d1 * v.d1 + v.d0 * u.d2) + f.f1 * v.d2;
  to[3] = f.f4 * v.d0 * square * u.d1 + 3.0 * f.f3 * u.d1 * (u.d1 * v.d1 + v.d0 * u.d2) +
          f.f2 * (3.0 * (v.d1 * u.d2 + u.d1 * v.d2) + v.d0 * u.d3) + f.f1 * v.d3;
}

/// d^a/d eta^a of the derivative of f(u) by two parameters, a = 0 .. 2 or none; v, w: derivatives of u by one of them,
/// q: by both.
inline void chain_pair(const Outer& f, const Inwards& u, const Inwards& v, const Inwards& w, const Inwards& q,
                       int highest, Lanes* to) {
  to[0] = f.f2 * v.d0 * w.d0 + f.f1 * q.d0;
  if (highest < 2) return;
  const Lanes both = v.d0 * w.d0, mixed = v.d0 * w.d1 + w.d0 * v.d1, square = u.d1 * u.d1;
  to[1] = f.f3 * both * u.d1 + f.f2 * (q.d0 * u.d1 + mixed) + f.f1 * q.d1;
  to[2] = f.f4 * both * square + f.f3 * (q.d0 * square + 2.0 * u.d1 * mixed + both * u.d2) +
          f.f2 * (2.0 * (v.d1 * w.d1 + u.d1 * q.d1) + q.d0 * u.d2 + v.d0 * w.d2 + w.d0 * v.d2) + f.f1 * q.d2;
}

}  // namespace multilevel::family
