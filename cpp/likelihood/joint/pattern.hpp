// Which random effects of several grouping factors meet in a row: the pattern of H (joint_precision.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "linear_algebra/sparse_cholesky.hpp"
#include "model/model.hpp"

namespace multilevel::likelihood {

/// Thrown when a factorization would not fit into memory, before anything large is allocated.
struct TooLarge : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Which random effects meet. Immutable; shared by all that factorize H of one model.
class JointPattern {
 public:
  /// `most_bytes`: what a factorization may take; 0 is most of the memory that the machine has.
  explicit JointPattern(const model::Model& model, double most_bytes = 0.0);

  /// A pair of levels of two other factors that share a row, or of any that share a set of alternatives, or one such
  /// level with itself.
  struct Block {
    int factor_a, factor_b;  ///< place among others()
    int level_a, level_b;
    std::int64_t first;  ///< of its q_a x q_b numbers among all blocks'
    bool diagonal() const { return factor_a == factor_b && level_a == level_b; }
  };

  /// A level of another factor that occurs in a set of alternatives.
  struct SetLevel {
    int factor, level;  ///< the factor's place among others()
    std::int64_t row;   ///< the first that has it
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

  /// Where sets of alternatives cross levels: those of a set, from [0] to the last, in the order of blocks' factors and
  /// levels; and the block of each pair of them, (0, 0), (1, 0), (1, 1), (2, 0) and so on, the earlier one first in it.
  const SetLevel* set_levels(int set) const {
    return set_levels_.data() + set_level_start_[static_cast<std::size_t>(set)];
  }
  int n_set_levels(int set) const {
    return static_cast<int>(set_level_start_[static_cast<std::size_t>(set) + 1] -
                            set_level_start_[static_cast<std::size_t>(set)]);
  }
  const std::int32_t* set_blocks(int set) const {
    return set_blocks_.data() + set_block_start_[static_cast<std::size_t>(set)];
  }

  const std::vector<Block>& blocks() const { return blocks_; }
  /// The block of a level with itself.
  int own_block(int o, int level) const { return first_block_[static_cast<std::size_t>(o)] + level; }
  std::int64_t n_block_values() const { return n_block_values_; }
  const linear_algebra::SymbolicCholesky& symbolic() const { return *symbolic_; }

 private:
  void find_cliques();
  void find_blocks();
  void find_blocks_of_sets();
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
  std::vector<SetLevel> set_levels_;
  std::vector<std::int64_t> set_level_start_, set_block_start_;
  std::vector<std::int32_t> set_blocks_;
  std::int64_t n_block_values_ = 0;
  std::unique_ptr<linear_algebra::SymbolicCholesky> symbolic_;
};

}  // namespace multilevel::likelihood
