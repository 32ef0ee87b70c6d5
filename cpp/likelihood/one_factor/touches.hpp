// What rows touch: of the columns of items nearly all are zero in a row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "likelihood/one_factor/sparse_rows.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// A column that is not zero in a row.
struct Touch {
  int parameter;  ///< its place among (beta, entries of Lambda, phi)
  int kind;  ///< 0: of the fixed part; 1 + c: of a loading on trait c; after those: of one of the family's parameters
  double value;
};

/// Those of the rows of a strip, row by row, in the order of the parameters.
class Touches {
 public:
  /// `trait`: of each column of Lambda; without traits random columns touch nothing. `phi`: where the family's
  /// parameters begin among all.
  Touches(const model::Model& model, std::shared_ptr<SparseRows> rows, const model::Layout& layout,
          std::vector<int> trait, int n_traits, int phi)
      : model_(model),
        rows_(std::move(rows)),
        layout_(layout),
        trait_(std::move(trait)),
        first_part_(1 + n_traits),
        phi_(phi) {}

  /// The layout may be another one than before.
  void set(const model::Panel& panel, const Strip& strip);

  /// Where those of a row begin; the next row's follow.
  int first(int row) const { return first_[at(row)]; }
  const Touch& operator[](int touch) const { return all_[at(touch)]; }

  /// The family's parameters of the rows at these coefficients; those that differ from row to row stand in `rows`.
  family::Phi phi_rows(const Strip& strip, const double* phi, double* const* rows) const;

 private:
  struct Loading {
    int parameter, kind;
  };

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// Which entries of Lambda each random column meets.
  void set_loadings();

  void add_row(const SparseRows::Entry* entry, const SparseRows::Entry* last);

  const model::Model& model_;
  std::shared_ptr<SparseRows> rows_;
  const model::Layout& layout_;
  std::vector<int> trait_;
  int first_part_, phi_;
  SparseRows::Panel spare_;
  std::vector<Touch> all_;
  std::vector<int> first_;
  std::vector<const double*> base_;  ///< the family's parameters where all coefficients are zero
  std::vector<std::vector<Loading>> loadings_;
};

}  // namespace multilevel::likelihood
