#include "profile/curve.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linear_algebra/dense.hpp"
#include "search/newton.hpp"
#include "search/scaled_information.hpp"

namespace multilevel::profile {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double gain_tolerance = 1e-10, rounding_gain = 1e-6;
constexpr double near_by = 0.3;   // of the points about a limit, in steps
constexpr double settled = 1e-5;  // of the fall: the slope does the rest, with an error of its square
constexpr double growth = 3.0;    // of one step beside the one before
constexpr int most_iterations = 30, most_evaluations = 300;
constexpr int most_choices = 2;  // of what is eliminated
constexpr int many_strides = 6;  // from another maximum to a limit
constexpr int most_points = 60, most_failures = 8, most_refinements = 40;
constexpr double shorter = 0.25;                // after a failure
constexpr int tail = 4;                         // so many steps, each longer than the one before,
constexpr double nothing_lost = 1e-3;           // that lose no more than this share of the fall: there is no bound
constexpr double farthest = 1e6;                // in standard errors
constexpr int slow = 8;                         // evaluations after which a borrowed Hessian is made anew
constexpr double unmoved = 1e-7, aside = 1e-2;  // of a quantity by one standard error of anything; of a standard error
constexpr double far_off = 0.1;                 // a first step beside the value, where no curvature tells how far

class Walk {
 public:
  Walk(likelihood::Objective& whole, const model::Response& response, const model::UserScale& scale,
       const Summit& summit, const Quantity& quantity, int direction, double cutoff, int steps,
       const likelihood::Monitor& monitor)
      : whole_(whole),
        response_(response),
        scale_(scale),
        summit_(summit),
        quantity_(quantity),
        direction_(direction),
        cutoff_(cutoff),
        steps_(steps),
        monitor_(monitor),
        constrained_(whole, scale, monitor) {
    newton_.gain_tolerance = gain_tolerance;
    newton_.most_iterations = most_iterations;
    newton_.look_for_separation = false;
    newton_.reorder = false;
    if (!whole.has_exact_hessian()) constrained_.set_hessian(summit.hessian);
    const Slopes here = quantity.at(scale.outward(summit.psi), Order::gradient);
    start_.value = here.value;
    start_.psi = summit.psi;
    start_.modes = summit.modes;
    const Eigen::VectorXd gradient = linear_algebra::apply_transposed(scale.matrix, here.gradient);
    const search::ScaledInformation information(summit.hessian,
                                                std::vector<bool>(static_cast<std::size_t>(summit.psi.size()), true));
    const Eigen::VectorXd along = information.solve(gradient, true);
    const double variance = gradient.dot(along);
    error_ = std::sqrt(variance);
    if (variance > 0.0 && std::isfinite(error_)) {
      tangent_ = along / variance;
    } else {
      error_ = std::max(far_off * std::fabs(start_.value), far_off * far_off);
      tangent_ = gradient / std::max(gradient.squaredNorm(), std::numeric_limits<double>::min());
    }
    start_.slope = 1.0 / error_;
  }

  Side run() {
    const double edge = direction_ > 0 ? quantity_.upper : quantity_.lower;
    if (!(direction_ * (edge - start_.value) > 0.0)) {
      ended(End::edge, edge);
      return std::move(side_);
    }
    for (const auto& zeros : quantity_.undefined_at_zeros) {
      CurvePoint undefined;
      if (at_zeros(zeros, undefined)) ceiling_ = std::min(ceiling_, undefined.fall);
    }
    walk(start_, edge);
    for (std::size_t i = 0; i < summit_.others.size() && side_.end == End::limit && goes_on_elsewhere(); ++i)
      walk(CurvePoint(side_.points.back()), edge);
    return std::move(side_);
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  /// From a point outwards.
  void walk(CurvePoint last, double edge) {
    double step = std::min(error_ * cutoff_ / steps_, quantity_.longest_first);
    spent_ = constrained_.evaluations();
    for (int failures = 0; static_cast<int>(side_.points.size()) < most_points;) {
      const bool at_edge = direction_ * (last.value + direction_ * step - edge) >= 0.0;
      CurvePoint point;
      const double value = at_edge ? edge : last.value + direction_ * step;
      const bool by_zeros = at_edge && direction_ < 0 && !quantity_.zeros_at_lower.empty();
      if (!(by_zeros ? at_zeros(quantity_.zeros_at_lower, point) : at(value, point))) {
        if (nothing_more_lost()) return ended(End::unbounded, direction_ * infinity);
        if (++failures > most_failures || exhausted())
          return ceiling_ < cutoff_ ? at_ceiling(edge) : ended(End::failed, nan);
        step *= shorter;
        continue;
      }
      if (point.fall > ceiling_ && ceiling_ < cutoff_) return at_ceiling(edge);
      side_.points.push_back(point);
      if (reaches(point)) return at_limit(beyond(point));
      if (point.fall >= cutoff_) return refine(last, point);
      if (at_edge) return ended(End::edge, edge);
      if (nothing_more_lost() || std::fabs(value - start_.value) > farthest * error_)
        return ended(End::unbounded, direction_ * infinity);
      const double each = cutoff_ / steps_;
      const double target = std::min(cutoff_, each * (std::floor(point.fall / each + 0.1) + 1.0));
      step = std::min(step_to(target, last, point), growth * std::fabs(point.value - last.value));
      last = std::move(point);
    }
    ended(End::failed, nan);  // so many steps say nothing of a bound
  }

  /// Whether the way from another maximum is higher where this one has come to the limit: then that is the profile, and
  /// ends further out. What lies below on this side of it goes.
  bool goes_on_elsewhere() {
    CurvePoint highest;
    highest.fall = cutoff_ - settled;
    bool found = false;
    spent_ = constrained_.evaluations();
    for (const auto& psi : summit_.others)
      for (const int strides : {1, many_strides}) {
        CurvePoint point;
        point.psi = psi;
        point.modes = summit_.modes;
        point.value = quantity_.at(scale_.outward(psi), Order::value).value;
        if (!brought_to(side_.limit, strides, point) || !(point.fall < highest.fall)) continue;
        highest = std::move(point);
        found = true;
      }
    if (!found) return false;
    auto& points = side_.points;
    points.erase(std::remove_if(points.begin(), points.end(),
                                [&](const CurvePoint& point) { return point.fall >= highest.fall; }),
                 points.end());
    branch_ = points.size();
    elsewhere_ = true;
    points.push_back(std::move(highest));
    return true;
  }

  /// Brings a maximum to another value of the quantity: at once it may come to another way, stride by stride hardly.
  bool brought_to(double value, int strides, CurvePoint& point) {
    const double first = point.value;
    for (int k = 1; k <= strides; ++k) {
      const double next = k == strides ? value : first + (value - first) * k / strides;
      CurvePoint found;
      if (!maximum_at(next, point, ahead(point, next), found)) return false;
      point = std::move(found);
    }
    return true;
  }

  Eigen::VectorXd ahead(const CurvePoint& point, double value) const {
    return point.psi + (value - point.value) * tangent_;
  }

  /// How far from the second of two points the fall is `target`, by slopes that go on changing as they did.
  static double step_to(double target, const CurvePoint& before, const CurvePoint& point) {
    if (!(point.slope > 0.0)) return infinity;
    const double rise = target - point.fall, inverse = 1.0 / point.slope;
    const double bend = before.slope > 0.0 ? (inverse - 1.0 / before.slope) / (point.fall - before.fall) : 0.0;
    const double bent = rise * inverse + 0.5 * bend * rise * rise;
    return bent > 0.5 * rise * inverse ? bent : rise * inverse;
  }

  /// Whether a point is at the limit as far as its slope can tell, and the limit by that: from either side, as a step
  /// that aims at it may fall short by a rounding error.
  bool reaches(const CurvePoint& point) const { return std::fabs(point.fall - cutoff_) < settled && point.slope > 0.0; }
  double beyond(const CurvePoint& point) const {
    return point.value + direction_ * (cutoff_ - point.fall) / point.slope;
  }

  /// Of the points about the limit the nearest is enough.
  void at_limit(double limit) {
    auto& points = side_.points;
    const auto off = [&](const CurvePoint& point) { return std::fabs(point.fall - cutoff_); };
    double least = infinity;
    for (const auto& point : points) least = std::min(least, off(point));
    const double crowded = near_by * cutoff_ / steps_;
    points.erase(std::remove_if(points.begin(), points.end(),
                                [&](const CurvePoint& point) { return off(point) > least && off(point) < crowded; }),
                 points.end());
    return ended(End::limit, limit);
  }

  void ended(End end, double limit) {
    side_.end = end;
    side_.limit = limit;
  }

  /// Any value is possible where the quantity is undefined: no more than that is ever lost.
  void at_ceiling(double edge) {
    CurvePoint point = start_;
    point.value = edge;
    point.fall = ceiling_;
    point.slope = 0.0;
    point.psi.setConstant(nan);
    side_.points.push_back(std::move(point));
    return ended(End::edge, edge);
  }

  bool nothing_more_lost() const {
    const auto n = side_.points.size();
    if (n <= tail) return false;
    const auto& now = side_.points[n - 1];
    const auto& before = side_.points[n - 1 - tail];
    return now.fall - before.fall < nothing_lost * cutoff_ &&
           std::fabs(now.value - start_.value) > 4.0 * std::fabs(before.value - start_.value);
  }

  /// Psi at a value: along the tangent of the curve at the maximum, and through the nearest points that are known.
  Eigen::VectorXd foreseen(double value) const {
    std::vector<const CurvePoint*> near{elsewhere_ ? &side_.points[branch_] : &start_};
    for (std::size_t i = branch_ + (elsewhere_ ? 1 : 0); i < side_.points.size(); ++i)
      if (side_.points[i].psi.allFinite() && std::isfinite(side_.points[i].slope)) near.push_back(&side_.points[i]);
    const double h = value - near[0]->value;
    if (near.size() == 1) return ahead(*near[0], value);
    if (near.size() == 2) {
      const double own = near[1]->value - near[0]->value;
      return near[0]->psi + h * tangent_ + (near[1]->psi - near[0]->psi - own * tangent_) * (h / own) * (h / own);
    }
    std::stable_sort(near.begin(), near.end(), [&](const CurvePoint* a, const CurvePoint* b) {
      return std::fabs(a->value - value) < std::fabs(b->value - value);
    });
    Eigen::VectorXd psi = Eigen::VectorXd::Zero(start_.psi.size());
    for (int i = 0; i < 3; ++i) {
      double weight = 1.0;
      for (int j = 0; j < 3; ++j)
        if (j != i)
          weight *= (value - near[static_cast<std::size_t>(j)]->value) /
                    (near[static_cast<std::size_t>(i)]->value - near[static_cast<std::size_t>(j)]->value);
      psi += weight * near[static_cast<std::size_t>(i)]->psi;
    }
    return psi;
  }

  const CurvePoint& nearest(double value) const {
    const CurvePoint* found = elsewhere_ ? &side_.points[branch_] : &start_;
    for (std::size_t i = branch_; i < side_.points.size(); ++i) {
      const CurvePoint& point = side_.points[i];
      if (point.psi.allFinite() && std::fabs(point.value - value) < std::fabs(found->value - value)) found = &point;
    }
    return *found;
  }

  /// The maximum over the others where the quantity has this value.
  bool at(double value, CurvePoint& point) { return maximum_at(value, nearest(value), foreseen(value), point); }

  /// The same from a guess, or from where a point near by is.
  bool maximum_at(double value, const CurvePoint& near, const Eigen::VectorXd& guessed, CurvePoint& point) {
    const Eigen::VectorXd from = moving(near.psi);
    for (int choice = 0; choice < most_choices; ++choice) {
      if (!constrained_.hold(quantity_, value, from, summit_.errors, choice)) return false;
      for (const Eigen::VectorXd& guess : {from == near.psi ? guessed : from, from})
        if (maximum_from(guess, near.modes, point)) {
          point.value = value;
          const double lambda = constrained_.multiplier();
          point.slope = point.fall > 0.0 ? -direction_ * lambda / point.fall : 0.0;
          return true;
        }
    }
    return false;
  }

  /// The point itself, or one beside it where nothing moves the quantity, as at a correlation of one.
  Eigen::VectorXd moving(const Eigen::VectorXd& psi) const {
    const Slopes slopes = quantity_.at(scale_.outward(psi), Order::gradient);
    const Eigen::VectorXd gradient = linear_algebra::apply_transposed(scale_.matrix, slopes.gradient);
    if (gradient.cwiseProduct(summit_.errors).cwiseAbs().maxCoeff() > unmoved * std::fabs(slopes.value)) return psi;
    return psi + aside * summit_.errors;
  }

  bool at_zeros(const std::vector<int>& positions, CurvePoint& point) {
    constrained_.hold_zeros(positions);
    const CurvePoint& near = nearest(quantity_.lower);
    if (!maximum_from(near.psi, near.modes, point) &&
        !maximum_from(near.psi, std::vector<double>(near.modes.size(), 0.0), point))
      return false;
    point.value = quantity_.lower;
    point.slope = nan;
    return true;
  }

  bool maximum_from(Eigen::VectorXd guess, const std::vector<double>& modes, CurvePoint& point) {
    if (!constrained_.complete(guess)) return false;
    const int before = constrained_.evaluations();
    const auto climb = [&](const Eigen::VectorXd& from) {
      return search::maximize(constrained_, response_, from, modes, constrained_.free(), newton_, monitor_);
    };
    search::Optimum found = climb(guess);
    if (!none_left(found)) {
      // A Hessian of a point near by may be too far from the one here.
      if (!constrained_.borrows_hessian() || found.ending == search::Ending::no_start || exhausted()) return false;
      constrained_.complete(found.psi);
      renew_hessian(found);
      found = climb(found.psi);
      if (!none_left(found)) return false;
    }
    if (constrained_.last() != found.psi) {  // the last point tried was not the best
      likelihood::Sums sums;
      constrained_.evaluate(found.psi, found.modes, sums, nullptr, likelihood::Derivatives::hessian);
    }
    constrained_.complete(found.psi);
    if (constrained_.borrows_hessian() && constrained_.evaluations() - before > slow) renew_hessian(found);
    point.psi = found.psi;
    point.modes = std::move(found.modes);
    point.fall = std::sqrt(std::max(0.0, 2.0 * (summit_.value - found.sums.value)));
    side_.most = std::max(side_.most, found.sums.value);
    return true;
  }

  static bool none_left(const search::Optimum& found) {
    return found.ending == search::Ending::converged ||
           (found.ending == search::Ending::no_increase && found.gain < rounding_gain);
  }

  /// A side is given up where it has taken far more than one that goes well.
  bool exhausted() const { return constrained_.evaluations() - spent_ > most_evaluations; }

  void renew_hessian(const search::Optimum& found) {
    likelihood::Sums sums;
    std::vector<double> modes = found.modes;
    if (whole_.evaluate(found.psi, modes, sums) && whole_.differentiate(found.psi, modes, sums))
      constrained_.set_hessian(sums.hessian);
  }

  /// Between a point that has lost less than the cutoff and one that has lost more.
  void refine(CurvePoint inner, CurvePoint outer) {
    for (int i = 0; i < most_refinements; ++i) {
      for (const CurvePoint* end : {&inner, &outer})
        if (reaches(*end)) return at_limit(beyond(*end));
      const double width = outer.value - inner.value;
      double share = i % 3 == 2 ? 0.5 : share_between(inner, outer);
      CurvePoint point;
      while (!at(inner.value + share * width, point)) {
        share *= 0.5;
        if (share < 1e-3 || exhausted()) return ended(End::failed, nan);
      }
      side_.points.push_back(point);
      (point.fall < cutoff_ ? inner : outer) = std::move(point);
      if (std::fabs(width) < 1e-12 * std::max(std::fabs(inner.value), error_)) break;
    }
    return at_limit(outer.value);
  }

  /// Where between the two the fall is the cutoff: the cubic of the value in the fall, with its slopes at both.
  double share_between(const CurvePoint& inner, const CurvePoint& outer) const {
    const double rise = outer.fall - inner.fall, t = (cutoff_ - inner.fall) / rise;
    double share = t;
    if (inner.slope > 0.0 && outer.slope > 0.0) {
      const double width = std::fabs(outer.value - inner.value);
      const double first = rise / (inner.slope * width), second = rise / (outer.slope * width);
      share = first * t * (1.0 - t) * (1.0 - t) + t * t * (3.0 - 2.0 * t) - second * t * t * (1.0 - t);
    }
    return share > 1e-6 && share < 1.0 - 1e-6 ? share : std::clamp(t, 0.05, 0.95);
  }

  likelihood::Objective& whole_;
  const model::Response& response_;
  const model::UserScale& scale_;
  const Summit& summit_;
  const Quantity& quantity_;
  int direction_;
  double cutoff_;
  int steps_;
  const likelihood::Monitor& monitor_;
  Constrained constrained_;
  search::NewtonOptions newton_;
  CurvePoint start_;
  Eigen::VectorXd tangent_;  ///< d psi / d value at the maximum
  double error_ = 0.0;       ///< of the quantity, by its slopes there
  double ceiling_ = infinity;
  int spent_ = 0;           ///< evaluations before this way
  std::size_t branch_ = 0;  ///< the first point on the way
  bool elsewhere_ = false;  ///< which is one from another maximum
  Side side_;
};

}  // namespace

Side climb_down(likelihood::Objective& whole, const model::Response& response, const model::UserScale& scale,
                const Summit& summit, const Quantity& quantity, int direction, double cutoff, int steps,
                const likelihood::Monitor& monitor) {
  return Walk(whole, response, scale, summit, quantity, direction, cutoff, steps, monitor).run();
}

}  // namespace multilevel::profile
