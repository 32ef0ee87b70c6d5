#include "fit/quadrature_check.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "likelihood/objective.hpp"
#include "model/spherical_effects.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::fit {

namespace {

constexpr int most_check_nodes = 4096;
// Errors of a rule that fall slowly with its points hide from a rule with a few more: where the deviance moves, and no
// estimate by this many standard errors, one with two or four times as many looks again.
constexpr double moved_deviance = 0.02, moved_estimate = 0.1;

bool has_quadrature(const model::Model& model) {
  if (model.q() == 0) return false;
  return model.factors().size() == 1 || (model.nesting() && !model.has_sets() && !model.several_predictors());
}

/// More points than the fit's, `wanted` or as many as the limit allows; 0 when it allows none.
int check_points(const model::Model& model, int points, int wanted) {
  if (!has_quadrature(model)) return 0;
  while (wanted > points && node_count(model, wanted) > most_check_nodes) --wanted;
  return wanted > points ? wanted : 0;
}

/// What `points` would change: the deviance, and by one step each estimate.
void look_with(likelihood::Objective& finer, const search::Optimum& optimum, const Eigen::MatrixXd& covariance,
               int points, QuadratureCheck& check) {
  check.n_points = points;
  std::vector<double> modes = optimum.modes;
  likelihood::Sums sums;
  if (!finer.evaluate(optimum.psi, modes, sums)) {
    check.change_deviance = std::numeric_limits<double>::quiet_NaN();
    check.shift.setConstant(std::numeric_limits<double>::quiet_NaN());
    return;
  }
  check.change_deviance = -2.0 * (sums.value - optimum.sums.value);
  const Eigen::VectorXd change = sums.gradient - optimum.sums.gradient;
  for (Eigen::Index a = 0; a < change.size(); ++a) {
    double shift = 0.0;
    for (Eigen::Index b = 0; b < change.size(); ++b)
      if (!std::isnan(covariance(b, b))) shift += covariance(a, b) * change[b];
    check.shift[a] = std::isnan(covariance(a, a)) ? covariance(a, a) : shift / std::sqrt(covariance(a, a));
  }
}

/// Whether the deviance moves and no estimate does.
bool slow_to_settle(const QuadratureCheck& check) {
  if (!(std::fabs(check.change_deviance) > moved_deviance)) return false;
  return !(check.shift.array().abs() > moved_estimate).any();
}

}  // namespace

double node_count(const model::Model& model, int points) {
  double nodes = 1.0;
  if (points > 1)
    for (std::size_t f = 0; f < model.factors().size(); ++f)
      nodes *= static_cast<double>(
          numeric::node_count(points, static_cast<int>(model::spherical_effects(model, static_cast<int>(f)).size())));
  return nodes;
}

QuadratureCheck check_quadrature(const model::Model& model, const model::Response& response, const FitOptions& options,
                                 const search::Optimum& optimum, const Eigen::MatrixXd& covariance,
                                 const likelihood::Monitor& monitor,
                                 const std::shared_ptr<likelihood::SparseRows>& rows) {
  const int own = options.n_quadrature;
  QuadratureCheck check;
  check.exact = model.is_exact();
  check.shift = Eigen::VectorXd::Zero(optimum.psi.size());
  const bool one_effect = model.q() == 1 || node_count(model, 2) == 2.0;
  const int first = check_points(model, own, one_effect ? own + 4 : own + 2);
  check.n_points = check.exact ? own : first;
  if (check.exact || first == 0) return check;
  const auto look = [&](int points) {
    const auto finer = make_objective(model, response, points, options.threads, monitor,
                                      likelihood::Derivatives::gradient, options.most_bytes, rows);
    look_with(*finer, optimum, covariance, points, check);
  };
  look(first);
  const int again = own > 1 && slow_to_settle(check) ? check_points(model, own, (one_effect ? 4 : 2) * own + 1) : 0;
  if (again > first) look(again);
  return check;
}

}  // namespace multilevel::fit
