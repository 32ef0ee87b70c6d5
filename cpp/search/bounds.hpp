// Where theta has an end. Of several standard deviations that share a correlation the signs matter: they stay at or
// above zero, and the likelihood may well be falling there. A correlation reaches one, or its least value, only as its
// tau grows without end: from `largest_tau` on it is there for all purposes. So it is with a parameter of the family at
// its limit (family::Parameter).
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "likelihood/objective.hpp"

namespace multilevel::search {

/// 1 - |rho| is near 1e-10.
inline constexpr double largest_tau = 12.0;
/// A correlation within 0.005 of its end may be on its way there.
inline constexpr double far_tau = 3.0;
/// Values of a family's parameter inside of its limit, from which one that stands there may rise: of large counts the
/// last ones.
inline constexpr std::array inside_limit{4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 18.0, 20.0, 23.0};

class Bounds {
 public:
  explicit Bounds(const likelihood::Objective& objective);

  /// Positions in psi of the standard deviations that may not be negative, and of all tau.
  const std::vector<int>& positive() const { return positive_; }
  const std::vector<int>& correlations() const { return correlations_; }
  bool empty() const { return positive_.empty() && correlations_.empty() && limits_.empty(); }
  struct Limit {
    int position;  ///< in psi
    double value;
    double side = 1.0;  ///< 1: above what is allowed; -1: below
    double outwards(const Eigen::VectorXd& psi) const { return side * psi[position]; }
    bool reached(const Eigen::VectorXd& psi) const { return outwards(psi) >= side * value; }
    bool inside(double outwards) const { return outwards < side * value; }
  };
  /// Of the family's parameters.
  const std::vector<Limit>& limits() const { return limits_; }

  struct Level {
    int position;  ///< in psi
    double until;
    bool holds(const Eigen::VectorXd& psi) const { return std::fabs(psi[position]) < until; }
  };
  /// Where parameters of the family leave every likelihood level.
  const std::vector<Level>& levels() const { return levels_; }

  /// The nearest point that the bounds allow.
  void project(Eigen::VectorXd& psi) const;
  bool allows(const Eigen::VectorXd& psi) const;
  /// At least one; the step divided by it takes no standard deviation below a tenth of what it is, and no tau further
  /// than one.
  double excess(const Eigen::VectorXd& psi, const Eigen::VectorXd& step) const;
  /// Takes from `free` the standard deviations that are zero, and the tau that are at their end or that nothing depends
  /// on because too few standard deviations are left, and the parameters of the family at their limit.
  void mark_held(const Eigen::VectorXd& psi, std::vector<bool>& free) const;
  /// Theta, or a step in it, with zeros for tau, which has no size to compare with.
  Eigen::VectorXd without_tau(const Eigen::VectorXd& psi, int n_theta) const;

 private:
  struct Term {
    std::vector<int> scales;
    int tau;
  };

  int n_beta_;
  std::vector<Term> terms_;
  std::vector<int> positive_, correlations_;
  std::vector<Limit> limits_;
  std::vector<Level> levels_;
};

}  // namespace multilevel::search
