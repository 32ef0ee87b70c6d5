#include "covariance/scaled_correlation.hpp"

#include <stdexcept>

namespace multilevel::covariance {

namespace {

ScaledCorrelation::Series variable(double tau) {
  return {{numeric::broadcast(tau), numeric::broadcast(1.0), numeric::broadcast(0.0)}};
}

/// The k-th derivative.
double derivative(const ScaledCorrelation::Series& series, int k) {
  return (k == 2 ? 2.0 : 1.0) * series.c[static_cast<std::size_t>(k)][0];
}

}  // namespace

std::vector<Entry> ScaledCorrelation::entries(int q) const {
  std::vector<Entry> free;
  for (int column = 0; column < q; ++column)
    for (int row = column; row < q; ++row) free.push_back({row, column});
  return free;
}

std::vector<std::string> ScaledCorrelation::labels(int q) const {
  std::vector<std::string> result;
  for (int k = 0; k < n_scales(q); ++k) result.push_back(homogeneous_ ? "sd" : "sd " + std::to_string(k));
  result.push_back("correlation");
  return result;
}

void ScaledCorrelation::check(int q) const {
  if (q < 2) throw std::invalid_argument("the covariance structure '" + name_ + "' needs two columns or more");
}

void ScaledCorrelation::expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const {
  const int tau = n_scales(q);
  const auto R = factor_series(q, variable(theta[tau]));
  if (jacobian) jacobian->setZero(static_cast<Eigen::Index>(R.size()), tau + 1);
  std::size_t e = 0;
  for (const auto& entry : entries(q)) {
    const int own = homogeneous_ ? 0 : entry.row;
    values[e] = theta[own] * derivative(R[e], 0);
    if (jacobian) {
      const auto at = static_cast<Eigen::Index>(e);
      (*jacobian)(at, own) = derivative(R[e], 0);
      (*jacobian)(at, tau) = theta[own] * derivative(R[e], 1);
    }
    ++e;
  }
}

Eigen::MatrixXd ScaledCorrelation::curvature(int q, const double* theta, const double* weights) const {
  const int tau = n_scales(q);
  const auto R = factor_series(q, variable(theta[tau]));
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(tau + 1, tau + 1);
  std::size_t e = 0;
  for (const auto& entry : entries(q)) {
    const int own = homogeneous_ ? 0 : entry.row;
    result(own, tau) += weights[e] * derivative(R[e], 1);
    result(tau, tau) += weights[e] * theta[own] * derivative(R[e], 2);
    ++e;
  }
  result.row(tau).head(tau) = result.col(tau).head(tau).transpose();
  return result;
}

std::vector<int> ScaledCorrelation::theta_rows(int q) const {
  std::vector<int> rows = scale_parameters(q);
  rows.push_back(-1);
  return rows;
}

std::vector<int> ScaledCorrelation::scale_parameters(int q) const {
  std::vector<int> scales;
  for (int k = 0; k < n_scales(q); ++k) scales.push_back(k);
  return scales;
}

Structure::Correlation ScaledCorrelation::correlation(int q, double tau) const {
  const Series series = correlation_series(q, variable(tau));
  return {derivative(series, 0), derivative(series, 1)};
}

std::vector<double> ScaledCorrelation::start(int q, double scale) const {
  std::vector<double> theta(static_cast<std::size_t>(n_scales(q)), scale);
  theta.push_back(0.5);  // a tau of zero cannot tell a term from the residuals
  return theta;
}

}  // namespace multilevel::covariance
