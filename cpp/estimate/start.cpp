#include "estimate/start.hpp"

#include <cmath>

#include "numeric/row_sums.hpp"

namespace multilevel::estimate {

namespace {

constexpr double exact_share = 1e-24;  // of the response's mean square: residuals this small are rounding

/// One weighted least-squares step from a linear predictor made of the response itself, as R's glm() starts.
struct LeastSquares {
  Eigen::MatrixXd cross;
  Eigen::VectorXd right;
  double weight = 0.0, mean_eta = 0.0;
};

LeastSquares first_step(const model::Model& model, const model::Response& response, int stride) {
  const int p = model.p();
  LeastSquares sums{Eigen::MatrixXd::Zero(p, p), Eigen::VectorXd::Zero(p)};
  const auto rows = static_cast<std::size_t>(model.largest_panel());
  std::vector<double> eta(rows), value(rows), d1(rows), d2(rows), weight(rows), target(rows);
  const double phi[family::max_phi] = {};
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    const double *y = response.value.get() + panel.first_row, *a = response.weight.get() + panel.first_row;
    const double* offset = model.family().is_linear() ? nullptr : model.offset(panel);
    for (int j = 0; j < panel.n_rows; ++j) eta[static_cast<std::size_t>(j)] = model.family().start_eta(y[j], a[j]);
    const family::Rows at{panel.n_rows, eta.data(), y, a};
    family::RowDerivatives out;
    out.value = value.data();
    out.eta[0] = d1.data();
    out.eta[1] = d2.data();
    model.family().derivatives(family::Order::step, at, phi, out);
    model.family().expected_information(at, phi, weight.data());
    for (int j = 0; j < panel.n_rows; ++j) {
      const auto row = static_cast<std::size_t>(j);
      const double off = offset ? offset[j] : 0.0;
      if (!(weight[row] > 0.0) || !std::isfinite(d1[row])) weight[row] = d1[row] = 0.0;
      target[row] = weight[row] * (eta[row] - off) + d1[row];
      sums.weight += weight[row];
      sums.mean_eta += weight[row] * (eta[row] - off);
    }
    for (int k = 0; k < p; ++k) {
      const double* x = model.fixed_column(panel, k);
      sums.right[k] += numeric::dot(panel.n_rows, x, target.data());
      for (int m = 0; m <= k; ++m)
        sums.cross(k, m) += numeric::dot(panel.n_rows, x, model.fixed_column(panel, m), weight.data());
    }
  }
  sums.cross.triangularView<Eigen::StrictlyUpper>() = sums.cross.transpose().eval();
  return sums;
}

/// Mean squared working residual, weighted by the working weights: the scatter on the scale of eta. And the mean
/// squared Pearson residual, for phi.
struct Scatter {
  double eta = 1.0, pearson = 1.0, response = 1.0;  ///< `response`: mean square of the response itself
};

Scatter scatter(const model::Model& model, const model::Response& response, const Eigen::VectorXd& beta,
                const double* phi, int stride) {
  const auto rows = static_cast<std::size_t>(model.largest_panel());
  std::vector<double> eta(rows), value(rows), d1(rows), d2(rows), weight(rows);
  double squares = 0.0, weights = 0.0, responses = 0.0, n = 0.0;
  for (std::size_t i = 0; i < model.panels().size(); i += static_cast<std::size_t>(stride)) {
    const model::Panel& panel = model.panels()[i];
    const double* offset = model.family().is_linear() ? nullptr : model.offset(panel);
    for (int j = 0; j < panel.n_rows; ++j) eta[static_cast<std::size_t>(j)] = offset ? offset[j] : 0.0;
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, beta[k], model.fixed_column(panel, k), eta.data());
    const family::Rows at{panel.n_rows, eta.data(), response.value.get() + panel.first_row,
                          response.weight.get() + panel.first_row};
    family::RowDerivatives out;
    out.value = value.data();
    out.eta[0] = d1.data();
    out.eta[1] = d2.data();
    model.family().derivatives(family::Order::step, at, phi, out);
    model.family().expected_information(at, phi, weight.data());
    for (int j = 0; j < panel.n_rows; ++j) {
      const auto row = static_cast<std::size_t>(j);
      if (!(weight[row] > 0.0) || !std::isfinite(d1[row])) continue;
      squares += d1[row] * d1[row] / weight[row];
      responses += at.weight[j] * at.response[j] * at.response[j];
      weights += weight[row];
      n += 1.0;
    }
  }
  if (!(n > 0.0) || !std::isfinite(squares)) return {};
  return {squares / weights, squares / n, responses / n};
}

}  // namespace

Start starting_values(const model::Model& model, const model::Response& response, int stride, int threads,
                      const Monitor& monitor) {
  const int p = model.p(), n_theta = model.n_theta(), n_phi = model.n_phi();
  Eigen::VectorXd glm = Eigen::VectorXd::Zero(p + n_phi);
  const LeastSquares step = first_step(model, response, stride);
  const std::vector<bool> free(static_cast<std::size_t>(p + n_phi), true);
  if (p > 0) {
    const ScaledInformation cross(-step.cross, std::vector<bool>(static_cast<std::size_t>(p), true));
    glm.head(p) = cross.solve(step.right);
  }
  bool exact = false;  // nothing is left of a response with a dispersion of its own
  auto set_phi = [&] {
    if (n_phi == 0) return;
    const double zero[family::max_phi] = {};
    const Scatter left = scatter(model, response, glm.head(p), zero, stride);
    exact = !(left.pearson > exact_share * left.response);
    model.family().start_phi(left.pearson, glm.data() + p);
  };
  Start start;
  set_phi();
  if (exact) {
    start.ending = Ending::exact_fit;
    return start;
  }

  Objective objective(model, response, 1, Derivatives::hessian, false, threads, monitor);
  objective.use_every(stride);
  NewtonOptions options;
  options.gain_tolerance = 1e-2;
  options.most_iterations = 8;
  options.look_for_separation = false;
  Monitor quiet;
  quiet.keep_going = monitor.keep_going;
  Optimum found = maximize(objective, response, glm, {}, free, options, quiet);
  if (found.ending == Ending::no_start) {
    // The least-squares step left the domain: the mean of the response alone stays inside, if there is an intercept.
    glm.setZero();
    if (model.has_intercept() && step.weight > 0.0) glm[model.intercept()] = step.mean_eta / step.weight;
    set_phi();
    found = maximize(objective, response, glm, {}, free, options, quiet);
  }
  if (found.ending == Ending::no_start) start.ending = Ending::no_start;
  start.psi.resize(p + n_theta + n_phi);
  start.psi.head(p) = found.psi.head(p);
  start.psi.tail(n_phi) = found.psi.tail(n_phi);
  const double scale = 0.5 * std::sqrt(scatter(model, response, found.psi.head(p), found.psi.data() + p, stride).eta);
  const Layout layout(model);
  for (int e = 0; e < n_theta; ++e) {
    const auto& entry = layout.entries()[static_cast<std::size_t>(e)];
    start.psi[p + e] = entry.row == entry.column ? (std::isfinite(scale) && scale > 0.0 ? scale : 1.0) : 0.0;
  }
  return start;
}

}  // namespace multilevel::estimate
