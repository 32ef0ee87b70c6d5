// Links: one struct each. eta -> mu, written for a number, for lanes or for a series, with log(mu) and log(1 - mu) in
// forms that stay exact in the tails; and mu -> eta for a number.
#pragma once

#include <cmath>

#include "numeric/taylor.hpp"

namespace multilevel::family {

using numeric::broadcast;
using numeric::LaneBits;
using numeric::Lanes;

namespace link {

inline LaneBits everywhere() { return LaneBits{} == LaneBits{}; }

struct Identity {
  static constexpr const char* name = "identity";
  template <class T>
  static T mean(const T& eta) {
    return eta;
  }
  template <class T>
  static T log_mean(const T& eta) {
    return log(eta);
  }
  static LaneBits feasible_rate(Lanes eta) { return eta >= 0.0; }
  static double inverse(double eta) { return eta; }
  static double of_mean(double mu) { return mu; }
};

struct Log {
  static constexpr const char* name = "log";
  template <class T>
  static T mean(const T& eta) {
    return exp(eta);
  }
  template <class T>
  static T log_mean(const T& eta) {
    return eta;
  }
  template <class T>
  static T log_complement(const T& eta) {
    return log1mexp(-eta);
  }
  static LaneBits feasible_rate(Lanes) { return everywhere(); }
  static LaneBits feasible_probability(Lanes eta) { return eta <= 0.0; }
  static double inverse(double eta) { return std::exp(eta); }
  static double of_mean(double mu) { return std::log(mu); }
};

struct Inverse {
  static constexpr const char* name = "inverse";
  template <class T>
  static T mean(const T& eta) {
    return numeric::constant_like(eta, broadcast(1.0)) / eta;
  }
  template <class T>
  static T log_mean(const T& eta) {
    return -log(eta);
  }
  static LaneBits feasible_rate(Lanes eta) { return eta > 0.0; }
  static double inverse(double eta) { return 1.0 / eta; }
  static double of_mean(double mu) { return 1.0 / mu; }
};

/// eta = 1 / mu^2
struct InverseSquared {
  static constexpr const char* name = "inverse_squared";
  template <class T>
  static T mean(const T& eta) {
    return exp(log_mean(eta));
  }
  template <class T>
  static T log_mean(const T& eta) {
    return -0.5 * log(eta);
  }
  static LaneBits feasible_rate(Lanes eta) { return eta > 0.0; }
  static double inverse(double eta) { return 1.0 / std::sqrt(eta); }
  static double of_mean(double mu) { return 1.0 / (mu * mu); }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  template <class T>
  static T mean(const T& eta) {
    return eta * eta;
  }
  template <class T>
  static T log_mean(const T& eta) {
    return log(eta * eta);
  }
  static LaneBits feasible_rate(Lanes) { return everywhere(); }
  static double inverse(double eta) { return eta * eta; }
  static double of_mean(double mu) { return std::sqrt(mu); }
};

struct Logit {
  static constexpr const char* name = "logit";
  template <class T>
  static T mean(const T& eta) {
    return logistic(eta);
  }
  template <class T>
  static T log_mean(const T& eta) {
    return -softplus(-eta);
  }
  template <class T>
  static T log_complement(const T& eta) {
    return -softplus(eta);
  }
  static LaneBits feasible_probability(Lanes) { return everywhere(); }
  static double inverse(double eta) {
    return eta >= 0 ? 1.0 / (1.0 + std::exp(-eta)) : std::exp(eta) / (1.0 + std::exp(eta));
  }
  static double of_mean(double mu) { return std::log(mu) - std::log1p(-mu); }
};

struct Probit {
  static constexpr const char* name = "probit";
  template <class T>
  static T mean(const T& eta) {
    return exp(log_normal_cdf(eta));
  }
  template <class T>
  static T log_mean(const T& eta) {
    return log_normal_cdf(eta);
  }
  template <class T>
  static T log_complement(const T& eta) {
    return log_normal_cdf(-eta);
  }
  static LaneBits feasible_probability(Lanes) { return everywhere(); }
  static double inverse(double eta) { return 0.5 * std::erfc(-eta * 0.70710678118654752440); }
  static double of_mean(double mu) {
    // Newton on log Phi, which is concave: from the left of the root the steps never pass it.
    if (!(mu > 0.0 && mu < 1.0)) return mu == 0.0 ? -INFINITY : (mu == 1.0 ? INFINITY : NAN);
    const double tail = std::fmin(mu, 1.0 - mu), target = std::log(tail);
    double x = -std::sqrt(-2.0 * target);
    for (int i = 0; i < 100; ++i) {
      const numeric::NormalTail at = numeric::normal_tail(x);
      const double step = (target - at.log_cdf) / at.inverse_mills;
      x += step;
      if (!(std::fabs(step) > 1e-15 * (1.0 + std::fabs(x)))) break;
    }
    return mu < 0.5 ? x : -x;
  }
};

struct Cloglog {
  static constexpr const char* name = "cloglog";
  template <class T>
  static T mean(const T& eta) {
    return exp(log_cloglog_mean(eta));
  }
  template <class T>
  static T log_mean(const T& eta) {
    return log_cloglog_mean(eta);
  }
  template <class T>
  static T log_complement(const T& eta) {
    return -exp(eta);
  }
  static LaneBits feasible_probability(Lanes) { return everywhere(); }
  static double inverse(double eta) { return -std::expm1(-std::exp(eta)); }
  static double of_mean(double mu) { return std::log(-std::log1p(-mu)); }
};

struct Cauchit {
  static constexpr const char* name = "cauchit";
  template <class T>
  static T mean(const T& eta) {
    return cauchy_cdf(eta);
  }
  template <class T>
  static T log_mean(const T& eta) {
    return log(cauchy_cdf(eta));
  }
  template <class T>
  static T log_complement(const T& eta) {
    return log(cauchy_cdf(-eta));
  }
  static LaneBits feasible_probability(Lanes) { return everywhere(); }
  static double inverse(double eta) { return std::atan2(1.0, -eta) * 0.31830988618379067154; }
  static double of_mean(double mu) { return std::tan(3.14159265358979323846 * (mu - 0.5)); }
  /// The largest second derivative of log_mean(), at eta = -1.103, and the largest size of its third, at -0.224.
  static constexpr double most_convex = 0.2343942, most_bent = 1.0213613;
};

}  // namespace link
}  // namespace multilevel::family
