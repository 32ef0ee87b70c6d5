#include <stdexcept>

#include "covariance/structure.hpp"

namespace multilevel::covariance {

const Structure& structure(const std::string& name) {
  std::string known;
  for (const auto* one : {
           &unstructured(),
           &diagonal(),
           &homogeneous_diagonal(),
           &compound_symmetry(),
           &homogeneous_compound_symmetry(),
           &ar1(),
           &heterogeneous_ar1(),
       }) {
    if (one->name() == name) return *one;
    known += (known.empty() ? "" : ", ") + one->name();
  }
  if (const auto* one = reduced_rank(name)) return *one;
  if (const auto* one = confirmatory(name)) return *one;
  throw std::invalid_argument("unknown covariance structure '" + name + "'; there are " + known +
                              ", reduced rank 1, 2, ..., confirmatory NAME=1100 OTHER=0011");
}

}  // namespace multilevel::covariance
