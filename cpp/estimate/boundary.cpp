#include "estimate/boundary.hpp"

#include <cmath>

namespace multilevel::estimate {

namespace {

constexpr double candidate = 0.02;     // a Cholesky pivot this small, beside the term's scale, may be zero
constexpr double allowed_loss = 1e-8;  // of log-likelihood, in setting it to zero

/// Lower Cholesky factor of a positive semidefinite matrix in which pivots below `least` are zero, columns and all.
Eigen::MatrixXd semidefinite_factor(const Eigen::MatrixXd& sigma, double least) {
  const auto q = sigma.rows();
  Eigen::MatrixXd L = Eigen::MatrixXd::Zero(q, q);
  for (Eigen::Index c = 0; c < q; ++c) {
    const double pivot = sigma(c, c) - L.row(c).head(c).squaredNorm();
    if (!(pivot > least * least)) continue;
    L(c, c) = std::sqrt(pivot);
    for (Eigen::Index r = c + 1; r < q; ++r) L(r, c) = (sigma(r, c) - L.row(r).head(c).dot(L.row(c).head(c))) / L(c, c);
  }
  return L;
}

}  // namespace

void make_diagonal_positive(const model::Model& model, Optimum& optimum) {
  const int p = model.p(), q = model.q();
  for (int c = 0; c < q; ++c) {
    bool negative = false;
    for (int e = 0; e < model.n_theta(); ++e) {
      const auto& entry = model.theta_entries()[static_cast<std::size_t>(e)];
      if (entry.row == c && entry.column == c) negative = optimum.psi[p + e] < 0.0;
    }
    if (!negative) continue;
    for (int e = 0; e < model.n_theta(); ++e)
      if (model.theta_entries()[static_cast<std::size_t>(e)].column == c) optimum.psi[p + e] = -optimum.psi[p + e];
    for (std::size_t i = static_cast<std::size_t>(c); i < optimum.modes.size(); i += static_cast<std::size_t>(q)) optimum.modes[i] = -optimum.modes[i];
  }
}

void settle_boundary(Objective& objective, const model::Response& response, Optimum& optimum, std::vector<bool>& free, const NewtonOptions& options,
                     const Monitor& monitor) {
  const auto& model = objective.model();
  const int p = model.p();
  const double unit = model.family().is_linear() ? std::exp(optimum.psi[p + model.n_theta()]) : 1.0;
  Eigen::VectorXd psi = optimum.psi;
  std::vector<bool> still_free = free;
  bool any = false;
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const Eigen::MatrixXd lambda = model.factor(optimum.psi.data() + p).block(term.first, term.first, term.q, term.q);
    const double least = candidate * std::min(unit, std::max(lambda.norm(), 0.05 * unit));
    const Eigen::MatrixXd settled = semidefinite_factor(lambda * lambda.transpose(), least);
    for (int e = 0; e < model.n_theta(); ++e) {
      const auto& entry = model.theta_entries()[static_cast<std::size_t>(e)];
      if (entry.term != static_cast<int>(t)) continue;
      const int row = entry.row - term.first, column = entry.column - term.first;
      psi[p + e] = settled(row, column);
      if (settled(column, column) == 0.0) {
        still_free[static_cast<std::size_t>(p + e)] = false;
        any = true;
      }
    }
  }
  if (!any) return;
  // In the smaller space the rest may move a little; then the whole Hessian is the judge.
  Optimum smaller = maximize(objective, response, psi, optimum.modes, still_free, options, monitor);
  if (smaller.ending != Ending::converged || !(smaller.sums.value >= optimum.sums.value - allowed_loss)) return;
  const ScaledInformation all(smaller.sums.hessian, free);
  if (all.values.size() && !(all.values.minCoeff() > -1e-6)) return;
  smaller.trace.insert(smaller.trace.begin(), optimum.trace.begin(), optimum.trace.end());
  optimum = std::move(smaller);
  free = still_free;
}

std::vector<BoundaryScore> boundary_scores(const model::Model& model, const Optimum& optimum, const std::vector<bool>& free) {
  std::vector<BoundaryScore> scores;
  for (int e = 0; e < model.n_theta(); ++e) {
    const auto& entry = model.theta_entries()[static_cast<std::size_t>(e)];
    const int at = model.p() + e;
    if (entry.row == entry.column && !free[static_cast<std::size_t>(at)])
      scores.push_back({entry.term, entry.row - model.terms()[static_cast<std::size_t>(entry.term)].first, 0.5 * optimum.sums.hessian(at, at)});
  }
  return scores;
}

}  // namespace multilevel::estimate
