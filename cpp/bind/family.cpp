#include <optional>
#include <stdexcept>

#include "bind/bind.hpp"
#include "bind/python_family.hpp"
#include "family/modified/make.hpp"
#include "family/registry.hpp"

namespace multilevel::bind {

namespace {

using family::Family;

template <class Function>
py::array_t<double> map(const DoubleArray& x, Function function) {
  py::array_t<double> result(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
  const double* from = x.data();
  double* to = result.mutable_data();
  for (py::ssize_t i = 0; i < x.size(); ++i) to[i] = function(from[i]);
  return result;
}

/// The family's parameters: one of each, (n_phi,), or one of each for every row, (n, n_phi).
class PhiArray {
 public:
  PhiArray(const Family& f, const DoubleArray& phi, py::ssize_t n_rows) : phi_(phi), rows_(phi.ndim() == 2) {
    const auto size = phi.ndim() == 0 ? -1 : phi.shape(phi.ndim() - 1);
    if (phi.ndim() > 2 || size != f.n_phi() || (rows_ && phi.shape(0) != n_rows))
      throw std::invalid_argument("phi has the wrong shape");
    stride_ = rows_ ? f.n_phi() : 0;
  }
  const double* operator[](py::ssize_t row) const { return phi_.data() + row * stride_; }

 private:
  DoubleArray phi_;
  bool rows_;
  py::ssize_t stride_;
};

/// The same as the family takes them, parameter by parameter.
struct PhiColumns {
  PhiColumns(const Family& f, const DoubleArray& given, py::ssize_t n) : values(static_cast<std::size_t>(f.n_phi())) {
    const PhiArray at(f, given, n);
    for (std::size_t r = 0; r < values.size(); ++r) {
      values[r].resize(static_cast<std::size_t>(n));
      for (py::ssize_t i = 0; i < n; ++i) values[r][static_cast<std::size_t>(i)] = at[i][r];
      phi.value[r] = values[r].data();
      phi.step[r] = 1;
    }
  }
  std::vector<std::vector<double>> values;
  family::Phi phi;
};

const char* scale_name(family::Scale scale) {
  switch (scale) {
    case family::Scale::log:
      return "log";
    case family::Scale::reciprocal:
      return "reciprocal";
    case family::Scale::logit:
      return "logit";
    case family::Scale::power:
      return "power";
    case family::Scale::plain:
      return "plain";
    case family::Scale::slant:
      return "slant";
  }
  return "";
}

const char* support_name(family::Support support) {
  switch (support) {
    case family::Support::numbers:
      return "numbers";
    case family::Support::positive:
      return "positive";
    case family::Support::nonnegative:
      return "nonnegative";
    case family::Support::counts:
      return "counts";
    case family::Support::positive_counts:
      return "positive counts";
    case family::Support::trials:
      return "trials";
    case family::Support::open_unit:
      return "open unit";
    case family::Support::closed_unit:
      return "closed unit";
    case family::Support::categories:
      return "categories";
    case family::Support::by_row:
      return "by row";
    case family::Support::choices:
      return "choices";
  }
  return "";
}

/// The family of a row with these parameters.
const Family& of_row(const Family& f, const double* phi) {
  if (f.n_members() == 1) return f;
  if (!(phi[0] >= 0.0 && phi[0] < f.n_members())) throw std::invalid_argument("there is no such kind of rows");
  return f.member(static_cast<int>(phi[0]));
}

/// Rows as the family takes them.
struct Prepared {
  Prepared(const Family& f, const DoubleArray& y, const DoubleArray& second, const DoubleArray& weights,
           const PhiArray& phi)
      : response(static_cast<std::size_t>(y.size())), second_number(response), weight(response), constant(response) {
    if (second.size() != y.size() || weights.size() != y.size())
      throw std::invalid_argument("the arrays must have the same length");
    for (std::size_t i = 0; i < response.size(); ++i) {
      const Family& own = of_row(f, phi[static_cast<py::ssize_t>(i)]);
      const family::Observation row = own.prepare(y.data()[i], second.data()[i], weights.data()[i], &constant[i]);
      response[i] = row.response;
      second_number[i] = row.second;
      weight[i] = row.weight;
    }
  }
  std::vector<double> response, second_number, weight, constant;
};

/// The derivatives of a family's log density that an order has, for tests and for the curious.
py::dict derivatives(const Family& f, const DoubleArray& eta, const DoubleArray& y, const DoubleArray& second,
                     const DoubleArray& weights, const DoubleArray& phi, const std::string& order_name) {
  const auto n = eta.size();
  const bool full = order_name == "full", step = order_name == "step";
  if (!full && !step && order_name != "node") throw std::invalid_argument("the order is step, node or full");
  if (y.size() != n) throw std::invalid_argument("the arrays must have the same length");
  const PhiColumns columns(f, phi, n);
  const Prepared data(f, y, second, weights, PhiArray(f, phi, n));
  py::dict result;
  auto array = [&](const std::string& name) {
    py::array_t<double> values(n);
    result[py::str(name)] = values;
    return values.mutable_data();
  };
  std::copy(data.constant.begin(), data.constant.end(), array("constant"));
  family::RowDerivatives out;
  out.value = array("value");
  for (int a = 0; a < (full ? 4 : 2); ++a) out.eta[a] = array("d" + std::to_string(a + 1));
  for (int r = 0; r < f.n_phi() && !step; ++r) {
    for (int a = 0; a < (full ? 4 : 2); ++a)
      out.phi[r][a] = array("phi" + std::to_string(r) + "_d" + std::to_string(a));
    for (int s = 0; s <= r; ++s)
      for (int a = 0; a < (full ? 3 : 1); ++a)
        out.phi_phi[family::phi_pair(r, s)][a] =
            array("phi" + std::to_string(r) + "_" + std::to_string(s) + "_d" + std::to_string(a));
  }
  const family::Rows rows{static_cast<int>(n),
                          eta.data(),
                          {data.response.data(), data.second_number.data(), data.weight.data(), columns.phi}};
  f.derivatives(full ? family::Order::full : step ? family::Order::step : family::Order::node, rows, out);
  f.expected_information(rows, array("expected_information"));
  return result;
}

/// A moment of the response in each row; phi holds the family's parameters once (n_phi) or for each row (n, n_phi).
py::object moment(const Family& f, const DoubleArray& eta, const DoubleArray& phi,
                  const std::optional<DoubleArray>& second, double (Family::*of)(double, const double*, double) const) {
  const auto n_phi = static_cast<py::ssize_t>(f.n_phi());
  const bool by_row = phi.ndim() == 2;
  if (phi.ndim() < 1 || phi.ndim() > 2 || phi.shape(phi.ndim() - 1) != n_phi || (by_row && phi.shape(0) != eta.size()))
    throw std::invalid_argument("phi has the wrong shape");
  if (second && second->size() != eta.size()) throw std::invalid_argument("the arrays must have the same length");
  py::ssize_t i = 0;
  return map(eta, [&](double x) {
    const double* own = phi.data() + (by_row ? i * n_phi : 0);
    const double other = second ? second->data()[i] : 1.0;
    ++i;
    return (f.*of)(x, own, other);
  });
}

/// The least upper bounds of the rows' log densities over eta, as `value` of derivatives().
py::object supremum(const Family& f, const DoubleArray& y, const DoubleArray& second, const DoubleArray& weights,
                    const DoubleArray& phi) {
  const PhiArray at(f, phi, y.size());
  const Prepared data(f, y, second, weights, at);
  py::array_t<double> result(y.size());
  for (std::size_t i = 0; i < data.response.size(); ++i)
    result.mutable_data()[i] =
        f.supremum({data.response[i], data.second_number[i], data.weight[i]}, at[static_cast<py::ssize_t>(i)]);
  return result;
}

/// What holds of the rows wherever eta is, see Family::bounds: of log density, second and third derivative, (3, n);
/// None where there is nothing.
py::object bounds(const Family& f, const DoubleArray& y, const DoubleArray& second, const DoubleArray& weights,
                  const DoubleArray& phi) {
  const auto n = y.size();
  const PhiColumns columns(f, phi, n);
  const Prepared data(f, y, second, weights, PhiArray(f, phi, n));
  py::array_t<double> result({py::ssize_t{3}, n});
  double* to = result.mutable_data();
  const family::Observations rows{data.response.data(), data.second_number.data(), data.weight.data(), columns.phi};
  if (!f.bounds(static_cast<int>(n), rows, {to, to + n, to + 2 * n})) return py::none();
  return result;
}

// Functions of a family and arrays, each of one type for all that take as many: see Attribute.

py::object mean(const Family& f, const DoubleArray& eta) {
  return map(eta, [&](double x) { return f.mean(x); });
}

py::object link_of_mean(const Family& f, const DoubleArray& mu) {
  return map(mu, [&](double x) { return f.link_of_mean(x); });
}

py::object dispersion(const Family& f, const DoubleArray& phi) {
  const py::ssize_t n = phi.ndim() == 2 ? phi.shape(0) : 1;
  const PhiArray at(f, phi, n);
  py::array_t<double> result(n);
  for (py::ssize_t i = 0; i < n; ++i) result.mutable_data()[i] = f.dispersion(at[i]);
  return result;
}

py::object trouble(const Family& f, const DoubleArray& phi) {
  const PhiArray at(f, phi, 1);
  return copied(f.trouble(at[0]));
}

py::object variance(const Family& f, const DoubleArray& mu, const DoubleArray& phi) {
  const PhiArray at(f, phi, mu.size());
  py::ssize_t row = 0;
  return map(mu, [&](double x) { return f.variance(x, at[row++]); });
}

py::object variance_ratio(const Family& f, const DoubleArray& trials, const DoubleArray& phi) {
  const PhiArray at(f, phi, trials.size());
  py::ssize_t row = 0;
  return map(trials, [&](double x) { return f.variance_ratio(x, at[row++]); });
}

py::object unit_deviance(const Family& f, const DoubleArray& y, const DoubleArray& mu, const DoubleArray& phi) {
  if (y.size() != mu.size()) throw std::invalid_argument("y and mu must have the same length");
  const PhiArray at(f, phi, y.size());
  py::ssize_t row = 0;
  return map(y, [&](double x) {
    const double* own = at[row];
    return f.unit_deviance(x, mu.data()[row++], own);
  });
}

py::object response_mean(const Family& f, const DoubleArray& eta, const DoubleArray& phi,
                         const std::optional<DoubleArray>& second) {
  return moment(f, eta, phi, second, &Family::response_mean);
}

py::object response_variance(const Family& f, const DoubleArray& eta, const DoubleArray& phi,
                             const std::optional<DoubleArray>& second) {
  return moment(f, eta, phi, second, &Family::response_variance);
}

py::object parameters(const Family& f) {
  py::list list;
  for (const auto& own : f.parameters()) {
    py::dict facts;
    facts["name"] = own.name;
    facts["meaning"] = own.meaning;
    facts["limit"] = own.limit;
    facts["lower_limit"] = own.lower_limit;
    facts["becomes"] = own.becomes;
    facts["scale"] = scale_name(own.scale);
    facts["part"] = own.part;
    list.append(facts);
  }
  return list;
}

void add_facts(py::class_<Family, std::shared_ptr<Family>>& family) {
  add_attributes<Family>(
      family, {
                  {"name", [](const Family& f) { return copied(f.name()); }},
                  {"link", [](const Family& f) { return copied(f.link()); }},
                  {"support", [](const Family& f) { return copied(std::string(support_name(f.support()))); }},
                  {"zero", [](const Family& f) { return copied(f.zero_part()); }},
                  {"mass_at_zero", [](const Family& f) { return copied(f.mass_at_zero()); }},
                  {"modifiers", [](const Family& f) { return copied(family::modifiers(f)); }},
                  {"reference", [](const Family& f) { return copied(f.reference()); }},
                  {"has_residual", [](const Family& f) { return copied(f.has_residual()); }},
                  {"parameters", &parameters},
                  {"is_linear", [](const Family& f) { return copied(f.is_linear()); }},
                  {"all_thresholds", [](const Family& f) { return copied(f.all_thresholds()); }},
                  {"log_concave", [](const Family& f) { return copied(f.log_concave()); }},
                  {"two_numbers", [](const Family& f) { return copied(f.two_numbers()); }},
              });
}

void add_functions(py::class_<Family, std::shared_ptr<Family>>& family) {
  family.def("trouble", &trouble, py::arg("phi"))
      .def("mean", &mean, py::arg("eta"))
      .def("link_of_mean", &link_of_mean, py::arg("mu"))
      .def("dispersion", &dispersion, py::arg("phi"))
      .def("variance", &variance, py::arg("mu"), py::arg("phi"))
      .def("variance_ratio", &variance_ratio, py::arg("trials"), py::arg("phi"))
      .def("unit_deviance", &unit_deviance, py::arg("y"), py::arg("mu"), py::arg("phi"))
      .def("supremum", &supremum, py::arg("y"), py::arg("second"), py::arg("weights"), py::arg("phi"))
      .def("bounds", &bounds, py::arg("y"), py::arg("second"), py::arg("weights"), py::arg("phi"))
      .def("response_mean", &response_mean, py::arg("eta"), py::arg("phi"), py::arg("second").none(true) = py::none())
      .def("response_variance", &response_variance, py::arg("eta"), py::arg("phi"),
           py::arg("second").none(true) = py::none())
      .def("derivatives", &derivatives, py::arg("eta"), py::arg("y"), py::arg("second"), py::arg("weights"),
           py::arg("phi"), py::arg("order") = "full");
}

}  // namespace

void bind_family(py::module_& module) {
  py::class_<Family, std::shared_ptr<Family>> family(module, "Family");
  family
      .def(py::init([](const std::string& name, const std::string& link, const std::string& zero, int categories) {
             auto made = family::make_family(name, link, zero);
             return categories > 2 && made->all_thresholds() ? made->of_categories(categories) : std::move(made);
           }),
           py::arg("name"), py::arg("link"), py::arg("zero") = "", py::arg("categories") = 0)
      .def_static("of", &python_family, py::arg("callbacks"),
                  "A family whose density is computed in Python: see multilevel.family.callbacks.Callbacks.")
      .def_static("by_row", &family::make_by_row, py::arg("names"), py::arg("members"),
                  "Rows of several kinds, each with a family of its own.");
  add_facts(family);
  add_functions(family);

  module.def(
      "families",
      [] {
        std::vector<std::pair<std::string, std::vector<std::string>>> table;
        for (const auto& entry : family::registry()) {
          if (table.empty() || table.back().first != entry.name)
            table.emplace_back(entry.name, std::vector<std::string>());
          table.back().second.push_back(entry.link);
        }
        return table;
      },
      "Families and their links, the default link first.");
}

}  // namespace multilevel::bind
