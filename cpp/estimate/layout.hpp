// Which entry of Lambda each theta is. The coefficients of an unstructured term may stand in any order in its Cholesky
// factor; the search puts the one with the largest variance first, because a factor whose first pivot vanishes turns
// its other columns around freely and flattens the likelihood. Results are always in the user's order.
#pragma once

#include <Eigen/Dense>
#include <vector>

#include "model/model.hpp"

namespace multilevel::estimate {

struct ThetaEntry {
  int row, column;  ///< in Lambda
  int place;        ///< of the row in the term's own order
  int term;
};

class Layout {
 public:
  explicit Layout(const model::Model& model);

  const std::vector<ThetaEntry>& entries() const { return entries_; }

  /// Lambda (q x q) from theta.
  Eigen::MatrixXd lambda(const double* theta) const;
  /// The lower factor of one term, in the term's own order.
  Eigen::MatrixXd term_factor(int term, const double* theta) const;
  void set_term_factor(int term, const Eigen::MatrixXd& factor, double* theta) const;

  /// Orders the coefficients of unstructured terms by pivoted Cholesky where the present order is bad, and moves theta
  /// along. True when anything changed.
  bool improve_order(double* theta);
  /// Back to the user's order.
  void restore_order(double* theta);

 private:
  void make_entries();
  void move_theta(int term, const std::vector<int>& order, double* theta);

  const model::Model& model_;
  std::vector<std::vector<int>> order_;
  std::vector<ThetaEntry> entries_;
};

/// Lower Cholesky factor of a positive semidefinite matrix. Pivots not above `least`, and those marked in `zero` if it
/// is given, become zero, columns and all.
Eigen::MatrixXd semidefinite_factor(const Eigen::MatrixXd& sigma, double least,
                                    const std::vector<bool>* zero = nullptr);

}  // namespace multilevel::estimate
