#include "likelihood/nested/rows.hpp"

namespace multilevel::likelihood {

void NestedRows::set(const model::Model& model, const model::Response& response, const model::Panel& panel) {
  const auto& nesting = *model.nesting();
  const auto &inner = model.factors()[static_cast<std::size_t>(nesting.inner)],
             &outer = model.factors()[static_cast<std::size_t>(nesting.outer)];
  q_inner = inner.q;
  q_outer = outer.q;
  n_rows = panel.n_rows;
  first_unit = panel.first_cluster;
  n_units = panel.last_cluster - panel.first_cluster;
  x.resize(static_cast<std::size_t>(model.p()));
  z_inner.resize(static_cast<std::size_t>(q_inner));
  z_outer.resize(static_cast<std::size_t>(q_outer));
  for (int k = 0; k < model.p(); ++k) x[static_cast<std::size_t>(k)] = model.fixed_column(panel, k);
  for (int a = 0; a < q_inner; ++a) z_inner[static_cast<std::size_t>(a)] = model.random_column(panel, inner.first + a);
  for (int a = 0; a < q_outer; ++a) z_outer[static_cast<std::size_t>(a)] = model.random_column(panel, outer.first + a);
  phi.resize(static_cast<std::size_t>(model.n_phi()));
  for (int g = 0; g < model.n_phi(); ++g) phi[static_cast<std::size_t>(g)] = model.phi_uses(panel, response, g);
  data = response.from(panel.first_row, {});
  // A linear family has its offset taken from the response.
  offset = model.family().is_linear() ? nullptr : model.offset(panel);

  unit_start_.resize(static_cast<std::size_t>(n_units) + 1);
  unit_of_.resize(static_cast<std::size_t>(n_rows));
  for (int i = 0; i <= n_units; ++i)
    unit_start_[static_cast<std::size_t>(i)] = static_cast<int>(model.cluster_start(first_unit + i) - panel.first_row);
  for (int i = 0; i < n_units; ++i) std::fill(unit_of_.begin() + first_row(i), unit_of_.begin() + first_row(i + 1), i);

  const auto begin = std::lower_bound(nesting.first_unit.begin(), nesting.first_unit.end(), panel.first_cluster);
  first_cluster = static_cast<int>(begin - nesting.first_unit.begin());
  cluster_start_.clear();
  for (auto c = begin; c != nesting.first_unit.end() && *c <= panel.last_cluster; ++c)
    cluster_start_.push_back(*c - first_unit);
  n_clusters = static_cast<int>(cluster_start_.size()) - 1;
}

NestedArrays::NestedArrays(int rows, int q_inner, const model::Model& model) {
  const auto n = static_cast<std::size_t>(rows) + 8;
  const auto& parts = model.phi_parts();
  const int n_parts = static_cast<int>(parts.size()), pairs = n_parts * (n_parts + 1) / 2;
  data_.resize(n * static_cast<std::size_t>(11 + q_inner + 5 * n_parts + 3 * pairs));
  double* next = data_.data();
  auto take = [&] {
    double* array = next;
    next += n;
    return array;
  };
  fixed_eta = take();
  eta = take();
  at_mode.value = take();
  for (auto& d : at_mode.eta) d = take();
  rho = take();
  leverage = take();
  shift = take();
  scratch = take();
  for (int a = 0; a < q_inner; ++a) scaled_z.push_back(take());
  for (int r = 0; r < n_parts; ++r) {
    for (auto& d : at_mode.phi[r]) d = take();
    if (!parts[static_cast<std::size_t>(r)].constant) phi_rows[r] = take();
  }
  for (int pair = 0; pair < pairs; ++pair)
    for (auto& d : at_mode.phi_phi[pair]) d = take();
}

}  // namespace multilevel::likelihood
