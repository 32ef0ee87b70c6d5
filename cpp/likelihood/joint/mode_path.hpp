// Newton's path to the conditional modes of all random effects together: back where f falls, on by a step. It is the
// same for one predictor per row and for several; what makes a step is theirs.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "likelihood/mode_course.hpp"

namespace multilevel::likelihood {

inline constexpr double mode_error = 1e-9;     // that a last step taken unseen may leave
inline constexpr double error_beside = 1e-11;  // the same where differences of gradients are taken

inline Eigen::Map<const Eigen::VectorXd> as_vector(const std::vector<double>& x) {
  return {x.data(), static_cast<Eigen::Index>(x.size())};
}

/// f, where the log densities of the rows sum to `rows`.
inline double penalized(double rows, const std::vector<double>& modes) {
  return rows - 0.5 * as_vector(modes).squaredNorm();
}

/// The squared distance from one v to another, relative to 1 + v'v of the other.
inline double distance_to(const std::vector<double>& one, const std::vector<double>& other) {
  const auto v = as_vector(other);
  return (as_vector(one) - v).squaredNorm() / (1.0 + v.squaredNorm());
}

class ModePath {
 public:
  ModePath(std::vector<double>& modes, std::vector<double>& step, std::vector<double>& old)
      : modes_(modes), step_(step), old_(old) {}

  /// What f, at the modes, asks for. A start that shrinks has shrunk, and half of the last step is taken back already.
  ModeCourse::Turn arrive(double f) {
    const bool at_zero = std::all_of(modes_.begin(), modes_.end(), [](double v) { return v == 0.0; });
    const auto turn = course_.arrive(f, at_zero);
    if (turn == ModeCourse::Turn::shrink) {
      const double factor = course_.shrinkage();
      for (auto& v : modes_) v *= factor;
    } else if (turn == ModeCourse::Turn::back) {
      for (std::size_t k = 0; k < modes_.size(); ++k) {
        step_[k] *= 0.5;
        modes_[k] = old_[k] + step_[k];
      }
    }
    return turn;
  }

  /// Takes the step, whose decrement is known.
  void go(double f, double decrement) {
    if (const double reach = course_.leave(f, decrement); reach > 1.0)
      for (auto& s : step_) s *= reach;
    old_ = modes_;
    for (std::size_t k = 0; k < modes_.size(); ++k) modes_[k] += step_[k];
  }

  /// The decrement is a sum over the random effects, as the information is.
  double size() const { return std::max(1.0, static_cast<double>(modes_.size()) / 1000.0); }

 private:
  ModeCourse course_;
  std::vector<double>&modes_, &step_, &old_;
};

}  // namespace multilevel::likelihood
