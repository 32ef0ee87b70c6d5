// The log densities of all rows, and their derivatives, where a row has several predictors with random effects, or the
// rows of a set share one density.
//
// Row j has variables s: eta and the family's parameters. The main ones, eta first, carry the random effects; each
// column of Z belongs to one of them. With l_s, l_st, ... the derivatives of the log density,
//   B_ab = sum_j w_ab z_a z_b,  w_ab = -l_st of the variables that columns a and b belong to,
// where the alternatives of a set have one variable, whose second derivatives are w with centred columns (choices.hpp).
#pragma once

#include <functional>
#include <vector>

#include "likelihood/joint/products.hpp"
#include "likelihood/objective.hpp"

namespace multilevel::likelihood {

class JointDensities {
 public:
  virtual ~JointDensities() = default;

  virtual void set_parameters(const double* beta, const double* phi) = 0;

  /// At the random effects u = Lambda v of all levels: first and second derivatives, or the third ones too. Returns the
  /// sum of the log densities.
  double evaluate(const double* u, bool third);

  /// Log densities by sorted row; that of a set stands in its first row.
  const double* value() const { return value_.data(); }
  int n_variables() const { return n_variables_; }
  int n_main() const { return static_cast<int>(main_.size()); }
  /// The variable that is main one a.
  int main(int a) const { return main_[static_cast<std::size_t>(a)]; }
  /// The main variable of each column of Z.
  const std::vector<int>& main_of() const { return main_of_; }
  int n_pairs() const { return n_main() * (n_main() + 1) / 2; }
  static int pair(int a, int b) { return a >= b ? a * (a + 1) / 2 + b : b * (b + 1) / 2 + a; }

  /// l_s of a panel's rows.
  virtual const double* first(int panel, int s) const = 0;
  /// to = -l_st x
  virtual void curve(int panel, int s, const double* x, int t, double* to) const = 0;
  /// to[s] += sum over pairs of main variables of l_sab V_ab / 2, both orders counted; V[pair(a, b)] of the panel's
  /// rows are what PairLeverages makes.
  virtual void add_third(int panel, const double* const* V, double* const* to) const = 0;

  /// Makes what columns() gives. Of what is negative in each row's block a `share` is kept: all of it is the curvature,
  /// nothing what points uphill from anywhere.
  virtual void set_weights(double share) = 0;
  virtual void columns(const model::Panel& panel, PairedColumns& to) const = 0;
  /// B, once the weights are made.
  virtual void products(const JointPattern& pattern, CrossProducts& to) const;
  /// Told the block of H^-1 of one cluster after another, in their order; leverage[pair] gets a number per row.
  using ClusterVisit = std::function<void(int cluster, const double* inverse)>;
  virtual ClusterVisit leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda,
                                 std::vector<std::vector<double>>& leverage) const;

  /// Looks for better modes of the levels of a factor, each on its own with everything else held, from `modes`, where
  /// the rows are and f is at a mode. Better ones are written there; returns how many, and adds the levels that have
  /// others, better or not, to `several`. With `near` only levels that have one of these rows.
  virtual int move_levels(int, const Eigen::MatrixXd& /*lambda*/, std::vector<double>& /*modes*/, long& /*several*/,
                          const std::vector<char>* /*near*/ = nullptr) {
    return 0;
  }

 protected:
  JointDensities(const model::Model& model, const model::Response& response, std::vector<int> main,
                 std::vector<int> main_of, int n_variables, int threads, const Monitor& monitor);

  /// Where the panel's rows are: derivatives, and value_. at(a) has the values of main variable a.
  virtual void evaluate_panel(int panel, bool third) = 0;
  /// o = X beta + offset
  void set_fixed_part(const double* beta);
  double* at(int a) { return at_[static_cast<std::size_t>(a)].data(); }
  const model::Panel& panel(int i) const { return model_.panels()[static_cast<std::size_t>(i)]; }

  const model::Model& model_;
  const model::Response& response_;
  std::vector<std::vector<double>> fixed_;  ///< o of each main variable
  std::vector<double> value_;

 private:
  std::vector<int> main_, main_of_;
  int n_variables_, threads_;
  const Monitor& monitor_;
  std::vector<std::vector<double>> at_;
  std::vector<numeric::CompensatedSum> partial_;
};

}  // namespace multilevel::likelihood
