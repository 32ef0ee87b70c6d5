#include "likelihood/joint_several/objective.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "likelihood/contributions.hpp"
#include "likelihood/joint/level_contributions.hpp"
#include "likelihood/joint/moments.hpp"
#include "likelihood/joint_several/choices.hpp"
#include "likelihood/joint_several/predictors.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

double column_sum(int n, const double* d, const double* column) {
  return column ? numeric::dot(n, d, column) : numeric::sum(n, d);
}

}  // namespace

JointSeveralObjective::JointSeveralObjective(const model::Model& model, const model::Response& response, int threads,
                                             const Monitor& monitor, double most_bytes)
    : Objective(model, model.p(), model.n_theta(), model.n_phi(), monitor),
      response_(response),
      pattern_(model, most_bytes),
      products_(pattern_),
      precision_(pattern_),
      concave_(model.has_sets()) {
  if (model.has_sets())
    densities_ = std::make_unique<ChoiceDensities>(model, response, threads, monitor);
  else
    densities_ = std::make_unique<PredictorDensities>(model, response, threads, monitor);
  const auto n = at(model.n_rows());
  leverage_.assign(at(densities_->n_pairs()), std::vector<double>(n));
  rho_.assign(at(densities_->n_variables()), std::vector<double>(n));
  for (auto* effects : {&u_, &gradient_, &step_, &old_}) effects->resize(at(model.n_modes()));
  products_by_level_.resize(at(model.n_mode_covariances()));
}

bool JointSeveralObjective::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                                     double* mode_covariance, Derivatives wanted) {
  ++evaluations_;
  check_interrupt();
  const int n_entries = layout_.n_entries();
  sums.start(n_beta_ + n_entries + n_phi_, n_entries, wanted);
  if (!psi.allFinite()) return false;
  const double* theta = psi.data() + n_beta_;
  lambda_ = layout_.lambda(theta);
  densities_->set_parameters(psi.data(), theta + n_theta_);
  if (!find_modes(modes, sums, wanted == Derivatives::gradient)) return false;
  if (!set_value(modes, sums)) return false;
  precision_.invert();
  precision_.level_products(products_, lambda_, products_by_level_.data(), mode_covariance,
                            densities_->leverages(pattern_, lambda_, leverage_));
  if (contributions_) contributions_->start(n_beta_ + n_entries + n_phi_);
  set_gradient(modes, sums);
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
    const Eigen::MatrixXd fixed = -fixed_information();
    sums.theta_information = information_of(theta);
    set_information(fixed, sums);
  }
  return sums.gradient.allFinite();
}

double JointSeveralObjective::evaluate_at(const std::vector<double>& modes, bool third) {
  scale_modes(model_, lambda_, modes.data(), u_.data());
  return densities_->evaluate(u_.data(), third);
}

/// B, from the rows' second derivatives.
void JointSeveralObjective::set_products(double share) {
  densities_->set_weights(share);
  densities_->products(pattern_, products_);
}

bool JointSeveralObjective::factor(double share) {
  set_products(share);
  return precision_.factor(products_, lambda_);
}

/// f'(v) = S'l' - v
void JointSeveralObjective::penalized_gradient(const std::vector<double>& modes) {
  std::fill(gradient_.begin(), gradient_.end(), 0.0);
  std::vector<const double*> rows(at(model_.q()));
  for (int i = 0; i < static_cast<int>(model_.panels().size()); ++i) {
    for (std::size_t column = 0; column < rows.size(); ++column)
      rows[column] = densities_->first(i, densities_->main(densities_->main_of()[column]));
    add_level_sums_of_each(model_, model_.panels()[at(i)], rows.data(), gradient_.data());
  }
  transpose_scale_modes(model_, lambda_, gradient_.data());
  for (std::size_t k = 0; k < modes.size(); ++k) gradient_[k] -= modes[k];
}

/// The log-likelihood at the modes, with all that depends on the rows alone, and H's factor. False when there is none.
bool JointSeveralObjective::set_value(const std::vector<double>& modes, Sums& sums) {
  sums.log_likelihood.add(evaluate_at(modes, true));
  if (!factor(1.0)) return false;
  const auto n = static_cast<Eigen::Index>(modes.size());
  sums.log_likelihood.add(-0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm());
  sums.log_likelihood.add(-0.5 * precision_.log_determinant());
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  return std::isfinite(sums.value);
}

std::vector<JointSeveralObjective::Use> JointSeveralObjective::uses(const model::Panel& panel, int coefficient) const {
  if (coefficient < n_beta_) return {{0, model_.fixed_column(panel, coefficient)}};
  std::vector<Use> all;
  for (const auto& use : model_.phi_uses(panel, response_, coefficient - n_beta_))
    all.push_back({use.part + 1, use.column});
  return all;
}

/// In beta, the entries of Lambda and phi, from the leverages and H's inverse.
void JointSeveralObjective::set_gradient(const std::vector<double>& modes, Sums& sums) {
  const int n_entries = layout_.n_entries(), n_main = densities_->n_main();
  const int n_panels = static_cast<int>(model_.panels().size());
  const auto& main_of = densities_->main_of();
  const std::size_t q = main_of.size();
  for (auto& rho : rho_) std::fill(rho.begin(), rho.end(), 0.0);
  std::vector<const double*> V(leverage_.size()), rows(q);
  std::vector<double*> rho(rho_.size());
  std::fill(step_.begin(), step_.end(), 0.0);
  for (int i = 0; i < n_panels; ++i) {
    const auto& panel = model_.panels()[at(i)];
    for (std::size_t k = 0; k < V.size(); ++k) V[k] = leverage_[k].data() + panel.first_row;
    for (std::size_t s = 0; s < rho.size(); ++s) rho[s] = rho_[s].data() + panel.first_row;
    densities_->add_third(i, V.data(), rho.data());
    for (std::size_t column = 0; column < q; ++column) rows[column] = rho[at(densities_->main(main_of[column]))];
    add_level_sums_of_each(model_, panel, rows.data(), step_.data());
  }
  transpose_scale_modes(model_, lambda_, step_.data());
  precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));  // h
  scale_modes(model_, lambda_, step_.data(), u_.data());
  std::fill(gradient_.begin(), gradient_.end(), 0.0);  // Z'rho
  std::fill(old_.begin(), old_.end(), 0.0);            // Z'l'
  std::vector<std::vector<double>> shift(at(n_main), std::vector<double>(at(model_.largest_panel())));
  std::vector<double> curved(at(model_.largest_panel()));
  std::vector<double*> shifts;
  for (const int a : main_of) shifts.push_back(shift[at(a)].data());
  for (int i = 0; i < n_panels; ++i) {
    const auto& panel = model_.panels()[at(i)];
    for (auto& own : shift) std::fill(own.begin(), own.end(), 0.0);
    add_random_parts(model_, panel, u_.data(), shifts.data());
    for (int s = 0; s < densities_->n_variables(); ++s) {
      double* own = rho_[at(s)].data() + panel.first_row;
      numeric::add_multiple(panel.n_rows, 1.0, densities_->first(i, s), own);
      for (int a = 0; a < n_main; ++a) {
        densities_->curve(i, densities_->main(a), shift[at(a)].data(), s, curved.data());
        numeric::add_multiple(panel.n_rows, -1.0, curved.data(), own);
      }
    }
    for (int k = 0; k < n_beta_ + n_phi_; ++k)
      for (const auto& use : uses(panel, k))
        sums.gradient[k < n_beta_ ? k : k + n_entries] +=
            column_sum(panel.n_rows, rho_[at(use.variable)].data() + panel.first_row, use.column);
    if (contributions_) contribute_rows(i, *contributions_);
    for (std::size_t column = 0; column < q; ++column)
      rows[column] = rho_[at(densities_->main(main_of[column]))].data() + panel.first_row;
    add_level_sums_of_each(model_, panel, rows.data(), gradient_.data());
    for (std::size_t column = 0; column < q; ++column)
      rows[column] = densities_->first(i, densities_->main(main_of[column]));
    add_level_sums_of_each(model_, panel, rows.data(), old_.data());
  }
  const LevelGradient levels{modes, step_, old_, gradient_, products_by_level_};
  sums.gradient.segment(n_beta_, n_entries) = entry_gradient(model_, layout_, levels);
}

/// What a panel's rows add to the parts: log densities, and derivatives by beta and phi.
void JointSeveralObjective::contribute_rows(int i, Contributions& to) const {
  const auto& panel = model_.panels()[at(i)];
  const int n_entries = layout_.n_entries();
  for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
    const auto row = model_.cluster_start(cluster), first = row - panel.first_row;
    const int n = static_cast<int>(model_.cluster_start(cluster + 1) - row), part = to.of_cluster(cluster);
    to.value[part] += numeric::sum(n, densities_->value() + row);
    for (int k = 0; k < n_beta_ + n_phi_; ++k)
      for (const auto& use : uses(panel, k))
        to.gradient(k < n_beta_ ? k : k + n_entries, part) +=
            column_sum(n, rho_[at(use.variable)].data() + row, use.column ? use.column + first : nullptr);
  }
}

/// To search with: of beta and phi the rows' own curvature less what the random effects take of it.
void JointSeveralObjective::set_information(const Eigen::MatrixXd& fixed, Sums& sums) const {
  const Eigen::MatrixXd beta = fixed.topLeftCorner(n_beta_, n_beta_), phi = fixed.bottomRightCorner(n_phi_, n_phi_);
  sums.hessian.setZero(n_parameters(), n_parameters());
  sums.hessian.topLeftCorner(n_beta_, n_beta_) = beta;
  sums.hessian.block(n_beta_, n_beta_, n_theta_, n_theta_) = -sums.theta_information;
  set_phi_information(phi, sums.hessian);
  if (n_phi_ == 0 || n_beta_ == 0 || !linear_algebra::Cholesky(-fixed).positive_definite()) return;
  sums.hessian.bottomRightCorner(n_phi_, n_phi_) = phi;
  sums.hessian.topRightCorner(n_beta_, n_phi_) = fixed.topRightCorner(n_beta_, n_phi_);
  sums.hessian.bottomLeftCorner(n_phi_, n_beta_) = fixed.bottomLeftCorner(n_phi_, n_beta_);
}

/// Fisher information of theta in the working linear mixed model, level by level. Where the rows' curvature makes none,
/// what is positive of it does.
Eigen::MatrixXd JointSeveralObjective::information_of(const double* theta) {
  auto information = [&] {
    return theta_information(pattern_, products_, lambda_, products_by_level_.data(), layout_, theta);
  };
  const Eigen::MatrixXd observed = information();
  if (concave_ || linear_algebra::Cholesky(observed).positive_definite() || !factor(0.0)) return observed;
  precision_.invert();
  precision_.level_products(products_, lambda_, products_by_level_.data(), nullptr);
  return information();
}

/// X'WX - X'WS H^-1 S'WX for the columns of beta and phi.
Eigen::MatrixXd JointSeveralObjective::fixed_information() {
  const int n_columns = n_beta_ + n_phi_;
  const auto n_modes = model_.n_modes();
  Eigen::MatrixXd SX = Eigen::MatrixXd::Zero(n_modes, n_columns), XX = Eigen::MatrixXd::Zero(n_columns, n_columns);
  const int n_variables = densities_->n_variables();
  const std::vector<double> ones(at(model_.largest_panel()), 1.0);
  std::vector<std::vector<double>> weighted(at(n_variables), std::vector<double>(ones.size()));
  std::vector<double> curved(ones.size());
  std::vector<const double*> rows(at(model_.q()));
  for (std::size_t column = 0; column < rows.size(); ++column)
    rows[column] = weighted[at(densities_->main(densities_->main_of()[column]))].data();
  for (int i = 0; i < static_cast<int>(model_.panels().size()); ++i) {
    const auto& panel = model_.panels()[at(i)];
    std::vector<std::vector<Use>> all;
    for (int k = 0; k < n_columns; ++k) all.push_back(uses(panel, k));
    for (int k = 0; k < n_columns; ++k) {
      for (int t = 0; t < n_variables; ++t) {
        std::fill(weighted[at(t)].begin(), weighted[at(t)].end(), 0.0);
        for (const auto& use : all[at(k)]) {
          densities_->curve(i, use.variable, use.column ? use.column : ones.data(), t, curved.data());
          numeric::add_multiple(panel.n_rows, 1.0, curved.data(), weighted[at(t)].data());
        }
      }
      for (int m = 0; m <= k; ++m)
        for (const auto& use : all[at(m)])
          XX(k, m) += column_sum(panel.n_rows, weighted[at(use.variable)].data(), use.column);
      add_level_sums_of_each(model_, panel, rows.data(), SX.col(k).data());
    }
  }
  XX.triangularView<Eigen::StrictlyUpper>() = XX.transpose().eval();
  for (int k = 0; k < n_columns; ++k) transpose_scale_modes(model_, lambda_, SX.col(k).data());
  Eigen::MatrixXd solved = SX;
  if (n_columns > 0) precision_.solve(solved.data(), n_columns, n_modes);
  return XX - linear_algebra::transposed_times(SX, solved);
}

}  // namespace multilevel::likelihood
