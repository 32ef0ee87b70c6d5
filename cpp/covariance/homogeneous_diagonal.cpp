// Independent random effects with one variance: L = s I.
#include "covariance/structure.hpp"

namespace multilevel::covariance {

namespace {

class HomogeneousDiagonal final : public Structure {
 public:
  std::string name() const override { return "homogeneous diagonal"; }
  Kind kind() const override { return Kind::scaled; }
  std::vector<Entry> entries(int q) const override {
    std::vector<Entry> free;
    for (int row = 0; row < q; ++row) free.push_back({row, row});
    return free;
  }
  std::vector<std::string> labels(int) const override { return {"sd"}; }
  int n_theta(int) const override { return 1; }
  void expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const override {
    for (int row = 0; row < q; ++row) values[row] = theta[0];
    if (jacobian) jacobian->setOnes(q, 1);
  }
  std::vector<int> theta_rows(int) const override { return {0}; }
  bool shares_scale() const override { return true; }
  std::vector<int> scale_parameters(int) const override { return {0}; }
  std::vector<double> start(int, double scale) const override { return {scale}; }
};

}  // namespace

const Structure& homogeneous_diagonal() {
  static const HomogeneousDiagonal instance;
  return instance;
}

}  // namespace multilevel::covariance
