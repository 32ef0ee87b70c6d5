// The course of Newton's method towards a conditional mode: what a search does with the value of f where it has
// arrived. It is the same for every kind of likelihood; how to move, and how to make a step, is theirs.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace multilevel::likelihood {

inline constexpr double mode_tolerance = 1e-10;  // Newton decrement after which the last step is taken unseen
inline constexpr double usual_lambda = 25.0;     // squared length of Lambda up to which that is enough
inline constexpr int most_newton_steps = 200;
inline constexpr int most_halvings = 60;
inline constexpr int most_start_halvings = 8;  // of a start outside the domain
inline constexpr int most_entries = 60;        // steps from there towards the domain
inline constexpr double outside_weight = 1e6;  // of a row outside, beside the prior's one
/// Where rows far out weigh so much that H = I + B cannot be factorized, (1 / share + B) is, with smaller and smaller
/// shares: I + share B, and the step times share. A mode is never declared after such a step.
inline constexpr double first_share = 1e-4, least_share = 1e-300;
inline constexpr double not_done = 2.0 * mode_tolerance;
inline constexpr double far_out = 1e12;    // a decrement that only an exponential function has
inline constexpr double still_far = 1e-8;  // and what is left of it after a step that such a function needs

/// The decrement below which the last step is taken unseen. It moves v by its root at most, and a linear predictor by
/// as much more as Lambda is long: where that is far a step that is short for v is none for the rows.
inline double tolerance_of(double lambda_squared) {
  return mode_tolerance / std::max(1.0, lambda_squared / usual_lambda);
}

class ModeCourse {
 public:
  enum class Turn {
    shrink,  ///< outside the domain at the start: towards v = 0, by shrinkage()
    enter,   ///< outside at v = 0: to where the responses are
    back,    ///< downhill: half of the last step
    step,    ///< a Newton step from here
    fail,
  };

  /// Whether there is a mode must not depend on where the search began.
  Turn arrive(double f, bool at_zero) {
    if (!started_ && !std::isfinite(f)) {
      if (!at_zero && entries_ == 0) return Turn::shrink;
      return ++entries_ > most_entries ? Turn::fail : Turn::enter;
    }
    if (started_ && !(f >= f_ - 1e-9 * (1.0 + std::fabs(f_)))) {
      reach_ = 1.0;
      return ++halvings_ > most_halvings ? Turn::fail : Turn::back;
    }
    return Turn::step;
  }
  double shrinkage() { return ++halvings_ < most_start_halvings ? 0.5 : 0.0; }

  /// Whether the step at hand may be the last one. Rounding may not let the decrement fall any further.
  bool is_last(double decrement, double tolerance) const {
    return decrement < tolerance || (decrement < mode_tolerance && !(decrement < decrement_));
  }

  /// Takes a step of this decrement from where f is; returns by how much it is to be lengthened: where f falls off like
  /// an exponential function Newton's steps come nearer by a constant length each, and doubling them saves hundreds.
  double leave(double f, double decrement) {
    const bool slow = decrement > far_out && decrement > still_far * decrement_ && started_;
    reach_ = slow ? 2.0 * reach_ : 1.0;
    decrement_ = decrement;
    started_ = true;
    halvings_ = 0;
    f_ = f;
    return reach_;
  }

  bool started() const { return started_; }
  double f() const { return f_; }

 private:
  double f_ = 0.0, decrement_ = std::numeric_limits<double>::infinity(), reach_ = 1.0;
  int halvings_ = 0, entries_ = 0;
  bool started_ = false;
};

}  // namespace multilevel::likelihood
