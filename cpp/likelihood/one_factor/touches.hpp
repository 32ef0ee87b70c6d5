// What rows touch: of the columns of items nearly all are zero in a row, and those that are not are found once.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "likelihood/one_factor/strip.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// A column that is not zero in a row: of the fixed part, of the term, or of one of the family's parameters.
struct Touch {
  int parameter;  ///< its place among (beta, entries of Lambda, phi)
  int part;       ///< of the family's parameters, -1 of others
  double value;
};

/// Those of the rows of a strip, row by row, in the order of the parameters.
class Touches {
 public:
  /// `phi`: where the family's parameters begin. Strips always begin at the same clusters.
  void set(const Strip& strip, const model::Layout& layout, int phi) {
    const auto found = kept_.find(strip.first_cluster);
    if (found != kept_.end()) {
      now_ = &found->second;
      return;
    }
    const auto n = static_cast<std::size_t>(strip.n_rows);
    Rows own;
    own.first.assign(n + 1, 0);
    each_column(strip, layout, phi, [&](int, int, const double* column) {
      for (std::size_t j = 0; j < n; ++j) own.first[j + 1] += !column || column[j] != 0.0;
    });
    for (std::size_t j = 0; j < n; ++j) own.first[j + 1] += own.first[j];
    own.all.resize(static_cast<std::size_t>(own.first.back()));
    std::vector<int> next(own.first.begin(), own.first.end() - 1);
    each_column(strip, layout, phi, [&](int parameter, int part, const double* column) {
      for (std::size_t j = 0; j < n; ++j)
        if (!column || column[j] != 0.0)
          own.all[static_cast<std::size_t>(next[j]++)] = {parameter, part, column ? column[j] : 1.0};
    });
    const bool keep = n_kept_ + own.all.size() <= most_kept;
    if (keep) n_kept_ += own.all.size();
    Rows& place = keep ? kept_[strip.first_cluster] : spare_;
    place = std::move(own);
    now_ = &place;
  }

  /// Where those of a row begin; the next row's follow.
  int first(int row) const { return now_->first[static_cast<std::size_t>(row)]; }
  const Touch& operator[](int touch) const { return now_->all[static_cast<std::size_t>(touch)]; }

 private:
  static constexpr std::size_t most_kept = 4'000'000;  // from one evaluation to the next

  struct Rows {
    std::vector<Touch> all;
    std::vector<int> first;
  };

  /// Every column of the strip: its parameter, the part that this one makes, and the values; null is the constant one.
  template <class Function>
  static void each_column(const Strip& strip, const model::Layout& layout, int phi, Function&& function) {
    const int p = static_cast<int>(strip.x.size());
    for (int k = 0; k < p; ++k) function(k, -1, strip.x[static_cast<std::size_t>(k)]);
    for (int e = 0; e < phi - p; ++e) {
      const int row = layout.entries()[static_cast<std::size_t>(e)].row;
      function(p + e, -1, strip.z[static_cast<std::size_t>(row)]);
    }
    for (std::size_t g = 0; g < strip.phi.size(); ++g)
      for (const auto& use : strip.phi[g]) function(phi + static_cast<int>(g), use.part, use.column);
  }

  const Rows* now_ = nullptr;
  Rows spare_;
  std::unordered_map<int, Rows> kept_;  // by a strip's first cluster
  std::size_t n_kept_ = 0;
};

}  // namespace multilevel::likelihood
