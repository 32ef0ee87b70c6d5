#include "likelihood/objective.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double step_in_errors = 1e-3;  // of a difference, in standard errors: the error is its square
constexpr double far_off = 10.0;         // a step beside what the curvature found asks for: taken again
constexpr int most_steps = 3;
// Of what the two differences of an entry disagree by, in standard errors; and how much longer steps become then.
constexpr double noticed = 2e-5, widening = 10.0, widest = 100.0;

double step_for(double information) {
  const double size = information != 0.0 ? 1.0 / std::sqrt(std::fabs(information)) : 1.0;
  return step_in_errors * std::min(size, 1.0);
}

/// What the two differences of an entry disagree by, beside the diagonal ones, which are information where they are
/// negative.
double disagreement(const Sums& sums, Eigen::Index j, Eigen::Index k) {
  const double own = sums.hessian(j, j), other = sums.hessian(k, k);
  return own < 0.0 && other < 0.0 ? sums.hessian_error(j, k) / std::sqrt(own * other) : 0.0;
}

/// Of each parameter, whether most of its entries disagree by more than is usual: a single one may be flat.
std::vector<bool> noisy_parameters(const Sums& sums) {
  const auto P = sums.hessian.rows();
  std::vector<bool> noisy;
  for (Eigen::Index k = 0; k < P; ++k) {
    Eigen::Index n = 0;
    for (Eigen::Index j = 0; j < P; ++j) n += j != k && disagreement(sums, j, k) > noticed ? 1 : 0;
    noisy.push_back(2 * n > P - 1);
  }
  return noisy;
}

/// Takes the entries of noisy parameters that disagree less over longer steps; others have more digits from short ones.
void take_what_is_better(const Sums& wide, const std::vector<bool>& noisy, Sums& sums) {
  const auto P = sums.hessian.rows();
  for (Eigen::Index j = 0; j < P; ++j)
    for (Eigen::Index k = 0; k <= j; ++k) {
      if (!noisy[static_cast<std::size_t>(j)] && !noisy[static_cast<std::size_t>(k)]) continue;
      if (j != k && !(wide.hessian_error(j, k) < sums.hessian_error(j, k))) continue;
      sums.hessian(j, k) = sums.hessian(k, j) = wide.hessian(j, k);
      sums.hessian_error(j, k) = sums.hessian_error(k, j) = wide.hessian_error(j, k);
    }
}

}  // namespace

void Objective::set_phi_information(const Eigen::MatrixXd& second, Eigen::MatrixXd& hessian) const {
  if (n_phi_ == 0) return;
  auto block = hessian.bottomRightCorner(n_phi_, n_phi_);
  block = second.selfadjointView<Eigen::Lower>();
  if (n_phi_ > 1 && linear_algebra::Cholesky(-block).positive_definite()) return;
  for (int g = 0; g < n_phi_; ++g) {
    const double own = second(g, g);
    block.row(g).setZero();
    block.col(g).setZero();
    block(g, g) = own < 0.0 ? own : -1.0;
  }
}

bool Objective::differentiate(const Eigen::VectorXd& psi, const std::vector<double>& modes, Sums& sums) {
  return take_differences(psi, modes, 1.0, sums);
}

bool Objective::differentiate_carefully(const Eigen::VectorXd& psi, const std::vector<double>& modes, Sums& sums) {
  if (!differentiate(psi, modes, sums)) return false;
  for (double wider = widening; sums.hessian_error.size() > 0 && wider <= widest; wider *= widening) {
    const std::vector<bool> noisy = noisy_parameters(sums);
    if (std::find(noisy.begin(), noisy.end(), true) == noisy.end()) break;
    Sums wide;
    wide.value = sums.value;
    wide.hessian = sums.hessian;
    if (!take_differences(psi, modes, wider, wide)) break;
    take_what_is_better(wide, noisy, sums);
  }
  return true;
}

bool Objective::take_differences(const Eigen::VectorXd& psi, const std::vector<double>& modes, double wider,
                                 Sums& sums) {
  const auto P = psi.size();
  Eigen::MatrixXd hessian(P, P);
  Eigen::VectorXd rounding(P);  // of the diagonal
  Sums side;
  std::vector<double> from;
  auto column = [&](Eigen::Index k, double step) {
    for (const double sign : {1.0, -1.0}) {
      Eigen::VectorXd moved = psi;
      moved[k] += sign * step;
      // On the other side the modes have moved the other way, to second order.
      if (sign > 0.0)
        from = modes;
      else
        for (std::size_t i = 0; i < from.size(); ++i) from[i] = 2.0 * modes[i] - from[i];
      if (!evaluate(moved, from, side, nullptr, Derivatives::gradient)) return false;
      if (sign > 0.0)
        hessian.col(k) = side.gradient;
      else
        hessian.col(k) = (hessian.col(k) - side.gradient).eval() / (2.0 * step);
    }
    return true;
  };
  for (Eigen::Index k = 0; k < P; ++k) {
    // What the search has for a Hessian can be far from it.
    double step = wider * step_for(sums.hessian(k, k));
    for (int i = 1;; ++i) {
      if (!column(k, step)) return false;
      const double wanted = wider * step_for(hessian(k, k));
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

}  // namespace multilevel::likelihood
