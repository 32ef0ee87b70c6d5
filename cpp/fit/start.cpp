#include "fit/start.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/choice/objective.hpp"
#include "likelihood/one_factor/objective.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::fit {

namespace {

constexpr double ordinary_scale = 0.5;  // of random effects, on the scale of eta
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double exact_share = 1e-24;  // of the response's mean square: residuals this small are rounding

/// The family of a row.
const family::Family& of_kind(const model::Model& model, const double* kind, int row) {
  return kind ? model.family().member(static_cast<int>(kind[row])) : model.family();
}

/// One weighted least-squares step from a linear predictor made of the response itself, as R's glm() starts.
struct LeastSquares {
  Eigen::MatrixXd cross;
  Eigen::VectorXd right;
  double weight = 0.0, mean_eta = 0.0, mean = 0.0;
  double lowest = infinity, highest = -infinity;  ///< linear predictors that it begins from
  double longest = 0.0;                           ///< what a response by itself wants to add to its own
};

/// The rows of a panel as the working linear model has them: response and weight at a given linear predictor.
struct WorkingRows {
  explicit WorkingRows(const model::Model& model)
      : eta(static_cast<std::size_t>(model.largest_panel())), value(eta), d1(eta), d2(eta), weight(eta), offset(eta) {
    for (std::size_t r = 0; r < model.phi_parts().size(); ++r)
      if (!model.phi_parts()[r].constant) phi[r].resize(eta.size());
  }

  void set_offset(const model::Model& model, const model::Panel& panel) {
    const double* from = model.family().is_linear() ? nullptr : model.offset(panel);
    for (int j = 0; j < panel.n_rows; ++j) offset[static_cast<std::size_t>(j)] = from ? from[j] : 0.0;
  }

  /// eta without random effects.
  void set_predictor(const model::Model& model, const model::Panel& panel, const Eigen::VectorXd& beta) {
    set_offset(model, panel);
    std::copy(offset.begin(), offset.end(), eta.begin());
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, beta[k], model.fixed_column(panel, k), eta.data());
  }

  /// Score and expected information at eta; rows whose eta is outside the domain weigh nothing.
  void evaluate(const model::Model& model, const model::Response& response, const model::Panel& panel,
                const double* coefficients) {
    double* own[family::max_phi] = {};
    for (std::size_t r = 0; r < family::max_phi; ++r) own[r] = phi[r].data();
    at = model.phi_rows(panel, response, 0, panel.n_rows, coefficients, own);
    const family::Rows rows{panel.n_rows, eta.data(), response.from(panel.first_row, at)};
    family::RowDerivatives out;
    out.value = value.data();
    out.eta[0] = d1.data();
    out.eta[1] = d2.data();
    model.family().derivatives(family::Order::step, rows, out);
    model.family().expected_information(rows, weight.data());
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j)
      if (!(weight[j] > 0.0) || !std::isfinite(d1[j])) weight[j] = d1[j] = 0.0;
  }

  std::vector<double> eta, value, d1, d2, weight, offset;
  std::vector<double> phi[family::max_phi];  ///< where they differ from row to row
  family::Phi at;                            ///< the family's parameters of the rows
};

/// No response may want to add more than `furthest`.
LeastSquares first_step(const model::Model& model, const model::Response& response, int stride, double furthest) {
  const int p = model.p();
  LeastSquares sums{Eigen::MatrixXd::Zero(p, p), Eigen::VectorXd::Zero(p)};
  WorkingRows rows(model);
  std::vector<double> target(rows.eta.size());
  const std::vector<double> phi(static_cast<std::size_t>(model.n_phi()), 0.0);
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    const family::Observations data = response.from(panel.first_row, {});
    rows.set_offset(model, panel);
    const double* kind = model.kinds(panel);
    for (int j = 0; j < panel.n_rows; ++j)
      rows.eta[static_cast<std::size_t>(j)] = of_kind(model, kind, j).start_eta(data[j]);
    rows.evaluate(model, response, panel, phi.data());
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
      const double from_offset = rows.weight[j] * (rows.eta[j] - rows.offset[j]);
      target[j] = from_offset + rows.d1[j];
      if (rows.weight[j] > 0.0) {
        sums.weight += data.weight[j];
        sums.mean += data.weight[j] * data.response[j];
        sums.mean_eta += data.weight[j] * (rows.eta[j] - rows.offset[j]);
      }
    }
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
      if (!(rows.weight[j] > 0.0)) continue;
      sums.lowest = std::fmin(sums.lowest, rows.eta[j]);
      sums.highest = std::fmax(sums.highest, rows.eta[j]);
      const double wanted = std::fabs(rows.d1[j]) / rows.weight[j];
      sums.longest = std::fmax(sums.longest, wanted);
      if (wanted > furthest) target[j] += std::copysign(rows.weight[j] * furthest, rows.d1[j]) - rows.d1[j];
    }
    for (int k = 0; k < p; ++k) {
      const double* x = model.fixed_column(panel, k);
      sums.right[k] += numeric::dot(panel.n_rows, x, target.data());
      for (int m = 0; m <= k; ++m)
        sums.cross(k, m) += numeric::dot(panel.n_rows, x, model.fixed_column(panel, m), rows.weight.data());
    }
  }
  sums.cross.triangularView<Eigen::StrictlyUpper>() = sums.cross.transpose().eval();
  sums.mean /= sums.weight;
  return sums;
}

/// The parameters of the family are not known yet: with others a response may want a step that leaves all the rest.
LeastSquares first_step(const model::Model& model, const model::Response& response, int stride) {
  LeastSquares step = first_step(model, response, stride, infinity);
  const double range = step.highest - step.lowest;
  return step.longest > range ? first_step(model, response, stride, range) : step;
}

/// Mean squared working residual, weighted by the working weights: the scatter on the scale of eta. And the mean
/// squared Pearson residual, for phi.
struct Scatter {
  double eta = 1.0, pearson = 1.0, response = 1.0;  ///< `response`: the same of the response itself, from zero
};

/// Of the rows of each kind.
std::vector<Scatter> scatter(const model::Model& model, const model::Response& response, const Eigen::VectorXd& beta,
                             const double* phi, int stride) {
  struct Sums {
    double squares = 0.0, weights = 0.0, responses = 0.0, n = 0.0;
  };
  WorkingRows rows(model);
  const int n_phi = model.family().n_phi();
  std::vector<Sums> sums(static_cast<std::size_t>(model.family().n_members()));
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    rows.set_predictor(model, panel, beta);
    rows.evaluate(model, response, panel, phi);
    const double* kind = model.kinds(panel);
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
      if (rows.weight[j] == 0.0) continue;
      const auto row = static_cast<std::size_t>(panel.first_row) + j;
      Sums& own_sums = sums[kind ? static_cast<std::size_t>(kind[j]) : 0];
      own_sums.squares += rows.d1[j] * rows.d1[j] / rows.weight[j];
      double own[family::max_phi] = {};
      for (int r = 0; r < n_phi; ++r) own[r] = rows.at.at(r, static_cast<std::ptrdiff_t>(j));
      const double mean = of_kind(model, kind, static_cast<int>(j)).mean(rows.eta[j]);
      const double variance = model.family().variance(mean, own);
      own_sums.responses += response.weight[row] * response.value[row] * response.value[row] / variance;
      own_sums.weights += rows.weight[j];
      own_sums.n += 1.0;
    }
  }
  std::vector<Scatter> found;
  for (const Sums& own : sums)
    found.push_back(own.n > 0.0 && std::isfinite(own.squares)
                        ? Scatter{own.squares / own.weights, own.squares / own.n, own.responses / own.n}
                        : Scatter{});
  return found;
}

/// The mean unit deviance of a response with one family: of the smallest responses it keeps the measure where squared
/// Pearson residuals leave it by many orders of magnitude.
double mean_deviance(const model::Model& model, const model::Response& response, const Eigen::VectorXd& beta,
                     int stride) {
  WorkingRows rows(model);
  const double none[family::max_phi] = {};
  double sum = 0.0, n = 0.0;
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    const family::Observations data = response.from(panel.first_row, {});
    rows.set_predictor(model, panel, beta);
    for (int j = 0; j < panel.n_rows; ++j) {
      const double mu = model.family().mean(rows.eta[static_cast<std::size_t>(j)]);
      sum += data.weight[j] * model.family().unit_deviance(data.response[j], mu, none);
      n += 1.0;
    }
  }
  return sum / n;
}

/// What random effects can plausibly be where kinds of rows have scales of their own: per random column the scatter
/// on the scale of eta of the rows that it is in.
Eigen::VectorXd column_scatter(const model::Model& model, const model::Response& response, const Eigen::VectorXd& beta,
                               const double* phi, int stride) {
  WorkingRows rows(model);
  Eigen::VectorXd squares = Eigen::VectorXd::Zero(model.q()), weights = squares;
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    rows.set_predictor(model, panel, beta);
    rows.evaluate(model, response, panel, phi);
    for (int a = 0; a < model.q(); ++a) {
      const double* z = model.random_column(panel, a);
      for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
        if (rows.weight[j] == 0.0 || z[j] == 0.0) continue;
        squares[a] += rows.d1[j] * rows.d1[j] / rows.weight[j];
        weights[a] += rows.weight[j] * z[j] * z[j];
      }
    }
  }
  return squares.cwiseQuotient(weights);
}

/// How residuals of the random columns go together within clusters: covariances of their sums over a cluster's rows,
/// each residual kept within `unit`, since a few large ones would decide alone. A residual is that of a response on the
/// scale of eta: the score of a zero that may be an excess one hardly tells that it is small. Categories have scores.
Eigen::MatrixXd column_covariance(const model::Model& model, const model::Response& response,
                                  const Eigen::VectorXd& beta, const double* phi, double unit, int stride) {
  const bool thresholds = model.n_thresholds() > 0;
  const int q = model.q();
  WorkingRows rows(model);
  Eigen::MatrixXd products = Eigen::MatrixXd::Zero(q, q);
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(q), total = sum;
  double n = 0.0;
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    rows.set_predictor(model, panel, beta);
    if (thresholds) rows.evaluate(model, response, panel, phi);
    const family::Observations data = response.from(panel.first_row, {});
    const double* kind = model.kinds(panel);
    for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
      sum.setZero();
      for (auto row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row) {
        const auto j = static_cast<std::size_t>(row - panel.first_row);
        const double residual =
            !thresholds ? of_kind(model, kind, static_cast<int>(j)).start_eta(data[static_cast<int>(j)]) - rows.eta[j]
            : rows.weight[j] == 0.0 ? 0.0
                                    : rows.d1[j] / std::sqrt(rows.weight[j]);
        if (!std::isfinite(residual)) continue;
        const double bounded = residual / (1.0 + std::fabs(residual) / unit);
        for (int a = 0; a < q; ++a) sum[a] += model.random_column(panel, a)[j] * bounded;
      }
      products += sum * sum.transpose();
      total += sum;
      n += 1.0;
    }
  }
  return products / n - total * total.transpose() / (n * n);
}

/// Loadings of columns whose residuals go the other way than the first one's of their factor begin below zero: from
/// above a search need not find the way. Clusters are levels of the leading grouping factor, which traits are of.
void turn_loadings(const model::Model& model, const Eigen::MatrixXd& covariance, double* theta) {
  constexpr std::size_t fewest = 3;        // of fewer the signs do not matter
  constexpr double as_good_as_none = 0.1;  // of the largest
  const model::Layout layout(model);
  const auto& leading = model.factors()[static_cast<std::size_t>(model.leading())];
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const bool own_clusters = term.first >= leading.first && term.first < leading.first + leading.q;
    if (!term.structure->has_loadings() || !own_clusters || term.variable != 0) continue;
    double* own = theta + layout.first_theta(static_cast<int>(t));
    const auto columns = term.structure->theta_rows(term.q);
    for (int factor = 0; factor < term.q; ++factor) {
      std::vector<int> loadings, at;
      for (const int k : term.structure->turned_with(term.q, factor)) {
        if (columns[static_cast<std::size_t>(k)] < 0 || own[k] == 0.0) continue;
        loadings.push_back(k);
        at.push_back(term.first + columns[static_cast<std::size_t>(k)]);
      }
      if (loadings.size() < fewest) continue;
      Eigen::MatrixXd together = covariance(at, at);
      const Eigen::VectorXd scale = together.diagonal().cwiseMax(std::numeric_limits<double>::min()).cwiseSqrt();
      together = (scale.cwiseInverse().asDiagonal() * together * scale.cwiseInverse().asDiagonal()).eval();
      together.diagonal().setZero();
      if (!together.allFinite()) continue;
      const linear_algebra::SymmetricEigen eigen(together);
      const Eigen::VectorXd shared = eigen.vectors.col(eigen.vectors.cols() - 1);
      const double least = as_good_as_none * shared.cwiseAbs().maxCoeff();
      for (std::size_t l = 1; l < loadings.size(); ++l) {
        const double here = shared[static_cast<Eigen::Index>(l)];
        if (here * shared[0] < 0.0 && std::fabs(here) > least && std::fabs(shared[0]) > least)
          own[loadings[l]] = -own[loadings[l]];
      }
    }
  }
}

/// Coefficients that come nearest to these parameters of the family for all rows.
void spread_phi(const model::Model& model, const model::Response& response, const double* phi, double* coefficients) {
  for (std::size_t r = 0; r < model.phi_parts().size(); ++r) {
    const auto& part = model.phi_parts()[r];
    if (part.constant) {
      coefficients[part.first] = phi[r];
      continue;
    }
    const int n = part.last - part.first;
    if (n == 0) continue;  // it is given
    Eigen::MatrixXd cross = Eigen::MatrixXd::Zero(n, n);
    Eigen::VectorXd right = Eigen::VectorXd::Zero(n);
    std::vector<double> rest(static_cast<std::size_t>(model.largest_panel()));
    for (const auto& panel : model.panels()) {
      const std::vector<double> zero(static_cast<std::size_t>(model.n_phi()), 0.0);
      model.phi_part_rows(panel, response, static_cast<int>(r), 0, panel.n_rows, zero.data(), rest.data());
      for (int j = 0; j < panel.n_rows; ++j)
        rest[static_cast<std::size_t>(j)] = phi[r] - rest[static_cast<std::size_t>(j)];
      for (int a = 0; a < n; ++a) {
        const double* x = model.phi_uses(panel, response, part.first + a).use[0].column;
        right[a] += numeric::dot(panel.n_rows, x, rest.data());
        for (int b = 0; b <= a; ++b)
          cross(a, b) += numeric::dot(panel.n_rows, x, model.phi_uses(panel, response, part.first + b).use[0].column);
      }
    }
    Eigen::Map<Eigen::VectorXd>(coefficients + part.first, n) =
        linear_algebra::solve_semidefinite(cross.selfadjointView<Eigen::Lower>(), right);
  }
}

/// Choices are concave in beta, so that any place serves to start from.
Start start_of_choices(const model::Model& model, const model::Response& response, int threads,
                       const likelihood::Monitor& monitor) {
  const int p = model.p();
  likelihood::ChoiceObjective objective(model, response, 1, false, threads, monitor);
  search::NewtonOptions options;
  options.gain_tolerance = 1e-2;
  options.most_iterations = 8;
  options.look_for_separation = false;
  likelihood::Monitor quiet;
  quiet.keep_going = monitor.keep_going;
  const search::Optimum found = search::maximize(objective, response, Eigen::VectorXd::Zero(p), {},
                                                 std::vector<bool>(static_cast<std::size_t>(p), true), options, quiet);
  Start start;
  start.psi = Eigen::VectorXd::Zero(p + model.n_theta());
  start.psi.head(p) = found.psi;
  if (found.ending == search::Ending::no_start)
    start.ending = search::Ending::no_start;
  else
    start.value = found.sums.value;
  model::Layout(model).start(objective.scatter(found.psi), start.psi.data() + p);
  return start;
}

/// The family's parameters behind p coefficients `glm`, from what these leave. False where nothing is left of a
/// response with a dispersion of its own.
bool start_phi(const model::Model& model, const model::Response& response, int stride, bool by_deviance,
               Eigen::VectorXd& glm) {
  const int p = model.p(), n_phi = model.n_phi();
  if (n_phi == 0) return true;
  if (model.n_thresholds() > 0) {
    glm.segment(p, model.n_thresholds()) = response.thresholds;
    return true;
  }
  const std::vector<double> none(static_cast<std::size_t>(n_phi), 0.0);
  double zero[family::max_phi] = {}, one[family::max_phi], phi[family::max_phi] = {};
  std::fill(one, one + family::max_phi, 1.0);
  const std::vector<Scatter> left = scatter(model, response, glm.head(p), none.data(), stride);
  bool exact = false;
  for (int kind = 0; kind < model.family().n_members() && !exact; ++kind) {
    const family::Family& family = model.family().member(kind);
    const Scatter& own = left[static_cast<std::size_t>(kind)];
    const bool has_dispersion = family.dispersion(one) != family.dispersion(zero);
    // A mean at an end of its range, to rounding, has no variance: then nothing is known of the scale.
    exact = has_dispersion && std::isfinite(own.response) && !(own.pearson > exact_share * own.response);
    if (exact) break;
    const double square = by_deviance ? mean_deviance(model, response, glm.head(p), stride) : own.pearson;
    family.start_phi(square, phi + model.family().first_phi(kind));
  }
  spread_phi(model, response, phi, glm.data() + p);
  return !exact;
}

/// The regression without random effects, from `glm`.
search::Optimum regression(likelihood::PanelObjective& objective, const model::Model& model,
                           const model::Response& response, const LeastSquares& step, int stride, Eigen::VectorXd glm,
                           const likelihood::Monitor& monitor) {
  using search::Ending;
  const std::vector<bool> free(static_cast<std::size_t>(glm.size()), true);
  search::NewtonOptions options;
  options.gain_tolerance = 1e-2;
  options.most_iterations = 8;
  options.look_for_separation = false;
  likelihood::Monitor quiet;
  quiet.keep_going = monitor.keep_going;
  search::Optimum found = search::maximize(objective, response, glm, {}, free, options, quiet);
  if (model.n_thresholds() > 0) return found;
  auto from_mean = [&](double eta, bool by_deviance = false) {
    glm.setZero();
    if (model.has_intercept() && std::isfinite(eta)) glm[model.intercept()] = eta;
    start_phi(model, response, stride, by_deviance, glm);
    search::Optimum other = search::maximize(objective, response, glm, {}, free, options, quiet);
    if (found.ending == Ending::no_start || (other.ending != Ending::no_start && other.sums.value > found.sums.value))
      found = std::move(other);
  };
  // The least-squares step left the domain, or tiny responses had all the weight in it: the mean of the response alone
  // stays inside, if there is an intercept; that of eta, or where a few responses are by far the largest their own.
  if (found.ending != Ending::converged) from_mean(step.mean_eta / step.weight);
  const auto support = model.family().support();
  if (found.ending != Ending::converged && support != family::Support::trials && support != family::Support::by_row) {
    from_mean(model.family().link_of_mean(step.mean));
    if (found.ending != Ending::converged && support == family::Support::positive)
      from_mean(model.family().link_of_mean(step.mean), true);
  }
  return found;
}

/// Whether what a regression leaves on the scale of eta is out of all proportion to what responses want there: random
/// effects of that size would lead nowhere.
bool ran_off(const model::Model& model, const model::Response& response, const LeastSquares& step,
             const Eigen::VectorXd& regression, int stride) {
  constexpr double out_of_proportion = 10.0;
  if (model.n_thresholds() > 0 || model.family().n_members() > 1) return false;
  const Eigen::VectorXd beta = regression.head(model.p());
  const double left = scatter(model, response, beta, regression.data() + model.p(), stride)[0].eta;
  return !(std::sqrt(left) < out_of_proportion * std::fmax(step.highest - step.lowest, 1.0));
}

/// theta from the scatter that a regression leaves on the scale of eta.
void start_theta(const model::Model& model, const model::Response& response, const Eigen::VectorXd& regression,
                 int stride, double* theta) {
  auto usable = [](double square) {
    const double scale = 0.5 * std::sqrt(square);
    return std::isfinite(scale) && scale > 0.0 ? scale : 1.0;
  };
  const model::Layout layout(model);
  const Eigen::VectorXd beta = regression.head(model.p());
  const double* phi = regression.data() + model.p();
  double unit = 1.0;
  if (model.family().n_members() == 1) {
    unit = usable(scatter(model, response, beta, phi, stride)[0].eta);
    layout.start(unit, theta);
  } else {
    layout.start(column_scatter(model, response, beta, phi, stride).unaryExpr(usable), theta);
  }
  const bool loadings = std::any_of(model.terms().begin(), model.terms().end(),
                                    [](const auto& term) { return term.structure->has_loadings(); });
  if (loadings) turn_loadings(model, column_covariance(model, response, beta, phi, unit, stride), theta);
}

}  // namespace

Start starting_values(const model::Model& model, const model::Response& response, int stride, int threads,
                      const likelihood::Monitor& monitor, std::shared_ptr<likelihood::SparseRows> rows) {
  if (model.has_sets()) return start_of_choices(model, response, threads, monitor);
  const int p = model.p(), n_theta = model.n_theta(), n_phi = model.n_phi();
  Eigen::VectorXd glm = Eigen::VectorXd::Zero(p + n_phi);
  // Thresholds start from the frequencies of the categories, with nothing that moves a row.
  const bool thresholds = model.n_thresholds() > 0;
  const LeastSquares step = thresholds ? LeastSquares{} : first_step(model, response, stride);
  if (p > 0 && !thresholds) {
    const search::ScaledInformation cross(-step.cross, std::vector<bool>(static_cast<std::size_t>(p), true));
    glm.head(p) = cross.solve(step.right);
  }
  Start start;
  if (!start_phi(model, response, stride, false, glm)) {
    start.ending = search::Ending::exact_fit;
    return start;
  }
  likelihood::PanelObjective objective(model, response, 1, likelihood::Derivatives::hessian, false, threads, monitor,
                                       std::move(rows));
  objective.use_every(stride);
  search::Optimum found = regression(objective, model, response, step, stride, glm, monitor);
  if (found.ending == search::Ending::no_start)
    start.ending = search::Ending::no_start;
  else if (stride == 1)
    start.value = found.sums.value;
  if (found.ending != search::Ending::converged && ran_off(model, response, step, found.psi, stride)) {
    const Eigen::VectorXd ordinary = ordinary_values(model, response, stride);
    if (ordinary.size() > 0) found.psi << ordinary.head(p), ordinary.tail(n_phi);
  }
  start.psi.resize(p + n_theta + n_phi);
  start.psi.head(p) = found.psi.head(p);
  start.psi.tail(n_phi) = found.psi.tail(n_phi);
  start_theta(model, response, found.psi, stride, start.psi.data() + p);
  return start;
}

Eigen::VectorXd ordinary_values(const model::Model& model, const model::Response& response, int stride) {
  const int p = model.p();
  if (model.has_sets() || model.n_thresholds() > 0 || model.family().n_members() > 1 || !model.has_intercept())
    return {};
  Eigen::VectorXd psi = Eigen::VectorXd::Zero(model.n_parameters());
  psi[model.intercept()] = model.family().link_of_mean(first_step(model, response, stride).mean);
  if (!std::isfinite(psi[model.intercept()])) return {};
  double phi[family::max_phi] = {};
  model.family().start_phi(1.0, phi);
  spread_phi(model, response, phi, psi.data() + p + model.n_theta());
  model::Layout(model).start(ordinary_scale, psi.data() + p);
  return psi;
}

}  // namespace multilevel::fit
