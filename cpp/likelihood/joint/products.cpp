#include "likelihood/joint/products.hpp"

#include <algorithm>

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

CrossProducts::CrossProducts(const JointPattern& pattern) {
  const int q = pattern.q(), n = pattern.model().n_clusters();
  leading.resize(at(n) * at(q * q));
  border.resize(at(pattern.clique_start(n)) * at(q));
  blocks.resize(at(pattern.n_block_values()));
}

void CrossProducts::set(const JointPattern& pattern, const double* weight) {
  const auto& model = pattern.model();
  const int q = pattern.q(), n_others = pattern.n_others(), n_pairs = pattern.n_pairs();
  std::fill(leading.begin(), leading.end(), 0.0);
  std::fill(border.begin(), border.end(), 0.0);
  std::fill(blocks.begin(), blocks.end(), 0.0);
  if (pattern.scalar_only()) return set_scalars(pattern, weight);
  const int first = model.factors()[at(model.leading())].first;
  std::vector<const double*> z(at(model.q()));
  std::vector<double> own(at(q)), other(at(model.q()));
  for (const auto& panel : model.panels()) {
    for (int a = 0; a < model.q(); ++a) z[at(a)] = model.random_column(panel, a) - panel.first_row;
    for (int i = panel.first_cluster; i < panel.last_cluster; ++i) {
      double* D = leading.data() + std::int64_t{i} * q * q;
      double* E = border.data() + pattern.clique_start(i) * q;
      for (std::int64_t row = model.cluster_start(i); row < model.cluster_start(i + 1); ++row) {
        const double w = weight[row];
        for (int a = 0; a < q; ++a) own[at(a)] = w * z[at(first + a)][row];
        for (int a = 0; a < q; ++a)
          for (int b = 0; b <= a; ++b) D[a + b * q] += own[at(a)] * z[at(first + b)][row];
        const std::int32_t* places = pattern.row_places(row);
        double* others = other.data();
        for (int o = 0; o < n_others; ++o) {
          const int f = pattern.others()[at(o)], q_o = pattern.other_q(o), z_o = model.factors()[at(f)].first;
          for (int b = 0; b < q_o; ++b) {
            const double value = z[at(z_o + b)][row];
            others[b] = value;
            double* column = E + (places[o] + b) * q;
            for (int a = 0; a < q; ++a) column[a] += own[at(a)] * value;
          }
          // The level with itself: blocks stand in the order of others and levels.
          double* block = blocks.data() + pattern.blocks()[at(pattern.own_block(o, model.levels(f)[row]))].first;
          for (int b = 0; b < q_o; ++b)
            for (int a = 0; a < q_o; ++a) block[a + b * q_o] += w * others[a] * others[b];
          others += q_o;
        }
        if (n_pairs == 0) continue;
        const std::int32_t* pairs = pattern.row_blocks(row);
        const double* left = other.data();
        for (int o = 0; o < n_others; ++o) {
          const double* right = left + pattern.other_q(o);
          for (int p = o + 1; p < n_others; ++p, ++pairs) {
            double* block = blocks.data() + pattern.blocks()[at(*pairs)].first;
            const int q_a = pattern.other_q(o), q_b = pattern.other_q(p);
            for (int b = 0; b < q_b; ++b)
              for (int a = 0; a < q_a; ++a) block[a + b * q_a] += w * left[a] * right[b];
            right += q_b;
          }
          left += pattern.other_q(o);
        }
      }
      for (int a = 0; a < q; ++a)
        for (int b = 0; b < a; ++b) D[b + a * q] = D[a + b * q];
    }
  }
}

void CrossProducts::set(const JointPattern& pattern,
                        const std::function<void(const model::Panel&, PairedColumns&)>& columns) {
  const auto& model = pattern.model();
  const int q = pattern.q(), n_others = pattern.n_others(), n_columns = model.q();
  std::fill(leading.begin(), leading.end(), 0.0);
  std::fill(border.begin(), border.end(), 0.0);
  std::fill(blocks.begin(), blocks.end(), 0.0);
  const int first = model.factors()[at(model.leading())].first;
  std::vector<int> first_of;
  for (const int f : pattern.others()) first_of.push_back(model.factors()[at(f)].first);
  PairedColumns own(n_columns);
  // to += w_ab z_a z_b for the columns from a0 and b0 on
  auto add = [&](std::int64_t row, int a0, int q_a, int b0, int q_b, double* to) {
    for (int b = b0; b < b0 + q_b; ++b, to += q_a) {
      const double right = own.z[at(b)][row];
      if (right == 0.0) continue;
      for (int a = a0; a < a0 + q_a; ++a)
        to[a - a0] += own.weight[at(a * n_columns + b)][row] * own.z[at(a)][row] * right;
    }
  };
  for (const auto& panel : model.panels()) {
    columns(panel, own);
    for (int i = panel.first_cluster; i < panel.last_cluster; ++i) {
      double* D = leading.data() + std::int64_t{i} * q * q;
      double* E = border.data() + pattern.clique_start(i) * q;
      for (std::int64_t row = model.cluster_start(i); row < model.cluster_start(i + 1); ++row) {
        add(row, first, q, first, q, D);
        const std::int32_t* places = pattern.row_places(row);
        const std::int32_t* pairs = pattern.row_blocks(row);
        for (int o = 0; o < n_others; ++o) {
          const int z_o = first_of[at(o)], q_o = pattern.other_q(o), level = model.levels(pattern.others()[at(o)])[row];
          add(row, first, q, z_o, q_o, E + places[o] * q);
          add(row, z_o, q_o, z_o, q_o, blocks.data() + pattern.blocks()[at(pattern.own_block(o, level))].first);
          for (int p = o + 1; p < n_others; ++p, ++pairs)
            add(row, z_o, q_o, first_of[at(p)], pattern.other_q(p), blocks.data() + pattern.blocks()[at(*pairs)].first);
        }
      }
    }
  }
}

void CrossProducts::set_scalars(const JointPattern& pattern, const double* weight) {
  const auto& model = pattern.model();
  const int n_others = pattern.n_others(), n_pairs = pattern.n_pairs();
  std::vector<const double*> z(at(n_others));
  std::vector<const std::int32_t*> level(at(n_others));
  std::vector<double*> own(at(n_others));
  for (int o = 0; o < n_others; ++o) {
    level[at(o)] = model.levels(pattern.others()[at(o)]);
    own[at(o)] = blocks.data() + pattern.blocks()[at(pattern.own_block(o, 0))].first;
  }
  for (const auto& panel : model.panels()) {
    const double* z_own = model.random_column(panel, model.factors()[at(model.leading())].first) - panel.first_row;
    for (int o = 0; o < n_others; ++o)
      z[at(o)] = model.random_column(panel, model.factors()[at(pattern.others()[at(o)])].first) - panel.first_row;
    for (int i = panel.first_cluster; i < panel.last_cluster; ++i) {
      double* E = border.data() + pattern.clique_start(i);
      double D = 0.0;
      for (std::int64_t row = model.cluster_start(i); row < model.cluster_start(i + 1); ++row) {
        const double w = weight[row], scaled = w * z_own[row];
        D += scaled * z_own[row];
        const std::int32_t* places = pattern.row_places(row);
        for (int o = 0; o < n_others; ++o) {
          const double value = z[at(o)][row];
          E[places[o]] += scaled * value;
          own[at(o)][level[at(o)][row]] += w * value * value;
        }
        if (n_pairs == 0) continue;
        const std::int32_t* pairs = pattern.row_blocks(row);
        for (int o = 0; o < n_others; ++o)
          for (int p = o + 1; p < n_others; ++p, ++pairs)
            blocks[at(pattern.blocks()[at(*pairs)].first)] += w * z[at(o)][row] * z[at(p)][row];
      }
      leading[at(i)] = D;
    }
  }
}

void CrossProducts::multiply(const JointPattern& pattern, const double* x, double* to, int n_columns,
                             std::ptrdiff_t stride) const {
  const auto& model = pattern.model();
  const int q = pattern.q();
  const auto& own = model.factors()[at(model.leading())];
  for (int c = 0; c < n_columns; ++c) {
    const double* from = x + c * stride;
    double* sum = to + c * stride;
    std::fill(sum, sum + model.n_modes(), 0.0);
    for (int i = 0; i < model.n_clusters(); ++i) {
      const auto level = own.offset + std::int64_t{model.cluster_level(i)} * q;
      const double *x1 = from + level, *D = leading.data() + std::int64_t{i} * q * q;
      double* y1 = sum + level;
      for (int b = 0; b < q; ++b)
        for (int a = 0; a < q; ++a) y1[a] += D[a + b * q] * x1[b];
      const double* E = border.data() + pattern.clique_start(i) * q;
      const std::int64_t* modes = pattern.clique_modes(i);
      for (int k = 0; k < pattern.clique_size(i); ++k) {
        const double x2 = from[modes[k]];
        double s = 0.0;
        for (int a = 0; a < q; ++a) {
          y1[a] += E[a + k * q] * x2;
          s += E[a + k * q] * x1[a];
        }
        sum[modes[k]] += s;
      }
    }
    for (const auto& block : pattern.blocks()) {
      const int q_a = pattern.other_q(block.factor_a), q_b = pattern.other_q(block.factor_b);
      const auto a0 = pattern.mode(block.factor_a, block.level_a), b0 = pattern.mode(block.factor_b, block.level_b);
      const double* values = blocks.data() + block.first;
      const bool own_block = block.diagonal();
      for (int b = 0; b < q_b; ++b)
        for (int a = 0; a < q_a; ++a) {
          sum[a0 + a] += values[a + b * q_a] * from[b0 + b];
          if (!own_block) sum[b0 + b] += values[a + b * q_a] * from[a0 + a];
        }
    }
  }
}

Eigen::VectorXd CrossProducts::diagonal(const JointPattern& pattern) const {
  const auto& model = pattern.model();
  const int q = pattern.q();
  const auto& own = model.factors()[at(model.leading())];
  Eigen::VectorXd values = Eigen::VectorXd::Zero(model.n_modes());
  for (int i = 0; i < model.n_clusters(); ++i)
    for (int a = 0; a < q; ++a)
      values[own.offset + std::int64_t{model.cluster_level(i)} * q + a] +=
          leading[at((std::int64_t{i} * q + a) * q + a)];
  for (const auto& block : pattern.blocks()) {
    if (!block.diagonal()) continue;
    const int q_a = pattern.other_q(block.factor_a);
    for (int a = 0; a < q_a; ++a)
      values[pattern.mode(block.factor_a, block.level_a) + a] = blocks[at(block.first + std::int64_t{a} * q_a + a)];
  }
  return values;
}

}  // namespace multilevel::likelihood
