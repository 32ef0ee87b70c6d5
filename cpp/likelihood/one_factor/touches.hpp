// What rows touch: of the columns of items nearly all are zero in a row, and those that are not are found once.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

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
  /// `trait`: of each column of Lambda. `phi`: where the family's parameters begin among all.
  Touches(const model::Model& model, const model::Response& response, const model::Layout& layout,
          std::vector<int> trait, int n_traits, int phi)
      : model_(model),
        response_(response),
        layout_(layout),
        trait_(std::move(trait)),
        first_part_(1 + n_traits),
        phi_(phi),
        zero_(static_cast<std::size_t>(model.n_phi()), 0.0) {}

  /// Strips always begin at the same clusters.
  void set(const model::Panel& panel, const Strip& strip) {
    if (const auto kept = kept_.find(strip.first_cluster); kept != kept_.end()) {
      now_ = &kept->second;
      return;
    }
    const auto n = static_cast<std::size_t>(strip.n_rows);
    Rows own;
    own.first.assign(n + 1, 0);
    // Column by column, and then by rows in that order.
    found_.clear();
    found_row_.clear();
    std::vector<int> rows(n);
    each_column(strip, [&](int parameter, int kind, const double* column) {
      std::size_t some = 0;
      for (std::size_t j = 0; j < n; ++j) {
        rows[some] = static_cast<int>(j);
        some += !column || column[j] != 0.0;
      }
      for (std::size_t i = 0; i < some; ++i) {
        found_row_.push_back(rows[i]);
        found_.push_back({parameter, kind, column ? column[rows[i]] : 1.0});
        ++own.first[static_cast<std::size_t>(rows[i]) + 1];
      }
    });
    for (std::size_t j = 0; j < n; ++j) own.first[j + 1] += own.first[j];
    own.all.resize(found_.size());
    std::vector<int> next(own.first.begin(), own.first.end() - 1);
    for (std::size_t i = 0; i < found_.size(); ++i)
      own.all[static_cast<std::size_t>(next[static_cast<std::size_t>(found_row_[i])]++)] = found_[i];
    own.base.resize(model_.phi_parts().size());
    const int in_panel = static_cast<int>(model_.cluster_start(strip.first_cluster) - panel.first_row);
    for (std::size_t r = 0; r < own.base.size(); ++r) {
      if (model_.phi_parts()[r].constant) continue;
      own.base[r].resize(n);
      model_.phi_part_rows(panel, response_, static_cast<int>(r), in_panel, strip.n_rows, zero_.data(),
                           own.base[r].data());
    }
    const bool keep = n_kept_ + own.all.size() <= most_kept;
    if (keep) n_kept_ += own.all.size();
    Rows& place = keep ? kept_[strip.first_cluster] : spare_;
    place = std::move(own);
    now_ = &place;
  }

  /// Where those of a row begin; the next row's follow.
  int first(int row) const { return now_->first[static_cast<std::size_t>(row)]; }
  const Touch& operator[](int touch) const { return now_->all[static_cast<std::size_t>(touch)]; }

  /// The family's parameters of the rows at these coefficients; those that differ from row to row stand in `rows`.
  family::Phi phi_rows(const Strip& strip, const double* phi, double* const* rows) const {
    family::Phi result;
    bool some = false;
    for (std::size_t r = 0; r < now_->base.size(); ++r) {
      const auto& part = model_.phi_parts()[r];
      result.value[r] = part.constant ? phi + part.first : rows[r];
      result.step[r] = part.constant ? 0 : 1;
      if (!part.constant) std::copy(now_->base[r].begin(), now_->base[r].end(), rows[r]);
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
  static constexpr std::size_t most_kept = 4'000'000;  // from one evaluation to the next

  struct Rows {
    std::vector<Touch> all;
    std::vector<int> first;
    std::vector<std::vector<double>> base;  ///< the family's parameters where all coefficients are zero
  };

  /// Every column of the strip: its parameter, its kind, and the values; null is the constant one.
  template <class Function>
  void each_column(const Strip& strip, Function&& function) const {
    const int p = static_cast<int>(strip.x.size());
    for (int k = 0; k < p; ++k) function(k, 0, strip.x[static_cast<std::size_t>(k)]);
    for (int e = 0; e < phi_ - p; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      function(p + e, 1 + trait_[static_cast<std::size_t>(entry.column)], strip.z[static_cast<std::size_t>(entry.row)]);
    }
    for (std::size_t g = 0; g < strip.phi.size(); ++g)
      for (const auto& use : strip.phi[g]) function(phi_ + static_cast<int>(g), first_part_ + use.part, use.column);
  }

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  std::vector<int> trait_;
  int first_part_, phi_;
  std::vector<double> zero_;
  const Rows* now_ = nullptr;
  Rows spare_;
  std::unordered_map<int, Rows> kept_;  // by a strip's first cluster
  std::size_t n_kept_ = 0;
  std::vector<Touch> found_;  // of a strip, and their rows
  std::vector<int> found_row_;
};

}  // namespace multilevel::likelihood
