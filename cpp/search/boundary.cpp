#include "search/boundary.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr double candidate =
    0.05;  // a Cholesky pivot (a standard deviation) this small beside the term's size may be zero
constexpr double distinct = 6.0;         // a pivot so many standard errors from zero is not zero
constexpr double allowed_loss = 1e-8;    // of log-likelihood, in setting it to zero
constexpr double flat_enough = 1e-6;     // scaled curvature that is not yet positive
constexpr double suspicious = 0.6;       // a column shares so little with the others, beside the one that shares most
constexpr double no_information = 1e-6;  // on a parameter of the family, most of which are logarithms
constexpr double flat_slope = 1e-5;      // of the log-likelihood in a standard deviation: rounding
constexpr int near_ahead = 10;           // iterations in which a search that begins near its end may be expected there

struct Pivot {
  double size;
  int term, column;  ///< or the position of a standard deviation in the term's theta
};

/// Small pivots of all terms, the smallest first.
std::vector<Pivot> small_pivots(const likelihood::Objective& objective, const Optimum& optimum) {
  const auto& model = objective.model();
  // Of a linear model with sigma profiled out Lambda is relative to it.
  const int p = objective.n_beta();
  const bool absolute = model.is_linear() && objective.n_phi() > 0;
  const double unit = absolute ? std::exp(optimum.psi[p + objective.n_theta()]) : 1.0;
  std::vector<Pivot> pivots;
  const ScaledInformation information(optimum.sums.hessian,
                                      std::vector<bool>(static_cast<std::size_t>(optimum.psi.size()), true));
  const bool regular = information.values.size() > 0 && information.values.minCoeff() > flat_enough;
  const Eigen::MatrixXd covariance =
      regular ? information.inverse(static_cast<int>(optimum.psi.size())) : Eigen::MatrixXd();
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const int term = static_cast<int>(t);
    const Eigen::MatrixXd factor = objective.layout().term_factor(term, optimum.psi.data() + p);
    const double least = candidate * std::max(factor.norm(), unit);
    const auto& own = model.terms()[t];
    const auto kind = own.structure->kind();
    auto consider = [&](double size, int column, int theta) {
      if (!(size > 0.0 && size < least)) return;
      const auto at = p + objective.layout().first_theta(term) + theta;
      if (regular && size > distinct * std::sqrt(covariance(at, at))) return;
      pivots.push_back({size, term, column});
    };
    if (kind == covariance::Kind::scaled) {
      for (const int k : own.structure->scale_parameters(own.q))
        consider(std::fabs(optimum.psi[p + objective.layout().first_theta(term) + k]), k, k);
      continue;
    }
    if (!own.structure->is_linear()) continue;
    const auto entries = own.structure->entries(own.q);
    for (std::size_t k = 0; k < entries.size(); ++k) {
      const int c = entries[k].column;
      if (entries[k].row != c) continue;
      consider(kind == covariance::Kind::loadings ? factor.col(c).norm() : std::fabs(factor(c, c)), c,
               static_cast<int>(k));
    }
  }
  std::stable_sort(pivots.begin(), pivots.end(), [](const Pivot& a, const Pivot& b) { return a.size < b.size; });
  return pivots;
}

}  // namespace

void make_diagonal_positive(const model::Layout& layout, const model::Model& model, int p, Optimum& optimum) {
  Eigen::VectorXd sign = Eigen::VectorXd::Ones(optimum.psi.size()), column_sign = Eigen::VectorXd::Ones(model.q());
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const int own = static_cast<int>(t);
    if (term.structure->kind() == covariance::Kind::scaled) {
      // One standard deviation for all columns may have come out negative; where there are several they cannot.
      const auto scales = term.structure->scale_parameters(term.q);
      const int at = p + layout.first_theta(own) + scales[0];
      if (scales.size() > 1 || !(optimum.psi[at] < 0.0)) continue;
      sign[at] = -1.0;
      column_sign.segment(term.first, term.q).setConstant(-1.0);
      continue;
    }
    // The entry on the diagonal of the term's own order is the first of its column.
    for (int column = 0; column < term.q; ++column) {
      const auto turned = term.structure->turned_with(term.q, column);
      const int first = p + layout.first_theta(own);
      if (turned.empty() || !(optimum.psi[first + turned[0]] < 0.0)) continue;
      column_sign[term.first + column] = -1.0;
      for (const int k : turned) sign[first + k] *= -1.0;
    }
  }
  if (column_sign.size() == 0 || column_sign.minCoeff() > 0.0) return;
  optimum.psi = optimum.psi.cwiseProduct(sign);
  optimum.step = optimum.step.cwiseProduct(sign);
  if (optimum.differentiated.size() == sign.size()) optimum.differentiated = optimum.differentiated.cwiseProduct(sign);
  optimum.sums.gradient = optimum.sums.gradient.cwiseProduct(sign);
  optimum.sums.hessian = sign.asDiagonal() * optimum.sums.hessian * sign.asDiagonal();
  for (const auto& factor : model.factors()) {
    const auto own = column_sign.segment(factor.first, factor.q);
    Eigen::Map<Eigen::MatrixXd> modes(optimum.modes.data() + factor.offset, factor.q, factor.n_levels);
    modes = own.asDiagonal() * modes;
  }
}

bool is_maximum(const likelihood::Objective& objective, const Optimum& smaller) {
  const Bounds bounds(objective);
  std::vector<bool> judged(static_cast<std::size_t>(smaller.psi.size()), true);
  for (const int i : bounds.correlations())
    if (std::fabs(smaller.psi[i]) >= largest_tau) {
      if (smaller.sums.gradient[i] * smaller.psi[i] < -flat_slope) return false;
      judged[static_cast<std::size_t>(i)] = false;
    }
  for (const auto& limit : bounds.limits())
    if (limit.reached(smaller.psi)) {
      if (limit.outwards(smaller.sums.gradient) < -flat_slope) return false;
      judged[static_cast<std::size_t>(limit.position)] = false;
    }
  for (const int i : bounds.positive())
    if (smaller.psi[i] == 0.0) {
      const double slope = smaller.sums.gradient[i];
      if (slope > flat_slope) return false;
      if (slope < -flat_slope) judged[static_cast<std::size_t>(i)] = false;
    }
  const ScaledInformation all(smaller.sums.hessian, judged, smaller.sums.hessian_error);
  return all.values.size() == 0 || all.values.minCoeff() > -flat_enough;
}

namespace {

/// The standard deviation, as a position in psi, of the column whose modes vary least as the structure says together
/// with those of the other columns of its term; -1 if all columns do about the same.
int discordant(const likelihood::Objective& objective, const Optimum& optimum) {
  const auto& model = objective.model();
  double least = suspicious;
  int found = -1;
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const auto scales = term.structure->scale_parameters(term.q);
    if (scales.size() < 3) continue;
    const auto& factor = model.factors()[static_cast<std::size_t>(term.factor)];
    const Eigen::Map<const Eigen::MatrixXd> modes(optimum.modes.data() + factor.offset, factor.q, factor.n_levels);
    const Eigen::MatrixXd L =
        objective.layout().term_factor(static_cast<int>(t), optimum.psi.data() + objective.n_beta());
    const Eigen::MatrixXd u = linear_algebra::times(L, modes.middleRows(term.first - factor.first, term.q));
    const Eigen::MatrixXd seen = linear_algebra::times_transposed(u, u), sigma = linear_algebra::times_transposed(L, L);
    Eigen::VectorXd together = Eigen::VectorXd::Zero(term.q);
    for (int a = 0; a < term.q; ++a)
      for (int b = 0; b < term.q; ++b)
        if (b != a && sigma(a, a) > 0.0 && sigma(b, b) > 0.0)
          together[a] += sigma(a, b) * seen(a, b) / std::sqrt(sigma(a, a) * sigma(b, b) * seen(a, a) * seen(b, b));
    const double most = together.maxCoeff();
    for (int a = 0; a < term.q; ++a) {
      if (!(sigma(a, a) > 0.0) || !(together[a] < least * most)) continue;
      least = together[a] / most;
      found = objective.n_beta() + objective.layout().first_theta(static_cast<int>(t)) +
              scales[static_cast<std::size_t>(a)];
    }
  }
  return found;
}

/// Takes the maximum near psi over the parameters that psi leaves free, if its log-likelihood is at least `least`.
bool try_smaller(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& psi,
                 double least, Optimum& optimum, std::vector<bool>& free, const NewtonOptions& options,
                 const likelihood::Monitor& monitor) {
  const std::vector<bool> still_free = free_parameters(objective, psi);
  // In the smaller space the rest may move a little; then the whole Hessian is the judge.
  NewtonOptions own = options;
  own.needed = least;
  own.foresight = near_ahead;
  Optimum smaller = maximize(objective, response, psi, optimum.modes, still_free, own, monitor);
  if (smaller.ending != Ending::converged || !(smaller.sums.value >= least) || !is_maximum(objective, smaller))
    return false;
  smaller.trace.insert(smaller.trace.begin(), optimum.trace.begin(), optimum.trace.end());
  optimum = std::move(smaller);
  free = still_free;
  return true;
}

}  // namespace

void settle_boundary(likelihood::Objective& objective, const model::Response& response, Optimum& optimum,
                     std::vector<bool>& free, const NewtonOptions& options, const likelihood::Monitor& monitor) {
  const auto& model = objective.model();
  const model::Layout& layout = objective.layout();
  const int p = objective.n_beta();
  for (const Pivot& pivot : small_pivots(objective, optimum)) {
    Eigen::VectorXd psi = optimum.psi;
    const auto kind = model.terms()[static_cast<std::size_t>(pivot.term)].structure->kind();
    if (kind == covariance::Kind::scaled) {
      double& scale = psi[p + layout.first_theta(pivot.term) + pivot.column];
      if (scale == 0.0) continue;
      scale = 0.0;
    } else {
      Eigen::MatrixXd factor = layout.term_factor(pivot.term, psi.data() + p);
      if (factor.col(pivot.column).isZero(0.0)) continue;
      if (kind == covariance::Kind::loadings) {
        factor.col(pivot.column).setZero();
      } else {
        std::vector<bool> zero(static_cast<std::size_t>(factor.cols()), false);
        for (int c = 0; c < factor.cols(); ++c)
          zero[static_cast<std::size_t>(c)] = c == pivot.column || factor(c, c) == 0.0;
        factor = model::semidefinite_factor(linear_algebra::times_transposed(factor, factor), 0.0, &zero);
      }
      layout.set_term_factor(pivot.term, factor, psi.data() + p);
    }
    try_smaller(objective, response, psi, optimum.sums.value - allowed_loss, optimum, free, options, monitor);
  }
  // A column that does not fit in holds the correlation down; there may be a higher maximum without it.
  for (int i = discordant(objective, optimum); i >= 0; i = discordant(objective, optimum)) {
    Eigen::VectorXd psi = optimum.psi;
    psi[i] = 0.0;
    if (!try_smaller(objective, response, psi, optimum.sums.value + allowed_loss, optimum, free, options, monitor))
      break;
  }
  const Bounds bounds(objective);
  for (const int i : bounds.correlations()) {
    const double tau = optimum.psi[i];
    if (!free_parameters(objective, optimum.psi)[static_cast<std::size_t>(i)] || std::fabs(tau) < far_tau) continue;
    Eigen::VectorXd psi = optimum.psi;
    psi[i] = std::copysign(largest_tau, tau);
    try_smaller(objective, response, psi, optimum.sums.value - allowed_loss, optimum, free, options, monitor);
  }
  // On the way to a limit of the family the data soon say nothing of a parameter, and rounding would judge it.
  for (const auto& limit : bounds.limits()) {
    if (limit.reached(optimum.psi) || !(-optimum.sums.hessian(limit.position, limit.position) < no_information))
      continue;
    Eigen::VectorXd psi = optimum.psi;
    psi[limit.position] = limit.value;
    try_smaller(objective, response, psi, optimum.sums.value - same_maximum, optimum, free, options, monitor);
  }
}

std::vector<bool> free_parameters(const likelihood::Objective& objective, const Eigen::VectorXd& psi) {
  const auto& model = objective.model();
  const auto& layout = objective.layout();
  const int p = objective.n_beta();
  std::vector<bool> free(static_cast<std::size_t>(psi.size()), true);
  for (std::size_t t = 0; objective.n_theta() > 0 && t < model.terms().size(); ++t) {
    if (!model.terms()[t].structure->is_linear()) continue;
    const int own = static_cast<int>(t), first = layout.first_entry(own), theta = p + layout.first_theta(own);
    const int n = layout.first_entry(own + 1) - first;
    auto column = [&](int e) { return layout.entries()[static_cast<std::size_t>(first + e)].column; };
    for (int e = 0; e < n; ++e) {
      bool any = false;
      for (int other = 0; other < n; ++other) any |= column(other) == column(e) && psi[theta + other] != 0.0;
      free[static_cast<std::size_t>(theta + e)] = any;
    }
  }
  Bounds(objective).mark_held(psi, free);
  return free;
}

std::vector<BoundaryScore> boundary_scores(const model::Layout& layout, const model::Model& model,
                                           const Optimum& optimum, const std::vector<bool>& free) {
  std::vector<BoundaryScore> scores;
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const int own = static_cast<int>(t), theta = model.p() + layout.first_theta(own);
    auto held = [&](int k) { return !free[static_cast<std::size_t>(theta + k)]; };
    auto half_curvature = [&](int k) { return 0.5 * optimum.sums.hessian(theta + k, theta + k); };
    if (term.structure->is_linear()) {
      for (int e = layout.first_entry(own), k = 0; e < layout.first_entry(own + 1); ++e, ++k) {
        const auto& entry = layout.entries()[static_cast<std::size_t>(e)];
        if (entry.row == entry.column && held(k)) scores.push_back({own, entry.row - term.first, half_curvature(k), 2});
      }
      continue;
    }
    for (const int k : term.structure->scale_parameters(term.q)) {
      if (!held(k)) continue;
      const double slope = optimum.sums.gradient[theta + k];
      if (std::fabs(slope) > flat_slope)
        scores.push_back({own, k, slope, 1});
      else
        scores.push_back({own, k, half_curvature(k), 2});
    }
    const int k = term.structure->correlation_parameter(term.q);
    if (k < 0 || std::fabs(optimum.psi[theta + k]) < largest_tau) continue;
    const double tau = optimum.psi[theta + k];
    const double inwards = tau > 0.0 ? -1.0 : 1.0;
    scores.push_back({own, BoundaryScore::correlation,
                      inwards * optimum.sums.gradient[theta + k] / term.structure->correlation(term.q, tau).slope, 0});
  }
  return scores;
}

}  // namespace multilevel::search
