#include "likelihood/linear/objective.hpp"

#include <cmath>
#include <limits>

#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double exact_share = 1e-24;     // of the response's mean square: residuals this small are rounding
constexpr double difference_step = 1e-4;  // relative to a theta of one
constexpr double small_share = 1e-6;      // of squares that cancel: M as a difference, and log|H|, lose digits
constexpr double smallest_share = 1e-8;   // likewise, of M_xx, which moves the log-likelihood less

bool same_point(const Eigen::VectorXd& a, const Eigen::VectorXd& b) { return a.size() == b.size() && a == b; }

}  // namespace

LinearObjective::LinearObjective(const model::Model& model, const model::Response& response, bool restricted,
                                 int threads, const Monitor& monitor, double most_bytes)
    : Objective(model, 0, model.n_theta(), 0, monitor),
      response_(response),
      restricted_(restricted),
      pattern_(model, most_bytes),
      products_(pattern_),
      precision_(pattern_) {
  const int p = model.p();
  const auto n = static_cast<std::size_t>(model.n_rows());
  nu_ = static_cast<double>(model.n_rows()) - (restricted ? p : 0);
  const double* weight = response.weight.get();
  products_.set(pattern_, weight);
  own_squares_ = products_.diagonal(pattern_);

  // Least squares first: what is left of y keeps its digits in the cross-products, however far y is from zero.
  std::vector<double> y(response.value.get(), response.value.get() + n);
  set_cross_products(0, y.data(), threads);
  const double whole = xy_(p, p);
  least_squares_ = Eigen::VectorXd::Zero(p);
  if (p > 0) {
    least_squares_ = linear_algebra::solve_semidefinite(xy_.topLeftCorner(p, p), xy_.col(p).head(p));
    for (const auto& panel : model.panels())
      for (int k = 0; k < p; ++k)
        numeric::add_multiple(panel.n_rows, -least_squares_[k], model.fixed_column(panel, k),
                              y.data() + panel.first_row);
    set_cross_products(p, y.data(), threads);
  }
  exact_ = !(xy_(p, p) > exact_share * whole);

  zxy_.setZero(model.n_modes(), p + 1);
  std::vector<double> weighted(static_cast<std::size_t>(model.largest_panel()));
  for (const auto& panel : model.panels())
    for (int k = 0; k <= p; ++k) {
      const double* x = k < p ? model.fixed_column(panel, k) : y.data() + panel.first_row;
      for (int j = 0; j < panel.n_rows; ++j) weighted[static_cast<std::size_t>(j)] = weight[panel.first_row + j] * x[j];
      add_level_sums(model, panel, weighted.data(), zxy_.col(k).data());
    }
  if (p > 0) log_scale_ = linear_algebra::log_abs_determinant(model.user_scale(response).matrix.topLeftCorner(p, p));
  products_by_level_.resize(static_cast<std::size_t>(model.n_mode_covariances()));
  inverse_by_level_.resize(products_by_level_.size());
  if (LinearCurvature::affordable(model)) curvature_ = std::make_unique<LinearCurvature>(pattern_);
}

/// The rows of [X y]'W[X y] from `first` on.
void LinearObjective::set_cross_products(int first, const double* y, int threads) {
  const int p = model_.p();
  const double* weight = response_.weight.get();
  const auto n_chunks = model_.chunks().size();
  std::vector<Eigen::MatrixXd> partial(n_chunks);
  numeric::parallel_for(static_cast<int>(n_chunks), threads, [&](int c, int) {
    auto& sum = partial[static_cast<std::size_t>(c)];
    sum.setZero(p + 1, p + 1);
    std::vector<double> weighted(static_cast<std::size_t>(model_.largest_panel()));
    std::vector<const double*> columns(static_cast<std::size_t>(p) + 1);
    Eigen::VectorXd products(p + 1);
    const auto& chunk = model_.chunks()[static_cast<std::size_t>(c)];
    for (int i = chunk.first_panel; i < chunk.last_panel; ++i) {
      const auto& panel = model_.panels()[static_cast<std::size_t>(i)];
      for (int k = 0; k < p; ++k) columns[static_cast<std::size_t>(k)] = model_.fixed_column(panel, k);
      columns[static_cast<std::size_t>(p)] = y + panel.first_row;
      for (int k = first; k <= p; ++k) {
        const double* x = columns[static_cast<std::size_t>(k)];
        for (int j = 0; j < panel.n_rows; ++j)
          weighted[static_cast<std::size_t>(j)] = weight[panel.first_row + j] * x[j];
        const double* one = weighted.data();
        numeric::cross_products(panel.n_rows, 1, &one, k + 1, columns.data(), products.data(), 1, 1);
        sum.row(k).head(k + 1) += products.head(k + 1).transpose();
      }
    }
  });
  if (first == 0) xy_.resize(p + 1, p + 1);
  xy_.bottomRows(p + 1 - first).setZero();
  for (const auto& part : partial) xy_.bottomRows(p + 1 - first) += part.bottomRows(p + 1 - first);
  xy_.triangularView<Eigen::StrictlyUpper>() = xy_.transpose().eval();
}

double LinearObjective::plain_value() const {
  const int p = model_.p();
  double log_part = 0.0;
  if (restricted_ && p > 0) {
    const linear_algebra::Cholesky factor(xy_.topLeftCorner(p, p));
    if (!factor.positive_definite()) return -std::numeric_limits<double>::infinity();
    log_part = factor.log_determinant();
  }
  return profile_value(log_part, xy_(p, p)).total();
}

/// The log-likelihood from log|H| [+ log|M_xx|] and the penalized residual sum of squares.
numeric::CompensatedSum LinearObjective::profile_value(double log_part, double square) const {
  numeric::CompensatedSum sum;
  sum.add(-0.5 * (log_part + nu_ * (1.0 + std::log(square / nu_))));
  sum.add(response_.constant);
  if (restricted_) {
    // The constant counts n rows; and X is on the scale of the user's columns.
    sum.add(0.91893853320467274178 * model_.p());
    sum.add(log_scale_);
  }
  return sum;
}

Eigen::VectorXd LinearObjective::start() const {
  Eigen::VectorXd theta(n_theta_);
  layout_.start(1.0, theta.data());
  return theta;
}

Eigen::VectorXd LinearObjective::relative(const Eigen::VectorXd& psi) const {
  const Eigen::VectorXd unit = (-psi[model_.p() + n_theta_] * layout_.units()).array().exp();
  return psi.segment(model_.p(), n_theta_).cwiseProduct(unit);
}

bool LinearObjective::evaluate(const Eigen::VectorXd& theta, std::vector<double>& modes, Sums& sums,
                               double* mode_covariance, Derivatives wanted) {
  ++evaluations_;
  check_interrupt();
  sums.start(n_theta_, n_theta_, wanted);
  theta_.resize(0);  // until the evaluation is complete
  if (!theta.allFinite()) return false;
  lambda_ = layout_.lambda(theta.data());
  if (!precision_.factor(products_, lambda_)) return false;
  linear_algebra::Cholesky factor = set_beta(products_without_modes());
  Eigen::VectorXd modes_now = modes_of_residual();
  if (!factor.positive_definite() || !keeps_digits(modes_now)) {
    const Eigen::MatrixXd M = products_by_rows();
    log_part_ = LinearCurvature::affordable(model_) ? sharp_log_determinant(pattern_, products_, lambda_)
                                                    : precision_.log_determinant();
    factor = set_beta(M);
    modes_now = modes_of_residual();
  }
  if (!factor.positive_definite()) return false;
  if (!(square_ > 0.0)) return false;
  const double variance = given_beta_ ? given_variance_ : square_ / nu_;
  sums.log_dispersion = 0.5 * std::log(variance);
  sums.log_likelihood = profile_value(log_part_, square_);
  sums.value = sums.log_likelihood.total();

  modes.assign(modes_now.data(), modes_now.data() + model_.n_modes());

  precision_.invert();
  precision_.level_products(products_, lambda_, products_by_level_.data(), inverse_by_level_.data());
  if (mode_covariance) std::copy(inverse_by_level_.begin(), inverse_by_level_.end(), mode_covariance);
  const Eigen::VectorXd log_determinant_slope = set_entry_slopes(modes_now, factor);
  set_derivatives(theta, variance, log_determinant_slope, wanted, sums);
  theta_ = theta;
  if (wanted == Derivatives::hessian && has_exact_hessian()) {
    bend(theta);
    sums.hessian = profile_hessian(slope_square_, variance);
  }
  return std::isfinite(sums.value) && sums.gradient.allFinite();
}

/// M = [X y]'V^-1[X y], and log|H|, from H's factor.
Eigen::MatrixXd LinearObjective::products_without_modes() {
  const int p = model_.p();
  Eigen::MatrixXd half = zxy_;
  for (int k = 0; k <= p; ++k) transpose_scale_modes(model_, lambda_, half.col(k).data());
  solved_ = half;
  precision_.solve(solved_.data(), p + 1, model_.n_modes());
  log_part_ = precision_.log_determinant();
  return xy_ - linear_algebra::transposed_times(half, solved_);
}

/// Whether M and log|H| kept their digits as differences. Rounding of H moves r2 by its share of the squares of what
/// each random effect adds to eta, v'H v at most: where these are large beside r2 (the random effects leave next to
/// nothing, or those of columns far from zero cancel each other), r2 is rounding; and likewise M_xx beside X'WX.
bool LinearObjective::keeps_digits(const Eigen::VectorXd& modes) const {
  const int p = model_.p();
  Eigen::VectorXd effects(modes.size());
  scale_modes(model_, lambda_, modes.data(), effects.data());
  const double squares = effects.cwiseAbs2().dot(own_squares_);
  if (square_ < small_share * (xy_(p, p) + squares)) return false;
  return (cross_.diagonal().array() >= smallest_share * xy_.diagonal().head(p).array()).all();
}

/// Beta, and the square that it leaves of y, from M; returns the factor of M_xx.
linear_algebra::Cholesky LinearObjective::set_beta(const Eigen::MatrixXd& M) {
  const int p = model_.p();
  cross_ = M.topLeftCorner(p, p);
  linear_algebra::Cholesky factor(0.5 * (cross_ + cross_.transpose()));
  beta_.setZero(p);
  square_ = M(p, p);
  if (p == 0 || !factor.positive_definite()) return factor;
  const Eigen::VectorXd right = M.col(p).head(p);
  if (given_beta_)
    beta_ = *given_beta_;
  else
    beta_ = factor.solve(right);
  square_ -= right.dot(beta_);
  beta_score_ = Eigen::VectorXd::Zero(p);
  if (given_beta_) {
    beta_score_ = right - linear_algebra::apply(cross_, beta_);
    square_ -= beta_.dot(beta_score_);
  }
  if (restricted_) log_part_ += factor.log_determinant();
  return factor;
}

/// v for y - X beta.
Eigen::VectorXd LinearObjective::modes_of_residual() const {
  const int p = model_.p();
  return solved_.col(p) - linear_algebra::apply(solved_.leftCols(p), beta_);
}

/// Slopes in the entries of Lambda: of log|H| 2 tr N; of r2 by the envelope theorem; of log|M_xx| likewise, column by
/// column. Returns those of log|H| alone.
Eigen::VectorXd LinearObjective::set_entry_slopes(const Eigen::VectorXd& modes,
                                                  const linear_algebra::Cholesky& factor) {
  const int p = model_.p();
  const auto n_modes = model_.n_modes();
  Eigen::MatrixXd scaled(n_modes, p + 1);
  for (int k = 0; k <= p; ++k) scale_modes(model_, lambda_, solved_.col(k).data(), scaled.col(k).data());
  residual_.resize(n_modes, p + 1);
  products_.multiply(pattern_, scaled.data(), residual_.data(), p + 1, n_modes);
  residual_ = zxy_ - residual_;
  const Eigen::VectorXd residual = residual_.col(p) - linear_algebra::apply(residual_.leftCols(p), beta_);
  Eigen::MatrixXd log_slope = Eigen::MatrixXd::Zero(model_.q(), model_.q()), square_slope = log_slope;
  subtract_level_products(model_, products_by_level_.data(), log_slope);
  log_slope *= -2.0;
  auto of_entries = [this](const Eigen::MatrixXd& slope) {
    Eigen::VectorXd own(layout_.n_entries());
    for (int e = 0; e < layout_.n_entries(); ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      own[e] = slope(entry.row, entry.column);
    }
    return own;
  };
  Eigen::VectorXd log_determinant_slope = of_entries(log_slope);
  add_level_outer(model_, -2.0, residual.data(), modes.data(), square_slope);
  if (restricted_ && p > 0) {
    const Eigen::MatrixXd weighted = factor.solve(residual_.leftCols(p).transpose()).transpose();
    for (int k = 0; k < p; ++k) add_level_outer(model_, -2.0, weighted.col(k).data(), solved_.col(k).data(), log_slope);
  }
  entry_slope_log_ = of_entries(log_slope);
  entry_slope_square_ = of_entries(square_slope);
  return log_determinant_slope;
}

/// From the entries of Lambda to theta, by the chain rule: the gradient, and the information.
void LinearObjective::set_derivatives(const Eigen::VectorXd& theta, double variance,
                                      const Eigen::VectorXd& log_determinant_slope, Derivatives wanted, Sums& sums) {
  const Eigen::MatrixXd jacobian = layout_.jacobian(theta.data());
  slope_log_ = linear_algebra::apply_transposed(jacobian, entry_slope_log_);
  slope_square_ = linear_algebra::apply_transposed(jacobian, entry_slope_square_);
  sums.gradient = -0.5 * (slope_log_ + slope_square_ / variance);
  if (wanted != Derivatives::hessian) return;
  sums.theta_information =
      theta_information(pattern_, products_, lambda_, products_by_level_.data(), layout_, theta.data());
  // Sigma is estimated as well, and a change of all variances together is a change of sigma.
  const Eigen::VectorXd together = linear_algebra::apply_transposed(jacobian, log_determinant_slope);
  sums.theta_information -= together * together.transpose() / (2.0 * static_cast<double>(model_.n_rows()));
  sums.hessian = -sums.theta_information;
}

/// M as (x_a - Z Lambda v_a)'W(x_b - Z Lambda v_b) + v_a'v_b, v the columns of V: no difference of large sums.
Eigen::MatrixXd LinearObjective::products_by_rows() const {
  const int p = model_.p();
  Eigen::MatrixXd effects(solved_.rows(), p + 1);
  for (int k = 0; k <= p; ++k) scale_modes(model_, lambda_, solved_.col(k).data(), effects.col(k).data());
  Eigen::MatrixXd M = linear_algebra::transposed_times(solved_, solved_);
  Eigen::MatrixXd left(model_.largest_panel(), p + 1);
  for (const auto& panel : model_.panels()) {
    const int n = panel.n_rows;
    auto rows = left.topRows(n);
    rows.setZero();
    for (int k = 0; k <= p; ++k) add_random_part(model_, panel, effects.col(k).data(), left.col(k).data());
    rows.col(p) -= Eigen::Map<const Eigen::VectorXd>(response_.value.get() + panel.first_row, n);
    for (int k = 0; k < p; ++k) {
      const Eigen::Map<const Eigen::VectorXd> x(model_.fixed_column(panel, k), n);
      rows.col(p) += least_squares_[k] * x;
      rows.col(k) -= x;
    }
    const Eigen::Map<const Eigen::VectorXd> weight(response_.weight.get() + panel.first_row, n);
    rows.array().colwise() *= weight.array().sqrt();
    linear_algebra::add_transposed_times(1.0, rows, rows, M);
  }
  return M;
}

void LinearObjective::bend(const Eigen::VectorXd& theta) {
  curvature_->set(products_, lambda_, layout_, theta.data(), inverse_by_level_.data(), residual_, cross_, beta_,
                  restricted_);
  curve_log_ = curvature_->log_part + layout_.curvature(theta.data(), entry_slope_log_.data());
  curve_square_ = curvature_->square + layout_.curvature(theta.data(), entry_slope_square_.data());
  beta_slope_ = curvature_->beta_slope;
  differentiated_ = theta;
}

bool LinearObjective::differentiate(const Eigen::VectorXd& theta, const std::vector<double>& modes, Sums& sums) {
  if (!same_point(theta_, theta)) {
    std::vector<double> from = modes;
    Sums here;
    if (!evaluate(theta, from, here, nullptr, Derivatives::gradient)) return false;
  }
  const double variance = square_ / nu_;
  const Eigen::VectorXd square_here = slope_square_;
  if (curvature_)
    bend(theta);
  else if (!same_point(differentiated_, theta) && !take_differences(theta))
    return false;
  sums.hessian = profile_hessian(square_here, variance);
  return true;
}

void LinearObjective::differentiate_ahead(const Eigen::VectorXd& theta) {
  if (!curvature_ && !same_point(differentiated_, theta)) take_differences(theta);
}

/// Second derivatives from evaluations on both sides of theta, where the last one stays.
bool LinearObjective::take_differences(const Eigen::VectorXd& theta) {
  std::vector<double> modes;
  Sums side;
  differentiated_.resize(0);
  curve_log_.resize(n_theta_, n_theta_);
  curve_square_.resize(n_theta_, n_theta_);
  beta_slope_.resize(model_.p(), n_theta_);
  for (int k = 0; k < n_theta_; ++k) {
    Eigen::VectorXd moved = theta;
    moved[k] = theta[k] + difference_step;
    if (!evaluate(moved, modes, side, nullptr, Derivatives::gradient)) return false;
    const Eigen::VectorXd log_up = slope_log_, square_up = slope_square_, beta_up = beta_;
    moved[k] = theta[k] - difference_step;
    if (!evaluate(moved, modes, side, nullptr, Derivatives::gradient)) return false;
    curve_log_.col(k) = (log_up - slope_log_) / (2.0 * difference_step);
    curve_square_.col(k) = (square_up - slope_square_) / (2.0 * difference_step);
    beta_slope_.col(k) = (beta_up - beta_) / (2.0 * difference_step);
  }
  differentiated_ = theta;
  curve_log_ = 0.5 * (curve_log_ + curve_log_.transpose()).eval();
  curve_square_ = 0.5 * (curve_square_ + curve_square_.transpose()).eval();
  return true;
}

Eigen::MatrixXd LinearObjective::profile_hessian(const Eigen::VectorXd& square_slope, double variance) const {
  return -0.5 * (curve_log_ + curve_square_ / variance -
                 square_slope * square_slope.transpose() / (variance * variance * nu_));
}

double LinearObjective::work() const {
  double work = 0.0;
  for (const auto& factor : model_.factors()) work += 10.0 * factor.n_levels * factor.q * factor.q;
  return work;
}

bool LinearObjective::stand_at(Point& point) {
  const Eigen::VectorXd& theta = point.psi;
  Sums sums;
  if (has_exact_hessian()) return same_point(differentiated_, theta) || evaluate(theta, point.modes, sums);
  if (curvature_) return differentiate(theta, point.modes, sums);
  if (!same_point(differentiated_, theta) && !differentiate(theta, point.modes, sums)) return false;
  return same_point(theta_, theta) || evaluate(theta, point.modes, sums);
}

/// With t = (theta, phi): the profile is l = -(1/2) (log part + 2 nu phi + r2 exp(-2 phi)); then theta = relative theta
/// times exp(phi).
void LinearObjective::expand(Point& point) const {
  const int p = model_.p(), m = n_theta_, P = p + m + 1;
  const double variance = square_ / nu_, sigma = std::sqrt(variance), phi = std::log(sigma);
  const Eigen::VectorXd theta = point.psi;

  Eigen::VectorXd gradient(m + 1);
  gradient << -0.5 * (slope_log_ + slope_square_ / variance), 0.0;
  Eigen::MatrixXd hessian(m + 1, m + 1);
  hessian.topLeftCorner(m, m) = -0.5 * (curve_log_ + curve_square_ / variance);
  hessian.topRightCorner(m, 1) = slope_square_ / variance;
  hessian.bottomLeftCorner(1, m) = slope_square_.transpose() / variance;
  hessian(m, m) = -2.0 * nu_;
  const Eigen::VectorXd scale = (phi * layout_.units()).array().exp();
  const Eigen::MatrixXd J = relative_jacobian(theta, phi);
  Eigen::VectorXd moved_gradient = gradient;
  Eigen::MatrixXd moved = hessian;
  make_absolute(theta, phi, moved_gradient, moved);

  const Eigen::MatrixXd information = cross_ / variance;
  Eigen::MatrixXd full = Eigen::MatrixXd::Zero(P, P);
  full.topLeftCorner(p, p) = -information;
  full.bottomRightCorner(m + 1, m + 1) = moved;
  if (!restricted_) {
    Eigen::MatrixXd slope(p, m + 1);
    slope << beta_slope_, Eigen::VectorXd::Zero(p);
    slope = linear_algebra::times(slope, J);
    full.topRightCorner(p, m + 1) = linear_algebra::times(information, slope);
    full.bottomLeftCorner(m + 1, p) = full.topRightCorner(p, m + 1).transpose();
    full.bottomRightCorner(m + 1, m + 1) -= linear_algebra::sandwich(slope, information);
  }
  Eigen::VectorXd step = Eigen::VectorXd::Zero(P);
  step.segment(p, m) =
      point.step.size() == m ? Eigen::VectorXd(point.step.cwiseProduct(scale)) : Eigen::VectorXd::Zero(m);
  point.step = step;
  point.psi.resize(P);
  point.psi << beta_ + least_squares_, theta.cwiseProduct(scale), phi;
  point.sums.gradient = Eigen::VectorXd::Zero(P);
  point.sums.gradient.tail(m + 1) = moved_gradient;
  point.sums.hessian = full;
  for (auto& v : point.modes) v /= sigma;
}

/// Coordinates: relative theta = theta exp(-phi), but for the theta without a unit.
Eigen::MatrixXd LinearObjective::relative_jacobian(const Eigen::VectorXd& theta, double phi) const {
  const int m = n_theta_;
  const Eigen::VectorXd unit = layout_.units();
  Eigen::MatrixXd J = Eigen::MatrixXd::Identity(m + 1, m + 1);
  J.topLeftCorner(m, m) = (-phi * unit).array().exp().matrix().asDiagonal();
  J.topRightCorner(m, 1) = -theta.cwiseProduct(unit);
  return J;
}

void LinearObjective::make_absolute(const Eigen::VectorXd& theta, double phi, Eigen::VectorXd& gradient,
                                    Eigen::MatrixXd& hessian) const {
  const int m = n_theta_;
  const Eigen::VectorXd slopes = gradient.head(m).cwiseProduct(layout_.units());
  const Eigen::MatrixXd J = relative_jacobian(theta, phi);
  hessian = linear_algebra::sandwich(J, hessian);
  const double sigma = std::exp(phi);
  hessian.topRightCorner(m, 1) -= slopes / sigma;
  hessian.bottomLeftCorner(1, m) -= slopes.transpose() / sigma;
  hessian(m, m) += slopes.dot(theta);
  gradient = linear_algebra::apply_transposed(J, gradient);
}

/// With beta given, r2 is a quadratic function of it: its gradient is -2 (M_xy - M_xx beta), and what the profile's
/// second derivatives left out is put back.
bool LinearObjective::evaluate_all(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                                   double* mode_covariance) {
  const int p = model_.p(), m = n_theta_, P = p + m + 1;
  const double phi = psi[p + m], variance = std::exp(2.0 * phi);
  const Eigen::VectorXd theta = relative(psi), beta = psi.head(p) - least_squares_;
  given_beta_ = &beta;
  given_variance_ = variance;
  Sums inner;
  const bool good = std::isfinite(variance) && variance > 0.0 && evaluate(theta, modes, inner, mode_covariance);
  if (good && curvature_ && !has_exact_hessian()) bend(theta);
  given_beta_ = nullptr;
  theta_.resize(0);  // what was found is not the profile's
  differentiated_.resize(0);
  if (!good) return false;
  for (auto& v : modes) v /= std::sqrt(variance);

  sums.start(P, m, Derivatives::hessian);
  sums.log_likelihood.add(-0.5 * (log_part_ + nu_ * 2.0 * phi + square_ / variance));
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  Eigen::VectorXd gradient(m + 1);
  gradient << inner.gradient, square_ / variance - nu_;
  const Eigen::MatrixXd information = cross_ / variance;
  Eigen::MatrixXd hessian = Eigen::MatrixXd::Zero(m + 1, m + 1), slope = Eigen::MatrixXd::Zero(p, m + 1);
  if (curvature_) {
    slope.leftCols(m) = beta_slope_;
    hessian.topLeftCorner(m, m) = -0.5 * (curve_log_ + curve_square_ / variance);
    hessian.topLeftCorner(m, m) -= linear_algebra::sandwich(beta_slope_, information);
    hessian.topRightCorner(m, 1) = slope_square_ / variance;
    hessian.bottomLeftCorner(1, m) = slope_square_.transpose() / variance;
  } else {
    hessian.topLeftCorner(m, m) = -inner.theta_information;
  }
  hessian(m, m) = -2.0 * square_ / variance;
  Eigen::MatrixXd across = linear_algebra::times(information, slope);
  across.col(m) = -2.0 * beta_score_ / variance;
  const Eigen::MatrixXd J = relative_jacobian(theta, phi);
  across = linear_algebra::times(across, J);
  make_absolute(theta, phi, gradient, hessian);
  sums.gradient.head(p) = beta_score_ / variance;
  sums.gradient.tail(m + 1) = gradient;
  sums.hessian.resize(P, P);
  sums.hessian << -information, across, across.transpose(), hessian;
  sums.theta_information = linear_algebra::sandwich(J.topLeftCorner(m, m), inner.theta_information);
  return std::isfinite(sums.value) && sums.gradient.allFinite();
}

Eigen::MatrixXd LinearObjective::projection() const { return residual_.leftCols(model_.p()) * (nu_ / square_); }

}  // namespace multilevel::likelihood
