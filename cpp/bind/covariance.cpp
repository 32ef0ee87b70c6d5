#include <stdexcept>

#include "bind/bind.hpp"
#include "covariance/structure.hpp"

namespace multilevel::bind {

namespace {

/// A structure for a number of columns.
struct Bound {
  const covariance::Structure* structure;
  int q;

  Bound(const std::string& name, int columns) : structure(&covariance::structure(name)), q(columns) {
    structure->check(q);
  }
  void check(const Eigen::VectorXd& theta) const {
    const int n = structure->n_theta(q);
    if (theta.size() != n)
      throw std::invalid_argument("theta has " + std::to_string(theta.size()) + " entries; '" + structure->name() +
                                  "' with " + std::to_string(q) + " columns has " + std::to_string(n));
  }
};

Eigen::MatrixXd factor(const Bound& b, const Eigen::VectorXd& theta) {
  b.check(theta);
  const auto entries = b.structure->entries(b.q);
  std::vector<double> values(entries.size());
  b.structure->expand(b.q, theta.data(), values.data(), nullptr);
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(b.q, b.q);
  for (std::size_t e = 0; e < entries.size(); ++e) result(entries[e].row, entries[e].column) = values[e];
  return result;
}

py::array_t<double> jacobian(const Bound& b, const Eigen::VectorXd& theta) {
  b.check(theta);
  const auto entries = b.structure->entries(b.q);
  std::vector<double> values(entries.size());
  Eigen::MatrixXd slopes;
  b.structure->expand(b.q, theta.data(), values.data(), &slopes);
  py::array_t<double> result(std::vector<py::ssize_t>{theta.size(), b.q, b.q});
  auto at = result.mutable_unchecked<3>();
  std::fill(result.mutable_data(), result.mutable_data() + result.size(), 0.0);
  for (std::size_t e = 0; e < entries.size(); ++e)
    for (Eigen::Index k = 0; k < theta.size(); ++k)
      at(k, entries[e].row, entries[e].column) = slopes(static_cast<Eigen::Index>(e), k);
  return result;
}

}  // namespace

void bind_covariance(py::module_& module) {
  py::class_<Bound> structure(module, "Structure");
  structure.def(py::init<const std::string&, int>(), py::arg("name"), py::arg("q"));
  add_attributes<Bound>(structure, {
                                       {"name", [](const Bound& b) { return copied(b.structure->name()); }},
                                       {"n_theta", [](const Bound& b) { return copied(b.structure->n_theta(b.q)); }},
                                       // what each theta is: "entry ROW COLUMN", "sd ROW", "sd" or "correlation"
                                       {"labels", [](const Bound& b) { return copied(b.structure->labels(b.q)); }},
                                   });
  structure.def("factor", &factor, py::arg("theta"), "The lower factor L of the covariance L L', (q, q).")
      .def("jacobian", &jacobian, py::arg("theta"), "dL / dtheta, (n_theta, q, q).");
}

}  // namespace multilevel::bind
