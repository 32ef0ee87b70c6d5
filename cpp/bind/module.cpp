// The module's table of contents. CMake names the module: one binary per instruction set, from the same sources.
#include "bind/bind.hpp"

PYBIND11_MODULE(MULTILEVEL_MODULE, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled core of multilevel: arrays in, records out.";
  multilevel::bind::bind_family(m);
  multilevel::bind::bind_covariance(m);
  multilevel::bind::bind_model(m);
  multilevel::bind::bind_quadrature(m);
  multilevel::bind::bind_fit(m);
  multilevel::bind::bind_profile(m);
  multilevel::bind::bind_contributions(m);
}
