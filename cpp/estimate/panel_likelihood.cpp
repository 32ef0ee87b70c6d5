#include "estimate/panel_likelihood.hpp"

namespace multilevel::estimate {

using Maker = std::unique_ptr<PanelLikelihood> (*)(const model::Model&, const model::Response&, const Layout&,
                                                   const numeric::QuadratureRule&, Derivatives, int);

// One size of random effect per file: panel_likelihood_1.cpp and so on.
#define MULTILEVEL_DECLARE(suffix)                                 \
  std::unique_ptr<PanelLikelihood> make_panel_likelihood_##suffix( \
      const model::Model&, const model::Response&, const Layout&, const numeric::QuadratureRule&, Derivatives, int);
MULTILEVEL_DECLARE(1)
MULTILEVEL_DECLARE(2)
MULTILEVEL_DECLARE(n)
MULTILEVEL_DECLARE(any)
#undef MULTILEVEL_DECLARE

std::unique_ptr<PanelLikelihood> make_panel_likelihood(const model::Model& model, const model::Response& response,
                                                       const Layout& layout, const numeric::QuadratureRule& rule,
                                                       Derivatives derivatives, bool with_random_effects) {
  const int q = with_random_effects ? model.q() : 0;
  Maker make = make_panel_likelihood_any;
  if (q <= most_without_allocation) make = make_panel_likelihood_n;
  if (q == 1) make = make_panel_likelihood_1;
  if (q == 2) make = make_panel_likelihood_2;
  return make(model, response, layout, rule, derivatives, q);
}

void Sums::start(int n_parameters, int n_theta, Derivatives derivatives) {
  log_likelihood = {};
  value = 0.0;
  gradient.setZero(n_parameters);
  const bool hessians = derivatives == Derivatives::hessian;
  hessian.setZero(hessians ? n_parameters : 0, hessians ? n_parameters : 0);
  theta_information.setZero(hessians ? n_theta : 0, hessians ? n_theta : 0);
  failed_cluster = -1;
  newton_steps = 0;
}

void Sums::add(const Sums& other) {
  log_likelihood.add(other.log_likelihood);
  gradient += other.gradient;
  hessian += other.hessian;
  theta_information += other.theta_information;
  if (failed_cluster < 0) failed_cluster = other.failed_cluster;
  newton_steps += other.newton_steps;
}

void Sums::complete(int n_beta) {
  const auto P = hessian.rows(), rest = P - n_beta;
  if (P == 0) return;
  hessian.bottomLeftCorner(rest, n_beta) = hessian.topRightCorner(n_beta, rest).transpose().eval();
  hessian.bottomRightCorner(rest, rest).triangularView<Eigen::StrictlyUpper>() =
      hessian.bottomRightCorner(rest, rest).transpose().eval();
  hessian = 0.5 * (hessian + hessian.transpose()).eval();
  theta_information.triangularView<Eigen::StrictlyUpper>() = theta_information.transpose().eval();
}

}  // namespace multilevel::estimate
