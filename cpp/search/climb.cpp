#include "search/climb.hpp"

#include <cmath>

#include "linear_algebra/dense.hpp"
#include "search/boundary.hpp"
#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr double negligible_theta = 1e-8;  // on the internal scale, where the scatter of eta is near one
constexpr double near_zero = 1e-6;         // of theta, on the internal scale

}  // namespace

bool has_boundaries(const likelihood::Objective& objective) { return objective.n_theta() + objective.n_phi() > 0; }

Optimum climb(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
              std::vector<double> modes, std::vector<bool>& free, const NewtonOptions& options,
              const likelihood::Monitor& monitor) {
  objective.layout().reset_order();
  free.assign(static_cast<std::size_t>(start.size()), true);
  // The certificate takes the last step; of a linear model evaluations are cheap.
  NewtonOptions until = options;
  until.last_step_later = objective.n_beta() > 0 || objective.model().n_thresholds() > 0;
  NewtonOptions settling = options;
  settling.hessian_later = false;
  Optimum optimum = maximize(objective, response, start, std::move(modes), free, until, monitor);
  const bool in_vain = optimum.ending == Ending::converged && optimum.sums.value < options.needed;
  if (has_boundaries(objective) && worth_settling(optimum.ending) && options.most_iterations > 0 && !in_vain)
    settle_boundary(objective, response, optimum, free, settling, monitor);
  return optimum;
}

void clear_zeros(const likelihood::Objective& objective, Eigen::VectorXd& psi) {
  const int p = objective.n_beta();
  for (int e = 0; e < objective.n_theta(); ++e)
    if (std::fabs(psi[p + e]) < negligible_theta) psi[p + e] = 0.0;
}

void put_in_order(likelihood::Objective& objective, Optimum& optimum, bool polish) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  const Eigen::VectorXd before = optimum.psi;
  if (n_theta > 0) objective.layout().restore_order(optimum.psi.data() + p);
  clear_zeros(objective, optimum.psi);
  if (optimum.psi != before)
    optimum.step.setZero();  // it belongs to the other coordinates
  else if ((polish || optimum.step_left) && Bounds(objective).allows(optimum.psi + optimum.step))
    optimum.psi += optimum.step;
  optimum.step_left = false;
  clear_zeros(objective, optimum.psi);
  if (n_theta > 0) make_diagonal_positive(objective.layout(), objective.model(), p, optimum);
}

namespace {

/// Whether what is at an edge (a zero of theta, a correlation near one) is so in both.
bool same_edges(const likelihood::Objective& objective, const Optimum& best, const Optimum& other) {
  const int p = objective.n_beta();
  const Bounds bounds(objective);
  for (int i = p; i < p + objective.n_theta(); ++i)
    if ((std::fabs(best.psi[i]) < near_zero) != (std::fabs(other.psi[i]) < near_zero)) return false;
  for (const int i : bounds.correlations())
    if ((std::fabs(best.psi[i]) > far_tau) != (std::fabs(other.psi[i]) > far_tau)) return false;
  return true;
}

}  // namespace

bool near_by(const Optimum& best, const Eigen::VectorXd& psi) {
  const Eigen::VectorXd d = psi - best.psi;
  return -0.5 * d.dot(linear_algebra::apply(best.sums.hessian, d)) < hopeless;
}

bool same_place(const likelihood::Objective& objective, const Optimum& best, const Optimum& other) {
  return std::fabs(other.sums.value - best.sums.value) < hopeless && near_by(best, other.psi) &&
         same_edges(objective, best, other);
}

}  // namespace multilevel::search
