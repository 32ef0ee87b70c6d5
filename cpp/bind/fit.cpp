#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "bind/bind.hpp"
#include "bind/calls.hpp"
#include "fit/fit.hpp"
#include "fit/many.hpp"
#include "likelihood/joint/pattern.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::bind {

namespace {

using fit::FitRecord;
using likelihood::Monitor;
using model::Model;

fit::FitOptions make_options(const std::string& method, int n_quadrature, const Eigen::VectorXd& start, bool restarts,
                             int threads, double tol, int max_iter, bool check_quadrature, double most_bytes) {
  fit::FitOptions options;
  if (method != "ml" && method != "reml") throw std::invalid_argument("method must be 'ml' or 'reml'");
  options.restricted = method == "reml";
  options.n_quadrature = n_quadrature;
  options.start = start;
  options.restarts = restarts && max_iter > 0;
  options.threads = numeric::usable_threads(threads);
  options.gain_tolerance = tol;
  options.most_iterations = max_iter;
  options.check_quadrature = check_quadrature;
  options.most_bytes = most_bytes;
  return options;
}

FitRecord fit(const Model& m, const DoubleArray& response, const std::string& method, int n_quadrature,
              const Eigen::VectorXd& start, bool restarts, int threads, double tol, int max_iter, bool check_quadrature,
              const py::object& report, double most_bytes) {
  const double* y = checked(m, response);
  const fit::FitOptions options =
      make_options(method, n_quadrature, start, restarts, threads, tol, max_iter, check_quadrature, most_bytes);
  return without_gil([&] {
    const model::Response data = m.prepare(y, options.threads);
    Monitor watching;
    {
      const py::gil_scoped_acquire acquire;
      watching = monitor(report);
    }
    auto record = fit::fit(m, data, options, watching);
    {
      const py::gil_scoped_acquire acquire;
      watching = {};
    }
    return record;
  });
}

/// Responses are columns: (n_rows, m), one after the other in memory.
fit::ManyRecords fit_many(const Model& m,
                          const py::array_t<double, py::array::f_style | py::array::forcecast>& responses,
                          const std::string& method, int n_quadrature, const Eigen::VectorXd& start, bool restarts,
                          int threads, double tol, int max_iter, bool keep_modes, double most_bytes) {
  if (responses.ndim() != 2 || responses.shape(0) != m.n_rows())
    throw std::invalid_argument("responses must have one row per row of the model");
  const fit::FitOptions options =
      make_options(method, n_quadrature, start, restarts, threads, tol, max_iter, false, most_bytes);
  const double* y = responses.data();
  const int count = static_cast<int>(responses.shape(1));
  const Monitor watching = monitor(py::none());
  return without_gil([&] { return fit::fit_many(m, y, count, options, keep_modes, watching.keep_going); });
}

py::tuple evaluate(const Model& m, const DoubleArray& response, const Eigen::VectorXd& psi, int n_quadrature,
                   int threads) {
  const double* y = checked(m, response);
  if (psi.size() != m.n_parameters()) throw std::invalid_argument("psi has the wrong length");
  const auto [value, gradient, hessian, ok] = without_gil([&] {
    const int n_threads = numeric::usable_threads(threads);
    const model::Response data = m.prepare(y, n_threads);
    const auto scale = m.user_scale(data);
    const Monitor silent;
    const auto objective = fit::make_objective(m, data, n_quadrature, n_threads, silent);
    std::vector<double> modes(static_cast<std::size_t>(m.n_modes()), 0.0);
    likelihood::Sums sums;
    const Eigen::VectorXd inner = scale.inward(psi);
    bool good = objective->evaluate(inner, modes, sums);
    if (good && !objective->has_exact_hessian()) good = objective->differentiate(inner, modes, sums);
    auto [first, second] = scale.outward(sums.gradient, sums.hessian);
    return std::tuple<double, Eigen::VectorXd, Eigen::MatrixXd, bool>(sums.value, std::move(first), std::move(second),
                                                                      good);
  });
  return py::make_tuple(ok ? value : -std::numeric_limits<double>::infinity(), gradient, hessian);
}

std::string ending_name(search::Ending ending) {
  switch (ending) {
    case search::Ending::converged:
      return "converged";
    case search::Ending::iteration_limit:
      return "iteration_limit";
    case search::Ending::no_increase:
      return "no_increase";
    case search::Ending::separation:
      return "separation";
    case search::Ending::divergence:
      return "divergence";
    case search::Ending::exact_fit:
      return "exact_fit";
    case search::Ending::no_start:
      return "no_start";
    case search::Ending::out_of_reach:
      return "out_of_reach";
  }
  return "unknown";
}

/// A vector (m, P) or a symmetric matrix (m, P, P) of each record.
template <class Values>
DoubleArray stacked(const fit::ManyRecords& many, Values FitRecord::* which) {
  const bool matrix = std::is_same_v<Values, Eigen::MatrixXd>;
  const auto m = static_cast<py::ssize_t>(many.records.size());
  const auto size = m > 0 ? (many.records.front().*which).rows() : 0;
  DoubleArray array(matrix ? std::vector<py::ssize_t>{m, size, size} : std::vector<py::ssize_t>{m, size});
  double* to = array.mutable_data();
  for (const auto& record : many.records) {
    const Values& own = record.*which;
    to = std::copy(own.data(), own.data() + own.size(), to);
  }
  return array;
}

template <class Function>
DoubleArray number(const fit::ManyRecords& many, Function of) {
  DoubleArray array(static_cast<py::ssize_t>(many.records.size()));
  double* to = array.mutable_data();
  for (const auto& record : many.records) *to++ = of(record);
  return array;
}

}  // namespace

void bind_fit(py::module_& module) {
  py::class_<FitRecord>(module, "FitRecord")
      .def_readonly("psi", &FitRecord::psi)
      .def_readonly("loglik", &FitRecord::value)
      .def_readonly("gradient", &FitRecord::gradient)
      .def_readonly("hessian", &FitRecord::hessian)
      .def_readonly("covariance", &FitRecord::covariance)
      .def_readonly("beta_covariance", &FitRecord::beta_covariance)
      .def_readonly("eigenvalues", &FitRecord::eigenvalues)
      .def_readonly("step", &FitRecord::step)
      .def_readonly("predicted_gain", &FitRecord::gain)
      .def_property_readonly("boundary",
                             [](const FitRecord& r) {
                               std::vector<std::tuple<int, int, double>> scores;
                               for (const auto& s : r.boundary) scores.emplace_back(s.term, s.coefficient, s.score);
                               return scores;
                             })
      .def_property_readonly("quadrature",
                             [](const FitRecord& r) {
                               return py::make_tuple(r.quadrature.n_points, r.quadrature.exact,
                                                     r.quadrature.change_deviance, r.quadrature.shift);
                             })
      .def_property_readonly("modes", [](const FitRecord& r) { return per_level(r.modes, false); })
      .def_property_readonly("mode_covariance", [](const FitRecord& r) { return per_level(r.mode_covariance, true); })
      .def_property_readonly("projection",
                             [](const FitRecord& r) {
                               py::list list;
                               for (std::size_t f = 0; f < r.projection.size(); ++f) {
                                 const auto& own = r.projection[f];  // p x (q n_levels)
                                 const auto q = r.modes[f].rows(), levels = r.modes[f].cols();
                                 DoubleArray array({levels, q, own.rows()});
                                 std::copy(own.data(), own.data() + own.size(), array.mutable_data());
                                 list.append(array);
                               }
                               return list;
                             })
      .def_property_readonly("ending", [](const FitRecord& r) { return ending_name(r.ending); })
      .def_property_readonly("failed_level",
                             [](const FitRecord& r) { return py::make_tuple(r.failed_factor, r.failed_level); })
      .def_readonly("n_evaluations", &FitRecord::evaluations)
      .def_readonly("n_start_evaluations", &FitRecord::start_evaluations)
      .def_readonly("n_other_evaluations", &FitRecord::other_evaluations)
      .def_property_readonly("trace",
                             [](const FitRecord& r) {
                               std::vector<std::tuple<double, double, std::string>> rows;
                               for (const auto& i : r.trace) rows.emplace_back(i.value, i.gain, i.step);
                               return rows;
                             })
      .def_property_readonly("other_starts",
                             [](const FitRecord& r) {
                               std::vector<std::tuple<std::string, double>> rows;
                               for (const auto& s : r.other_starts) rows.emplace_back(s.name, s.value);
                               return rows;
                             })
      .def_readonly("seconds", &FitRecord::seconds);

  using fit::ManyRecords;
  py::class_<ManyRecords>(module, "ManyRecords")
      .def("__len__", [](const ManyRecords& r) { return r.records.size(); })
      .def(
          "record", [](const ManyRecords& r, std::size_t j) -> const FitRecord& { return r.records.at(j); },
          py::return_value_policy::reference_internal, py::arg("j"))
      .def_property_readonly("psi", [](const ManyRecords& r) { return stacked(r, &FitRecord::psi); })
      .def_property_readonly("covariance", [](const ManyRecords& r) { return stacked(r, &FitRecord::covariance); })
      .def_property_readonly("beta_covariance",
                             [](const ManyRecords& r) { return stacked(r, &FitRecord::beta_covariance); })
      .def_property_readonly("gradient", [](const ManyRecords& r) { return stacked(r, &FitRecord::gradient); })
      .def_property_readonly("loglik",
                             [](const ManyRecords& r) { return number(r, [](auto& own) { return own.value; }); })
      .def_property_readonly("predicted_gain",
                             [](const ManyRecords& r) { return number(r, [](auto& own) { return own.gain; }); })
      .def_property_readonly("least_eigenvalue",
                             [](const ManyRecords& r) {
                               return number(r, [](auto& own) {
                                 return own.eigenvalues.size() > 0 ? own.eigenvalues.minCoeff()
                                                                   : std::numeric_limits<double>::quiet_NaN();
                               });
                             })
      .def_property_readonly("last_information",
                             [](const ManyRecords& r) {
                               return number(r, [](auto& own) {
                                 const auto last = own.hessian.rows() - 1;
                                 return last < 0 ? 0.0 : -own.hessian(last, last);
                               });
                             })
      .def_property_readonly(
          "n_evaluations",
          [](const ManyRecords& r) {
            return number(r, [](auto& own) {
              return static_cast<double>(own.evaluations + own.start_evaluations + own.other_evaluations);
            });
          })
      .def_property_readonly(
          "singular",
          [](const ManyRecords& r) { return number(r, [](auto& own) { return own.boundary.empty() ? 0.0 : 1.0; }); })
      .def_property_readonly("ending",
                             [](const ManyRecords& r) {
                               std::vector<std::string> names;
                               for (const auto& own : r.records) names.push_back(ending_name(own.ending));
                               return names;
                             })
      .def_readonly("refused", &ManyRecords::refused);

  py::register_exception<likelihood::TooLarge>(module, "TooLarge", PyExc_ValueError);
  module.attr("most_nodes") = fit::most_nodes;
  module.def("fit", &fit, py::arg("model"), py::arg("response"), py::arg("method") = "ml", py::arg("n_quadrature") = 1,
             py::arg("start") = Eigen::VectorXd(), py::arg("restarts") = true, py::arg("threads") = 0,
             py::arg("tol") = 1e-9, py::arg("max_iter") = 100, py::arg("check_quadrature") = true,
             py::arg("report") = py::none(), py::arg("most_bytes") = 0.0);
  module.def("fit_many", &fit_many, py::arg("model"), py::arg("responses"), py::arg("method") = "ml",
             py::arg("n_quadrature") = 1, py::arg("start") = Eigen::VectorXd(), py::arg("restarts") = true,
             py::arg("threads") = 0, py::arg("tol") = 1e-9, py::arg("max_iter") = 100, py::arg("keep_modes") = false,
             py::arg("most_bytes") = 0.0);
  module.def("evaluate", &evaluate, py::arg("model"), py::arg("response"), py::arg("psi"), py::arg("n_quadrature") = 1,
             py::arg("threads") = 0,
             "Log-likelihood, gradient and Hessian at psi = (beta, theta, phi) on the user's scale.");
}

}  // namespace multilevel::bind
