#include <stdexcept>

#include "bind/bind.hpp"
#include "bind/calls.hpp"
#include "fit/contributions.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::bind {

namespace {

using IntArray = py::array_t<std::int32_t, py::array::c_style>;

fit::ContributionRecord contributions(const model::Model& m, const DoubleArray& response, const Eigen::VectorXd& psi,
                                      int n_quadrature, bool moments, const py::object& row_part, int n_parts,
                                      int threads, double most_bytes) {
  const double* y = checked(m, response);
  if (psi.size() != m.n_parameters()) throw std::invalid_argument("psi has the wrong length");
  fit::ContributionRequest request;
  request.n_quadrature = n_quadrature;
  request.moments = moments;
  request.threads = numeric::usable_threads(threads);
  request.most_bytes = most_bytes;
  IntArray parts;
  if (m.factors().empty()) {
    parts = py::cast<IntArray>(row_part);
    if (parts.ndim() != 1 || parts.shape(0) != m.n_rows())
      throw std::invalid_argument("row_part must have one value per row");
    for (py::ssize_t j = 0; j < parts.shape(0); ++j)
      if (parts.at(j) < 0 || parts.at(j) >= n_parts) throw std::invalid_argument("row_part is out of range");
    request.row_part = parts.data();
    request.n_parts = n_parts;
  }
  likelihood::Monitor watching = monitor(py::none());
  return without_gil([&] { return fit::contributions(m, y, psi, request, watching); });
}

}  // namespace

void bind_contributions(py::module_& module) {
  using Record = fit::ContributionRecord;
  py::class_<Record> record(module, "ContributionRecord");
  add_attributes<Record>(
      record,
      {
          {"good", [](const Record& r) { return copied(r.good); }},
          {"loglik", [](const Record& r) { return copied(r.value); }},
          {"gradient", [](const Record& r) -> py::object { return py::cast(Eigen::MatrixXd(r.gradient.transpose())); }},
          {"level_part", [](const Record& r) { return copied(r.level_part); }},
          {"leading", [](const Record& r) { return copied(r.leading); }},
          {"mean", [](const Record& r) -> py::object { return per_level(r.mean, false); }},
          {"covariance", [](const Record& r) -> py::object { return per_level(r.covariance, true); }},
          {"third", [](const Record& r) -> py::object { return per_level(r.third, false); }},
          {"fourth", [](const Record& r) -> py::object { return per_level(r.fourth, false); }},
      });
  module.def("contributions", &contributions, py::arg("model"), py::arg("response"), py::arg("psi"),
             py::arg("n_quadrature") = 1, py::arg("moments") = false, py::arg("row_part") = py::none(),
             py::arg("n_parts") = 0, py::arg("threads") = 0, py::arg("most_bytes") = 0.0,
             "What each independent part of the data contributes at psi = (beta, theta, phi) on the user's scale.");
}

}  // namespace multilevel::bind
