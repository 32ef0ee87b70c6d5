#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "bind/bind.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::bind {

namespace {

void check(int points, int dimension) {
  if (points < 1 || dimension < 0)
    throw std::invalid_argument("a rule has at least one point, in no dimension or more");
}

py::tuple quadrature_rule(int points, int dimension) {
  check(points, dimension);
  if (numeric::node_count(points, dimension) > 1000000) throw std::invalid_argument("more than 1,000,000 nodes");
  const auto rule = numeric::gauss_hermite(points, dimension);
  py::array_t<double> nodes({rule.size, dimension}), weights(rule.size);
  std::copy(rule.nodes.begin(), rule.nodes.end(), nodes.mutable_data());
  for (int k = 0; k < rule.size; ++k) weights.mutable_at(k) = std::exp(rule.log_weights[static_cast<std::size_t>(k)]);
  return py::make_tuple(nodes, weights);
}

}  // namespace

void bind_quadrature(py::module_& module) {
  module.def(
      "node_count",
      [](int points, int dimension) {
        check(points, dimension);
        return numeric::node_count(points, dimension);
      },
      py::arg("points"), py::arg("dimension"),
      "Nodes of the rule for so many random effects with `points` quadrature points each.");
  module.def("quadrature_rule", &quadrature_rule, py::arg("points"), py::arg("dimension"),
             "Nodes (one per row) and weights of a rule for the standard normal density.");
}

}  // namespace multilevel::bind
