// Any covariance: q variances and q (q - 1) / 2 covariances.
#include "covariance/structure.hpp"

namespace multilevel::covariance {

namespace {

class Unstructured final : public Structure {
 public:
  std::string name() const override { return "unstructured"; }
  Kind kind() const override { return Kind::full; }
  std::vector<Entry> entries(int q) const override {
    std::vector<Entry> free;
    for (int column = 0; column < q; ++column)
      for (int row = column; row < q; ++row) free.push_back({row, column});
    return free;
  }
};

}  // namespace

const Structure& unstructured() {
  static const Unstructured instance;
  return instance;
}

}  // namespace multilevel::covariance
