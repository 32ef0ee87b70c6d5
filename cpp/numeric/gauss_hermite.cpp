#include "numeric/gauss_hermite.hpp"

#include <Eigen/Dense>
#include <cmath>

namespace multilevel::numeric {

namespace {

// The orthonormal Hermite polynomials h_0..h_{n-1} at x; the weight of a node is 1 / sum h_i(x)^2, in logarithms so
// that the outermost weights of long rules do not lose their digits as the eigenvectors' first components would.
double log_christoffel(int points, double x, double* last, double* derivative) {
  double before = 0.0, now = 1.0, sum = 1.0, scale = 0.0;
  for (int i = 1; i < points; ++i) {
    const double next = (x * now - std::sqrt(static_cast<double>(i - 1)) * before) / std::sqrt(static_cast<double>(i));
    before = now;
    now = next;
    sum += now * now;
    if (sum > 1e200) {
      before *= 1e-100;
      now *= 1e-100;
      sum *= 1e-200;
      scale += 200.0 * std::log(10.0);
    }
  }
  const double n = points;
  *last = (x * now - std::sqrt(n - 1.0) * before) / std::sqrt(n);  // h_n, and h_n' = sqrt(n) h_{n-1}
  *derivative = std::sqrt(n) * now;
  return -(std::log(sum) + scale);
}

}  // namespace

QuadratureRule gauss_hermite(int points, int dimension) {
  Eigen::MatrixXd jacobi = Eigen::MatrixXd::Zero(points, points);
  for (int i = 1; i < points; ++i) jacobi(i, i - 1) = jacobi(i - 1, i) = std::sqrt(static_cast<double>(i));
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(jacobi, Eigen::EigenvaluesOnly);
  std::vector<double> x(static_cast<std::size_t>(points)), log_weight(x.size());
  double total = 0.0;
  for (int i = 0; i < points; ++i) {
    double node = 0.5 * (eigen.eigenvalues()[i] - eigen.eigenvalues()[points - 1 - i]);  // symmetric to the last bit
    double last = 0.0, derivative = 1.0;
    for (int newton = 0; newton < 2 && node != 0.0; ++newton) {
      log_christoffel(points, node, &last, &derivative);
      node -= last / derivative;
    }
    x[static_cast<std::size_t>(i)] = node;
    log_weight[static_cast<std::size_t>(i)] = log_christoffel(points, node, &last, &derivative);
    total += std::exp(log_weight[static_cast<std::size_t>(i)]);
  }
  QuadratureRule rule;
  rule.dimension = dimension;
  rule.size = 1;
  for (int d = 0; d < dimension; ++d) rule.size *= points;
  for (int k = 0; k < rule.size; ++k) {
    int rest = k;
    double sum = 0.0;
    for (int d = 0; d < dimension; ++d, rest /= points) {
      const auto i = static_cast<std::size_t>(rest % points);
      rule.nodes.push_back(x[i]);
      sum += log_weight[i] - std::log(total);
    }
    rule.log_weights.push_back(sum);
  }
  return rule;
}

}  // namespace multilevel::numeric
