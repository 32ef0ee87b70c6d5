// A covariance structure says which entries of a term's lower Cholesky factor Lambda are free: theta holds them in
// order.
//
// Lambda is signed and unconstrained, so a zero variance is an interior point. The user sees it with diag(Lambda) >= 0.
#pragma once

#include <string>
#include <vector>

namespace multilevel::covariance {

struct Entry {
  int row;
  int column;
};

class Structure {
 public:
  virtual ~Structure() = default;
  virtual std::string name() const = 0;
  /// Free entries of the q x q lower factor, column by column; theta is in this order.
  virtual std::vector<Entry> entries(int q) const = 0;
};

/// Throws std::invalid_argument that lists what there is.
const Structure& structure(const std::string& name);

// One function per structure file.
const Structure& unstructured();
const Structure& diagonal();

}  // namespace multilevel::covariance
