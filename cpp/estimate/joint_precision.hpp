// H = I + Lambda' B Lambda, B = Z'WZ: the precision of the spherical random effects of all grouping factors given the
// data, factorized.
//
// The leading factor's part of H is block diagonal, a q x q block per level (a cluster of rows). Eliminating it leaves
// the Schur complement C of the other factors, which is kept sparse where its pattern is and dense where it fills:
//
//   H = [ D  E' ]     D_i = L_i L_i',  T_i = L_i^-1 E_i',  C = I + Lambda' B Lambda (others) - sum_i T_i' T_i.
//       [ E  .. ]
//
// The inverse is only ever needed between random effects that meet in a row; a cluster's rows meet those of its own
// level and of the levels of other factors that occur in it, the cluster's clique. Variances of zero need no care:
// nothing is divided by them.
#pragma once

#include <Eigen/Dense>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "model/model.hpp"
#include "numeric/sparse_cholesky.hpp"

namespace multilevel::estimate {

/// Thrown when a factorization would not fit into memory, before anything large is allocated.
struct TooLarge : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Which random effects meet. Immutable; shared by all that factorize H of one model.
class JointPattern {
 public:
  /// `most_bytes`: what a factorization may take; 0 is most of the memory that the machine has.
  explicit JointPattern(const model::Model& model, double most_bytes = 0.0);

  /// A pair of levels of two other factors that share a row, or one such level with itself.
  struct Block {
    int factor_a, factor_b;  ///< place among others()
    int level_a, level_b;
    std::int64_t first;  ///< of its q_a x q_b numbers among all blocks'
  };

  const model::Model& model() const { return model_; }
  int q() const { return q_; }                                ///< random effects per level of the leading factor
  const std::vector<int>& others() const { return others_; }  ///< the grouping factors that do not lead
  int n_others() const { return static_cast<int>(others_.size()); }
  int other_q(int o) const { return other_q_[static_cast<std::size_t>(o)]; }
  /// Number of the first random effect of a level of another factor, among those of all others.
  int scalar(int o, int level) const { return other_first_[static_cast<std::size_t>(o)] + level * other_q(o); }
  int n_scalars() const { return n_scalars_; }
  /// The place of a level's first random effect among those of all factors.
  std::int64_t mode(int o, int level) const {
    const auto& factor = model_.factors()[static_cast<std::size_t>(others_[static_cast<std::size_t>(o)])];
    return factor.offset + std::int64_t{level} * factor.q;
  }
  /// The other factor that a scalar belongs to.
  int factor_of(int scalar) const {
    int o = n_others() - 1;
    while (other_first_[static_cast<std::size_t>(o)] > scalar) --o;
    return o;
  }

  /// The clique of a cluster: r scalars of other factors.
  int clique_size(int i) const {
    return static_cast<int>(clique_start_[static_cast<std::size_t>(i) + 1] -
                            clique_start_[static_cast<std::size_t>(i)]);
  }
  std::int64_t clique_start(int i) const { return clique_start_[static_cast<std::size_t>(i)]; }
  int largest_clique() const { return largest_clique_; }
  const int* clique_scalars(int i) const { return clique_scalars_.data() + clique_start(i); }
  /// The same scalars' places among the random effects of all factors.
  const std::int64_t* clique_modes(int i) const { return clique_modes_.data() + clique_start(i); }
  /// Positions in the order of elimination, ascending, and which of the clique's scalars stands there.
  const int* clique_places(int i) const { return clique_places_.data() + clique_start(i); }
  const int* clique_order(int i) const { return clique_order_.data() + clique_start(i); }
  /// Whether every clique stands in that order already.
  bool sorted() const { return sorted_; }
  /// One random effect per level of every factor: the loops over rows and cliques are much simpler then.
  bool scalar_only() const { return sorted_ && q_ == 1; }
  /// Per row and other factor, where its level begins within the clique.
  const std::int32_t* row_places(std::int64_t row) const { return row_places_.data() + row * n_others(); }
  /// Per row and pair of other factors (a < b), the block.
  const std::int32_t* row_blocks(std::int64_t row) const { return row_blocks_.data() + row * n_pairs(); }
  int n_pairs() const { return n_others() * (n_others() - 1) / 2; }

  const std::vector<Block>& blocks() const { return blocks_; }
  /// The block of a level with itself.
  int own_block(int o, int level) const { return first_block_[static_cast<std::size_t>(o)] + level; }
  std::int64_t n_block_values() const { return n_block_values_; }
  const numeric::SymbolicCholesky& symbolic() const { return *symbolic_; }

 private:
  void find_cliques();
  void find_blocks();
  void analyse();
  void check_size(double n_values, double flops) const;

  const model::Model& model_;
  double most_bytes_;
  int q_;
  std::vector<int> others_, other_q_, other_first_, first_block_;
  int n_scalars_ = 0, largest_clique_ = 0;
  bool sorted_ = false;
  std::vector<std::int64_t> clique_start_;
  std::vector<int> clique_scalars_, clique_places_, clique_order_;
  std::vector<std::int64_t> clique_modes_;
  std::vector<std::int32_t> row_places_, row_blocks_;
  std::vector<Block> blocks_;
  std::int64_t n_block_values_ = 0;
  std::unique_ptr<numeric::SymbolicCholesky> symbolic_;
};

/// B = Z'WZ on the pattern: per cluster its q x q block and its q x r border, and the blocks of the others.
struct CrossProducts {
  explicit CrossProducts(const JointPattern& pattern);
  /// `weight`: of the sorted rows.
  void set(const JointPattern& pattern, const double* weight);

  /// to = B x for vectors of all random effects, columns `leading` apart.
  void multiply(const JointPattern& pattern, const double* x, double* to, int n_columns, std::ptrdiff_t stride) const;

  std::vector<double> leading, border, blocks;

 private:
  void set_scalars(const JointPattern& pattern, const double* weight);
};

/// H factorized, for one thread.
class JointPrecision {
 public:
  explicit JointPrecision(const JointPattern& pattern);

  /// False when H is not positive definite.
  bool factor(const CrossProducts& products, const Eigen::MatrixXd& lambda);
  double log_determinant() const;
  /// x = H^-1 x for vectors of all random effects (Model::n_modes), columns `leading` apart.
  void solve(double* x, int n_columns, std::ptrdiff_t leading) const;

  /// Makes the inverse on the pattern; after it:
  void invert() { cholesky_.invert(); }
  /// H^-1 between the random effects that meet in a cluster, (q + r) x (q + r): its own level first, then its clique.
  void cluster_inverse(int i, double* inverse) const;
  /// H^-1 between the two levels of a block, q_a x q_b.
  void block_inverse(int block, double* inverse) const;

  /// Per level N = (B Lambda H^-1) of the level with itself, q x q, laid out like the modes' covariances; the blocks of
  /// H^-1 itself into `covariance` unless null; and `visit`, if any, sees every cluster_inverse on the way.
  void level_products(const CrossProducts& products, const Eigen::MatrixXd& lambda, double* N, double* covariance,
                      const std::function<void(int cluster, const double* inverse)>& visit = nullptr) const;

 private:
  const JointPattern& pattern_;
  numeric::SparseCholesky cholesky_;
  std::vector<double> factor_, half_;  ///< L_i, T_i
  std::vector<double> block_;
  mutable std::vector<double> right_, clique_;
  double log_determinant_ = 0.0;
};

}  // namespace multilevel::estimate
