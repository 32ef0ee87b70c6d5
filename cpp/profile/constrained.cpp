#include "profile/constrained.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"

namespace multilevel::profile {

namespace {

constexpr int most_steps = 60, most_halvings = 30;
constexpr double rounding = 1e-14;

}  // namespace

Constrained::Constrained(likelihood::Objective& whole, const model::UserScale& scale,
                         const likelihood::Monitor& monitor)
    : Objective(whole.model(), whole.n_beta(), whole.n_theta(), whole.n_phi(), monitor), whole_(whole), scale_(scale) {}

bool Constrained::hold(const Quantity& quantity, double value, const Eigen::VectorXd& psi,
                       const Eigen::VectorXd& errors, int choice) {
  quantity_ = &quantity;
  value_ = value;
  const Eigen::VectorXd gradient = quantity_at(psi, Order::gradient).gradient;
  // Entries of theta have a unit in common. An error of one that may vanish says nothing of how far it can go.
  const bool of_theta = n_theta_ > 0 && gradient.head(n_beta_).isZero(0.0) && gradient.tail(n_phi_).isZero(0.0);
  Eigen::VectorXd effect = gradient.cwiseAbs();
  if (!of_theta) effect = effect.cwiseProduct(errors);
  Eigen::Index most = 0;
  for (int i = 0; i <= choice; ++i) {
    if (i > 0) effect[most] = 0.0;
    if (!(effect.maxCoeff(&most) > 0.0)) return false;
  }
  eliminated_.assign(1, static_cast<int>(most));
  return true;
}

void Constrained::hold_zeros(const std::vector<int>& positions) {
  quantity_ = nullptr;
  eliminated_ = positions;
  const auto n = static_cast<Eigen::Index>(positions.size()), P = scale_.matrix.cols();
  Eigen::MatrixXd rows(n, P), own(n, n);
  for (Eigen::Index a = 0; a < n; ++a) rows.row(a) = scale_.matrix.row(positions[static_cast<std::size_t>(a)]);
  for (Eigen::Index a = 0; a < n; ++a) own.col(a) = rows.col(positions[static_cast<std::size_t>(a)]);
  for (const int i : positions) rows.col(i).setZero();
  from_others_ = -linear_algebra::solve_square(own, rows);
}

std::vector<bool> Constrained::free() const {
  std::vector<bool> free(static_cast<std::size_t>(n_parameters()), true);
  for (const int i : eliminated_) free[static_cast<std::size_t>(i)] = false;
  return free;
}

Constrained::Inside Constrained::quantity_at(const Eigen::VectorXd& psi, Order order) const {
  const Slopes slopes = quantity_->at(scale_.outward(psi), order);
  Inside inside{slopes.value, linear_algebra::apply_transposed(scale_.matrix, slopes.gradient), {}};
  if (order == Order::hessian) inside.hessian = linear_algebra::sandwich(scale_.matrix, slopes.hessian);
  return inside;
}

bool Constrained::complete(Eigen::VectorXd& psi) const {
  if (!quantity_) {
    const Eigen::VectorXd own = linear_algebra::apply(from_others_, psi);
    for (std::size_t a = 0; a < eliminated_.size(); ++a) psi[eliminated_[a]] = own[static_cast<Eigen::Index>(a)];
    return true;
  }
  double& x = psi[eliminated_[0]];
  const auto distance = [&] { return quantity_->at(scale_.outward(psi), Order::value).value - value_; };
  const double enough = rounding * std::max(std::fabs(value_), 1e-3);
  for (int i = 0; i < most_steps; ++i) {
    const Inside here = quantity_at(psi, Order::gradient);
    const double off = here.value - value_, slope = here.gradient[eliminated_[0]];
    if (std::fabs(off) <= enough) return true;
    double step = -off / slope;
    if (!std::isfinite(step)) return false;
    const double before = x;
    for (int halvings = 0;; ++halvings, step *= 0.5) {
      x = before + step;
      if (std::fabs(distance()) < std::fabs(off)) break;
      if (halvings == most_halvings || x == before) {  // as close as the arithmetic can come, or no way there
        x = before;
        return std::fabs(off) <= 1e3 * enough;
      }
    }
  }
  return std::fabs(distance()) <= 1e3 * enough;
}

bool Constrained::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, likelihood::Sums& sums,
                           double* mode_covariance, likelihood::Derivatives wanted) {
  ++evaluations_;
  Eigen::VectorXd at = psi;
  if (!complete(at)) return false;
  const bool with_hessian = near_hessian_.size() == 0;
  if (!whole_.evaluate(at, modes, sums, mode_covariance, with_hessian ? wanted : likelihood::Derivatives::hessian))
    return false;
  if (!with_hessian) sums.hessian = near_hessian_;
  const auto P = at.size();
  Eigen::MatrixXd T = Eigen::MatrixXd::Identity(P, P);
  if (quantity_) {
    const Inside held = quantity_at(at, Order::hessian);
    const int k = eliminated_[0];
    multiplier_ = sums.gradient[k] / held.gradient[k];
    T.row(k) = -held.gradient.transpose() / held.gradient[k];
    T(k, k) = 0.0;
    if (sums.hessian.size() > 0) sums.hessian -= multiplier_ * held.hessian;
  } else {
    for (std::size_t a = 0; a < eliminated_.size(); ++a)
      T.row(eliminated_[a]) = from_others_.row(static_cast<Eigen::Index>(a));
  }
  last_ = psi;
  sums.gradient = linear_algebra::apply_transposed(T, sums.gradient);
  if (sums.hessian.size() > 0) sums.hessian = linear_algebra::sandwich(T, sums.hessian);
  if (sums.theta_information.size() > 0)
    sums.theta_information =
        linear_algebra::sandwich(T.block(n_beta_, n_beta_, n_theta_, n_theta_), sums.theta_information);
  return sums.gradient.allFinite();
}

}  // namespace multilevel::profile
