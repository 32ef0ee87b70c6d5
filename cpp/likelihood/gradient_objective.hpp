// Objectives whose clusters give an exact gradient and only an information to search with: independent clusters, in
// parallel over fixed chunks of panels. The Hessian at the end is made of differences of the gradient.
#pragma once

#include <memory>
#include <vector>

#include "likelihood/objective.hpp"
#include "likelihood/panel_likelihood.hpp"

namespace multilevel::likelihood {

class GradientObjective : public Objective {
 public:
  /// `nodes`: evaluations of a row's density per evaluation of the objective.
  GradientObjective(const model::Model& model, const model::Response& response, double nodes, int threads,
                    const Monitor& monitor, bool with_random_effects = true);

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) final;
  bool has_exact_hessian() const override { return false; }
  double work() const final { return 10.0 * static_cast<double>(model_.n_rows()) * nodes_; }

 protected:
  /// Adds value and gradient (beta, entries of Lambda, phi) and, where the sums have room for a Hessian, an information
  /// of beta and phi, and of theta. Without that room it continues the modes it is given.
  virtual std::unique_ptr<PanelLikelihood> make_worker() const = 0;

  const model::Response& response_;
  bool with_random_effects_;

 private:
  void set_information(const Eigen::MatrixXd& information, Sums& sums) const;

  double nodes_;
  int threads_;
  std::vector<std::unique_ptr<PanelLikelihood>> workers_;
  std::vector<Sums> partial_;
};

}  // namespace multilevel::likelihood
