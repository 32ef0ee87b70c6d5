// Sets of alternatives: probabilities that share one sum, and what makes their second and third derivatives.
//
// With p the probabilities of a set and w its weight, l = sum_j y_j eta_j - w log sum_j exp(eta_j) has
//   l_j = y_j - w p_j,  -l_jk = w (p_j [j = k] - p_j p_k)
// so that -x'l''z = w sum_j p_j (x_j - xbar)(z_j - zbar), xbar = sum_j p_j x_j, and with a symmetric V over the set
//   sum_kl l_jkl V_kl = -w p_j (h_j - hbar),  h_j = (e_j - p)'V (e_j - p)
// as third cumulants are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace multilevel::likelihood {

class Sets {
 public:
  explicit Sets(int most_rows);

  /// The rows of a cluster: where sets start among them (n_sets + 1 numbers, the first and last of them less `origin`
  /// being 0 and the number of rows), the response times its weight, and the weight.
  void take(int n_sets, const std::int64_t* start, std::int64_t origin, const double* response, const double* weight);

  int n_rows() const { return n_; }
  int n_sets() const { return n_sets_; }
  /// Probabilities at eta; returns the log density.
  double evaluate(const double* eta);
  /// p of each row, at the last eta.
  const double* probabilities() const { return p_.data(); }
  /// w p of each row, at the last eta.
  const double* weighted() const { return weighted_.data(); }
  /// l_j into `to`.
  void scores(double* to) const;
  /// x_j - xbar into `to`.
  void centre(const double* x, double* to) const;
  /// w p_j (x_j - xbar) = -l'' x into `to`, which may be x. Of h it is the sum with the third derivatives, up to its
  /// sign.
  void curve(const double* x, double* to) const;
  /// Mean squared working residual, and its weight.
  void add_scatter(double& squares, double& weights) const;
  /// The log density of a set, at the last eta, and its first row.
  double value(int set) const { return set_value_[static_cast<std::size_t>(set)]; }
  int first(int set) const { return first_[static_cast<std::size_t>(set)]; }

 private:
  int n_sets_ = 0, n_ = 0;
  const double *response_ = nullptr, *weight_ = nullptr;
  std::vector<int> first_;
  std::vector<double> p_, weighted_, set_value_;
};

}  // namespace multilevel::likelihood
