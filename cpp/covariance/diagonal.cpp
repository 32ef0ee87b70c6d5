// Independent random effects: q variances.
#include "covariance/structure.hpp"

namespace multilevel::covariance {

namespace {

class Diagonal final : public Structure {
 public:
  std::string name() const override { return "diagonal"; }
  Kind kind() const override { return Kind::diagonal; }
  std::vector<Entry> entries(int q) const override {
    std::vector<Entry> free;
    for (int row = 0; row < q; ++row) free.push_back({row, row});
    return free;
  }
};

}  // namespace

const Structure& diagonal() {
  static const Diagonal instance;
  return instance;
}

}  // namespace multilevel::covariance
