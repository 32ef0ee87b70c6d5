#include "search/diverging.hpp"

#include <algorithm>
#include <cmath>

#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

// Of coefficients beside the scale of eta, of the family's parameters, which are logarithms or stand beside it too; and
// of theta beside what it is.
constexpr double long_step = 0.1, long_share = 0.1, least_theta = 0.01;
constexpr double long_share_linear = 0.5;  // a flat maximum is no divergence

/// What a coefficient is measured by. Responses on all numbers have a scale of their own, which is one inside, unless
/// they are among rows of other kinds.
double scale_of_beta(const likelihood::Objective& objective, const Eigen::VectorXd& psi) {
  const family::Family& family = objective.model().family();
  double largest = 1.0;
  for (int kind = 0; family.n_members() > 1 && kind < family.n_members(); ++kind)
    if (family.member(kind).support() == family::Support::numbers)
      largest = std::max(largest, std::sqrt(dispersion_of(objective, psi, kind)));
  return largest;
}

double largest(const Eigen::VectorXd& step) { return step.size() > 0 ? step.cwiseAbs().maxCoeff() : 0.0; }

/// Beside theta. A parameter of the family at a limit, or on its way there, is another family's, or about to be.
Eigen::VectorXd unlimited(const likelihood::Objective& objective, const Bounds& bounds, const Optimum& optimum) {
  Eigen::VectorXd step = optimum.step;
  step.segment(objective.n_beta(), objective.n_theta()).setZero();
  for (const auto& limit : bounds.limits())
    if (limit.reached(optimum.psi) || limit.outwards(step) > 0.0) step[limit.position] = 0.0;
  return step;
}

}  // namespace

double dispersion_of(const likelihood::Objective& objective, const Eigen::VectorXd& psi, int kind) {
  const model::Model& model = objective.model();
  const family::Family& family = model.family();
  double own[family::max_phi] = {};
  for (int r = 0; r < family.member(kind).n_phi(); ++r) {
    const auto& part = model.phi_parts()[static_cast<std::size_t>(family.first_phi(kind) + r)];
    own[r] = part.first < part.last ? psi[objective.n_beta() + objective.n_theta() + part.first] : part.given;
  }
  return family.member(kind).dispersion(own);
}

bool diverges(const likelihood::Objective& objective, const Optimum& optimum, double negligible) {
  // Where less than that is left steps are rounding, and so is the gain that a long one promises.
  if (!(optimum.gain < negligible)) return false;
  const Bounds bounds(objective);
  const double others = largest(unlimited(objective, bounds, optimum));
  if (others > long_step * scale_of_beta(objective, optimum.psi)) return true;
  if (objective.n_theta() == 0) return false;
  // A tau that grows for ever is a correlation that has reached its end.
  const double theta = largest(bounds.without_tau(optimum.psi, objective.n_theta()));
  const double share = objective.model().is_linear() ? long_share_linear : long_share;
  return largest(bounds.without_tau(optimum.step, objective.n_theta())) > share * theta + least_theta;
}

}  // namespace multilevel::search
