// Sets of alternatives that cross the levels of grouping factors, as products do that are among the alternatives.
//
// With X the columns of Z of all random effects that occur in a set, less their means over it by its probabilities p,
// the set adds X' diag(w p) X to B, between all levels that occur in it, and the leverages of its rows are those of the
// rows of X Lambda (choices.hpp).
#pragma once

#include <vector>

#include "likelihood/choice/sets.hpp"
#include "likelihood/joint/products.hpp"

namespace multilevel::likelihood {

/// The random effects that occur in a set: those of the leading factor's level first, then level by level.
class SetEffects {
 public:
  explicit SetEffects(const JointPattern& pattern) : pattern_(pattern) {}

  /// `p`: of the panel's rows. Sets `set` and after it what is told below.
  void take(const model::Panel& panel, int set, const double* p);
  int n_rows() const { return n_rows_; }
  int n_effects() const { return static_cast<int>(column_.size()); }
  /// Of an effect, X row by row, and the column of Z.
  double* x(int effect) { return x_.data() + static_cast<std::size_t>(effect) * static_cast<std::size_t>(n_rows_); }
  int column(int effect) const { return column_[static_cast<std::size_t>(effect)]; }
  /// Where a block of effects begins, that of the leading factor (block 0) or of a level of the set (from 1 on), and
  /// how many it has.
  int first(int block) const { return first_[static_cast<std::size_t>(block)]; }
  int width(int block) const { return first(block + 1) - first(block); }
  int n_blocks() const { return static_cast<int>(first_.size()) - 1; }
  /// Of a level of the set, where its effects begin in the clique of the set's cluster.
  int clique_place(int level) const;

 private:
  void add(int factor, const model::Panel& panel, const double* p, int level);

  const JointPattern& pattern_;
  int set_ = 0, n_rows_ = 0;
  std::vector<int> column_, first_;
  std::vector<double> x_;
};

/// B from the sets of all panels, at their last linear predictors.
void set_products(const JointPattern& pattern, const std::vector<Sets>& sets, CrossProducts& to);

/// Told the block of H^-1 of one cluster after another, in their order; `leverage` gets a number per row.
class CrossedLeverages {
 public:
  CrossedLeverages(const JointPattern& pattern, const std::vector<Sets>& sets, const Eigen::MatrixXd& lambda,
                   std::vector<double>& leverage)
      : pattern_(pattern), sets_(sets), lambda_(lambda), leverage_(leverage), effects_(pattern) {}

  void operator()(int cluster, const double* inverse);

 private:
  const JointPattern& pattern_;
  const std::vector<Sets>& sets_;
  const Eigen::MatrixXd& lambda_;
  std::vector<double>& leverage_;
  SetEffects effects_;
  int panel_ = 0;
  std::vector<double> s_;
  std::vector<int> place_;
};

}  // namespace multilevel::likelihood
