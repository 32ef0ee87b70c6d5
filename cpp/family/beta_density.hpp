// The log density of a beta distribution as a function of its mean's linear predictor and log precision: with a = mu k,
// b = (1 - mu) k and the remainder s of Stirling's formula
//   -k D + (log k + log mu + log(1 - mu) - log(2 pi)) / 2 + s(k) - s(a) - s(b) - log y - log(1 - y),
// D = mu log(mu / y) + (1 - mu) log((1 - mu) / (1 - y)): nothing large cancels when the precision is large.
#pragma once

#include "family/link.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

/// D from log(y / mu) and log((1 - y) / (1 - mu)).
inline Lanes divergence(Lanes mu, Lanes rest, Lanes one, Lanes other) {
  // mu (e^one - 1) + (1 - mu) (e^other - 1) is zero; with it a small D keeps its digits.
  const auto near = (numeric::abs(one) < 1.0) & (numeric::abs(other) < 1.0);
  const Lanes zero = numeric::broadcast(0.0);
  return mu * (numeric::select(near, numeric::expm1(one), zero) - one) +
         rest * (numeric::select(near, numeric::expm1(other), zero) - other);
}
/// The same with its derivatives by eta: mu' (logit mu - logit y).
template <int D>
inline Taylor<D, Lanes> divergence(Lanes y, const Taylor<D, Lanes>& mu, const Taylor<D, Lanes>& log_mu,
                                   const Taylor<D, Lanes>& log_rest) {
  const Lanes log_y = numeric::log(y), log_rest_y = numeric::log1p(-y);
  const Lanes value = divergence(mu.c[0], numeric::exp(log_rest.c[0]), log_y - log_mu.c[0], log_rest_y - log_rest.c[0]);
  return integrate(mu, value, log_mu - log_rest + (log_rest_y - log_y));
}

/// What depends on phi = log k alone.
template <class T>
inline T beta_constant(const T& log_precision) {
  return 0.5 * log_precision + numeric::stirling_remainder(exp(log_precision)) + -0.91893853320467274178;
}

/// Without - log y - log(1 - y); NaN outside the domain of the link.
template <class Link, class T>
inline T beta_log_density(const T& eta, Lanes y, const T& log_precision) {
  const auto own_eta = in_eta_alone(eta);
  const auto log_mu = Link::log_mean(own_eta), log_rest = Link::log_complement(own_eta);
  const T log_a = lifted(log_mu, eta) + log_precision, log_b = lifted(log_rest, eta) + log_precision;
  const T precision = of_parameter(log_precision, [](const auto& own) { return exp(own); });
  const T constant = of_parameter(log_precision, [](const auto& own) { return beta_constant(own); });
  const T value = constant + lifted(0.5 * (log_mu + log_rest), eta) -
                  precision * lifted(divergence(y, exp(log_mu), log_mu, log_rest), eta) -
                  numeric::compose(log_a, numeric::stirling_remainder_of_log(alone(log_a))) -
                  numeric::compose(log_b, numeric::stirling_remainder_of_log(alone(log_b)));
  return only_where(Link::feasible_probability(numeric::constant_term(eta)), value);
}

}  // namespace multilevel::family
