#include "search/trust_region.hpp"

#include <cmath>

#include "linear_algebra/dense.hpp"

namespace multilevel::search {

namespace {

constexpr double tiny = 1e-14;  // of an eigenvalue beside those of a unit diagonal

/// (I + shift)^-1 g in the basis of the eigenvectors.
Eigen::VectorXd shifted(const Eigen::VectorXd& values, const Eigen::VectorXd& g, double shift) {
  Eigen::VectorXd y(g.size());
  for (Eigen::Index a = 0; a < g.size(); ++a) {
    const double e = values[a] + shift;
    y[a] = e > tiny ? g[a] / e : 0.0;
  }
  return y;
}

}  // namespace

TrustStep trust_step(const ScaledInformation& information, const Eigen::VectorXd& gradient, double radius) {
  TrustStep result;
  result.step = Eigen::VectorXd::Zero(gradient.size());
  const auto n = static_cast<Eigen::Index>(information.index.size());
  if (n == 0) return result;
  Eigen::VectorXd g(n);
  for (Eigen::Index a = 0; a < n; ++a)
    g[a] = information.scale[a] * gradient[information.index[static_cast<std::size_t>(a)]];
  g = linear_algebra::apply_transposed(information.vectors, g);
  const Eigen::VectorXd& values = information.values;  // ascending
  const double least = std::max(0.0, -values[0]);
  Eigen::VectorXd y = shifted(values, g, least);
  if (values[0] > tiny && y.norm() <= radius) {
    // The Newton step itself.
  } else if (y.norm() <= radius) {
    // Nothing of the gradient lies along the direction that bends the wrong way: go along it all the same.
    const double rest = std::sqrt(std::max(0.0, radius * radius - y.squaredNorm()));
    y[0] += g[0] < 0.0 ? -rest : rest;
  } else {
    // |y| falls as the shift grows; between these two it passes the radius.
    double low = least, high = least + g.norm() / radius;
    for (int i = 0; i < 60 && high - low > 1e-3 * (high - least); ++i) {
      const double middle = 0.5 * (low + high);
      (shifted(values, g, middle).norm() > radius ? low : high) = middle;
    }
    y = shifted(values, g, high);
  }
  result.length = y.norm();
  result.predicted = g.dot(y) - 0.5 * y.dot(values.cwiseProduct(y));
  const Eigen::VectorXd d = information.scale.asDiagonal() * linear_algebra::apply(information.vectors, y);
  for (Eigen::Index a = 0; a < n; ++a) result.step[information.index[static_cast<std::size_t>(a)]] = d[a];
  return result;
}

double scaled_length(const ScaledInformation& information, const Eigen::VectorXd& step) {
  double square = 0.0;
  for (std::size_t a = 0; a < information.index.size(); ++a) {
    const double scale = information.scale[static_cast<Eigen::Index>(a)];
    const double d = scale > 0.0 ? step[information.index[a]] / scale : 0.0;
    square += d * d;
  }
  return std::sqrt(square);
}

}  // namespace multilevel::search
