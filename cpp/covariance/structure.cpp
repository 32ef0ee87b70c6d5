// What most structures have in common: theta is the entries of L.
#include "covariance/structure.hpp"

#include <algorithm>
#include <stdexcept>

namespace multilevel::covariance {

std::vector<std::string> Structure::labels(int q) const {
  std::vector<std::string> result;
  for (const auto& entry : entries(q))
    result.push_back("entry " + std::to_string(entry.row) + " " + std::to_string(entry.column));
  return result;
}

void Structure::check(int q) const {
  if (q < 1) throw std::invalid_argument("a random-effects term needs a column");
}

void Structure::expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const {
  const auto n = n_theta(q);
  std::copy(theta, theta + n, values);
  if (jacobian) jacobian->setIdentity(n, n);
}

Eigen::MatrixXd Structure::curvature(int q, const double*, const double*) const {
  const auto n = n_theta(q);
  return Eigen::MatrixXd::Zero(n, n);
}

std::vector<int> Structure::theta_rows(int q) const {
  std::vector<int> rows;
  for (const auto& entry : entries(q)) rows.push_back(entry.row);
  return rows;
}

std::vector<int> Structure::scale_parameters(int) const { return {}; }

int Structure::correlation_parameter(int) const { return -1; }

Structure::Correlation Structure::correlation(int, double) const { return {0.0, 0.0}; }

std::vector<int> Structure::turned_with(int q, int column) const {
  std::vector<int> found;
  const auto all = entries(q);
  for (std::size_t e = 0; e < all.size(); ++e)
    if (all[e].column == column) found.push_back(static_cast<int>(e));
  return found;
}

std::vector<double> Structure::start(int q, double scale) const {
  std::vector<double> theta;
  for (const auto& entry : entries(q)) theta.push_back(entry.row == entry.column ? scale : 0.0);
  return theta;
}

}  // namespace multilevel::covariance
