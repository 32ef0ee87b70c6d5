// Truncated Taylor series, the "jets" that differentiate a log density.
//
// Taylor<D, T> holds the coefficients c[0] + c[1] t + ... + c[D] t^D over T, which is Lanes for one variable or another
// Taylor for a second one. The k-th derivative is k! c[k]. Every function follows from the differential equation that
// it satisfies, so a density written with these functions is differentiated to any order without a further formula.
#pragma once

#include <array>

#include "numeric/lanes.hpp"
#include "numeric/normal_tail.hpp"

namespace multilevel::numeric {

template <int D, class T>
struct Taylor {
  std::array<T, D + 1> c;

  static constexpr int degree = D;
};

/// The number under the series: lanes, whatever the depth of nesting.
inline Lanes constant_term(Lanes x) { return x; }
template <int D, class T>
inline Lanes constant_term(const Taylor<D, T>& x) {
  return constant_term(x.c[0]);
}

/// A constant of the type of `like`.
inline Lanes constant_like(const Lanes&, Lanes value) { return value; }
template <int D, class T>
inline Taylor<D, T> constant_like(const Taylor<D, T>& like, Lanes value) {
  Taylor<D, T> r;
  r.c[0] = constant_like(like.c[0], value);
  for (int k = 1; k <= D; ++k) r.c[k] = constant_like(like.c[0], broadcast(0.0));
  return r;
}

template <int D, class T>
inline Taylor<D, T> operator+(Taylor<D, T> a, const Taylor<D, T>& b) {
  for (int k = 0; k <= D; ++k) a.c[k] = a.c[k] + b.c[k];
  return a;
}
template <int D, class T>
inline Taylor<D, T> operator-(Taylor<D, T> a, const Taylor<D, T>& b) {
  for (int k = 0; k <= D; ++k) a.c[k] = a.c[k] - b.c[k];
  return a;
}
template <int D, class T>
inline Taylor<D, T> operator-(Taylor<D, T> a) {
  for (int k = 0; k <= D; ++k) a.c[k] = -a.c[k];
  return a;
}
template <int D, class T>
inline Taylor<D, T> operator*(const Taylor<D, T>& a, const Taylor<D, T>& b) {
  Taylor<D, T> r;
  for (int k = 0; k <= D; ++k) {
    r.c[k] = a.c[0] * b.c[k];
    for (int j = 1; j <= k; ++j) r.c[k] = r.c[k] + a.c[j] * b.c[k - j];
  }
  return r;
}

// Mixed with plain lanes and numbers.
template <int D, class T>
inline Taylor<D, T> operator*(Lanes a, Taylor<D, T> b) {
  for (int k = 0; k <= D; ++k) b.c[k] = a * b.c[k];
  return b;
}
template <int D, class T>
inline Taylor<D, T> operator+(Taylor<D, T> a, Lanes b) {
  a.c[0] = a.c[0] + b;
  return a;
}
template <int D, class T>
inline Taylor<D, T> operator*(double a, const Taylor<D, T>& b) {
  return broadcast(a) * b;
}
template <int D, class T>
inline Taylor<D, T> operator+(const Taylor<D, T>& a, double b) {
  return a + broadcast(b);
}

template <int D, class T>
inline Taylor<D, T> operator/(const Taylor<D, T>& a, const Taylor<D, T>& b) {
  Taylor<D, T> q;
  for (int k = 0; k <= D; ++k) {
    T rest = a.c[k];
    for (int j = 1; j <= k; ++j) rest = rest - b.c[j] * q.c[k - j];
    q.c[k] = rest / b.c[0];
  }
  return q;
}

/// The series of f(x) from its value f(x_0) and the series of its derivative f'(x): k y_k = sum_j j x_j d_{k-j}.
/// `derivative` may fill d step by step, since y_k needs d only up to k-1.
template <int D, class T>
inline Taylor<D, T> integrate(const Taylor<D, T>& x, const T& value, const Taylor<D, T>& d) {
  Taylor<D, T> y;
  y.c[0] = value;
  for (int k = 1; k <= D; ++k) {
    y.c[k] = x.c[1] * d.c[k - 1];
    for (int j = 2; j <= k; ++j) y.c[k] = y.c[k] + broadcast(j) * (x.c[j] * d.c[k - j]);
    y.c[k] = broadcast(1.0 / k) * y.c[k];
  }
  return y;
}

template <int D, class T>
inline Taylor<D, T> select(LaneBits mask, Taylor<D, T> yes, const Taylor<D, T>& no) {
  for (int k = 0; k <= D; ++k) yes.c[k] = select(mask, yes.c[k], no.c[k]);
  return yes;
}

/// f(x) from the series of f at the value of x, right to the total degree D: all that derivatives of a log density need
/// (family::Order), at the price of D products.
template <int D, class T>
inline Taylor<D, T> compose(const Taylor<D, T>& x, const Taylor<D, Lanes>& f) {
  const Taylor<D, T> rest = x + -constant_term(x);
  Taylor<D, T> y = f.c[D] * rest + f.c[D - 1];
  for (int k = D - 2; k >= 0; --k) y = y * rest + f.c[k];
  return y;
}

template <int D, class T>
inline Taylor<D, T> exp(const Taylor<D, T>& x) {
  Taylor<D, T> y;
  y.c[0] = exp(x.c[0]);
  for (int k = 1; k <= D; ++k) {
    y.c[k] = x.c[1] * y.c[k - 1];
    for (int j = 2; j <= k; ++j) y.c[k] = y.c[k] + broadcast(j) * (x.c[j] * y.c[k - j]);
    y.c[k] = broadcast(1.0 / k) * y.c[k];
  }
  return y;
}

/// e^x - 1, exact for small x.
template <int D, class T>
inline Taylor<D, T> expm1(const Taylor<D, T>& x) {
  Taylor<D, T> y = exp(x);
  y.c[0] = expm1(x.c[0]);
  return y;
}

template <int D, class T>
inline Taylor<D, T> log(const Taylor<D, T>& x) {
  return integrate(x, log(x.c[0]), constant_like(x, broadcast(1.0)) / x);
}

template <int D, class T>
inline Taylor<D, T> log1p(const Taylor<D, T>& x) {
  return integrate(x, log1p(x.c[0]), constant_like(x, broadcast(1.0)) / (x + 1.0));
}

/// 1 / (1 + e^-x), in the form that does not overflow.
inline Lanes logistic(Lanes x) {
  const Lanes e = exp(-abs(x));
  return select(x >= 0.0, broadcast(1.0), e) / (1.0 + e);
}
template <int D, class T>
inline Taylor<D, T> logistic(const Taylor<D, T>& x) {
  // y' = y (1 - y)
  Taylor<D, T> y, d;
  y.c[0] = logistic(x.c[0]);
  const T complement = logistic(-x.c[0]);
  d.c[0] = y.c[0] * complement;
  for (int k = 1; k <= D; ++k) {
    y.c[k] = x.c[1] * d.c[k - 1];
    for (int j = 2; j <= k; ++j) y.c[k] = y.c[k] + broadcast(j) * (x.c[j] * d.c[k - j]);
    y.c[k] = broadcast(1.0 / k) * y.c[k];
    d.c[k] = y.c[k] * (complement - y.c[0]);
    for (int j = 1; j < k; ++j) d.c[k] = d.c[k] - y.c[j] * y.c[k - j];
  }
  return y;
}

/// log(1 + e^x).
inline Lanes softplus(Lanes x) { return 0.5 * (x + abs(x)) + logistic_parts(exp(-abs(x))).softplus; }
template <int D, class T>
inline Taylor<D, T> softplus(const Taylor<D, T>& x) {
  return integrate(x, softplus(x.c[0]), logistic(x));
}

/// log(1 - e^-x) for x > 0, without loss for small and for large x.
inline Lanes log1mexp(Lanes x) {
  return lane_by_lane(
      x, [](double v) { return v < 0.6931471805599453 ? std::log(-std::expm1(-v)) : std::log1p(-std::exp(-v)); });
}
inline Lanes reciprocal_expm1(Lanes x) { return 1.0 / expm1(x); }
template <int D, class T>
inline Taylor<D, T> reciprocal_expm1(const Taylor<D, T>& x) {
  // y = 1 / (e^x - 1): y' = -y (1 + y)
  Taylor<D, T> y, d;
  y.c[0] = reciprocal_expm1(x.c[0]);
  const T two_y_plus_one = y.c[0] + y.c[0] + constant_like(y.c[0], broadcast(1.0));
  d.c[0] = -(y.c[0] * (y.c[0] + constant_like(y.c[0], broadcast(1.0))));
  for (int k = 1; k <= D; ++k) {
    y.c[k] = x.c[1] * d.c[k - 1];
    for (int j = 2; j <= k; ++j) y.c[k] = y.c[k] + broadcast(j) * (x.c[j] * d.c[k - j]);
    y.c[k] = broadcast(1.0 / k) * y.c[k];
    d.c[k] = -(y.c[k] * two_y_plus_one);
    for (int j = 1; j < k; ++j) d.c[k] = d.c[k] - y.c[j] * y.c[k - j];
  }
  return y;
}
template <int D, class T>
inline Taylor<D, T> log1mexp(const Taylor<D, T>& x) {
  return integrate(x, log1mexp(x.c[0]), reciprocal_expm1(x));
}

/// log(1 - exp(-e^eta)). Its derivative B = x / (e^x - 1), x = e^eta, satisfies B' = B C with C = 1 - x - B, which for
/// small x is -x/2 - x^2/12 + x^4/720.
struct CloglogParts {
  Lanes log_mean, b, c;
};
inline CloglogParts cloglog_parts(Lanes eta, Lanes x) {
  CloglogParts r;
  for (int i = 0; i < lane_count; ++i) {
    const double v = x[i];
    r.log_mean[i] =
        v < 1e-300 ? eta[i] : (v < 0.6931471805599453 ? std::log(-std::expm1(-v)) : std::log1p(-std::exp(-v)));
    r.b[i] = v < 1e-300 ? 1.0 : (v > 700.0 ? 0.0 : v / std::expm1(v));
    r.c[i] = v < 1e-2 ? -v * (0.5 + v * (1.0 / 12.0 - v * v / 720.0)) : 1.0 - v - r.b[i];
  }
  return r;
}
template <int D>
inline Taylor<D, Lanes> log_cloglog_mean(const Taylor<D, Lanes>& eta) {
  const Taylor<D, Lanes> x = exp(eta);
  const CloglogParts at = cloglog_parts(eta.c[0], x.c[0]);
  Taylor<D, Lanes> b, c, d;
  b.c[0] = at.b;
  c.c[0] = at.c;
  d.c[0] = at.b * at.c;
  for (int k = 1; k <= D; ++k) {
    b.c[k] = eta.c[1] * d.c[k - 1];
    for (int j = 2; j <= k; ++j) b.c[k] = b.c[k] + broadcast(j) * (eta.c[j] * d.c[k - j]);
    b.c[k] = broadcast(1.0 / k) * b.c[k];
    c.c[k] = -(x.c[k] + b.c[k]);
    d.c[k] = b.c[0] * c.c[k];
    for (int j = 1; j <= k; ++j) d.c[k] = d.c[k] + b.c[j] * c.c[k - j];
  }
  // Past e^eta = infinity the mean is one and stays there.
  Taylor<D, Lanes> y = integrate(eta, at.log_mean, b);
  const LaneBits one = x.c[0] > 1e4;
  for (auto& coefficient : y.c) coefficient = select(one, broadcast(0.0), coefficient);
  return y;
}

template <int D, class T>
inline NormalTailOf<Taylor<D, T>> normal_tails(const Taylor<D, T>& x) {
  const NormalTailOf<T> at = normal_tails(x.c[0]);
  Taylor<D, T> m, sum, d;
  m.c[0] = at.inverse_mills;
  sum.c[0] = x.c[0] + m.c[0];
  d.c[0] = -(m.c[0] * sum.c[0]);
  for (int k = 1; k <= D; ++k) {
    m.c[k] = x.c[1] * d.c[k - 1];
    for (int j = 2; j <= k; ++j) m.c[k] = m.c[k] + broadcast(j) * (x.c[j] * d.c[k - j]);
    m.c[k] = broadcast(1.0 / k) * m.c[k];
    sum.c[k] = x.c[k] + m.c[k];
    d.c[k] = -(m.c[0] * sum.c[k]);
    for (int j = 1; j <= k; ++j) d.c[k] = d.c[k] - m.c[j] * sum.c[k - j];
  }
  return {integrate(x, at.log_cdf, m), m};
}
template <class T>
inline T log_normal_cdf(const T& x) {
  return normal_tails(x).log_cdf;
}

/// log(F(x)) for the Cauchy distribution, F(x) = arccot(-x) / pi, which keeps its digits in the lower tail.
inline Lanes cauchy_cdf(Lanes x) {
  return lane_by_lane(x, [](double v) { return std::atan2(1.0, -v) * 0.31830988618379067154; });
}
template <int D, class T>
inline Taylor<D, T> cauchy_cdf(const Taylor<D, T>& x) {
  const auto pi = constant_like(x, broadcast(3.14159265358979323846));
  return integrate(x, cauchy_cdf(x.c[0]), constant_like(x, broadcast(1.0)) / (pi * (x * x + 1.0)));
}

}  // namespace multilevel::numeric
