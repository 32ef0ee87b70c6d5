#include "likelihood/gradient_objective.hpp"

#include <algorithm>
#include <cmath>

#include "likelihood/contributions.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::likelihood {

namespace {

/// Below this many row evaluations a second thread costs more than it saves.
constexpr double least_parallel_work = 20000.0;

}  // namespace

GradientObjective::GradientObjective(const model::Model& model, const model::Response& response, double nodes,
                                     int threads, const Monitor& monitor, bool with_random_effects)
    : Objective(model, model.p(), with_random_effects ? model.n_theta() : 0, model.n_phi(), monitor),
      response_(response),
      with_random_effects_(with_random_effects && model.q() > 0),
      nodes_(nodes),
      threads_(threads) {
  if (static_cast<double>(model.n_rows()) * nodes < least_parallel_work) threads_ = 1;
  threads_ = std::min(threads_, static_cast<int>(model.chunks().size()));
  workers_.resize(static_cast<std::size_t>(threads_));
  partial_.resize(model.chunks().size());
}

bool GradientObjective::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                                 double* mode_covariance, Derivatives wanted) {
  ++evaluations_;
  // The clusters know the entries of Lambda, not what makes them.
  const int n_entries = with_random_effects_ ? layout_.n_entries() : 0, P = n_beta_ + n_entries + n_phi_;
  sums.start(P, n_entries, wanted);
  if (!psi.allFinite()) return false;
  const Eigen::VectorXd at = with_random_effects_ ? layout_.entry_parameters(psi, n_beta_) : psi;
  if (contributions_) contributions_->start(P);
  const auto& chunks = model_.chunks();
  const bool finished = numeric::parallel_for(
      static_cast<int>(chunks.size()), threads_,
      [&](int c, int worker) {
        auto& likelihood = workers_[static_cast<std::size_t>(worker)];
        if (!likelihood) likelihood = make_worker();
        Sums& part = partial_[static_cast<std::size_t>(c)];
        part.start(P, n_entries, wanted);
        part.contributions = contributions_;
        part.at_leisure = at_leisure_;
        const model::Chunk& chunk = chunks[static_cast<std::size_t>(c)];
        for (int i = chunk.first_panel; i < chunk.last_panel && part.failed_cluster < 0; ++i)
          likelihood->add(model_.panels()[static_cast<std::size_t>(i)], at.data(), modes.data(), part, mode_covariance);
      },
      monitor_.keep_going);
  if (!finished) throw Interrupted{};
  check_interrupt();
  for (const auto& part : partial_) sums.add(part);
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  sums.complete(n_beta_);
  const Eigen::MatrixXd information = sums.hessian;  // beta and phi
  sums.hessian.resize(0, 0);
  if (with_random_effects_)
    layout_.theta_derivatives(n_beta_, psi.data() + n_beta_, sums.gradient, sums.hessian, sums.theta_information);
  if (wanted == Derivatives::hessian) {
    set_information(information, sums);
  }
  return sums.failed_cluster < 0 && std::isfinite(sums.value) && sums.gradient.allFinite();
}

/// Of beta and phi together where that is positive definite, else apart.
void GradientObjective::set_information(const Eigen::MatrixXd& information, Sums& sums) const {
  const int n_fixed = n_beta_ + n_phi_, phi = static_cast<int>(information.rows()) - n_phi_;
  sums.hessian.setZero(n_parameters(), n_parameters());
  sums.hessian.topLeftCorner(n_beta_, n_beta_) = information.topLeftCorner(n_beta_, n_beta_);
  sums.hessian.block(n_beta_, n_beta_, n_theta_, n_theta_) = -sums.theta_information;
  set_phi_information(information.bottomRightCorner(n_phi_, n_phi_), sums.hessian);
  Eigen::MatrixXd joint(n_fixed, n_fixed);
  joint << information.topLeftCorner(n_beta_, n_beta_), information.block(0, phi, n_beta_, n_phi_),
      information.block(phi, 0, n_phi_, n_beta_), information.bottomRightCorner(n_phi_, n_phi_);
  if (n_phi_ == 0 || n_beta_ == 0 || !linear_algebra::Cholesky(-joint).positive_definite()) return;
  sums.hessian.topRightCorner(n_beta_, n_phi_) = joint.topRightCorner(n_beta_, n_phi_);
  sums.hessian.bottomLeftCorner(n_phi_, n_beta_) = joint.bottomLeftCorner(n_phi_, n_beta_);
}

}  // namespace multilevel::likelihood
