// Two nested grouping factors, quadrature on both levels: independent clusters, in parallel over fixed chunks of
// panels.
#pragma once

#include <memory>
#include <vector>

#include "likelihood/nested/likelihood.hpp"
#include "likelihood/objective.hpp"

namespace multilevel::likelihood {

class NestedObjective final : public Objective {
 public:
  /// `n_quadrature` points per random effect on either level. The model has a nesting().
  NestedObjective(const model::Model& model, const model::Response& response, int n_quadrature, int threads,
                  const Monitor& monitor);

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) override;
  bool has_exact_hessian() const override { return false; }
  bool any_order() const override { return model_.q() <= 2; }  // one effect on each level
  double work() const override { return 10.0 * static_cast<double>(model_.n_rows()) * inner_.size * outer_.size; }

 private:
  const model::Response& response_;
  numeric::QuadratureRule inner_, outer_;
  int threads_;
  std::vector<std::unique_ptr<NestedLikelihood>> workers_;
  std::vector<Sums> partial_;
};

}  // namespace multilevel::likelihood
