// The log-likelihood on the points where a quantity has a given value, or some entries of theta are zero: what a search
// maximizes for one point of a profile.
//
// One parameter inside is eliminated: it is whatever gives the quantity its value at the others. With its slopes t
// there and the matrix T of the derivatives of psi with respect to the others, the gradient is T'g and the Hessian T'(H
// - lambda G) T, where G is the quantity's Hessian and lambda = d log-likelihood / d quantity.
#pragma once

#include "likelihood/objective.hpp"
#include "model/user_scale.hpp"
#include "profile/quantity.hpp"

namespace multilevel::profile {

class Constrained final : public likelihood::Objective {
 public:
  Constrained(likelihood::Objective& whole, const model::UserScale& scale, const likelihood::Monitor& monitor);

  /// From here on the quantity is held. At `psi` (inside) the parameter that moves it most is chosen to be eliminated,
  /// or the one that does so next to `choice` others; `errors` are how far each may go. False if there are no more.
  bool hold(const Quantity& quantity, double value, const Eigen::VectorXd& psi, const Eigen::VectorXd& errors,
            int choice);
  /// From here on these positions of psi on the user's scale are zero.
  void hold_zeros(const std::vector<int>& positions);
  /// The point that the others determine. False if there is none.
  bool complete(Eigen::VectorXd& psi) const;
  /// Parameters inside that a search may move.
  std::vector<bool> free() const;
  /// The slope, at the point last evaluated, of the log-likelihood in the quantity held, the others following.
  double multiplier() const { return multiplier_; }
  /// Where that was.
  const Eigen::VectorXd& last() const { return last_; }

  /// The Hessian to search with, where an evaluation does not give it: that of a point near by.
  void set_hessian(const Eigen::MatrixXd& hessian) { near_hessian_ = hessian; }
  bool borrows_hessian() const { return near_hessian_.size() > 0; }

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, likelihood::Sums& sums, double* mode_covariance,
                likelihood::Derivatives wanted) override;
  bool any_order() const override { return false; }
  double work() const override { return whole_.work(); }

 private:
  struct Inside {
    double value;
    Eigen::VectorXd gradient;
    Eigen::MatrixXd hessian;
  };
  Inside quantity_at(const Eigen::VectorXd& psi, Order order) const;

  likelihood::Objective& whole_;
  const model::UserScale& scale_;
  const Quantity* quantity_ = nullptr;
  double value_ = 0.0, multiplier_ = 0.0;
  std::vector<int> eliminated_;
  Eigen::MatrixXd from_others_;  ///< of zeros: the eliminated parameters in terms of all
  Eigen::MatrixXd near_hessian_;
  Eigen::VectorXd last_;
};

}  // namespace multilevel::profile
