#include "fit/fit.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <tuple>

#include "fit/quadrature_check.hpp"
#include "fit/start.hpp"
#include "likelihood/choice/objective.hpp"
#include "likelihood/joint/objective.hpp"
#include "likelihood/joint_several/objective.hpp"
#include "likelihood/linear/objective.hpp"
#include "likelihood/nested/objective.hpp"
#include "likelihood/one_factor/objective.hpp"
#include "likelihood/several_predictors/objective.hpp"
#include "linear_algebra/dense.hpp"
#include "model/spherical_effects.hpp"
#include "search/ascent.hpp"
#include "search/boundary.hpp"

namespace multilevel::fit {

namespace {

constexpr double subsample_rows = 20000.0;  // what a first round on a part of the data uses
constexpr int least_subsample_clusters = 50;
constexpr double log_2pi = 1.8378770664093454836;
constexpr int start_iterations = 30;  // of the Laplace approximation, to start from: it may have no maximum
constexpr double cheaper = 4.0;       // of Laplace's approximation, for it to look around in place of a finer rule
// Of a few binary responses per level the Laplace approximation has its maximum where one loading is as good as
// infinite: such searches begin with this rule.
constexpr int points_of_loadings = 7;
constexpr std::array start_correlations{-0.5, 1.0};  // tau, beside the usual one
constexpr double dear_hessian = 1e8;                 // about a tenth of a second
constexpr int wide_from = 10;                        // coefficients per level
constexpr double rows_per_parameter = 200.0;         // of a first round where there are loadings

bool has_loadings(const model::Model& model) {
  return std::any_of(model.terms().begin(), model.terms().end(),
                     [](const auto& term) { return term.structure->has_loadings(); });
}

/// Whether one factor has many coefficients per level and few parameters, as with a row for each group and time: an
/// exact Hessian is one of all entries of Lambda, and where it is dear differences of the gradient along theta are not.
/// They have fewer digits, which small data at an edge need; and the largest of several modes is looked for cluster by
/// cluster.
bool is_wide(const model::Model& model) {
  return model.factors().size() == 1 && model.q() >= wide_from && 2 * model.n_theta() < model.q() &&
         model.family().log_concave() && model.n_clusters() * std::pow(model.q(), 5.0) > dear_hessian;
}

/// Every how many panels give about the rows that starting values need.
int start_stride(const model::Model& model) {
  const double needed =
      has_loadings(model) ? std::max(0.5 * subsample_rows, rows_per_parameter * model.n_parameters()) : subsample_rows;
  const double by_rows = static_cast<double>(model.n_rows()) / needed;
  return std::max(1, static_cast<int>(std::min(by_rows, static_cast<double>(model.panels().size()) / 4.0)));
}

/// Every how many panels a first round of the fit itself takes; 1 when the data are too few for it to pay.
int subsample_stride(const model::Model& model) {
  const bool loadings = has_loadings(model);
  if (!loadings && static_cast<double>(model.n_rows()) < 10.0 * subsample_rows) return 1;
  const double by_clusters = static_cast<double>(model.n_clusters()) / least_subsample_clusters;
  const int stride = std::min(start_stride(model), static_cast<int>(by_clusters));
  return stride >= (loadings ? 4 : 8) ? stride : 1;
}

/// M C M', where NaN rows of C (parameters at the boundary) stay NaN and reach no other.
Eigen::MatrixXd transformed(const Eigen::MatrixXd& matrix, const Eigen::MatrixXd& covariance) {
  Eigen::MatrixXd finite = covariance;
  std::vector<Eigen::Index> missing;
  for (Eigen::Index a = 0; a < covariance.rows(); ++a)
    if (std::isnan(covariance(a, a))) missing.push_back(a);
  for (const auto a : missing) {
    finite.row(a).setZero();
    finite.col(a).setZero();
  }
  Eigen::MatrixXd result = linear_algebra::times_transposed(linear_algebra::times(matrix, finite), matrix);
  for (const auto a : missing) {
    result.row(a).setConstant(std::numeric_limits<double>::quiet_NaN());
    result.col(a).setConstant(std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

/// Beta given theta and phi: the inverse of its own block of the information.
Eigen::MatrixXd conditional_beta_covariance(const search::Optimum& optimum, int p) {
  const search::ScaledInformation own(optimum.sums.hessian.topLeftCorner(p, p),
                                      std::vector<bool>(static_cast<std::size_t>(p), true));
  return own.inverse(p);
}

search::NewtonOptions newton_options(const FitOptions& options) {
  search::NewtonOptions newton;
  newton.gain_tolerance = options.gain_tolerance;
  newton.most_iterations = options.most_iterations;
  return newton;
}

/// Where correlations are parameters of their own, the one of a few that the data like best: on the wrong side of zero
/// a search ends at a saddle, or in the lower of two maxima, and leaves it step by step.
Eigen::VectorXd linear_start(likelihood::LinearObjective& objective) {
  Eigen::VectorXd best = objective.start();
  const Eigen::VectorXd units = objective.layout().units();
  likelihood::Sums sums;
  std::vector<double> modes(static_cast<std::size_t>(objective.model().n_modes()), 0.0);
  auto value_at = [&](const Eigen::VectorXd& theta) {
    const bool good = objective.evaluate(theta, modes, sums, nullptr, likelihood::Derivatives::gradient);
    return good ? sums.value : -std::numeric_limits<double>::infinity();
  };
  double most = -std::numeric_limits<double>::infinity();
  for (Eigen::Index k = 0; k < units.size(); ++k) {
    if (units[k] != 0.0) continue;
    if (!std::isfinite(most)) most = value_at(best);
    for (const double tau : start_correlations) {
      Eigen::VectorXd theta = best;
      theta[k] = tau;
      if (const double value = value_at(theta); value > most) {
        most = value;
        best = std::move(theta);
      }
    }
  }
  return best;
}

/// A linear mixed model: theta is searched for with beta and sigma profiled out, and the record is of all of them.
search::Optimum search_linear(const model::Model& model, const model::Response& response, const FitOptions& options,
                              std::vector<bool>& free, FitRecord& record, const likelihood::Monitor& monitor) {
  likelihood::LinearObjective objective(model, response, options.restricted, options.threads, monitor,
                                        options.most_bytes);
  search::Optimum optimum;
  optimum.ending = search::Ending::exact_fit;
  if (objective.exact()) return optimum;
  const Eigen::VectorXd theta = options.start.size() > 0
                                    ? objective.relative(model.user_scale(response).inward(options.start))
                                    : linear_start(objective);
  std::vector<double> modes(static_cast<std::size_t>(model.n_modes()), 0.0);
  search::AscentOptions ascent;
  ascent.newton = newton_options(options);
  ascent.restarts = options.restarts;
  ascent.plain_start = [&] { return objective.start(); };
  ascent.floor = objective.plain_value();
  search::Ascent found = search::ascend(objective, response, theta, std::move(modes), ascent, monitor);
  record.other_starts = found.others;
  record.evaluations = objective.evaluations() - found.other_evaluations;
  record.other_evaluations = found.other_evaluations;
  optimum = std::move(found.optimum);
  if (optimum.ending == search::Ending::no_start) return optimum;
  for (search::Optimum& rival : found.rivals) {
    if (!objective.stand_at(rival)) continue;
    objective.expand(rival);
    record.other_maxima.push_back({rival.sums.value, model.user_scale(response).outward(rival.psi)});
  }
  if (!objective.stand_at(optimum)) optimum.ending = search::Ending::no_increase;
  objective.expand(optimum);
  const Eigen::MatrixXd projection = objective.projection();
  for (const auto& factor : model.factors())
    if (factor.q > 0)
      record.projection.push_back(
          projection.middleRows(factor.offset, std::int64_t{factor.n_levels} * factor.q).transpose());
  free.assign(static_cast<std::size_t>(model.n_parameters()), true);
  std::copy(found.free.begin(), found.free.end(), free.begin() + model.p());
  return optimum;
}

/// The restricted likelihood of a Gaussian model whose dispersion varies or is given, on the user's scale of beta.
std::unique_ptr<likelihood::Objective> make_restricted(const model::Model& model, const model::Response& response,
                                                       const FitOptions& options, const likelihood::Monitor& monitor) {
  auto objective =
      std::make_unique<likelihood::JointObjective>(model, response, options.threads, monitor, options.most_bytes);
  const int p = model.p();
  const double scale =
      p > 0 ? linear_algebra::log_abs_determinant(model.user_scale(response).matrix.topLeftCorner(p, p)) : 0.0;
  objective->restrict(0.5 * p * log_2pi + scale);
  return objective;
}

/// The way to where a search begins: what is cheaper than the likelihood is climbed first, roughly.
struct Approach {
  const model::Model& model;
  const model::Response& response;
  const FitOptions& options;
  const std::vector<bool>& free;
  const likelihood::Monitor& quiet;
  const std::shared_ptr<likelihood::SparseRows>& rows;
  FitRecord& record;
  search::NewtonOptions rough;
  Eigen::VectorXd psi;
  std::vector<double> modes;
  bool loadings;

  int points() const { return loadings ? points_of_loadings : 1; }
  void climb_some_rows(int stride);
  search::Ending climb_few_points();
  void take(const search::Optimum& first, model::Layout& layout);
};

void Approach::climb_some_rows(int stride) {
  const int n_points = model.is_exact() ? 1 : std::min(points(), options.n_quadrature);
  likelihood::PanelObjective part(model, response, n_points, likelihood::Derivatives::hessian, true, options.threads,
                                  quiet, rows);
  part.use_every(stride);
  rough.gain_tolerance = 0.1;
  rough.most_iterations = 20;
  const search::Optimum first = search::maximize(part, response, psi, modes, free, rough, quiet);
  record.start_evaluations += part.evaluations();
  // An item that all of these have right has no maximum.
  if (!loadings || first.ending == search::Ending::converged) take(first, part.layout());
}

/// The optimum by few quadrature points, or Laplace's, is near and cheap.
search::Ending Approach::climb_few_points() {
  const auto objective = make_objective(model, response, points(), options.threads, quiet,
                                        likelihood::Derivatives::hessian, options.most_bytes, rows);
  rough.gain_tolerance = 0.05;
  rough.most_iterations = std::min(options.most_iterations, start_iterations);
  rough.look_for_separation = true;
  const search::Optimum first = search::maximize(*objective, response, psi, modes, free, rough, quiet);
  record.start_evaluations += objective->evaluations();
  take(first, objective->layout());
  return first.ending;
}

/// Of loadings with the step that the search had left: bounds are seen to by the search that begins there.
void Approach::take(const search::Optimum& first, model::Layout& layout) {
  if (first.ending == search::Ending::no_start || !first.psi.allFinite()) return;
  psi = first.psi;
  if (loadings && first.ending == search::Ending::converged) psi += first.step;
  layout.restore_order(psi.data() + model.p());
  modes = first.modes;
}

search::Optimum search(const model::Model& model, const model::Response& response, const FitOptions& options,
                       const Start& plain, std::vector<bool>& free, FitRecord& record,
                       const likelihood::Monitor& monitor, const std::shared_ptr<likelihood::SparseRows>& rows) {
  search::AscentOptions ascent;
  ascent.newton = newton_options(options);
  ascent.restarts = options.restarts;
  if (!options.restricted) ascent.floor = plain.value;
  ascent.ordinary_start = [&] { return ordinary_values(model, response, start_stride(model)); };
  const model::UserScale scale = model.user_scale(response);
  ascent.read_back = [&](const Eigen::VectorXd& psi) { return scale.inward(scale.outward(psi)); };
  ascent.plain_start = [&] {
    return options.start.size() == 0
               ? plain.psi
               : starting_values(model, response, start_stride(model), options.threads, monitor, rows).psi;
  };
  likelihood::Monitor quiet;
  quiet.keep_going = monitor.keep_going;
  Approach approach{model,
                    response,
                    options,
                    free,
                    quiet,
                    rows,
                    record,
                    ascent.newton,
                    plain.psi,
                    std::vector<double>(static_cast<std::size_t>(model.n_modes()), 0.0),
                    has_loadings(model)};
  approach.rough.look_for_separation = approach.rough.mode_covariance = false;
  if (options.start.size() == 0) {
    const bool by_rows = model.factors().size() == 1 && !model.several_predictors() && !model.has_sets();
    if (const int stride = by_rows ? subsample_stride(model) : 1; stride > 1) approach.climb_some_rows(stride);
    if (options.n_quadrature > approach.points() && !model.is_exact()) {
      const search::Ending ending = approach.climb_few_points();
      ascent.newton.starts_near = approach.loadings && ending == search::Ending::converged;
      if (ending == search::Ending::separation)
        ascent.newton.patience = 0;  // the same direction serves at every number of points
    }
  }
  const auto objective = options.restricted
                             ? make_restricted(model, response, options, monitor)
                             : make_objective(model, response, options.n_quadrature, options.threads, monitor,
                                              likelihood::Derivatives::hessian, options.most_bytes, rows);
  // Elsewhere is looked for by Laplace's approximation where the rule is much dearer.
  std::unique_ptr<likelihood::Objective> scout;
  if (ascent.restarts && options.n_quadrature > 1 && !model.is_exact()) {
    scout = make_objective(model, response, 1, options.threads, quiet, likelihood::Derivatives::hessian,
                           options.most_bytes, rows);
    if (cheaper * scout->work() < objective->work()) ascent.scout = scout.get();
  }
  search::Ascent found = search::ascend(*objective, response, approach.psi, std::move(approach.modes), ascent, monitor);
  free = found.free;
  record.other_starts = found.others;
  for (const search::Optimum& rival : found.rivals)
    record.other_maxima.push_back({rival.sums.value, scale.outward(rival.psi)});
  record.evaluations = objective->evaluations() - found.other_evaluations;
  record.other_evaluations = found.other_evaluations + found.scout_evaluations;
  return std::move(found.optimum);
}

/// Covariances on the user's scale; returns that of the search.
Eigen::MatrixXd set_covariance(const model::Model& model, const model::UserScale& scale, const search::Optimum& optimum,
                               const std::vector<bool>& free, FitRecord& record) {
  const int p = model.p(), P = model.n_parameters();
  const search::ScaledInformation information(optimum.sums.hessian, free, optimum.sums.hessian_error);
  record.eigenvalues = information.values;
  Eigen::MatrixXd covariance = information.inverse(P);
  record.covariance = transformed(scale.matrix, covariance);
  record.beta_covariance =
      model.family().is_linear() && p > 0
          ? linear_algebra::times_transposed(
                linear_algebra::times(scale.matrix.topLeftCorner(p, p), conditional_beta_covariance(optimum, p)),
                scale.matrix.topLeftCorner(p, p))
          : Eigen::MatrixXd(record.covariance.topLeftCorner(p, p));
  std::tie(record.gradient, record.hessian) = scale.outward(optimum.sums.gradient, optimum.sums.hessian);
  return covariance;
}

/// Scores of variances of zero on the user's scale; `basis` is that of the random columns.
void set_boundary(const model::Model& model, const search::Optimum& optimum, const std::vector<bool>& free,
                  const Eigen::MatrixXd& basis, FitRecord& record) {
  record.boundary = search::boundary_scores(model::Layout(model), model, optimum, free);
  for (auto& score : record.boundary) {
    const int first = model.terms()[static_cast<std::size_t>(score.term)].first;
    const int at = first + std::max(score.coefficient, 0);
    score.score /= std::pow(basis(at, at), score.unit);
  }
}

/// Shifts in standard errors: the scale of theta and phi drops out; the intercept's is made anew.
void scale_shifts(const model::UserScale& scale, const Eigen::MatrixXd& covariance, FitRecord& record) {
  Eigen::VectorXd& shift = record.quadrature.shift;
  const auto P = covariance.rows();
  if (shift.size() != P || record.quadrature.exact || record.quadrature.n_points == 0) return;
  Eigen::VectorXd moved(P);
  for (int a = 0; a < P; ++a) moved[a] = std::isnan(covariance(a, a)) ? 0.0 : shift[a] * std::sqrt(covariance(a, a));
  moved = linear_algebra::apply(scale.matrix, moved);
  for (int a = 0; a < P; ++a) shift[a] = moved[a] / std::sqrt(record.covariance(a, a));
}

/// Conditional modes and their covariances, of u on the user's scale.
void set_modes(const model::Model& model, const search::Optimum& optimum, const Eigen::MatrixXd& basis,
               FitRecord& record) {
  const Eigen::MatrixXd all = linear_algebra::times(basis, model::Layout(model).lambda(optimum.psi.data() + model.p()));
  for (std::size_t f = 0; f < record.modes.size(); ++f) {
    const auto& factor = model.factors()[f];
    const Eigen::MatrixXd lambda = all.block(factor.first, factor.first, factor.q, factor.q);
    record.modes[f] = linear_algebra::times(
        lambda, Eigen::Map<const Eigen::MatrixXd>(optimum.modes.data() + factor.offset, factor.q, factor.n_levels));
    record.mode_covariance[f].setZero();
    // Columns of Lambda that are zero, as all but the traits' are, have no part in it.
    const std::vector<int> used = model::spherical_effects(model, static_cast<int>(f));
    const Eigen::MatrixXd some = lambda(Eigen::all, used);
    Eigen::MatrixXd half(factor.q, some.cols()), spread(some.cols(), some.cols());
    for (int level = 0; level < factor.n_levels; ++level) {
      spread = Eigen::Map<const Eigen::MatrixXd>(
          optimum.mode_covariance.data() + factor.covariance_offset + std::int64_t{level} * factor.q * factor.q,
          factor.q, factor.q)(used, used);
      half.setZero();
      linear_algebra::add_times(1.0, some, spread, half);
      linear_algebra::add_times_transposed(
          1.0, half, some,
          Eigen::Map<Eigen::MatrixXd>(record.mode_covariance[f].col(level).data(), factor.q, factor.q));
    }
  }
}

/// X'V^-1 Z: beta's scale on the left; the basis of the random columns, with the response's scale, on the right.
void scale_projection(const model::Model& model, const model::UserScale& scale, const Eigen::MatrixXd& basis,
                      FitRecord& record) {
  const int p = model.p();
  for (std::size_t f = 0; f < record.projection.size(); ++f) {
    const auto& factor = model.factors()[f];
    Eigen::MatrixXd& projection = record.projection[f];
    projection = linear_algebra::solve_square(scale.matrix.topLeftCorner(p, p).transpose(), projection);
    const Eigen::MatrixXd own = basis.block(factor.first, factor.first, factor.q, factor.q);
    const Eigen::MatrixXd inverse = linear_algebra::solve_lower(own, Eigen::MatrixXd::Identity(factor.q, factor.q));
    for (int level = 0; level < factor.n_levels; ++level) {
      auto block = projection.middleCols(std::int64_t{level} * factor.q, factor.q);
      block = linear_algebra::times(block, inverse);
    }
  }
}

}  // namespace

FitRecord empty_record(const model::Model& model) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const int p = model.p(), P = model.n_parameters();
  FitRecord record;
  record.value = record.gain = nan;
  record.psi = record.gradient = record.step = Eigen::VectorXd::Constant(P, nan);
  record.hessian = record.covariance = Eigen::MatrixXd::Constant(P, P, nan);
  record.beta_covariance = Eigen::MatrixXd::Constant(p, p, nan);
  for (const auto& factor : model.factors()) {
    if (factor.q == 0) continue;  // the sets of choices
    record.modes.push_back(Eigen::MatrixXd::Constant(factor.q, factor.n_levels, nan));
    record.mode_covariance.push_back(Eigen::MatrixXd::Constant(factor.q * factor.q, factor.n_levels, nan));
  }
  record.quadrature.shift = Eigen::VectorXd::Constant(P, nan);
  return record;
}

std::unique_ptr<likelihood::Objective> make_objective(const model::Model& model, const model::Response& response,
                                                      int n_quadrature, int threads, const likelihood::Monitor& monitor,
                                                      likelihood::Derivatives derivatives, double most_bytes,
                                                      std::shared_ptr<likelihood::SparseRows> rows) {
  if (model.factors().size() > 1 && (model.has_sets() || model.several_predictors())) {
    if (n_quadrature != 1)
      throw std::invalid_argument("several grouping factors of choices or of several predictors have no quadrature");
    return std::make_unique<likelihood::JointSeveralObjective>(model, response, threads, monitor, most_bytes);
  }
  if (model.has_sets())
    return std::make_unique<likelihood::ChoiceObjective>(model, response, n_quadrature, true, threads, monitor);
  if (model.several_predictors())
    return std::make_unique<likelihood::SeveralObjective>(model, response, n_quadrature, threads, monitor);
  if (model.factors().size() <= 1 && !(n_quadrature == 1 && is_wide(model)))
    return std::make_unique<likelihood::PanelObjective>(model, response, n_quadrature, derivatives, true, threads,
                                                        monitor, std::move(rows));
  if (n_quadrature == 1)
    return std::make_unique<likelihood::JointObjective>(model, response, threads, monitor, most_bytes);
  if (!model.nesting()) throw std::invalid_argument("crossed grouping factors have no quadrature");
  return std::make_unique<likelihood::NestedObjective>(model, response, n_quadrature, threads, monitor);
}

FitRecord fit(const model::Model& model, const model::Response& response, const FitOptions& options,
              const likelihood::Monitor& monitor) {
  const auto begin = std::chrono::steady_clock::now();
  const int q = model.q(), P = model.n_parameters();
  const bool linear = model.is_linear() && q > 0;
  if (options.restricted && !(model.is_exact() && q > 0))
    throw std::invalid_argument("REML is for linear mixed models");
  if (options.n_quadrature < 1 || (!linear && node_count(model, options.n_quadrature) > most_nodes))
    throw std::invalid_argument("too many quadrature points");
  const auto scale = model.user_scale(response);
  FitRecord record = empty_record(model);
  std::vector<bool> free(static_cast<std::size_t>(P), true);
  if (options.start.size() > 0 && options.start.size() != P) throw std::invalid_argument("start has the wrong length");
  const auto rows = std::make_shared<likelihood::SparseRows>(model, response);
  Start start;
  if (linear) {
    // Starts from cross-products.
  } else if (options.start.size() > 0) {
    start.psi = scale.inward(options.start);
  } else {
    start = starting_values(model, response, start_stride(model), options.threads, monitor, rows);
    record.ending = start.ending;
    if (start.ending != search::Ending::converged) return record;
  }
  search::Optimum optimum = linear ? search_linear(model, response, options, free, record, monitor)
                                   : search(model, response, options, start, free, record, monitor, rows);
  record.ending = optimum.ending;
  record.trace = optimum.trace;
  if (optimum.sums.failed_cluster >= 0 && model.q() > 0) {
    record.failed_factor = model.leading();
    record.failed_level = model.cluster_level(optimum.sums.failed_cluster);
  }
  if (optimum.psi.size() != P || optimum.ending == search::Ending::no_start) return record;
  record.psi = scale.outward(optimum.psi);
  record.value = optimum.sums.value;
  record.gain = optimum.gain;
  record.step = linear_algebra::apply(scale.matrix, optimum.step);

  const Eigen::MatrixXd covariance = set_covariance(model, scale, optimum, free, record);
  const Eigen::MatrixXd basis = model.random_basis(response);
  set_boundary(model, optimum, free, basis, record);
  if (options.check_quadrature) {
    record.quadrature = check_quadrature(model, response, options, optimum, covariance, monitor, rows);
    scale_shifts(scale, covariance, record);
  }
  set_modes(model, optimum, basis, record);
  if (linear) scale_projection(model, scale, basis, record);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return record;
}

}  // namespace multilevel::fit
