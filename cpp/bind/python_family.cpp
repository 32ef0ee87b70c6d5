#include "bind/python_family.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "family/link_by_name.hpp"

namespace multilevel::bind {

namespace {

using family::Observation;
using family::Observations;
using family::Order;
using family::Parameter;
using family::Rows;
using family::Scale;
using family::Support;

template <class Value>
using Names = std::vector<std::pair<const char*, Value>>;

template <class Value>
Value named(const Names<Value>& table, const std::string& name) {
  for (const auto& [own, value] : table)
    if (name == own) return value;
  throw std::invalid_argument("a family of Python's cannot have '" + name + "'");
}

/// A copy: what a function keeps must not change with the next block.
py::array_t<double> array(const double* from, int n) { return py::array_t<double>(n, from); }

/// Calls take the interpreter lock, from whichever thread. Exceptions of Python pass through the core unchanged.
class PythonFamily final : public family::Family {
 public:
  explicit PythonFamily(const py::object& callbacks)
      : callbacks_(callbacks),
        name_(fact("name")),
        link_(fact("link")),
        zero_part_(fact("zero")),
        support_(named<Support>({{"numbers", Support::numbers},
                                 {"positive", Support::positive},
                                 {"nonnegative", Support::nonnegative},
                                 {"counts", Support::counts},
                                 {"positive counts", Support::positive_counts},
                                 {"trials", Support::trials},
                                 {"open unit", Support::open_unit}},
                                fact("support"))),
        log_concave_(callbacks.attr("log_concave").cast<bool>()),
        own_start_(callbacks.attr("has_start").cast<bool>()),
        functions_(family::link_by_name(link_)) {
    for (const auto& own : callbacks.attr("parameters")) {
      Parameter parameter;
      parameter.name = own.attr("name").cast<std::string>();
      parameter.meaning = own.attr("meaning").cast<std::string>();
      parameter.part = own.attr("part").cast<std::string>();
      parameter.lower_limit = own.attr("lower_limit").cast<double>();
      parameter.becomes = own.attr("becomes").cast<std::string>();
      parameter.scale = named<Scale>({{"log", Scale::log}, {"logit", Scale::logit}, {"plain", Scale::plain}},
                                     own.attr("scale").cast<std::string>());
      parameters_.push_back(parameter);
      start_phi_.push_back(own.attr("start").cast<double>());
    }
    if (parameters_.size() > static_cast<std::size_t>(family::few_phi))
      throw std::invalid_argument("a family has at most " + std::to_string(family::few_phi) + " parameters");
  }
  ~PythonFamily() override {
    const py::gil_scoped_acquire acquire;
    callbacks_ = py::object();
  }
  PythonFamily(const PythonFamily&) = delete;
  PythonFamily& operator=(const PythonFamily&) = delete;

  std::string name() const override { return name_; }
  std::string link() const override { return link_; }
  Support support() const override { return support_; }
  std::vector<Parameter> parameters() const override { return parameters_; }
  std::string reference() const override { return "a family of the user's own, in Python"; }
  std::string zero_part() const override { return zero_part_; }
  bool two_numbers() const override { return support_ == Support::trials; }
  bool costs_per_call() const override { return true; }
  bool log_concave() const override { return log_concave_; }

  Observation prepare(double y, double second, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y, second, prior_weight};
  }

  /// Python gives the rows of a table: value, d1, .., then by each parameter and each pair, as far as `order` asks.
  void derivatives(Order order, const Rows& rows, const family::RowDerivatives& out) const override {
    if (rows.n == 0) return;
    const int n_phi = static_cast<int>(parameters_.size()), degree = order == Order::full ? 4 : 2;
    std::vector<double*> to{out.value};
    for (int a = 0; a < degree; ++a) to.push_back(out.eta[a]);
    if (order != Order::step) {
      for (int r = 0; r < n_phi; ++r)
        for (int a = 0; a < degree; ++a) to.push_back(out.phi[r][a]);
      for (int pair = 0; pair < n_phi * (n_phi + 1) / 2; ++pair)
        for (int a = 0; a < degree - 1; ++a) to.push_back(out.phi_phi[pair][a]);
    }
    const py::gil_scoped_acquire acquire;
    const py::array_t<double> table = call("derivatives", rows.n, rows.eta, rows.data, degree, order != Order::step);
    if (table.ndim() != 2 || table.shape(0) != static_cast<py::ssize_t>(to.size()) || table.shape(1) != rows.n)
      throw std::logic_error("a family of Python's gave a table of the wrong shape");
    const double* weight = rows.data.weight;
    for (std::size_t k = 0; k < to.size(); ++k) {
      if (!to[k]) continue;
      const double* from = table.data(static_cast<py::ssize_t>(k), 0);
      for (int j = 0; j < rows.n; ++j) to[k][j] = weight[j] == 0.0 ? 0.0 : weight[j] * from[j];
    }
  }

  /// The observed one; where that is not positive, its size or the squared score, so that no step is longer than one
  /// by either.
  void expected_information(const Rows& rows, double* out) const override {
    const auto n = static_cast<std::size_t>(rows.n);
    std::vector<double> value(n), d1(n), unit(n, 1.0);
    family::RowDerivatives at;
    at.value = value.data();
    at.eta[0] = d1.data();
    at.eta[1] = out;
    Rows of_unit_weight = rows;
    of_unit_weight.data.weight = unit.data();
    derivatives(Order::step, of_unit_weight, at);
    for (std::size_t j = 0; j < n; ++j) {
      const double own = out[j] < 0.0 ? -out[j] : std::fmax(out[j], d1[j] * d1[j]);
      out[j] = rows.data.weight[j] == 0.0 ? 0.0 : rows.data.weight[j] * own;
    }
  }

  double start_eta(const Observation& row) const override {
    if (own_start_) {
      const py::gil_scoped_acquire acquire;
      return callbacks_.attr("start_eta")(row.response, row.second).cast<double>();
    }
    switch (support_) {
      case Support::trials:
        return functions_.of_mean((row.response + 0.5) / (row.second + 1.0));
      case Support::counts:
      case Support::nonnegative:
        return functions_.of_mean(row.response > 0.0 ? row.response : 0.5);
      default:  // a zero is one of the zero part
        return functions_.of_mean(row.response == 0.0 && !zero_part_.empty() ? 0.5 : row.response);
    }
  }
  void start_phi(double, double* phi) const override { std::copy(start_phi_.begin(), start_phi_.end(), phi); }

  /// Of what has probabilities zero is a bound, which costs no calls: deviances, which want the least one, do not come
  /// here.
  double supremum(const Observation& row, const double* phi) const override {
    if (has_probabilities()) return 0.0;
    double found = 0.0;
    suprema(1, {&row.response, &row.second, &row.weight, family::Phi::constant(phi, n_phi())}, &found);
    return found;
  }
  void suprema(int n, const Observations& data, double* out) const override {
    if (has_probabilities()) {
      std::fill_n(out, n, 0.0);
      return;
    }
    const py::gil_scoped_acquire acquire;
    std::vector<double> start(static_cast<std::size_t>(n));
    for (int j = 0; j < n; ++j) start[static_cast<std::size_t>(j)] = start_eta(data[j]);
    const py::array_t<double> found = call("suprema", n, start.data(), data);
    for (int j = 0; j < n; ++j) out[j] = data.weight[j] == 0.0 ? 0.0 : data.weight[j] * found.at(j);
  }

  double mean(double eta) const override { return functions_.mean(eta); }
  double link_of_mean(double mu) const override { return functions_.of_mean(mu); }
  /// Starting values need none, and results ask response_variance().
  double variance(double, const double*) const override { return 1.0; }
  double response_mean(double eta, const double* phi, double second) const override {
    return moment("mean", eta, phi, second);
  }
  double response_variance(double eta, const double* phi, double second) const override {
    return moment("variance", eta, phi, second);
  }
  double unit_deviance(double, double, const double*) const override {
    throw std::logic_error("deviances of a family of Python's are computed there");
  }

 private:
  bool has_probabilities() const {
    return support_ == Support::counts || support_ == Support::positive_counts || support_ == Support::trials;
  }

  std::string fact(const char* which) const { return callbacks_.attr(which).cast<std::string>(); }

  template <class... More>
  py::array_t<double> call(const char* method, int n, const double* eta, const Observations& data, More... more) const {
    py::list phi;
    for (int r = 0; r < n_phi(); ++r) {
      if (data.phi.step[r])
        phi.append(array(data.phi.value[r], n));
      else
        phi.append(*data.phi.value[r]);
    }
    const py::object second = data.second ? py::object(array(data.second, n)) : py::none();
    return callbacks_.attr(method)(array(data.response, n), second, array(eta, n), phi, more...)
        .template cast<py::array_t<double, py::array::c_style | py::array::forcecast>>();
  }

  double moment(const char* which, double eta, const double* phi, double second) const {
    const py::gil_scoped_acquire acquire;
    py::list own;
    for (int r = 0; r < n_phi(); ++r) own.append(phi[r]);
    return callbacks_.attr(which)(eta, own, second).cast<double>();
  }

  py::object callbacks_;
  std::string name_, link_, zero_part_;
  Support support_;
  bool log_concave_, own_start_;
  family::LinkFunctions functions_;
  std::vector<Parameter> parameters_;
  std::vector<double> start_phi_;
};

}  // namespace

std::shared_ptr<family::Family> python_family(const py::object& callbacks) {
  return std::make_shared<PythonFamily>(callbacks);
}

}  // namespace multilevel::bind
