#include <stdexcept>

#include "covariance/structure.hpp"

namespace multilevel::covariance {

const Structure& structure(const std::string& name) {
  std::string known;
  for (const auto* one : {
           &unstructured(),
           &diagonal(),
       }) {
    if (one->name() == name) return *one;
    known += (known.empty() ? "" : ", ") + one->name();
  }
  throw std::invalid_argument("unknown covariance structure '" + name + "'; there are " + known);
}

}  // namespace multilevel::covariance
