// The columns that are not zero in a row, of all rows: found once for all that evaluates the likelihood of a model and
// a response, panel by panel when a panel is first looked at.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "model/model.hpp"

namespace multilevel::likelihood {

class SparseRows {
 public:
  /// What a column belongs to; those of the family's parameters come after the others.
  static constexpr int fixed = 0, random = 1, first_part = 2;

  struct Entry {
    int group;
    int column;  ///< of the fixed part, of all random columns, or a coefficient of the family's parameters
    double value;
  };

  struct Panel {
    std::vector<Entry> all;  ///< row by row
    std::vector<int> first;  ///< where those of a row begin
    /// The family's parameters where all coefficients are zero, part by part; empty of constant ones.
    std::vector<std::vector<double>> base;
  };

  SparseRows(const model::Model& model, const model::Response& response);

  /// Those of a panel, which one thread at a time asks for; `spare` holds them where too many are kept already.
  const Panel& of(const model::Panel& panel, Panel& spare);

 private:
  static constexpr std::size_t most_kept = 4'000'000;

  Panel find(const model::Panel& panel) const;

  const model::Model& model_;
  const model::Response& response_;
  std::vector<Panel> kept_;
  std::atomic<std::size_t> n_kept_ = 0;
};

}  // namespace multilevel::likelihood
