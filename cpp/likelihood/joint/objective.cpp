#include "likelihood/joint/objective.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "likelihood/contributions.hpp"
#include "likelihood/joint/level_contributions.hpp"
#include "likelihood/joint/leverages.hpp"
#include "likelihood/joint/row_total.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double least_parallel_rows = 20000.0;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The sum of d, times a column and a factor if there are such.
double column_sum(int n, const double* d, const double* column, const double* factor) {
  if (column && factor) return numeric::dot(n, d, factor, column);
  if (column || factor) return numeric::dot(n, d, column ? column : factor);
  return numeric::sum(n, d);
}

}  // namespace

JointObjective::JointObjective(const model::Model& model, const model::Response& response, int threads,
                               const Monitor& monitor, double most_bytes)
    : Objective(model, model.p(), model.n_theta(), model.n_phi(), monitor),
      response_(response),
      threads_(static_cast<double>(model.n_rows()) < least_parallel_rows
                   ? 1
                   : std::min(threads, static_cast<int>(model.chunks().size()))),
      pattern_(model, most_bytes),
      products_(pattern_),
      precision_(pattern_) {
  const auto n = at(model.n_rows()) + 8, n_modes = at(model.n_modes());
  for (auto* rows : {&fixed_eta_, &eta_, &value_, &weight_, &leverage_, &shift_}) rows->resize(n);
  const auto& parts = model.phi_parts();
  const auto n_parts = parts.size(), pairs = n_parts * (n_parts + 1) / 2;
  rows_.resize(n * (4 + 5 * n_parts + 3 * pairs));
  double* next = rows_.data();
  auto take = [&] {
    double* array = next;
    next += n;
    return array;
  };
  at_mode_.value = value_.data();
  for (auto& d : at_mode_.eta) d = take();
  for (std::size_t r = 0; r < n_parts; ++r) {
    for (auto& d : at_mode_.phi[r]) d = take();
    if (!parts[r].constant) phi_rows_[r] = take();
  }
  for (std::size_t r = 0; r < pairs; ++r)
    for (auto& d : at_mode_.phi_phi[r]) d = take();
  for (auto* effects : {&u_, &gradient_, &step_, &old_}) effects->resize(n_modes);
  products_by_level_.resize(at(model.n_mode_covariances()));
  partial_.resize(model.chunks().size());
  if (!model.family().log_concave()) several_ = std::make_unique<Several>(model);
}

/// eta at the modes and the family's derivatives there; returns the sum of the log densities.
double JointObjective::evaluate_rows(family::Order order, const std::vector<double>& modes) {
  scale_modes(model_, lambda_, modes.data(), u_.data());
  return row_total(model_, threads_, monitor_, value_.data(), partial_, [&](int i) {
    const auto& panel = model_.panels()[at(i)];
    const auto first = panel.first_row;
    std::copy_n(fixed_eta_.data() + first, panel.n_rows, eta_.data() + first);
    add_random_part(model_, panel, u_.data(), eta_.data() + first);
    family::RowDerivatives out;
    out.value = at_mode_.value + first;
    for (int a = 0; a < 4; ++a) out.eta[a] = at_mode_.eta[a] + first;
    const int n_parts = static_cast<int>(model_.phi_parts().size());
    for (int r = 0; r < n_parts; ++r)
      for (int a = 0; a < 4; ++a) out.phi[r][a] = at_mode_.phi[r][a] + first;
    for (int r = 0; r < n_parts * (n_parts + 1) / 2; ++r)
      for (int a = 0; a < 3; ++a) out.phi_phi[r][a] = at_mode_.phi_phi[r][a] + first;
    model_.family().derivatives(order, {panel.n_rows, eta_.data() + first, data_.from(first)}, out);
  });
}

void JointObjective::set_weights(bool observed) {
  if (observed) {
    for (std::int64_t j = 0; j < model_.n_rows(); ++j) weight_[at(j)] = -at_mode_.eta[1][j];
  } else {
    for (const auto& panel : model_.panels())
      model_.family().expected_information({panel.n_rows, eta_.data() + panel.first_row, data_.from(panel.first_row)},
                                           weight_.data() + panel.first_row);
  }
  products_.set(pattern_, weight_.data());
}

/// f'(v) = S'l' - v
void JointObjective::penalized_gradient(const std::vector<double>& modes) {
  std::fill(gradient_.begin(), gradient_.end(), 0.0);
  for (const auto& panel : model_.panels())
    add_level_sums(model_, panel, at_mode_.eta[0] + panel.first_row, gradient_.data());
  transpose_scale_modes(model_, lambda_, gradient_.data());
  for (std::size_t k = 0; k < modes.size(); ++k) gradient_[k] -= modes[k];
}

bool JointObjective::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                              double* mode_covariance, Derivatives wanted) {
  ++evaluations_;
  check_interrupt();
  const int n_entries = layout_.n_entries();
  sums.start(n_beta_ + n_entries + n_phi_, n_entries, wanted);
  if (!psi.allFinite()) return false;
  const double* theta = psi.data() + n_beta_;
  lambda_ = layout_.lambda(theta);
  set_fixed_part(psi.data());
  set_phi(theta + n_theta_);
  if (!find_modes(modes, sums, wanted == Derivatives::gradient)) return false;
  if (!set_value(modes, sums)) return false;
  precision_.invert();
  Leverages leverages(pattern_, lambda_, leverage_.data());
  precision_.level_products(products_, lambda_, products_by_level_.data(), mode_covariance, std::ref(leverages));
  if (contributions_) contributions_->start(n_beta_ + n_entries + n_phi_);
  set_gradient(modes, sums);
  if (restricted_ && !add_restriction(sums)) return false;
  if (contributions_) {
    const LevelGradient levels{modes, step_, old_, gradient_, products_by_level_};
    contribute_levels(pattern_, precision_, layout_, levels, *contributions_);
    if (contributions_->with_moments && mode_covariance)
      contribute_moments(model_, levels, mode_covariance, *contributions_);
  }
  Eigen::MatrixXd none;
  layout_.theta_derivatives(n_beta_, theta, sums.gradient, none, none);
  sums.theta_information.resize(0, 0);
  if (wanted == Derivatives::hessian) {
    sums.theta_information = theta_information(pattern_, products_, lambda_, products_by_level_.data(), layout_, theta);
    approximate_hessian(sums);
  }
  return sums.gradient.allFinite();
}

/// o = X beta + offset
void JointObjective::set_fixed_part(const double* beta) {
  for (const auto& panel : model_.panels()) {
    double* o = fixed_eta_.data() + panel.first_row;
    const double* offset = model_.family().is_linear() ? nullptr : model_.offset(panel);
    for (int j = 0; j < panel.n_rows; ++j) o[j] = offset ? offset[j] : 0.0;
    for (int k = 0; k < n_beta_; ++k) numeric::add_multiple(panel.n_rows, beta[k], model_.fixed_column(panel, k), o);
  }
}

/// The family's parameters of all rows.
void JointObjective::set_phi(const double* phi) {
  data_ = response_.from(0, model_.phi_rows(model_.panels().front(), response_, 0, 0, phi, phi_rows_));
  for (const auto& panel : model_.panels()) {
    double* own[family::max_phi] = {};
    for (std::size_t r = 0; r < model_.phi_parts().size(); ++r)
      if (phi_rows_[r]) own[r] = phi_rows_[r] + panel.first_row;
    model_.phi_rows(panel, response_, 0, panel.n_rows, phi, own);
  }
}

/// Of a panel's rows, the sum of derivatives of an order by the family's parameters, as coefficient g takes them: times
/// its column in each of its places; times `factor` if there is one.
double JointObjective::phi_sum(const model::Panel& panel, int g, int order, const double* factor) const {
  return phi_sum(panel, 0, panel.n_rows, g, order, factor);
}

/// The same of the panel's rows [first, first + n), from which `factor` counts.
double JointObjective::phi_sum(const model::Panel& panel, int first, int n, int g, int order,
                               const double* factor) const {
  const auto uses = model_.phi_uses(panel, response_, g).from(first);
  double sum = 0.0;
  for (const auto& use : uses)
    sum += column_sum(n, at_mode_.phi[use.part][order] + panel.first_row + first, use.column, factor);
  return sum;
}

/// The log-likelihood at the modes, with all that depends on the rows alone, and H's factor. False when there is none.
bool JointObjective::set_value(const std::vector<double>& modes, Sums& sums) {
  evaluate_rows(family::Order::full, modes);
  set_weights(true);
  if (!precision_.factor(products_, lambda_)) return false;
  factored_ = true;
  const auto n = static_cast<Eigen::Index>(modes.size());
  for (const auto& part : partial_) sums.log_likelihood.add(part);
  sums.log_likelihood.add(-0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm());
  sums.log_likelihood.add(-0.5 * precision_.log_determinant());
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  return std::isfinite(sums.value);
}

/// In beta, the entries of Lambda and phi, from the leverages and H's inverse. With lev_j = s_j' H^-1 s_j:
/// c_j = l''' lev / 2,  h = H^-1 S'c,  rho_j = l' + c - w s_j'h: what d log-likelihood / d o_j is.
void JointObjective::set_gradient(const std::vector<double>& modes, Sums& sums) {
  const int n_entries = layout_.n_entries();
  std::fill(step_.begin(), step_.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j)
      shift_[at(j)] = 0.5 * at_mode_.eta[2][j] * leverage_[at(j)];
    add_level_sums(model_, panel, shift_.data() + panel.first_row, step_.data());
  }
  transpose_scale_modes(model_, lambda_, step_.data());
  precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));  // h
  scale_modes(model_, lambda_, step_.data(), u_.data());
  std::fill(gradient_.begin(), gradient_.end(), 0.0);  // Z'rho
  std::fill(old_.begin(), old_.end(), 0.0);            // Z'l'
  std::vector<double> shift(at(model_.largest_panel()));
  for (const auto& panel : model_.panels()) {
    const auto first = panel.first_row;
    std::fill(shift.begin(), shift.end(), 0.0);
    add_random_part(model_, panel, u_.data(), shift.data());
    double* rho = shift_.data() + first;
    for (int j = 0; j < panel.n_rows; ++j)
      rho[j] += at_mode_.eta[0][first + j] + at_mode_.eta[1][first + j] * shift[at(j)];
    for (int k = 0; k < n_beta_; ++k)
      sums.gradient[k] += numeric::dot(panel.n_rows, model_.fixed_column(panel, k), rho);
    for (int g = 0; g < n_phi_; ++g)
      sums.gradient[n_beta_ + n_entries + g] += phi_sum(panel, g, 0, nullptr) +
                                                0.5 * phi_sum(panel, g, 2, leverage_.data() + first) +
                                                phi_sum(panel, g, 1, shift.data());
    if (contributions_) contribute_rows(panel, shift.data(), *contributions_);
    add_level_sums(model_, panel, rho, gradient_.data());
    add_level_sums(model_, panel, at_mode_.eta[0] + first, old_.data());
  }
  const LevelGradient levels{modes, step_, old_, gradient_, products_by_level_};
  sums.gradient.segment(n_beta_, n_entries) = entry_gradient(model_, layout_, levels);
}

/// What a panel's rows add to the parts: derivatives by beta from rho (in shift_), by phi, and log densities.
/// `shift` is s_j'h of the panel's rows.
void JointObjective::contribute_rows(const model::Panel& panel, const double* shift, Contributions& to) const {
  const int phi = n_beta_ + layout_.n_entries();
  for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
    const auto row = model_.cluster_start(cluster);
    const int first = static_cast<int>(row - panel.first_row),
              n = static_cast<int>(model_.cluster_start(cluster + 1) - row), part = to.of_cluster(cluster);
    auto score = to.gradient.col(part);
    to.value[part] += numeric::sum(n, at_mode_.value + row);
    for (int k = 0; k < n_beta_; ++k)
      score[k] += numeric::dot(n, model_.fixed_column(panel, k) + first, shift_.data() + row);
    for (int g = 0; g < n_phi_; ++g)
      score[phi + g] += phi_sum(panel, first, n, g, 0, nullptr) +
                        0.5 * phi_sum(panel, first, n, g, 2, leverage_.data() + row) +
                        phi_sum(panel, first, n, g, 1, shift + first);
  }
}

/// Fisher information of the working linear mixed model: X'WX - X'WS H^-1 S'WX for beta, level by level for theta. As
/// thresholds are what intercepts are elsewhere, they are columns beside X there.
void JointObjective::approximate_hessian(Sums& sums) {
  const auto n_modes = model_.n_modes();
  const int n_columns = n_beta_ + model_.n_thresholds();
  Eigen::MatrixXd SX = Eigen::MatrixXd::Zero(n_modes, n_columns), XX = Eigen::MatrixXd::Zero(n_columns, n_columns);
  std::vector<double> weighted(at(model_.largest_panel()));
  std::vector<const double*> columns(at(n_beta_));
  Eigen::VectorXd products(n_beta_);
  for (const auto& panel : model_.panels()) {
    for (int k = 0; k < n_beta_; ++k) columns[at(k)] = model_.fixed_column(panel, k);
    for (int k = 0; k < n_beta_; ++k) {
      for (int j = 0; j < panel.n_rows; ++j) weighted[at(j)] = weight_[at(panel.first_row + j)] * columns[at(k)][j];
      const double* one = weighted.data();
      numeric::cross_products(panel.n_rows, 1, &one, k + 1, columns.data(), products.data(), 1, 1);
      XX.row(k).head(k + 1) += products.head(k + 1).transpose();
      add_level_sums(model_, panel, weighted.data(), SX.col(k).data());
    }
    for (int g = 0; g < model_.n_thresholds(); ++g) {
      std::fill(weighted.begin(), weighted.end(), 0.0);
      for (const auto& use : model_.phi_uses(panel, response_, g))
        for (int j = 0; j < panel.n_rows; ++j)
          weighted[at(j)] -= at_mode_.phi[use.part][1][panel.first_row + j] * use.column[j];
      for (int k = 0; k < n_beta_; ++k)
        XX(n_beta_ + g, k) += numeric::dot(panel.n_rows, weighted.data(), columns[at(k)]);
      add_level_sums(model_, panel, weighted.data(), SX.col(n_beta_ + g).data());
    }
  }
  Eigen::MatrixXd second = Eigen::MatrixXd::Zero(n_phi_, n_phi_);
  for (const auto& part : model_.phi_parts())
    for (const auto& panel : model_.panels())
      for (int g = part.first; g < part.last; ++g)
        for (int h = part.first; h <= g; ++h) second(g, h) += pair_sum(panel, g, h);
  XX.bottomRightCorner(n_columns - n_beta_, n_columns - n_beta_) =
      -second.topLeftCorner(n_columns - n_beta_, n_columns - n_beta_);
  XX.triangularView<Eigen::StrictlyUpper>() = XX.transpose().eval();
  for (int k = 0; k < n_columns; ++k) transpose_scale_modes(model_, lambda_, SX.col(k).data());
  Eigen::MatrixXd solved = SX;
  if (n_columns > 0) precision_.solve(solved.data(), n_columns, n_modes);
  const Eigen::MatrixXd left = -(XX - linear_algebra::transposed_times(SX, solved));
  sums.hessian.setZero(n_parameters(), n_parameters());
  sums.hessian.topLeftCorner(n_beta_, n_beta_) = left.topLeftCorner(n_beta_, n_beta_);
  sums.hessian.block(n_beta_, n_beta_, n_theta_, n_theta_) = -sums.theta_information;
  set_phi_information(second, sums.hessian);
  if (n_columns == n_beta_ || !linear_algebra::Cholesky(-left).positive_definite()) return;
  const int n_thresholds = n_columns - n_beta_, first = n_beta_ + n_theta_;
  sums.hessian.block(first, first, n_thresholds, n_thresholds) = left.bottomRightCorner(n_thresholds, n_thresholds);
  sums.hessian.block(first, 0, n_thresholds, n_beta_) = left.bottomLeftCorner(n_thresholds, n_beta_);
  sums.hessian.block(0, first, n_beta_, n_thresholds) = left.topRightCorner(n_beta_, n_thresholds);
}

/// Of a panel's rows, the sum of second derivatives by coefficients g and h of the family's parameters.
double JointObjective::pair_sum(const model::Panel& panel, int g, int h) const {
  double sum = 0.0;
  for (const auto& x : model_.phi_uses(panel, response_, g))
    for (const auto& y : model_.phi_uses(panel, response_, h)) {
      const double* d =
          at_mode_.phi_phi[family::phi_pair(std::max(x.part, y.part), std::min(x.part, y.part))][0] + panel.first_row;
      sum += column_sum(panel.n_rows, d, x.column, y.column);
    }
  return sum;
}

}  // namespace multilevel::likelihood
