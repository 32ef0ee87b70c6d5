// What every long call into the core needs of the interpreter: its lock released, and Ctrl-C honoured.
#pragma once

#include <stdexcept>

#include "bind/bind.hpp"
#include "likelihood/objective.hpp"

namespace multilevel::bind {

inline likelihood::Monitor keep_going() {
  likelihood::Monitor monitor;
  monitor.keep_going = [] {
    const py::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() == 0;
  };
  return monitor;
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

inline const double* checked(const model::Model& model, const DoubleArray& response) {
  if (response.ndim() != 1 || response.shape(0) != model.n_rows())
    throw std::invalid_argument("the response must have one value per row");
  return response.data();
}

}  // namespace multilevel::bind
