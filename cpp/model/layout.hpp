// How theta makes Lambda. The entries of Lambda that may differ from zero stand in a row, term by term; for linear
// structures they are theta itself, for the others covariance/ gives them with their derivatives.
//
// The coefficients of an unstructured term may stand in any order in its Cholesky factor; the search puts the one with
// the largest variance first, because a factor whose first pivot vanishes turns its other columns around freely and
// flattens the likelihood. Results are always in the user's order.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "model/model.hpp"

namespace multilevel::model {

struct ThetaEntry {
  int row, column;  ///< in Lambda
  int place;        ///< of the row in the term's own order
  int term;
};

/// dLambda / d theta_k, entry by entry.
struct ThetaDirection {
  struct Part {
    int row, column;
    double weight;
  };
  std::vector<Part> parts;
  std::vector<int> rows, columns;  ///< that have any
};

class Layout {
 public:
  explicit Layout(const Model& model);

  /// All entries of Lambda that may differ from zero.
  const std::vector<ThetaEntry>& entries() const { return entries_; }
  int n_entries() const { return static_cast<int>(entries_.size()); }
  int n_theta() const { return first_theta_.back(); }
  /// Whether the entries are theta, for all terms.
  bool is_linear() const { return linear_; }
  /// The theta of term t are [first_theta(t), first_theta(t + 1)), its entries [first_entry(t), first_entry(t + 1)).
  int first_theta(int term) const { return first_theta_[static_cast<std::size_t>(term)]; }
  int first_entry(int term) const { return first_entry_[static_cast<std::size_t>(term)]; }

  void entries_from_theta(const double* theta, double* entries) const;
  /// (beta, theta, phi) with the entries in place of theta.
  Eigen::VectorXd entry_parameters(const Eigen::VectorXd& psi, int n_beta) const;
  /// Derivatives of the entries, n_entries x n_theta.
  Eigen::MatrixXd jacobian(const double* theta) const;
  /// The same as a direction of Lambda for each theta.
  std::vector<ThetaDirection> directions(const double* theta) const;
  /// sum_e weight_e d2 entry_e / d theta d theta.
  Eigen::MatrixXd curvature(const double* theta, const double* weights) const;
  /// One for each theta that the size of random effects is proportional to, zero for each tau, which has no unit.
  Eigen::VectorXd units() const;
  /// Derivatives with respect to (beta, entries, phi) become those with respect to (beta, theta, phi), by the chain
  /// rule. `hessian` and `information` (Fisher information of the entries) may be empty.
  void theta_derivatives(int n_beta, const double* theta, Eigen::VectorXd& gradient, Eigen::MatrixXd& hessian,
                         Eigen::MatrixXd& information) const;

  /// Lambda (q x q) from theta.
  Eigen::MatrixXd lambda(const double* theta) const;
  /// The lower factor of one term, in the term's own order.
  Eigen::MatrixXd term_factor(int term, const double* theta) const;
  /// Of linear terms.
  void set_term_factor(int term, const Eigen::MatrixXd& factor, double* theta) const;
  /// Where a search begins when random effects of this standard deviation are plausible.
  void start(double scale, double* theta) const;
  /// The same where each random column has a scale of its own, (q).
  void start(const Eigen::VectorXd& scales, double* theta) const;

  /// Orders the coefficients of unstructured terms by pivoted Cholesky where the present order is bad, and moves theta
  /// along. True when anything changed.
  bool improve_order(double* theta);
  /// The user's order, for a theta that is in it.
  void reset_order();
  /// Whether a term's order is not the user's.
  bool is_permuted() const;
  /// Back to the user's order.
  void restore_order(double* theta);

 private:
  void make_entries();
  void move_theta(int term, const std::vector<int>& order, double* theta);

  const Model& model_;
  std::vector<std::vector<int>> order_;
  std::vector<ThetaEntry> entries_;
  std::vector<int> first_theta_{0}, first_entry_{0};
  bool linear_ = true;
};

/// Lower Cholesky factor of a positive semidefinite matrix. Pivots not above `least`, and those marked in `zero` if it
/// is given, become zero, columns and all.
Eigen::MatrixXd semidefinite_factor(const Eigen::MatrixXd& sigma, double least,
                                    const std::vector<bool>* zero = nullptr);

}  // namespace multilevel::model
