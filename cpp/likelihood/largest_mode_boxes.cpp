// The proof by boxes: what can hold a larger mode is divided until nothing is left of it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/largest_mode.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();
constexpr double same_height = 1e-9;  // of f, relative to 1 + |f|
constexpr int most_boxes[] = {0, 400, 1200, 2500};
constexpr int boxes_at_once = 4;
constexpr double most_left = 0.4;  // boxes that are left for each point: more come to no end

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

/// What f can gain in a box along one of the coordinates that are searched, over its centre.
double LargestMode::most_along(const Box& box, int a) const {
  const double slope = std::fabs(box.centre.gradient[at(a)]), curve = curves_[at(a)];
  const double s = curve < 0.0 ? std::fmin(box.half[at(a)], -slope / curve) : box.half[at(a)];
  return (slope + 0.5 * curve * s) * s;
}

/// The same of f with capped rows, over what that is at the centre.
double LargestMode::capped_along(const Box& box, int a) const {
  const double slope = std::fabs(box.centre.capped_gradient[at(a)]), s = std::fmin(box.half[at(a)], slope);
  return (slope - 0.5 * s) * s;
}

/// The most that f can be in a box.
void LargestMode::limit(Box& box) const {
  box.bound = box.centre.most;
  for (int a = n_concave_; a < q_; ++a) box.bound += most_along(box, a);
  if (!caps_) return;
  double capped = box.centre.capped;
  for (int a = n_concave_; a < q_; ++a) capped += capped_along(box, a);
  box.bound = std::fmin(box.bound, capped);
}

bool LargestMode::can_hold_more(const Box& box, const Peak& peak, double best) const {
  if (box.bound <= best) return false;
  double nearest = 0.0;
  for (int a = n_concave_; a < q_; ++a) {
    const double from_zero = std::fmax(0.0, std::fabs(box.centre.at[at(a)]) - box.half[at(a)]);
    nearest += from_zero * from_zero;
  }
  if (std::sqrt(nearest) > reach(best)) return false;
  if (!std::isfinite(peak.f)) return true;
  // Within the ball around the mode?
  Vector from{};
  for (int a = n_concave_; a < q_; ++a)
    for (int b = a; b < q_; ++b) from[at(a)] += peak.L[at(b + a * q_)] * (box.centre.at[at(b)] - peak.at[at(b)]);
  return distance(from) + std::sqrt(peak.stretch) * distance(box.half) > peak.radius;
}

/// Divides the space that can hold more than `best` into boxes until nothing is left. Without one the search begins at
/// zero.
bool LargestMode::search_boxes(Peak& best) {
  Point zero{};
  evaluate(&zero, 1);
  if (!std::isfinite(zero.f) || !std::isfinite(highest_)) return false;
  if (!std::isfinite(best.f)) try_for_better(zero, best);
  if (best.proved) return true;
  double height = std::fmax(zero.f, best.f);
  auto enough = [&] { return height + same_height * (1.0 + std::fabs(height)); };

  bool proved = true;
  Box root{};
  root.centre = zero;
  for (int a = n_concave_; a < q_; ++a) root.half[at(a)] = reach(height);
  limit(root);
  boxes_.assign(1, root);
  for (int used = 0; proved && !boxes_.empty();) {
    const int most = most_boxes[q_ - n_concave_];
    const bool hopeless = used >= most / 5 && static_cast<double>(boxes_.size()) > most_left * used;
    if (used >= most || hopeless) {
      proved = false;
      break;
    }
    Point points[2 * boxes_at_once];
    Box parents[boxes_at_once];
    int m = 0;
    while (m < boxes_at_once && !boxes_.empty()) {
      std::pop_heap(boxes_.begin(), boxes_.end());
      Box box = boxes_.back();
      boxes_.pop_back();
      if (!can_hold_more(box, best, enough())) continue;
      int axis = n_concave_;
      double most = -1.0;
      for (int a = n_concave_; a < q_; ++a) {
        const double own = most_along(box, a);
        if (own > most) {
          most = own;
          axis = a;
        }
      }
      const double third = box.half[at(axis)] * (2.0 / 3.0);
      for (int side = 0; side < 2; ++side) {
        Point& point = points[2 * m + side];
        point.at = box.centre.at;
        for (int a = 0; a < n_concave_; ++a) point.at[at(a)] += box.centre.to_most[at(a)];
        point.at[at(axis)] += side == 0 ? third : -third;
      }
      box.half[at(axis)] *= 1.0 / 3.0;
      parents[m++] = box;
    }
    used += evaluate_settled(points, 2 * m);
    for (int k = 0; k < 2 * m; ++k) {
      if (points[k].f == minus_infinity) return false;
      if (!(points[k].f > height)) continue;
      try_for_better(points[k], best);
      if (best.proved) return true;
      height = std::fmax(points[k].f, best.f);
    }
    for (int k = 0; k < 3 * m; ++k) {
      Box child = parents[k / 3];
      if (k % 3) child.centre = points[2 * (k / 3) + k % 3 - 1];
      limit(child);
      if (!can_hold_more(child, best, enough())) continue;
      boxes_.push_back(child);
      std::push_heap(boxes_.begin(), boxes_.end());
    }
  }
  return proved && best.f >= height;
}

}  // namespace multilevel::likelihood
