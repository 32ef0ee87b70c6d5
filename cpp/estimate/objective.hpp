// The log-likelihood of all clusters as a function of psi, in parallel, the same bits for any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "estimate/layout.hpp"
#include "estimate/panel_likelihood.hpp"

namespace multilevel::estimate {

/// Thrown out of a fit when the caller asks it to stop (Ctrl-C).
struct Interrupted {};

struct Monitor {
  std::function<bool()> keep_going;                                      ///< asked now and then; false stops the fit
  std::function<void(int iteration, double value, double gain)> report;  ///< told after every iteration
};

class Objective {
 public:
  Objective(const model::Model& model, const model::Response& response, int n_quadrature, Derivatives derivatives,
            bool with_random_effects, int threads, const Monitor& monitor);

  /// Only every stride-th panel takes part: for starting values from a part of the data.
  void use_every(int stride) { stride_ = stride; }

  /// `modes` (n_clusters x q): where to start, and the conditional modes found. False when a cluster has none, or the
  /// value is not finite; `sums` then says which.
  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr);

  int n_parameters() const { return n_parameters_; }
  int n_theta() const { return n_theta_; }
  int evaluations() const { return evaluations_; }
  const model::Model& model() const { return model_; }
  const Layout& layout() const { return layout_; }
  Layout& layout() { return layout_; }

 private:
  const model::Model& model_;
  const model::Response& response_;
  Layout layout_;
  numeric::QuadratureRule rule_;
  Derivatives derivatives_;
  bool with_random_effects_;
  int threads_, n_theta_, n_parameters_, stride_ = 1, evaluations_ = 0;
  const Monitor& monitor_;
  std::vector<std::unique_ptr<PanelLikelihood>> workers_;
  std::vector<Sums> partial_;
};

}  // namespace multilevel::estimate
