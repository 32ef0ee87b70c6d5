// Functions of several variables to second order: value, gradient and Hessian, over lanes. What a Taylor series is over
// where a family has more than one parameter.
#pragma once

#include <array>

#include "numeric/taylor.hpp"

namespace multilevel::numeric {

template <int R>
struct SecondOrder {
  Lanes value;
  std::array<Lanes, R> slope;
  std::array<Lanes, R*(R + 1) / 2> second;  ///< of the pair (a, b), a >= b, at a (a + 1) / 2 + b
};

template <int R>
inline Lanes constant_term(const SecondOrder<R>& x) {
  return x.value;
}
template <int R>
inline SecondOrder<R> constant_like(const SecondOrder<R>&, Lanes value) {
  SecondOrder<R> r{};
  r.value = value;
  return r;
}

template <int R>
inline SecondOrder<R> select(LaneBits mask, SecondOrder<R> yes, const SecondOrder<R>& no) {
  yes.value = select(mask, yes.value, no.value);
  for (std::size_t a = 0; a < yes.slope.size(); ++a) yes.slope[a] = select(mask, yes.slope[a], no.slope[a]);
  for (std::size_t a = 0; a < yes.second.size(); ++a) yes.second[a] = select(mask, yes.second[a], no.second[a]);
  return yes;
}

/// f(x), given f and its first two derivatives at x's value.
template <int R>
inline SecondOrder<R> compose(const SecondOrder<R>& x, Lanes f, Lanes f1, Lanes f2) {
  SecondOrder<R> y;
  y.value = f;
  for (int a = 0, pair = 0; a < R; ++a) {
    y.slope[a] = f1 * x.slope[a];
    const Lanes bend = f2 * x.slope[a];
    for (int b = 0; b <= a; ++b, ++pair) y.second[pair] = f1 * x.second[pair] + bend * x.slope[b];
  }
  return y;
}

template <int R>
inline SecondOrder<R> operator+(SecondOrder<R> x, const SecondOrder<R>& y) {
  x.value += y.value;
  for (std::size_t a = 0; a < x.slope.size(); ++a) x.slope[a] += y.slope[a];
  for (std::size_t a = 0; a < x.second.size(); ++a) x.second[a] += y.second[a];
  return x;
}
template <int R>
inline SecondOrder<R> operator-(SecondOrder<R> x, const SecondOrder<R>& y) {
  x.value -= y.value;
  for (std::size_t a = 0; a < x.slope.size(); ++a) x.slope[a] -= y.slope[a];
  for (std::size_t a = 0; a < x.second.size(); ++a) x.second[a] -= y.second[a];
  return x;
}
template <int R>
inline SecondOrder<R> operator-(SecondOrder<R> x) {
  x.value = -x.value;
  for (auto& a : x.slope) a = -a;
  for (auto& a : x.second) a = -a;
  return x;
}
template <int R>
inline SecondOrder<R> operator*(const SecondOrder<R>& x, const SecondOrder<R>& y) {
  SecondOrder<R> r;
  r.value = x.value * y.value;
  for (int a = 0, pair = 0; a < R; ++a) {
    r.slope[a] = x.value * y.slope[a] + x.slope[a] * y.value;
    for (int b = 0; b <= a; ++b, ++pair)
      r.second[pair] =
          x.value * y.second[pair] + x.second[pair] * y.value + x.slope[a] * y.slope[b] + x.slope[b] * y.slope[a];
  }
  return r;
}
template <int R>
inline SecondOrder<R> operator*(Lanes x, SecondOrder<R> y) {
  y.value *= x;
  for (auto& a : y.slope) a *= x;
  for (auto& a : y.second) a *= x;
  return y;
}
template <int R>
inline SecondOrder<R> operator*(double x, const SecondOrder<R>& y) {
  return broadcast(x) * y;
}
template <int R>
inline SecondOrder<R> operator+(SecondOrder<R> x, Lanes y) {
  x.value += y;
  return x;
}
template <int R>
inline SecondOrder<R> operator+(SecondOrder<R> x, double y) {
  x.value += y;
  return x;
}
template <int R>
inline SecondOrder<R> operator/(const SecondOrder<R>& x, const SecondOrder<R>& y) {
  const Lanes inverse = 1.0 / y.value, square = inverse * inverse;
  return x * compose(y, inverse, -square, 2.0 * square * inverse);
}

template <int R>
inline SecondOrder<R> exp(const SecondOrder<R>& x) {
  const Lanes y = exp(x.value);
  return compose(x, y, y, y);
}
template <int R>
inline SecondOrder<R> expm1(const SecondOrder<R>& x) {
  const Lanes y = exp(x.value);
  return compose(x, expm1(x.value), y, y);
}
template <int R>
inline SecondOrder<R> log(const SecondOrder<R>& x) {
  const Lanes inverse = 1.0 / x.value;
  return compose(x, log(x.value), inverse, -inverse * inverse);
}
template <int R>
inline SecondOrder<R> log1p(const SecondOrder<R>& x) {
  const Lanes inverse = 1.0 / (1.0 + x.value);
  return compose(x, log1p(x.value), inverse, -inverse * inverse);
}
template <int R>
inline SecondOrder<R> logistic(const SecondOrder<R>& x) {
  const Lanes y = logistic(x.value), complement = logistic(-x.value), slope = y * complement;
  return compose(x, y, slope, slope * (complement - y));
}
template <int R>
inline SecondOrder<R> softplus(const SecondOrder<R>& x) {
  const Lanes y = logistic(x.value), complement = logistic(-x.value);
  return compose(x, softplus(x.value), y, y * complement);
}
template <int R>
inline SecondOrder<R> reciprocal_expm1(const SecondOrder<R>& x) {
  const Lanes y = reciprocal_expm1(x.value), slope = -y * (1.0 + y);
  return compose(x, y, slope, -slope * (1.0 + 2.0 * y));
}
template <int R>
inline SecondOrder<R> log1mexp(const SecondOrder<R>& x) {
  const Lanes y = reciprocal_expm1(x.value);
  return compose(x, log1mexp(x.value), y, -y * (1.0 + y));
}
template <int R>
inline NormalTailOf<SecondOrder<R>> normal_tails(const SecondOrder<R>& x) {
  const NormalTailOf<Lanes> at = normal_tails(x.value);
  const Lanes m = at.inverse_mills, sum = x.value + m, slope = -m * sum;
  return {compose(x, at.log_cdf, m, slope), compose(x, m, slope, -slope * sum - m * (1.0 + slope))};
}
template <int R>
inline SecondOrder<R> cauchy_cdf(const SecondOrder<R>& x) {
  const Lanes density = 0.31830988618379067154 / (1.0 + x.value * x.value);
  return compose(x, cauchy_cdf(x.value), density, -2.0 * x.value * density / (1.0 + x.value * x.value));
}

}  // namespace multilevel::numeric
