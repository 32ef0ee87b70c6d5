#include "likelihood/one_factor/sparse_rows.hpp"

#include <utility>

namespace multilevel::likelihood {

namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

SparseRows::SparseRows(const model::Model& model, const model::Response& response)
    : model_(model), response_(response), kept_(model.panels().size()) {}

const SparseRows::Panel& SparseRows::of(const model::Panel& panel, Panel& spare) {
  Panel& own = kept_[static_cast<std::size_t>(&panel - model_.panels().data())];
  if (!own.first.empty()) return own;
  spare = find(panel);
  if (n_kept_.fetch_add(spare.all.size()) + spare.all.size() > most_kept) {
    n_kept_.fetch_sub(spare.all.size());
    return spare;
  }
  return own = std::move(spare);
}

SparseRows::Panel SparseRows::find(const model::Panel& panel) const {
  const auto n = at(panel.n_rows);
  Panel own;
  own.first.assign(n + 1, 0);
  // Column by column, and then by rows in that order.
  std::vector<Entry> found;
  std::vector<int> found_row, rows(n);
  const auto look = [&](int group, int column, const double* values) {
    std::size_t some = 0;
    for (std::size_t j = 0; j < n; ++j) {
      rows[some] = static_cast<int>(j);
      some += !values || values[j] != 0.0;
    }
    for (std::size_t i = 0; i < some; ++i) {
      found_row.push_back(rows[i]);
      found.push_back({group, column, values ? values[rows[i]] : 1.0});
      ++own.first[at(rows[i]) + 1];
    }
  };
  for (int k = 0; k < model_.p(); ++k) look(fixed, k, model_.fixed_column(panel, k));
  for (int a = 0; a < model_.q(); ++a) look(random, a, model_.random_column(panel, a));
  for (int g = 0; g < model_.n_phi(); ++g)
    for (const auto& use : model_.phi_uses(panel, response_, g)) look(first_part + use.part, g, use.column);
  for (std::size_t j = 0; j < n; ++j) own.first[j + 1] += own.first[j];
  own.all.resize(found.size());
  std::vector<int> next(own.first.begin(), own.first.end() - 1);
  for (std::size_t i = 0; i < found.size(); ++i) own.all[at(next[at(found_row[i])]++)] = found[i];

  const std::vector<double> zero(at(model_.n_phi()), 0.0);
  own.base.resize(model_.phi_parts().size());
  for (std::size_t r = 0; r < own.base.size(); ++r) {
    if (model_.phi_parts()[r].constant) continue;
    own.base[r].resize(n);
    model_.phi_part_rows(panel, response_, static_cast<int>(r), 0, panel.n_rows, zero.data(), own.base[r].data());
  }
  return own;
}

}  // namespace multilevel::likelihood
