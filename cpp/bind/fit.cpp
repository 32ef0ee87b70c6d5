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
    if (good && !objective->hessian_has_digits(sums))
      good = objective->differentiate_carefully(inner, modes,
                                                std::vector<bool>(static_cast<std::size_t>(inner.size()), true), sums);
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
py::object stacked(const fit::ManyRecords& many, Values FitRecord::* which) {
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

py::object number(const fit::ManyRecords& many, double (*of)(const FitRecord&)) {
  DoubleArray array(static_cast<py::ssize_t>(many.records.size()));
  double* to = array.mutable_data();
  for (const auto& record : many.records) *to++ = of(record);
  return array;
}

py::object projection(const FitRecord& r) {
  py::list list;
  for (std::size_t f = 0; f < r.projection.size(); ++f) {
    const auto& own = r.projection[f];  // p x (q n_levels)
    const auto q = r.modes[f].rows(), levels = r.modes[f].cols();
    DoubleArray array({levels, q, own.rows()});
    std::copy(own.data(), own.data() + own.size(), array.mutable_data());
    list.append(array);
  }
  return list;
}

py::object boundary(const FitRecord& r) {
  py::list scores;
  for (const auto& s : r.boundary) scores.append(py::make_tuple(s.term, s.coefficient, s.score));
  return scores;
}

py::object quadrature(const FitRecord& r) {
  const auto& q = r.quadrature;
  return py::make_tuple(q.n_points, q.exact, q.change_deviance, q.shift);
}

py::object trace(const FitRecord& r) {
  py::list rows;
  for (const auto& i : r.trace) rows.append(py::make_tuple(i.value, i.gain, i.step));
  return rows;
}

py::object other_starts(const FitRecord& r) {
  py::list rows;
  for (const auto& s : r.other_starts) rows.append(py::make_tuple(s.name, s.value));
  return rows;
}

py::object other_maxima(const FitRecord& r) {
  py::list rows;
  for (const auto& s : r.other_maxima) rows.append(py::make_tuple(s.value, copied(s.psi)));
  return rows;
}

void bind_record(py::module_& module) {
  using R = FitRecord;
  py::class_<R> record(module, "FitRecord");
  add_attributes<R>(
      record,
      {
          {"psi", [](const R& r) { return copied(r.psi); }},
          {"loglik", [](const R& r) { return copied(r.value); }},
          {"gradient", [](const R& r) { return copied(r.gradient); }},
          {"hessian", [](const R& r) { return copied(r.hessian); }},
          {"covariance", [](const R& r) { return copied(r.covariance); }},
          {"beta_covariance", [](const R& r) { return copied(r.beta_covariance); }},
          {"eigenvalues", [](const R& r) { return copied(r.eigenvalues); }},
          {"step", [](const R& r) { return copied(r.step); }},
          {"predicted_gain", [](const R& r) { return copied(r.gain); }},
          {"boundary", &boundary},
          {"quadrature", &quadrature},
          {"modes", [](const R& r) -> py::object { return per_level(r.modes, false); }},
          {"mode_covariance", [](const R& r) -> py::object { return per_level(r.mode_covariance, true); }},
          {"projection", &projection},
          {"ending", [](const R& r) { return copied(ending_name(r.ending)); }},
          {"failed_level", [](const R& r) -> py::object { return py::make_tuple(r.failed_factor, r.failed_level); }},
          {"n_evaluations", [](const R& r) { return copied(r.evaluations); }},
          {"n_start_evaluations", [](const R& r) { return copied(r.start_evaluations); }},
          {"n_other_evaluations", [](const R& r) { return copied(r.other_evaluations); }},
          {"trace", &trace},
          {"other_starts", &other_starts},
          {"other_maxima", &other_maxima},
          {"seconds", [](const R& r) { return copied(r.seconds); }},
      });
}

double least_eigenvalue(const FitRecord& r) {
  return r.eigenvalues.size() > 0 ? r.eigenvalues.minCoeff() : std::numeric_limits<double>::quiet_NaN();
}

double last_information(const FitRecord& r) {
  const auto last = r.hessian.rows() - 1;
  return last < 0 ? 0.0 : -r.hessian(last, last);
}

double all_evaluations(const FitRecord& r) {
  return static_cast<double>(r.evaluations + r.start_evaluations + r.other_evaluations);
}

py::object endings(const fit::ManyRecords& many) {
  py::list names;
  for (const auto& own : many.records) names.append(ending_name(own.ending));
  return names;
}

void bind_many_records(py::module_& module) {
  using Many = fit::ManyRecords;
  using R = FitRecord;
  py::class_<Many> records(module, "ManyRecords");
  records.def("__len__", [](const Many& m) { return m.records.size(); })
      .def(
          "record", [](const Many& m, std::size_t j) -> const R& { return m.records.at(j); },
          py::return_value_policy::reference_internal, py::arg("j"));
  add_attributes<Many>(
      records, {
                   {"psi", [](const Many& m) { return stacked(m, &R::psi); }},
                   {"covariance", [](const Many& m) { return stacked(m, &R::covariance); }},
                   {"beta_covariance", [](const Many& m) { return stacked(m, &R::beta_covariance); }},
                   {"gradient", [](const Many& m) { return stacked(m, &R::gradient); }},
                   {"loglik", [](const Many& m) { return number(m, [](const R& r) { return r.value; }); }},
                   {"predicted_gain", [](const Many& m) { return number(m, [](const R& r) { return r.gain; }); }},
                   {"least_eigenvalue", [](const Many& m) { return number(m, &least_eigenvalue); }},
                   {"last_information", [](const Many& m) { return number(m, &last_information); }},
                   {"n_evaluations", [](const Many& m) { return number(m, &all_evaluations); }},
                   {"singular",
                    [](const Many& m) { return number(m, [](const R& r) { return r.boundary.empty() ? 0.0 : 1.0; }); }},
                   {"ending", &endings},
                   {"refused", [](const Many& m) { return copied(m.refused); }},
               });
}

}  // namespace

void bind_fit(py::module_& module) {
  bind_record(module);
  bind_many_records(module);

  py::register_exception<likelihood::TooLarge>(module, "TooLarge", PyExc_ValueError);
  module.attr("most_nodes") = fit::most_nodes;
  module.attr("nearly_as_high") = search::nearly_as_high;
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
