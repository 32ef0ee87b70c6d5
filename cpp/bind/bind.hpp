// The one header through which pybind11 comes in. This folder turns arrays into pointers and records into attributes;
// it knows no statistics.
#pragma once

#include <pybind11/eigen.h>
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace multilevel::bind {

using DoubleArray = py::array_t<double, py::array::c_style>;

void bind_family(py::module_& module);
void bind_covariance(py::module_& module);
void bind_model(py::module_& module);
void bind_quadrature(py::module_& module);
void bind_fit(py::module_& module);
void bind_profile(py::module_& module);
void bind_contributions(py::module_& module);

}  // namespace multilevel::bind
