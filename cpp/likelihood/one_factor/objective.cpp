#include "likelihood/one_factor/objective.hpp"

#include <cmath>

#include "likelihood/contributions.hpp"
#include "model/spherical_effects.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::likelihood {

namespace {

/// Below this many row evaluations a second thread costs more than it saves.
constexpr double least_parallel_work = 20000.0;

}  // namespace

PanelObjective::PanelObjective(const model::Model& model, const model::Response& response, int n_quadrature,
                               Derivatives derivatives, bool with_random_effects, int threads, const Monitor& monitor,
                               std::shared_ptr<SparseRows> rows)
    : Objective(model, model.p(), with_random_effects ? model.n_theta() : 0, model.n_phi(), monitor),
      response_(response),
      rows_(rows ? std::move(rows) : std::make_shared<SparseRows>(model, response)),
      derivatives_(derivatives),
      with_random_effects_(with_random_effects && model.q() > 0),
      threads_(threads) {
  const int q = with_random_effects_ ? model.q() : 0;
  rule_ = q > 0 ? numeric::gauss_hermite(n_quadrature, q, model::spherical_effects(model, 0))
                : numeric::gauss_hermite(1, 0);
  if (static_cast<double>(model.n_rows()) * rule_.size < least_parallel_work) threads_ = 1;
  threads_ = std::min(threads_, static_cast<int>(model.chunks().size()));
  workers_.resize(static_cast<std::size_t>(threads_));
  partial_.resize(model.chunks().size());
}

bool PanelObjective::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                              double* mode_covariance, Derivatives) {
  ++evaluations_;
  // The clusters know the entries of Lambda, not what makes them.
  const int n_entries = with_random_effects_ ? layout_.n_entries() : 0, P = n_beta_ + n_entries + n_phi_;
  const Eigen::VectorXd at = with_random_effects_ ? layout_.entry_parameters(psi, n_beta_) : psi;
  if (contributions_) contributions_->start(P);
  const auto& chunks = model_.chunks();
  const bool finished = numeric::parallel_for(
      static_cast<int>(chunks.size()), threads_,
      [&](int c, int worker) {
        auto& likelihood = workers_[static_cast<std::size_t>(worker)];
        if (!likelihood)
          likelihood =
              make_panel_likelihood(model_, response_, layout_, rule_, derivatives_, with_random_effects_, rows_);
        Sums& part = partial_[static_cast<std::size_t>(c)];
        part.start(P, n_entries, derivatives_);
        part.contributions = contributions_;
        part.at_leisure = at_leisure_;
        const model::Chunk& chunk = chunks[static_cast<std::size_t>(c)];
        for (int i = chunk.first_panel; i < chunk.last_panel && part.failed_cluster < 0; ++i)
          if (i % stride_ == 0)
            likelihood->add(model_.panels()[static_cast<std::size_t>(i)], at.data(), modes.data(), part,
                            mode_covariance);
      },
      monitor_.keep_going);
  if (!finished || (monitor_.keep_going && !monitor_.keep_going())) throw Interrupted{};
  sums.start(P, n_entries, derivatives_);
  for (const auto& part : partial_) sums.add(part);
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  sums.complete(n_beta_);
  if (with_random_effects_)
    layout_.theta_derivatives(n_beta_, psi.data() + n_beta_, sums.gradient, sums.hessian, sums.theta_information);
  return sums.failed_cluster < 0 && std::isfinite(sums.value) && sums.gradient.allFinite();
}

}  // namespace multilevel::likelihood
