#include "likelihood/one_factor/touches.hpp"

namespace multilevel::likelihood {

void Touches::set(const model::Panel& panel, const Strip& strip) {
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

family::Phi Touches::phi_rows(const Strip& strip, const double* phi, double* const* rows) const {
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

void Touches::set_loadings() {
  loadings_.assign(at(model_.q()), {});
  const int p = model_.p();
  for (int e = 0; e < phi_ - p; ++e) {
    const auto& entry = layout_.entries()[at(e)];
    loadings_[at(entry.row)].push_back({p + e, 1 + trait_[at(entry.column)]});
  }
}

void Touches::add_row(const SparseRows::Entry* entry, const SparseRows::Entry* last) {
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

}  // namespace multilevel::likelihood
