// The conditional mode of one cluster. Densities with several predictors are rarely concave in all of them: the largest
// of the modes that searches from several places find is taken, and the places do not depend on what was evaluated
// before.
#include <cmath>
#include <limits>

#include "likelihood/several_predictors/likelihood.hpp"
#include "linear_algebra/small_factor.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double mode_tolerance = 1e-10;  // Newton decrement after which the last step is taken unseen
constexpr int most_newton_steps = 100;
constexpr int most_halvings = 50;
constexpr int most_shifts = 60;
constexpr double least_shift = 1e-3;  // of a curvature that is not positive, relative to its largest entry
constexpr double away = 1.5;          // where searches begin beside zero, one random effect at a time
constexpr double same_mode = 1e-8;    // squared distance, relative to 1 + v'v
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

}  // namespace

bool SeveralLikelihood::find_mode(double* modes, bool stay, Sums& sums) {
  Eigen::Map<Eigen::VectorXd> found(modes, q_);
  Vector v = found;
  if (stay) {
    const double f = climb(v, sums);
    found = v;
    return std::isfinite(f);
  }
  v.setZero();
  double best = climb(v, sums);
  Vector best_v = v;
  bool elsewhere = false;
  for (int a = 0; a < q_; ++a)
    for (const double side : {away, -away}) {
      v.setZero();
      v[a] = side;
      const double f = climb(v, sums);
      if (!std::isfinite(f) || (v - best_v).squaredNorm() <= same_mode * (1.0 + best_v.squaredNorm())) continue;
      elsewhere |= std::isfinite(best);
      if (!(f > best)) continue;
      best = f;
      best_v = v;
    }
  sums.several_modes += elsewhere;
  found = best_v;
  return std::isfinite(best);
}

/// Newton's method from v; returns f at the mode, or minus infinity.
double SeveralLikelihood::climb(Vector& v, Sums& sums) {
  place(v);
  double f = value(v);
  if (!std::isfinite(f)) return minus_infinity;
  for (int iteration = 0; iteration < most_newton_steps; ++iteration) {
    Vector gradient = lambda_.transpose().lazyProduct(force());
    gradient -= v;
    const Matrix B = products();
    const Matrix BL = B.lazyProduct(lambda_);
    Matrix H = lambda_.transpose().lazyProduct(BL);
    H += Matrix::Identity(q_, q_);
    if (!H.allFinite() || !gradient.allFinite()) return minus_infinity;
    Vector step = gradient;
    double shift = 0.0;
    bool concave = true;
    for (int k = 0; k < most_shifts; ++k) {
      Matrix factor = H;
      factor.diagonal().array() += shift;
      if (linear_algebra::small::cholesky(q_, factor.data())) {
        linear_algebra::small::forward(q_, factor.data(), step.data());
        linear_algebra::small::backward(q_, factor.data(), step.data());
        break;
      }
      concave = false;
      shift = shift == 0.0 ? least_shift * std::max(1.0, H.cwiseAbs().maxCoeff()) : 2.0 * shift;
    }
    ++sums.newton_steps;
    const double decrement = gradient.dot(step);
    if (concave && decrement < mode_tolerance) {
      v += step;
      place(v);
      return value(v);
    }
    double factor = 1.0;
    bool moved = false;
    for (int k = 0; k < most_halvings && !moved; ++k, factor *= 0.5) {
      const Vector trial = v + factor * step;
      place(trial);
      const double there = value(trial);
      if (!(there >= f - 1e-9 * (1.0 + std::fabs(f)))) continue;
      v = trial;
      f = there;
      moved = true;
    }
    if (!moved) return minus_infinity;
  }
  return minus_infinity;
}

}  // namespace multilevel::likelihood
