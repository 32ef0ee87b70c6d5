#include "estimate/boundary.hpp"

#include <algorithm>
#include <cmath>

namespace multilevel::estimate {

namespace {

constexpr double candidate =
    0.05;  // a Cholesky pivot (a standard deviation) this small beside the term's size may be zero
constexpr double allowed_loss = 1e-8;  // of log-likelihood, in setting it to zero
constexpr double flat_enough = 1e-6;   // scaled curvature that is not yet positive

struct Pivot {
  double size;
  int term, column;
};

/// Small pivots of all terms, the smallest first.
std::vector<Pivot> small_pivots(const Objective& objective, const Optimum& optimum) {
  const auto& model = objective.model();
  const double unit = model.family().is_linear() ? std::exp(optimum.psi[model.p() + model.n_theta()]) : 1.0;
  std::vector<Pivot> pivots;
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const int term = static_cast<int>(t);
    const Eigen::MatrixXd factor = objective.layout().term_factor(term, optimum.psi.data() + model.p());
    const double least = candidate * std::max(factor.norm(), unit);
    for (int c = 0; c < factor.cols(); ++c) {
      const double size = std::fabs(factor(c, c));
      if (size > 0.0 && size < least) pivots.push_back({size, term, c});
    }
  }
  std::stable_sort(pivots.begin(), pivots.end(), [](const Pivot& a, const Pivot& b) { return a.size < b.size; });
  return pivots;
}

}  // namespace

void make_diagonal_positive(const Layout& layout, int p, int q, Optimum& optimum) {
  Eigen::VectorXd sign = Eigen::VectorXd::Ones(optimum.psi.size()), column_sign = Eigen::VectorXd::Ones(q);
  const auto& entries = layout.entries();
  for (const auto& diagonal : entries) {
    const auto at = p + (&diagonal - entries.data());
    // The entry on the diagonal of the term's own order is the first of its column.
    const bool first = &diagonal == entries.data() || (&diagonal - 1)->column != diagonal.column;
    if (!first || !(optimum.psi[at] < 0.0)) continue;
    column_sign[diagonal.column] = -1.0;
    for (std::size_t e = 0; e < entries.size(); ++e)
      if (entries[e].column == diagonal.column) sign[p + static_cast<Eigen::Index>(e)] = -1.0;
  }
  if (column_sign.minCoeff() > 0.0) return;
  optimum.psi = optimum.psi.cwiseProduct(sign);
  optimum.step = optimum.step.cwiseProduct(sign);
  optimum.sums.gradient = optimum.sums.gradient.cwiseProduct(sign);
  optimum.sums.hessian = sign.asDiagonal() * optimum.sums.hessian * sign.asDiagonal();
  for (std::size_t i = 0; i < optimum.modes.size(); ++i)
    optimum.modes[i] *= column_sign[static_cast<Eigen::Index>(i) % q];
  for (std::size_t i = 0; i < optimum.mode_covariance.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i) % (q * q);
    optimum.mode_covariance[i] *= column_sign[at % q] * column_sign[at / q];
  }
}

void settle_boundary(Objective& objective, const model::Response& response, Optimum& optimum, std::vector<bool>& free,
                     const NewtonOptions& options, const Monitor& monitor) {
  const auto& model = objective.model();
  const Layout& layout = objective.layout();
  const int p = model.p();
  const std::vector<bool> everything(free.size(), true);
  for (const Pivot& pivot : small_pivots(objective, optimum)) {
    Eigen::VectorXd psi = optimum.psi;
    const Eigen::MatrixXd factor = layout.term_factor(pivot.term, psi.data() + p);
    if (factor(pivot.column, pivot.column) == 0.0) continue;
    std::vector<bool> zero(static_cast<std::size_t>(factor.cols()), false);
    for (int c = 0; c < factor.cols(); ++c)
      zero[static_cast<std::size_t>(c)] = c == pivot.column || factor(c, c) == 0.0;
    layout.set_term_factor(pivot.term, semidefinite_factor(factor * factor.transpose(), 0.0, &zero), psi.data() + p);
    const std::vector<bool> still_free = free_parameters(layout, p, model.n_phi(), psi);
    // In the smaller space the rest may move a little; then the whole Hessian is the judge.
    Optimum smaller = maximize(objective, response, psi, optimum.modes, still_free, options, monitor);
    if (smaller.ending != Ending::converged || !(smaller.sums.value >= optimum.sums.value - allowed_loss)) continue;
    const ScaledInformation all(smaller.sums.hessian, everything);
    if (all.values.size() && !(all.values.minCoeff() > -flat_enough)) continue;
    smaller.trace.insert(smaller.trace.begin(), optimum.trace.begin(), optimum.trace.end());
    optimum = std::move(smaller);
    free = still_free;
  }
}

std::vector<bool> free_parameters(const Layout& layout, int p, int n_phi, const Eigen::VectorXd& psi) {
  const auto& entries = layout.entries();
  std::vector<bool> free(static_cast<std::size_t>(p), true);
  for (const auto& entry : entries) {
    bool any = false;
    for (std::size_t e = 0; e < entries.size(); ++e)
      any |= entries[e].column == entry.column && psi[p + static_cast<Eigen::Index>(e)] != 0.0;
    free.push_back(any);
  }
  free.insert(free.end(), static_cast<std::size_t>(n_phi), true);
  return free;
}

std::vector<BoundaryScore> boundary_scores(const Layout& layout, const model::Model& model, const Optimum& optimum,
                                           const std::vector<bool>& free) {
  std::vector<BoundaryScore> scores;
  for (std::size_t e = 0; e < layout.entries().size(); ++e) {
    const auto& entry = layout.entries()[e];
    const auto at = model.p() + static_cast<Eigen::Index>(e);
    if (entry.row == entry.column && !free[static_cast<std::size_t>(at)])
      scores.push_back({entry.term, entry.row - model.terms()[static_cast<std::size_t>(entry.term)].first,
                        0.5 * optimum.sums.hessian(at, at)});
  }
  return scores;
}

}  // namespace multilevel::estimate
