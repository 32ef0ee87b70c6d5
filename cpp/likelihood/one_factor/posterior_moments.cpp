#include "likelihood/one_factor/posterior_moments.hpp"

#include <algorithm>

namespace multilevel::likelihood {

/// Where a cluster's moments go, zero at first.
struct PosteriorMoments::Places {
  double *mean, *covariance, *third, *fourth;
};

PosteriorMoments::Places PosteriorMoments::places(int cluster, Contributions& to) const {
  const auto at = static_cast<std::size_t>(cluster) * q_;
  const Places own{to.moments.mean.data() + at, to.moments.covariance.data() + at * q_, to.moments.third.data() + at,
                   to.moments.fourth.data() + at};
  for (double* each : {own.mean, own.third, own.fourth}) std::fill_n(each, q_, 0.0);
  std::fill_n(own.covariance, q_ * q_, 0.0);
  return own;
}

void PosteriorMoments::add_at_mode(int cluster, const double* v, const double* h, const double* Linv,
                                   const double* lambda, const ClusterRows& of, Contributions& to) {
  const std::size_t q = q_;
  const auto [mean, covariance, third, fourth] = places(cluster, to);
  double *half = work_.data(), *own = half + q * q;  // L^-1 M' and L^-1 Lambda'
  for (std::size_t a = 0; a < q; ++a)
    for (std::size_t b = 0; b < q; ++b) {
      const auto M = [&](std::size_t c) { return to.to_user(static_cast<int>(a), static_cast<int>(c)); };
      mean[a] += M(b) * (v[b] + h[b]);
      half[b + a * q] = own[b + a * q] = 0.0;
      for (std::size_t c = 0; c < q; ++c) {
        half[b + a * q] += Linv[b + c * q] * M(c);
        own[b + a * q] += Linv[b + c * q] * lambda[a + c * q];
      }
    }
  for (std::size_t a = 0; a < q; ++a) {
    for (std::size_t b = 0; b < q; ++b)
      for (std::size_t c = 0; c < q; ++c) covariance[b + a * q] += half[c + a * q] * half[c + b * q];
    fourth[a] = 3.0 * covariance[a + a * q] * covariance[a + a * q];
    // A force on a row's eta moves this effect by `slope`.
    for (int j = of.first; j < of.first + of.n; ++j) {
      double slope = 0.0;
      for (std::size_t b = 0; b < q; ++b) {
        double along = 0.0;
        for (std::size_t c = 0; c < q; ++c) along += half[c + a * q] * own[c + b * q];
        slope += along * of.strip.z[b][j];
      }
      third[a] += of.rows.at_mode.eta[2][j] * slope * slope * slope;
    }
  }
}

void PosteriorMoments::add_over_nodes(int cluster, const std::vector<double>& share, const std::vector<double>& v,
                                      Contributions& to) {
  const std::size_t q = q_;
  const auto [mean, covariance, third, fourth] = places(cluster, to);
  double* u = work_.data();
  const auto place = [&](std::size_t k) {
    for (std::size_t a = 0; a < q; ++a) {
      u[a] = 0.0;
      for (std::size_t b = 0; b < q; ++b) u[a] += to.to_user(static_cast<int>(a), static_cast<int>(b)) * v[k * q + b];
    }
  };
  for (std::size_t k = 0; k < share.size(); ++k) {
    place(k);
    for (std::size_t a = 0; a < q; ++a) mean[a] += share[k] * u[a];
  }
  for (std::size_t k = 0; k < share.size(); ++k) {
    place(k);
    for (std::size_t a = 0; a < q; ++a) u[a] -= mean[a];
    for (std::size_t a = 0; a < q; ++a) {
      for (std::size_t b = 0; b < q; ++b) covariance[b + a * q] += share[k] * u[a] * u[b];
      third[a] += share[k] * u[a] * u[a] * u[a];
      fourth[a] += share[k] * u[a] * u[a] * u[a] * u[a];
    }
  }
}

}  // namespace multilevel::likelihood
