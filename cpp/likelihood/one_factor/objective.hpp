// The log-likelihood of independent clusters, in parallel over fixed chunks of panels.
#pragma once

#include <memory>
#include <vector>

#include "likelihood/objective.hpp"
#include "likelihood/one_factor/likelihood.hpp"

namespace multilevel::likelihood {

class PanelObjective final : public Objective {
 public:
  /// Without random effects it is a generalized linear model, whatever the grouping factors. `rows` are those of the
  /// same model and response, where others have them, too.
  PanelObjective(const model::Model& model, const model::Response& response, int n_quadrature, Derivatives derivatives,
                 bool with_random_effects, int threads, const Monitor& monitor,
                 std::shared_ptr<SparseRows> rows = nullptr);

  /// Only every stride-th panel takes part: for starting values from a part of the data.
  void use_every(int stride) { stride_ = stride; }

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) override;
  bool any_order() const override { return rule_.size == 1 || model_.q() <= 1; }
  /// Rows and products of coefficients at each node, and what the Hessian of a cluster's mode takes.
  double work() const override {
    const double square = static_cast<double>(model_.q()) * model_.q(), clusters = model_.n_clusters();
    return rule_.size * (static_cast<double>(model_.n_rows()) + clusters * square) + clusters * square * square;
  }

 private:
  const model::Response& response_;
  std::shared_ptr<SparseRows> rows_;
  numeric::QuadratureRule rule_;
  Derivatives derivatives_;
  bool with_random_effects_;
  int threads_, stride_ = 1;
  std::vector<std::unique_ptr<PanelLikelihood>> workers_;
  std::vector<Sums> partial_;
};

}  // namespace multilevel::likelihood
