// L = diag(s) R(tau), where R is the lower Cholesky factor of a correlation matrix that depends on one number.
//
// tau runs over all real numbers. theta is (s, tau) with one s for all columns or one for each. A structure states the
// correlation and R as functions of a Taylor series; their derivatives come from there.
#pragma once

#include "covariance/structure.hpp"
#include "numeric/taylor.hpp"

namespace multilevel::covariance {

class ScaledCorrelation : public Structure {
 public:
  /// tau with its first and second derivatives.
  using Series = numeric::Taylor<2, numeric::Lanes>;

  ScaledCorrelation(std::string name, bool homogeneous) : name_(std::move(name)), homogeneous_(homogeneous) {}

  std::string name() const override { return name_; }
  Kind kind() const override { return Kind::scaled; }
  std::vector<Entry> entries(int q) const override;
  std::vector<std::string> labels(int q) const override;
  void check(int q) const override;
  int n_theta(int q) const override { return n_scales(q) + 1; }
  void expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const override;
  Eigen::MatrixXd curvature(int q, const double* theta, const double* weights) const override;
  std::vector<int> theta_rows(int q) const override;
  bool shares_scale() const override { return homogeneous_; }
  std::vector<int> scale_parameters(int q) const override;
  int correlation_parameter(int q) const override { return n_scales(q); }
  Correlation correlation(int q, double tau) const override;
  std::vector<double> start(int q, double scale) const override;

 protected:
  virtual Series correlation_series(int q, const Series& tau) const = 0;
  /// R, column by column over the lower triangle.
  virtual std::vector<Series> factor_series(int q, const Series& tau) const = 0;

 private:
  int n_scales(int q) const { return homogeneous_ ? 1 : q; }

  std::string name_;
  bool homogeneous_;
};

}  // namespace multilevel::covariance
