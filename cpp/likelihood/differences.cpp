#include "likelihood/differences.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double step_in_errors = 1e-3;  // of a difference, in standard errors: the error is its square
constexpr double far_off = 10.0;         // a step beside what the curvature found asks for: taken again
constexpr int most_steps = 3;

// In units in which the information is the unit matrix:
constexpr double confounded = 300.0;                  // a parameter's variance beside that with all others known
constexpr double noticed = 1e-4;                      // by which two differences of an entry disagree
constexpr double short_step = 0.01;                   // it neglects as much as its square
constexpr double long_step = 0.05;                    // with one of twice that, it neglects as much as its fourth power
constexpr double too_noisy = 1e-4, tolerable = 1e-3;  // disagreement over short steps; where longer ones do no better
constexpr double lost = 0.1;                          // the same, over any
constexpr double least_information = 1e-10;           // beside that with all others known

double step_for(double information) {
  const double size = information != 0.0 ? 1.0 / std::sqrt(std::fabs(information)) : 1.0;
  return step_in_errors * std::min(size, 1.0);
}

}  // namespace

bool Differences::change(const Eigen::VectorXd& step, Eigen::VectorXd& half) {
  for (const double sign : {1.0, -1.0}) {
    // On the other side the modes have moved the other way, to second order.
    if (sign > 0.0)
      from_ = modes_;
    else
      for (std::size_t i = 0; i < from_.size(); ++i) from_[i] = 2.0 * modes_[i] - from_[i];
    if (!objective_.evaluate(psi_ + sign * step, from_, side_, nullptr, Derivatives::gradient)) return false;
    if (sign > 0.0)
      half = side_.gradient;
    else
      half = (0.5 * (half - side_.gradient)).eval();
  }
  return true;
}

bool Differences::hessian(Sums& sums) {
  const auto P = psi_.size();
  Eigen::MatrixXd hessian(P, P);
  Eigen::VectorXd rounding(P), half;  // of the diagonal
  for (Eigen::Index k = 0; k < P; ++k) {
    // What the search has for a Hessian can be far from it.
    double step = step_for(sums.hessian(k, k));
    for (int i = 1;; ++i) {
      if (!change(step * Eigen::VectorXd::Unit(P, k), half)) return false;
      hessian.col(k) = half / step;
      const double wanted = step_for(hessian(k, k));
      if (i == most_steps || (wanted < far_off * step && step < far_off * wanted)) break;
      step = wanted;
    }
    rounding[k] = std::numeric_limits<double>::epsilon() * std::max(std::fabs(sums.value), 1.0) / step;
  }
  sums.hessian = 0.5 * (hessian + hessian.transpose());
  // Two differences that have nothing in common give each entry, but those on the diagonal.
  sums.hessian_error = 0.5 * (hessian - hessian.transpose()).cwiseAbs();
  sums.hessian_error.diagonal() = rounding;
  return true;
}

Eigen::VectorXd Differences::within_reach(const Eigen::MatrixXd& basis) const {
  const int p = objective_.n_beta(), n_theta = objective_.n_theta();
  Eigen::VectorXd most = Eigen::VectorXd::Constant(psi_.size(), 0.5);
  most.head(p).setConstant(std::numeric_limits<double>::infinity());
  if (n_theta > 0) {
    const auto theta = psi_.segment(p, n_theta).cwiseAbs();
    most.segment(p, n_theta) = (0.5 * theta).cwiseMax(0.1 * theta.maxCoeff()).cwiseMax(1e-3);
  }
  return (basis.cwiseAbs().array().colwise() / most.array()).colwise().maxCoeff().cwiseMax(1.0).inverse().transpose();
}

bool Differences::along(const Eigen::MatrixXd& basis, const Eigen::VectorXd& reach, double h, Eigen::MatrixXd& result,
                        double& apart) {
  Eigen::MatrixXd changes(psi_.size(), basis.cols());
  Eigen::VectorXd half;
  for (Eigen::Index k = 0; k < basis.cols(); ++k) {
    const double step = h * reach[k];
    if (!change(step * basis.col(k), half)) return false;
    changes.col(k) = half / step;
  }
  const Eigen::MatrixXd both = linear_algebra::transposed_times(basis, changes);
  result = 0.5 * (both + both.transpose());
  apart = 0.5 * (both - both.transpose()).cwiseAbs().maxCoeff();
  return result.allFinite();
}

void Differences::refine(const std::vector<bool>& free, Sums& sums) {
  const auto P = psi_.size();
  std::vector<Eigen::Index> at;
  for (Eigen::Index i = 0; i < P; ++i)
    if (free[static_cast<std::size_t>(i)]) at.push_back(i);
  const auto n = static_cast<Eigen::Index>(at.size());
  if (n == 0) return;
  Eigen::MatrixXd to_scale = Eigen::MatrixXd::Zero(P, n);  // the free parameters, information of one each
  Eigen::VectorXd scale(n);
  for (Eigen::Index k = 0; k < n; ++k) {
    const double own = -sums.hessian(at[static_cast<std::size_t>(k)], at[static_cast<std::size_t>(k)]);
    if (!(own > 0.0)) return;  // no maximum
    scale[k] = std::sqrt(own);
    to_scale(at[static_cast<std::size_t>(k)], k) = 1.0 / scale[k];
  }
  const linear_algebra::SymmetricEigen eigen(-linear_algebra::sandwich(to_scale, sums.hessian));
  const Eigen::VectorXd roots = eigen.values.cwiseAbs().cwiseMax(least_information).cwiseSqrt();
  const Eigen::MatrixXd basis = to_scale * eigen.vectors * roots.cwiseInverse().asDiagonal();

  const Eigen::VectorXd variances = (eigen.vectors * roots.cwiseInverse().asDiagonal()).rowwise().squaredNorm();
  const Eigen::MatrixXd first = basis.cwiseAbs().transpose() * sums.hessian_error * basis.cwiseAbs();
  if (variances.maxCoeff() < confounded && first.maxCoeff() < noticed) return;

  const Eigen::VectorXd reach = within_reach(basis);
  Eigen::MatrixXd whole;
  double apart = 0.0;
  if (!along(basis, reach, short_step, whole, apart)) return;
  if (apart > too_noisy) {
    Eigen::MatrixXd once, twice;
    double longer = 0.0;
    if (!along(basis, reach, long_step, once, longer) || !along(basis, reach, 2.0 * long_step, twice, longer)) return;
    // Where longer steps disagree more, it is not rounding that they do away with.
    if (longer < apart || apart > tolerable) {
      whole = once + (once - twice) / 3.0;
      apart = longer;
    }
  }
  if (apart > lost) return;  // some direction is flat, as far as can be told
  const Eigen::MatrixXd back = roots.asDiagonal() * eigen.vectors.transpose() * scale.asDiagonal();
  const Eigen::MatrixXd block = linear_algebra::sandwich(back, whole);
  for (Eigen::Index j = 0; j < n; ++j)
    for (Eigen::Index k = 0; k < n; ++k) {
      const auto row = at[static_cast<std::size_t>(j)], column = at[static_cast<std::size_t>(k)];
      sums.hessian(row, column) = block(j, k);
      sums.hessian_error(row, column) = 0.0;
    }
}

}  // namespace multilevel::likelihood
