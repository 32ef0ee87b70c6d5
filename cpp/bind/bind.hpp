// The one header through which pybind11 comes in. This folder turns arrays into pointers and records into attributes;
// it knows no statistics.
#pragma once

#include <initializer_list>

#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace multilevel::bind {

using DoubleArray = py::array_t<double, py::array::c_style>;

/// What Python reads of an object under a name. All such functions of a class have one type, so that what pybind11
/// makes of a function is compiled once for all of them.
template <class Type>
struct Attribute {
  const char* name;
  py::object (*of)(const Type&);
};

template <class Type, class... More>
void add_attributes(py::class_<Type, More...>& to, std::initializer_list<Attribute<Type>> attributes) {
  for (const auto& [name, of] : attributes) to.def_property_readonly(name, of);
}

/// Arrays that cannot be changed: what was computed stays what it is.
inline py::object frozen(py::object copy) {
  if (py::isinstance<py::array>(copy)) copy.attr("flags").attr("writeable") = false;
  return copy;
}

/// A copy, as NumPy and Python have it.
template <class Value>
py::object copied(const Value& value) {
  return frozen(py::cast(value));
}

void bind_family(py::module_& module);
void bind_covariance(py::module_& module);
void bind_model(py::module_& module);
void bind_quadrature(py::module_& module);
void bind_fit(py::module_& module);
void bind_profile(py::module_& module);
void bind_contributions(py::module_& module);

}  // namespace multilevel::bind
