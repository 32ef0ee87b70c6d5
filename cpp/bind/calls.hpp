// What calls into the core share: a monitor that honours Ctrl-C, running without the interpreter lock, arrays per
// level.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "bind/bind.hpp"
#include "fit/fit.hpp"

namespace multilevel::bind {

inline likelihood::Monitor keep_going() {
  likelihood::Monitor m;
  m.keep_going = [] {
    const py::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() == 0;
  };
  return m;
}

inline likelihood::Monitor monitor(const py::object& report) {
  likelihood::Monitor m = keep_going();
  if (!report.is_none())
    m.report = [report](int iteration, double value, double gain) {
      const py::gil_scoped_acquire acquire;
      report(iteration, value, gain);
    };
  return m;
}

/// Runs without the GIL; a stop that the user asked for comes out as the Python exception that is waiting.
template <class Function>
auto without_gil(Function function) {
  try {
    const py::gil_scoped_release release;
    return function();
  } catch (const likelihood::Interrupted&) {
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    throw py::error_already_set();
  }
}

/// One array per grouping factor: (n_levels, q), or (n_levels, q, q) for square blocks, from columns per level.
inline py::list per_level(const std::vector<Eigen::MatrixXd>& values, bool square) {
  py::list list;
  for (const auto& own : values) {
    const auto q =
        square ? static_cast<py::ssize_t>(std::lround(std::sqrt(static_cast<double>(own.rows())))) : own.rows();
    std::vector<py::ssize_t> shape{own.cols(), q};
    if (square) shape.push_back(q);
    DoubleArray array(shape);
    std::copy(own.data(), own.data() + own.size(), array.mutable_data());
    list.append(array);
  }
  return list;
}

inline const double* checked(const model::Model& m, const DoubleArray& response) {
  if (response.ndim() != 1 || response.shape(0) != m.n_rows())
    throw std::invalid_argument("the response must have one value per row");
  return response.data();
}

}  // namespace multilevel::bind
