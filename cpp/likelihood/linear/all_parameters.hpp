// The log-likelihood of a linear mixed model as a function of all its parameters, psi = (beta, theta, phi): where some
// of them are held, beta and sigma cannot be profiled out. The rows are read once, as for the profiled log-likelihood.
#pragma once

#include "likelihood/linear/objective.hpp"

namespace multilevel::likelihood {

class AllParametersObjective final : public Objective {
 public:
  AllParametersObjective(const model::Model& model, const model::Response& response, int threads,
                         const Monitor& monitor, double most_bytes = 0.0)
      : Objective(model, model.p(), model.n_theta(), model.n_phi(), monitor),
        linear_(model, response, false, threads, monitor, most_bytes) {}

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance,
                Derivatives) override {
    ++evaluations_;
    return psi.allFinite() && linear_.evaluate_all(psi, modes, sums, mode_covariance);
  }
  bool has_exact_hessian() const override { return linear_.hessian_affordable(); }
  double work() const override { return linear_.work(); }

 private:
  LinearObjective linear_;
};

}  // namespace multilevel::likelihood
