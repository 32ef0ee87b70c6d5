// Restricted likelihood: the part of JointObjective that integrates beta out, where the density is Gaussian around eta.
#include <algorithm>
#include <cmath>

#include "likelihood/joint/objective.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

/// Adds -log|A| / 2, A = X'V^-1 X = X'WX - X'WS H^-1 S'WX, with its derivatives. With A = L L', C = L^-T and the
/// columns of E = (X - S H^-1 S'WX) C, V^-1 X C is WE: the rows' sums of E squared are what leverages are for random
/// effects, and
///   d / d Lambda = sum_k (Z'W e_k) (Lambda'Z'W e_k)'.
bool JointObjective::add_restriction(Sums& sums) {
  const auto n = static_cast<Eigen::Index>(model_.n_rows());
  const auto n_modes = static_cast<Eigen::Index>(model_.n_modes());
  const int n_entries = layout_.n_entries();
  Eigen::MatrixXd E(n, n_beta_), WX(n, n_beta_), SX = Eigen::MatrixXd::Zero(n_modes, n_beta_);
  const Eigen::Map<const Eigen::VectorXd> weight(weight_.data(), n);
  for (int k = 0; k < n_beta_; ++k) {
    for (const auto& panel : model_.panels()) {
      std::copy_n(model_.fixed_column(panel, k), panel.n_rows, E.col(k).data() + panel.first_row);
      WX.col(k).segment(panel.first_row, panel.n_rows) =
          weight.segment(panel.first_row, panel.n_rows).cwiseProduct(E.col(k).segment(panel.first_row, panel.n_rows));
      add_level_sums(model_, panel, WX.col(k).data() + panel.first_row, SX.col(k).data());
    }
    transpose_scale_modes(model_, lambda_, SX.col(k).data());
  }
  Eigen::MatrixXd solved = SX;
  if (n_beta_ > 0) precision_.solve(solved.data(), n_beta_, n_modes);
  const linear_algebra::Cholesky A(linear_algebra::transposed_times(E, WX) -
                                   linear_algebra::transposed_times(SX, solved));
  if (!A.positive_definite()) return false;
  const Eigen::MatrixXd L = A.lower();
  sums.log_likelihood.add(restriction_constant_ - L.diagonal().array().log().sum());
  sums.value = sums.log_likelihood.total();

  for (int k = 0; k < n_beta_; ++k) {
    scale_modes(model_, lambda_, solved.col(k).data(), u_.data());
    std::fill(shift_.begin(), shift_.end(), 0.0);
    for (const auto& panel : model_.panels())
      add_random_part(model_, panel, u_.data(), shift_.data() + panel.first_row);
    E.col(k) -= Eigen::Map<const Eigen::VectorXd>(shift_.data(), n);
  }
  E = linear_algebra::solve_lower(L, E.transpose()).transpose().eval();
  Eigen::VectorXd leverage = E.rowwise().squaredNorm();
  for (const auto& panel : model_.panels())
    for (int g = 0; g < n_phi_; ++g)
      sums.gradient[n_beta_ + n_entries + g] += 0.5 * phi_sum(panel, g, 2, leverage.data() + panel.first_row);
  Eigen::MatrixXd G = Eigen::MatrixXd::Zero(model_.q(), model_.q());
  std::vector<double> sum(static_cast<std::size_t>(n_modes)), scaled;
  for (int k = 0; k < n_beta_; ++k) {
    E.col(k).array() *= weight.array();
    std::fill(sum.begin(), sum.end(), 0.0);
    for (const auto& panel : model_.panels())
      add_level_sums(model_, panel, E.col(k).data() + panel.first_row, sum.data());
    scaled = sum;
    transpose_scale_modes(model_, lambda_, scaled.data());
    add_level_outer(model_, 1.0, sum.data(), scaled.data(), G);
  }
  for (int e = 0; e < n_entries; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    sums.gradient[n_beta_ + e] += G(entry.row, entry.column);
  }
  return std::isfinite(sums.value);
}

}  // namespace multilevel::likelihood
