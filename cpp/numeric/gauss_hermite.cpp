#include "numeric/gauss_hermite.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <utility>

#include "numeric/reduced_product.hpp"

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

/// What the reduction loses has been measured up to so many points, where it is below the error of the rule itself.
constexpr int most_reduced_points = 7;
/// Products of more nodes are not worth reducing: what is left would still be too many.
constexpr double largest_product = 2e5;

struct Points {
  std::vector<double> x, log_weight;  ///< ascending; weights sum to one
};

Points one_dimension(int points) {
  Eigen::VectorXd below(std::max(points - 1, 0));
  for (int i = 1; i < points; ++i) below[i - 1] = std::sqrt(static_cast<double>(i));
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen;
  eigen.computeFromTridiagonal(Eigen::VectorXd::Zero(points), below, Eigen::EigenvaluesOnly);
  Points rule;
  double total = 0.0;
  for (int i = 0; i < points; ++i) {
    double node = 0.5 * (eigen.eigenvalues()[i] - eigen.eigenvalues()[points - 1 - i]);  // symmetric to the last bit
    double last = 0.0, derivative = 1.0;
    for (int newton = 0; newton < 2 && node != 0.0; ++newton) {
      log_christoffel(points, node, &last, &derivative);
      node -= last / derivative;
    }
    rule.x.push_back(node);
    rule.log_weight.push_back(log_christoffel(points, node, &last, &derivative));
    total += std::exp(rule.log_weight.back());
  }
  for (double& log_weight : rule.log_weight) log_weight -= std::log(total);
  return rule;
}

/// The orbits of the rule (see reduced_product.hpp), and the absolute values that they are made of; no orbits where the
/// whole product is to be taken.
std::vector<Orbit> reduced_orbits(const Points& rule, int points, int dimension, std::vector<double>& values) {
  std::vector<double> weights;
  for (int i = points / 2; i < points; ++i) {
    const auto at = static_cast<std::size_t>(i);
    values.push_back(rule.x[at]);
    weights.push_back((rule.x[at] > 0.0 ? 2.0 : 1.0) * std::exp(rule.log_weight[at]));
  }
  if (dimension < 3 || points > most_reduced_points ||
      std::pow(static_cast<double>(points), dimension) > largest_product)
    return {};
  auto orbits = reduced_product(values, weights, points, dimension);
  const bool all = std::all_of(orbits.begin(), orbits.end(), [](const Orbit& o) { return o.weight > 0.0; });
  return all ? std::vector<Orbit>{} : orbits;
}

/// Nodes of an orbit: every order of its absolute values, with every choice of signs.
void add_nodes(const Orbit& orbit, const std::vector<double>& values, QuadratureRule& rule) {
  const double log_weight = std::log(orbit.weight / static_cast<double>(orbit.size));
  std::vector<int> places = orbit.places;
  const auto q = places.size();
  do {
    std::vector<std::size_t> signed_places;
    for (std::size_t d = 0; d < q; ++d)
      if (values[static_cast<std::size_t>(places[d])] > 0.0) signed_places.push_back(d);
    for (std::size_t signs = 0; signs < std::size_t{1} << signed_places.size(); ++signs) {
      const auto first = rule.nodes.size();
      for (const int i : places) rule.nodes.push_back(values[static_cast<std::size_t>(i)]);
      for (std::size_t d = 0; d < signed_places.size(); ++d)
        if (signs >> d & 1) rule.nodes[first + signed_places[d]] *= -1.0;
      rule.log_weights.push_back(log_weight);
      ++rule.size;
    }
  } while (std::next_permutation(places.begin(), places.end()));
}

}  // namespace

QuadratureRule gauss_hermite(int points, int dimension) {
  const Points one = one_dimension(points);
  QuadratureRule rule;
  rule.dimension = dimension;
  std::vector<double> values;
  const auto orbits = reduced_orbits(one, points, dimension, values);
  if (!orbits.empty()) {
    for (const Orbit& orbit : orbits)
      if (orbit.weight > 0.0) add_nodes(orbit, values, rule);
    return rule;
  }
  rule.size = 1;
  for (int d = 0; d < dimension; ++d) rule.size *= points;
  for (int k = 0; k < rule.size; ++k) {
    int rest = k;
    double sum = 0.0;
    for (int d = 0; d < dimension; ++d, rest /= points) {
      const auto i = static_cast<std::size_t>(rest % points);
      rule.nodes.push_back(one.x[i]);
      sum += one.log_weight[i];
    }
    rule.log_weights.push_back(sum);
  }
  return rule;
}

QuadratureRule gauss_hermite(int points, int dimension, const std::vector<int>& moved) {
  QuadratureRule rule = gauss_hermite(points, static_cast<int>(moved.size()));
  if (rule.dimension == dimension) return rule;
  std::vector<double> nodes(static_cast<std::size_t>(rule.size) * static_cast<std::size_t>(dimension), 0.0);
  for (int k = 0; k < rule.size; ++k)
    for (std::size_t d = 0; d < moved.size(); ++d)
      nodes[static_cast<std::size_t>(k) * static_cast<std::size_t>(dimension) + static_cast<std::size_t>(moved[d])] =
          rule.node(k)[d];
  rule.dimension = dimension;
  rule.nodes = std::move(nodes);
  return rule;
}

std::int64_t node_count(int points, int dimension) {
  constexpr double most = 1e15;
  const double product = std::pow(static_cast<double>(points), dimension);
  std::vector<double> values;
  std::int64_t count = 0;
  if (dimension >= 3 && product <= largest_product)
    for (const Orbit& orbit : reduced_orbits(one_dimension(points), points, dimension, values))
      if (orbit.weight > 0.0) count += orbit.size;
  return count > 0 ? count : static_cast<std::int64_t>(std::min(std::round(product), most));
}

}  // namespace multilevel::numeric
