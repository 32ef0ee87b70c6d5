// Sums over clusters of products of two vectors for every pair of parameters: most of a Hessian where a cluster touches
// many. Clusters in a row that touch the same parameters are multiplied together.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace multilevel::likelihood {

class TraitProducts {
 public:
  /// Of so many parameters; a cluster gives each a left and a right vector of this length, a multiple of four.
  TraitProducts(int n_parameters, int length);

  void start();

  /// Room for a cluster that touches these parameters.
  void open(const std::vector<int>& touched);
  double* left(std::size_t a) { return left_.data() + a * row_ + slot_; }
  double* right(std::size_t a) { return right_.data() + a * row_ + slot_; }

  /// Adds to the place of a pair of parameters, in any order; a parameter's pair with itself has one place.
  void put(int a, int b, double value) { a < b ? sums_(b, a) += value : sums_(a, b) += value; }

  /// Adds all to the rows of the first `n_beta` parameters and to the lower triangle of the others.
  void finish(int n_beta, Eigen::MatrixXd& hessian);

 private:
  void multiply();
  void close_block();

  std::size_t length_, row_ = 0, slot_ = 0, used_ = 0, room_ = 0;  ///< of a block: clusters in it, and as many as fit
  std::vector<int> block_;                                         ///< what its clusters touch
  std::vector<double> left_, right_;
  Eigen::MatrixXd sums_;  ///< lower triangle
};

}  // namespace multilevel::likelihood
