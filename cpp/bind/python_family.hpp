// A family whose log density is computed by Python, a block of rows at a time.
#pragma once

#include <memory>
#include <string>

#include "bind/bind.hpp"
#include "family/family.hpp"

namespace multilevel::bind {

/// `callbacks` has the family's facts as attributes and its functions as methods: see
/// python/multilevel/family/callbacks.py.
std::shared_ptr<family::Family> python_family(const py::object& callbacks);

}  // namespace multilevel::bind
