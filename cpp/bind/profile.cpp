#include <limits>
#include <stdexcept>

#include "bind/bind.hpp"
#include "bind/calls.hpp"
#include "numeric/parallel.hpp"
#include "profile/profile.hpp"

namespace multilevel::bind {

namespace {

using model::Model;
using profile::Profile;
using profile::ProfileRecord;
using profile::Quantity;

/// A function of psi, and of whether 0, 1 or 2 derivatives are wanted, that returns value, gradient and Hessian.
Quantity of_function(const py::function& function) {
  Quantity quantity;
  // The function outlives the call that was given it; copies would need the interpreter.
  const py::handle callable = function;
  quantity.at = [callable](const Eigen::VectorXd& psi, profile::Order order) {
    const py::gil_scoped_acquire acquire;
    const auto [value, gradient, hessian] =
        callable(psi, static_cast<int>(order)).cast<std::tuple<double, Eigen::VectorXd, Eigen::MatrixXd>>();
    return profile::Slopes{value, gradient, hessian};
  };
  return quantity;
}

/// From a dictionary: one of `weights`, `row`, `rows` and `function`, and how far the quantity goes.
Quantity quantity(const py::dict& given, int n_parameters) {
  Quantity made;
  if (given.contains("weights")) {
    const auto weights = given["weights"].cast<Eigen::VectorXd>();
    if (weights.size() != n_parameters) throw std::invalid_argument("weights have the wrong length");
    made = profile::linear(weights);
  } else if (given.contains("row")) {
    made = profile::row_length(given["row"].cast<std::vector<int>>());
  } else if (given.contains("rows")) {
    const auto [first, second] = given["rows"].cast<std::pair<std::vector<int>, std::vector<int>>>();
    made = profile::row_cosine(first, second);
  } else {
    made = of_function(given["function"].cast<py::function>());
  }
  if (given.contains("lower")) made.lower = given["lower"].cast<double>();
  if (given.contains("upper")) made.upper = given["upper"].cast<double>();
  if (given.contains("longest_first")) made.longest_first = given["longest_first"].cast<double>();
  if (given.contains("zeros_at_lower")) made.zeros_at_lower = given["zeros_at_lower"].cast<std::vector<int>>();
  if (given.contains("undefined_at_zeros"))
    made.undefined_at_zeros = given["undefined_at_zeros"].cast<std::vector<std::vector<int>>>();
  return made;
}

const char* end_name(profile::End end) {
  switch (end) {
    case profile::End::limit:
      return "limit";
    case profile::End::edge:
      return "edge";
    case profile::End::unbounded:
      return "unbounded";
    case profile::End::failed:
      return "failed";
  }
  return "unknown";
}

ProfileRecord run(const Model& m, const DoubleArray& response, const Eigen::VectorXd& psi,
                  const std::vector<py::dict>& quantities, double cutoff, int n_quadrature, int steps, int threads,
                  double most_bytes, const std::vector<Eigen::VectorXd>& others) {
  const double* y = checked(m, response);
  if (psi.size() != m.n_parameters()) throw std::invalid_argument("psi has the wrong length");
  for (const auto& other : others)
    if (other.size() != psi.size()) throw std::invalid_argument("another maximum has the wrong length");
  if (!(cutoff > 0.0) || steps < 1) throw std::invalid_argument("cutoff and steps must be positive");
  profile::ProfileOptions options;
  options.n_quadrature = n_quadrature;
  options.threads = numeric::usable_threads(threads);
  options.cutoff = cutoff;
  options.steps = steps;
  options.most_bytes = most_bytes;
  std::vector<Quantity> made;
  for (const auto& given : quantities) made.push_back(quantity(given, m.n_parameters()));
  return without_gil([&] {
    const model::Response data = m.prepare(y, options.threads);
    const likelihood::Monitor watching = keep_going();
    return profile::profile(m, data, psi, others, made, options, watching);
  });
}

}  // namespace

void bind_profile(py::module_& module) {
  py::class_<Profile> curve(module, "Profile");
  add_attributes<Profile>(
      curve,
      {
          {"values", [](const Profile& p) { return copied(p.values); }},
          {"zeta", [](const Profile& p) { return copied(p.zeta); }},
          {"slopes", [](const Profile& p) { return copied(p.slopes); }},
          {"psi", [](const Profile& p) { return copied(p.psi); }},
          {"limits", [](const Profile& p) -> py::object { return py::make_tuple(p.limits[0], p.limits[1]); }},
          {"ends",
           [](const Profile& p) -> py::object { return py::make_tuple(end_name(p.ends[0]), end_name(p.ends[1])); }},
      });
  py::class_<ProfileRecord> record(module, "ProfileRecord");
  add_attributes<ProfileRecord>(record, {
                                            {"measured", [](const ProfileRecord& r) { return copied(r.measured); }},
                                            {"loglik", [](const ProfileRecord& r) { return copied(r.value); }},
                                            {"largest_loglik", [](const ProfileRecord& r) { return copied(r.most); }},
                                            {"profiles", [](const ProfileRecord& r) { return copied(r.profiles); }},
                                        });
  module.def("profile", &run, py::arg("model"), py::arg("response"), py::arg("psi"), py::arg("quantities"),
             py::arg("cutoff"), py::arg("n_quadrature") = 1, py::arg("steps") = 4, py::arg("threads") = 0,
             py::arg("most_bytes") = 0.0, py::arg("others") = std::vector<Eigen::VectorXd>{});
}

}  // namespace multilevel::bind
