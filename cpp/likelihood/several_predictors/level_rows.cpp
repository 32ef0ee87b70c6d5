#include "likelihood/several_predictors/level_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "likelihood/mode_course.hpp"
#include "linear_algebra/small_factor.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int most_steps = 100;
constexpr int most_shortenings = 50;
constexpr int most_shifts = 60;
constexpr double least_shift = 1e-3;     // of a curvature that is not positive, relative to its largest entry
constexpr double arriving = 1e-6;        // squared distance from a known mode, relative to 1 + v'v
constexpr double away = 1.5;             // where searches begin beside zero, one random effect at a time
constexpr double far_move = 2.0;         // of a predictor, by one unit of v: a mode may lie between zero and `away`
constexpr double grid_move = 1.5;        // of a predictor, from one point of a grid to the next
constexpr double reach = 3.0;            // of a grid, to either side of zero
constexpr double most_to_a_side = 20.0;  // points of a grid
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

}  // namespace

LevelRows::LevelRows(const model::Model& model, std::vector<int> main_of, int most_rows)
    : tables_(model, most_rows), main_of_(std::move(main_of)), z_(main_of_.size()) {
  at_.assign(tables_.main().size(), std::vector<double>(static_cast<std::size_t>(most_rows) + 8));
  for (auto& own : at_) at_pointers_.push_back(own.data());
  starts_.reserve(3 + 2 * static_cast<std::size_t>(most_to_a_side));
}

void LevelRows::take(int n, const std::vector<const double*>& fixed, const std::vector<const double*>& z,
                     const family::Observations& data) {
  n_ = n;
  fixed_ = fixed;
  z_ = z;
  data_ = data;
}

void LevelRows::set_variables(const Vector& v) {
  const Vector u = lambda_.lazyProduct(v);
  for (std::size_t a = 0; a < at_.size(); ++a) std::copy_n(fixed_[a], n_, at_[a].data());
  for (int c = 0; c < q(); ++c) numeric::add_multiple(n_, u[c], z(c), at_[static_cast<std::size_t>(main_of(c))].data());
}

void LevelRows::place(const Vector& v) {
  set_variables(v);
  tables_.evaluate(n_, at_pointers_, data_);
}

void LevelRows::place_third(const Vector& v) {
  set_variables(v);
  tables_.evaluate_third(n_, at_pointers_, data_);
}

double LevelRows::value(const Vector& v) const { return numeric::sum(n_, tables_.value()) - 0.5 * v.squaredNorm(); }

LevelRows::Vector LevelRows::force() const {
  Vector b(q());
  for (int c = 0; c < q(); ++c)
    b[c] = numeric::dot(n_, z(c), tables_.first(tables_.main()[static_cast<std::size_t>(main_of(c))]));
  return b;
}

LevelRows::Matrix LevelRows::products() const {
  Matrix B(q(), q());
  for (int c = 0; c < q(); ++c)
    for (int d = 0; d <= c; ++d) {
      const int s = tables_.main()[static_cast<std::size_t>(main_of(c))],
                t = tables_.main()[static_cast<std::size_t>(main_of(d))];
      B(c, d) = B(d, c) = -numeric::dot(n_, z(c), z(d), tables_.second(s, t));
    }
  return B;
}

const std::vector<LevelRows::Vector>& LevelRows::starts_beside(const Vector& mode, int axis) {
  starts_.clear();
  if (lambda_.col(axis).isZero(0.0)) return starts_;  // it reaches no row
  for (const double side : {away, -away}) {
    starts_.emplace_back(Vector::Zero(q()));
    starts_.back()[axis] = side;
  }
  const double move = farthest_move(axis);
  if (!(move > far_move)) return starts_;
  const int points = 1 + 2 * static_cast<int>(std::min(most_to_a_side, std::ceil(reach * move / grid_move)));
  const double between = 2.0 * reach / (points - 1);
  Vector v = mode;
  double before = minus_infinity, here = minus_infinity;
  for (int k = 0; k <= points; ++k) {
    double next = minus_infinity;
    if (k < points) {
      v[axis] = k * between - reach;
      place(v);
      next = value(v);
    }
    const double at = (k - 1) * between - reach;
    if (here > before && !(next > here) && std::fabs(at - mode[axis]) > between) {
      starts_.push_back(mode);
      starts_.back()[axis] = at;
    }
    before = here;
    here = next;
  }
  return starts_;
}

/// How far one unit of v along an axis moves a predictor of some row.
double LevelRows::farthest_move(int axis) const {
  double farthest = 0.0;
  for (int main = 0; main < n_main(); ++main)
    for (int j = 0; j < n_; ++j) {
      double move = 0.0;
      for (int c = 0; c < q(); ++c)
        if (main_of(c) == main) move += lambda_(c, axis) * z(c)[j];
      farthest = std::max(farthest, std::fabs(move));
    }
  return farthest;
}

double LevelRows::climb(Vector& v, double tolerance, long& newton_steps, const Vector* known) {
  const int size = q();
  place(v);
  double f = value(v), last = std::numeric_limits<double>::infinity();
  if (!std::isfinite(f)) return minus_infinity;
  for (int iteration = 0; iteration < most_steps; ++iteration) {
    Vector gradient = lambda_.transpose().lazyProduct(force());
    gradient -= v;
    const Matrix B = products();
    const Matrix BL = B.lazyProduct(lambda_);
    Matrix H = lambda_.transpose().lazyProduct(BL);
    H += Matrix::Identity(size, size);
    if (!H.allFinite() || !gradient.allFinite()) return minus_infinity;
    Vector step = gradient;
    double shift = 0.0;
    bool concave = true;
    for (int k = 0; k < most_shifts; ++k) {
      Matrix factor = H;
      factor.diagonal().array() += shift;
      if (linear_algebra::small::cholesky(size, factor.data())) {
        linear_algebra::small::forward(size, factor.data(), step.data());
        linear_algebra::small::backward(size, factor.data(), step.data());
        break;
      }
      concave = false;
      shift = shift == 0.0 ? least_shift * std::max(1.0, H.cwiseAbs().maxCoeff()) : 2.0 * shift;
    }
    if (known && concave && (v - *known).squaredNorm() <= arriving * (1.0 + known->squaredNorm())) {
      v = *known;
      return f;
    }
    ++newton_steps;
    const double decrement = gradient.dot(step);
    const bool stands = decrement < mode_tolerance && !(decrement < last);  // rounding may not let it fall any further
    last = decrement;
    if (concave && (decrement < tolerance || stands)) {
      v += step;
      place(v);
      return value(v);
    }
    double factor = 1.0;
    bool moved = false;
    for (int k = 0; k < most_shortenings && !moved; ++k, factor *= 0.5) {
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
