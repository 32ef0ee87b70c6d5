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
  void set(const model::Panel& panel, const Strip& strip) {
    const SparseRows::Panel& own = rows_->of(panel, spare_);
    const int first_row = static_cast<int>(model_.cluster_start(strip.first_cluster) - panel.first_row);
    set_loadings();
    all_.clear();
    first_.clear();
    for (int j = first_row; j < first_row + strip.n_rows; ++j) {
      first_.push_back(static_cast<int>(all_.size()));
      add_row(own.all.data() + own.first[at(j)], own.all.data() + own.first[at(j + 1)]);
    }
    first_.push_back(static_cast<int>(all_.size()));
    base_.assign(own.base.size(), nullptr);
    for (std::size_t r = 0; r < base_.size(); ++r)
      if (!own.base[r].empty()) base_[r] = own.base[r].data() + first_row;
  }

  /// Where those of a row begin; the next row's follow.
  int first(int row) const { return first_[at(row)]; }
  const Touch& operator[](int touch) const { return all_[at(touch)]; }

  /// The family's parameters of the rows at these coefficients; those that differ from row to row stand in `rows`.
  family::Phi phi_rows(const Strip& strip, const double* phi, double* const* rows) const {
    family::Phi result;
    bool some = false;
    for (std::size_t r = 0; r < base_.size(); ++r) {
      const auto& part = model_.phi_parts()[r];
      result.value[r] = part.constant ? phi + part.first : rows[r];
      result.step[r] = part.constant ? 0 : 1;
      if (!part.constant) std::copy_n(base_[r], strip.n_rows, rows[r]);
      some |= !part.constant;
    }
    for (int j = 0; some && j < strip.n_rows; ++j)
      for (int e = first(j + 1) - 1; e >= first(j) && (*this)[e].kind >= first_part_; --e) {
        const Touch& touch = (*this)[e];
        if (result.step[touch.kind - first_part_])
          rows[touch.kind - first_part_][j] += phi[touch.parameter - phi_] * touch.value;
      }
    return result;
  }

 private:
  struct Loading {
    int parameter, kind;
  };

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// Which entries of Lambda each random column meets.
  void set_loadings() {
    loadings_.assign(at(model_.q()), {});
    const int p = model_.p();
    for (int e = 0; e < phi_ - p; ++e) {
      const auto& entry = layout_.entries()[at(e)];
      loadings_[at(entry.row)].push_back({p + e, 1 + trait_[at(entry.column)]});
    }
  }

  void add_row(const SparseRows::Entry* entry, const SparseRows::Entry* last) {
    const std::size_t begin = all_.size();
    for (; entry < last; ++entry) {
      if (entry->group == SparseRows::fixed) {
        all_.push_back({entry->column, 0, entry->value});
      } else if (entry->group == SparseRows::random) {
        for (const Loading& loading : loadings_[at(entry->column)]) {
          all_.push_back({loading.parameter, loading.kind, entry->value});
          // Entries follow one another by columns of Lambda, and a row has several of its rows.
          for (std::size_t i = all_.size() - 1; i > begin && all_[i].parameter < all_[i - 1].parameter; --i)
            std::swap(all_[i], all_[i - 1]);
        }
      } else {
        all_.push_back({phi_ + entry->column, first_part_ + entry->group - SparseRows::first_part, entry->value});
      }
    }
  }

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
