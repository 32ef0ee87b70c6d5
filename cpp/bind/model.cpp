#include <algorithm>
#include <stdexcept>

#include "bind/bind.hpp"
#include "model/model.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::bind {

namespace {

using model::Model;
using model::Source;

/// A view of a column; arrays of other types are converted, and `keep` holds the copy until the model is built.
Source source(const py::object& column, std::int64_t n, std::vector<py::object>& keep) {
  if (column.is_none()) return {};
  auto array = py::array::ensure(column);
  if (!array || array.ndim() != 1 || array.shape(0) != n)
    throw std::invalid_argument("a column must be a one-dimensional array with one value per row");
  const auto type = [](const py::dtype& dtype) {
    const auto size = dtype.itemsize();
    switch (dtype.kind()) {
      case 'f':
        return size == 8 ? Source::Type::f64 : (size == 4 ? Source::Type::f32 : Source::Type::one);
      case 'i':
        return size == 8 ? Source::Type::i64
                         : (size == 4 ? Source::Type::i32 : (size == 2 ? Source::Type::i16 : Source::Type::i8));
      case 'u':
        return size == 1 ? Source::Type::u8 : Source::Type::one;
      case 'b':
        return Source::Type::u8;
      default:
        return Source::Type::one;
    }
  };
  Source::Type known = type(array.dtype());
  if (known == Source::Type::one) {
    array = DoubleArray::ensure(array);
    if (!array) throw std::invalid_argument("a column must be numeric");
    known = Source::Type::f64;
  }
  keep.push_back(array);
  return {known, static_cast<const char*>(array.data()), array.strides(0)};
}

const double* optional_doubles(const std::optional<DoubleArray>& array, std::int64_t n, const char* name) {
  if (!array) return nullptr;
  if (array->ndim() != 1 || array->shape(0) != n)
    throw std::invalid_argument(std::string(name) + " must have one value per row");
  return array->data();
}

using TermTuple = std::tuple<int, std::vector<py::object>, std::string>;
using PhiTuple = std::tuple<std::vector<py::object>, std::optional<DoubleArray>, std::optional<double>>;
using CodeArray = py::array_t<std::int32_t, py::array::c_style>;

using FamilyPointer = std::shared_ptr<family::Family>;

std::unique_ptr<Model> make(const std::string& family, const std::string& link, std::int64_t n_rows,
                            const std::optional<DoubleArray>& second, const std::optional<DoubleArray>& weights,
                            const std::optional<DoubleArray>& offset, const std::vector<py::object>& fixed,
                            const std::vector<CodeArray>& codes, const std::vector<std::int32_t>& n_levels,
                            const std::vector<TermTuple>& terms, int threads, const std::vector<PhiTuple>& phi,
                            const std::vector<int>& variables, const std::string& zero, const FamilyPointer& own_family,
                            const Eigen::MatrixXd& thresholds, const std::optional<CodeArray>& sets,
                            const std::vector<int>& centres) {
  model::Specification s;
  std::vector<py::object> keep;
  s.n_rows = n_rows;
  s.family = family;
  s.link = link;
  s.zero = zero;
  s.own_family = own_family;
  s.thresholds = thresholds;
  if (sets) {
    if (sets->ndim() != 1 || sets->shape(0) != n_rows) throw std::invalid_argument("sets must have one value per row");
    s.sets = sets->data();
  }
  if (!centres.empty() && centres.size() != fixed.size())
    throw std::invalid_argument("centres must have one number per fixed column");
  s.centres = centres;
  s.second = optional_doubles(second, n_rows, "second");
  s.weights = optional_doubles(weights, n_rows, "weights");
  s.offset = optional_doubles(offset, n_rows, "offset");
  for (const auto& column : fixed) s.fixed.push_back(source(column, n_rows, keep));
  if (codes.size() != n_levels.size()) throw std::invalid_argument("codes and n_levels must have the same length");
  for (std::size_t g = 0; g < codes.size(); ++g) {
    if (codes[g].ndim() != 1 || codes[g].shape(0) != n_rows)
      throw std::invalid_argument("codes must have one value per row");
    const std::int32_t* code = codes[g].data();
    std::int32_t least = 0, largest = 0;
    for (std::int64_t j = 0; j < n_rows; ++j) {
      least = std::min(least, code[j]);
      largest = std::max(largest, code[j]);
    }
    if (least < 0 || largest >= n_levels[g])
      throw std::invalid_argument("a code is outside the levels of its grouping factor");
    s.codes.push_back(code);
  }
  s.n_levels = n_levels;
  if (!variables.empty() && variables.size() != terms.size())
    throw std::invalid_argument("variables must have one number per term");
  for (const auto& [group, columns, structure] : terms) {
    model::TermSpecification term;
    term.grouping_factor = group;
    term.structure = structure;
    if (!variables.empty()) term.variable = variables[s.terms.size()];
    for (const auto& column : columns) term.columns.push_back(source(column, n_rows, keep));
    s.terms.push_back(std::move(term));
  }
  for (const auto& [columns, own_offset, value] : phi) {
    model::PhiSpecification part;
    for (const auto& column : columns) part.fixed.push_back(source(column, n_rows, keep));
    part.offset = optional_doubles(own_offset, n_rows, "offset");
    part.value = value;
    s.phi.push_back(std::move(part));
  }
  const py::gil_scoped_release release;
  return std::make_unique<Model>(s, numeric::usable_threads(threads));
}

DoubleArray linear_predictor(const Model& m, const Eigen::VectorXd& beta,
                             const std::optional<std::vector<DoubleArray>>& modes, int threads) {
  if (beta.size() != m.p()) throw std::invalid_argument("beta has the wrong length");
  std::vector<double> u;
  if (modes) {
    const auto n_factors = static_cast<std::size_t>(
        std::count_if(m.factors().begin(), m.factors().end(), [](const auto& factor) { return factor.q > 0; }));
    if (modes->size() != n_factors) throw std::invalid_argument("modes must have one array per grouping factor");
    for (std::size_t f = 0; f < modes->size(); ++f) {
      const DoubleArray& own = (*modes)[f];
      if (own.size() != static_cast<py::ssize_t>(m.factors()[f].n_levels) * m.factors()[f].q)
        throw std::invalid_argument("modes has the wrong size");
      u.insert(u.end(), own.data(), own.data() + own.size());
    }
  }
  DoubleArray eta(m.n_rows());
  double* to = eta.mutable_data();
  const py::gil_scoped_release release;
  m.linear_predictor(beta.data(), u.empty() ? nullptr : u.data(), to, numeric::usable_threads(threads));
  return eta;
}

}  // namespace

void bind_model(py::module_& module) {
  py::class_<Model> model(module, "Model");
  model.def(py::init(&make), py::arg("family"), py::arg("link"), py::arg("n_rows"), py::arg("second").none(true),
            py::arg("weights").none(true), py::arg("offset").none(true), py::arg("fixed"), py::arg("codes"),
            py::arg("n_levels"), py::arg("terms"), py::arg("threads") = 0, py::arg("phi") = std::vector<PhiTuple>(),
            py::arg("variables") = std::vector<int>(), py::arg("zero") = "", py::arg("own_family") = FamilyPointer(),
            py::arg("thresholds") = Eigen::MatrixXd(), py::arg("sets") = std::nullopt,
            py::arg("centres") = std::vector<int>());
  add_attributes<Model>(model, {
                                   {"n_rows", [](const Model& m) { return copied(m.n_rows()); }},
                                   {"n_clusters", [](const Model& m) { return copied(m.n_clusters()); }},
                                   {"n_beta", [](const Model& m) { return copied(m.p()); }},
                                   {"n_random", [](const Model& m) { return copied(m.q()); }},
                                   {"n_modes", [](const Model& m) { return copied(m.n_modes()); }},
                                   {"n_theta", [](const Model& m) { return copied(m.n_theta()); }},
                                   {"n_phi", [](const Model& m) { return copied(m.n_phi()); }},
                                   {"n_thresholds", [](const Model& m) { return copied(m.n_thresholds()); }},
                                   {"redundant", [](const Model& m) { return copied(m.redundant()); }},
                               });
  model.def("phi_redundant", &Model::phi_redundant, py::arg("part"))
      .def("linear_predictor", &linear_predictor, py::arg("beta"), py::arg("modes").none(true), py::arg("threads") = 0);
}

}  // namespace multilevel::bind
