// The derivatives of the rows' log densities by several predictors. Variable 0 is eta, variable r + 1 the family's
// parameter phi_r; those that carry random effects are the main ones.
#pragma once

#include <vector>

#include "model/model.hpp"

namespace multilevel::likelihood {

/// The main variables of a model: eta, and those of the family's parameters that carry random effects.
std::vector<int> main_variables(const model::Model& model);
/// For each column of Z, the position of its variable among them.
std::vector<int> main_positions(const model::Model& model);

class Tables {
 public:
  Tables(const model::Model& model, int most_rows);

  /// The main variables, eta first whether or not it carries random effects.
  const std::vector<int>& main() const { return main_; }
  int n_variables() const { return 1 + n_phi_; }

  /// Fills values, first and second derivatives. `at[a]` has the rows' values of main variable a; `data` those of the
  /// others.
  void evaluate(int n, const std::vector<double*>& at, family::Observations data);
  /// The third derivatives too, at the same place.
  void evaluate_third(int n, const std::vector<double*>& at, family::Observations data);

  const double* value() const { return out_.value; }
  const double* first(int s) const { return s == 0 ? out_.eta[0] : out_.phi[s - 1][0]; }
  const double* second(int s, int t) const;
  /// At least two of the three are main ones.
  const double* third(int s, int t, int u) const;

 private:
  void call(family::Order order, int n, const std::vector<double*>& at, family::Observations data,
            const family::RowDerivatives& out) const;
  static int pair(int s, int t) { return s >= t ? family::phi_pair(s - 1, t - 1) : family::phi_pair(t - 1, s - 1); }

  const family::Family& family_;
  int n_phi_, n_pairs_;
  std::vector<int> main_;
  std::vector<double> data_;
  family::RowDerivatives out_, beside_;
  std::vector<std::vector<double>> by_phi_;  ///< d/d phi of main a of l_phi_phi, pair by pair
  std::vector<double> moved_;
};

}  // namespace multilevel::likelihood
