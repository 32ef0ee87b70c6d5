#include "estimate/joint_precision.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "estimate/small_factor.hpp"
#include "numeric/memory.hpp"

namespace multilevel::estimate {

namespace {

constexpr double memory_share = 0.8;
constexpr double flops_per_second = 2e10;  // for the message only

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

// ---- the pattern ----------------------------------------------------------------------------------------------------

JointPattern::JointPattern(const model::Model& model, double most_bytes)
    : model_(model), most_bytes_(most_bytes > 0.0 ? most_bytes : memory_share * numeric::physical_memory()) {
  const auto& factors = model.factors();
  q_ = factors[at(model.leading())].q;
  for (int f = 0; f < static_cast<int>(factors.size()); ++f) {
    if (f == model.leading()) continue;
    others_.push_back(f);
    other_q_.push_back(factors[at(f)].q);
    other_first_.push_back(n_scalars_);
    n_scalars_ += factors[at(f)].n_levels * factors[at(f)].q;
  }
  find_cliques();
  find_blocks();
  analyse();
}

void JointPattern::find_cliques() {
  const int n_clusters = model_.n_clusters();
  clique_start_.assign(at(n_clusters) + 1, 0);
  row_places_.resize(at(model_.n_rows() * n_others()));
  std::vector<std::int64_t> seen(at(n_scalars_), -1);  // where a level's first scalar stands in the list
  for (int i = 0; i < n_clusters; ++i) {
    const auto begin = static_cast<std::int64_t>(clique_scalars_.size());
    for (std::int64_t row = model_.cluster_start(i); row < model_.cluster_start(i + 1); ++row)
      for (int o = 0; o < n_others(); ++o) {
        const int first = scalar(o, model_.levels(others_[at(o)])[row]);
        auto& place = seen[at(first)];
        if (place < begin) {
          place = static_cast<std::int64_t>(clique_scalars_.size());
          for (int a = 0; a < other_q(o); ++a) clique_scalars_.push_back(first + a);
        }
        row_places_[at(row * n_others() + o)] = static_cast<std::int32_t>(place - begin);
      }
    for (auto k = begin; k < static_cast<std::int64_t>(clique_scalars_.size()); ++k) {
      const int o = factor_of(clique_scalars_[at(k)]);
      clique_modes_.push_back(mode(o, 0) + clique_scalars_[at(k)] - scalar(o, 0));
    }
    clique_start_[at(i) + 1] = static_cast<std::int64_t>(clique_scalars_.size());
    largest_clique_ = std::max(largest_clique_, clique_size(i));
  }
}

void JointPattern::find_blocks() {
  for (int o = 0; o < n_others(); ++o) {
    const int n_levels = model_.factors()[at(others_[at(o)])].n_levels;
    first_block_.push_back(static_cast<int>(blocks_.size()));
    for (int level = 0; level < n_levels; ++level) {
      blocks_.push_back({o, o, level, level, n_block_values_});
      n_block_values_ += other_q(o) * other_q(o);
    }
  }
  row_blocks_.resize(at(model_.n_rows() * n_pairs()));
  int pair = 0;
  for (int a = 0; a < n_others(); ++a)
    for (int b = a + 1; b < n_others(); ++b, ++pair) {
      const std::int32_t *level_a = model_.levels(others_[at(a)]), *level_b = model_.levels(others_[at(b)]);
      // Rows by level of a (counting sort); within one, the last block seen of each level of b.
      const int n_a = model_.factors()[at(others_[at(a)])].n_levels,
                n_b = model_.factors()[at(others_[at(b)])].n_levels;
      std::vector<std::int64_t> start(at(n_a) + 1, 0);
      for (std::int64_t row = 0; row < model_.n_rows(); ++row) ++start[at(level_a[row]) + 1];
      std::partial_sum(start.begin(), start.end(), start.begin());
      std::vector<std::int32_t> rows(at(model_.n_rows()));
      std::vector<std::int64_t> next(start.begin(), start.end() - 1);
      for (std::int64_t row = 0; row < model_.n_rows(); ++row)
        rows[at(next[at(level_a[row])]++)] = static_cast<std::int32_t>(row);
      std::vector<std::int64_t> seen(at(n_b), -1);
      for (int level = 0; level < n_a; ++level) {
        const auto first_block = static_cast<std::int64_t>(blocks_.size());
        for (auto k = start[at(level)]; k < start[at(level) + 1]; ++k) {
          const std::int64_t row = rows[at(k)];
          auto& block = seen[at(level_b[row])];
          if (block < first_block) {
            block = static_cast<std::int64_t>(blocks_.size());
            blocks_.push_back({a, b, level, level_b[row], n_block_values_});
            n_block_values_ += other_q(a) * other_q(b);
          }
          row_blocks_[at(row * n_pairs() + pair)] = static_cast<std::int32_t>(block);
        }
      }
    }
}

/// The pattern of C: the cliques of the clusters, each stored once per scalar as a column of the lower triangle.
void JointPattern::analyse() {
  std::vector<std::int64_t> start(at(n_scalars_) + 1, 0);
  std::vector<int> rows;
  // Clusters by the scalars they touch, so that a column is gathered once and without repetition.
  std::vector<std::int64_t> touched(at(n_scalars_) + 1, 0);
  for (const int s : clique_scalars_) ++touched[at(s) + 1];
  std::partial_sum(touched.begin(), touched.end(), touched.begin());
  std::vector<int> clusters(clique_scalars_.size());
  std::vector<std::int64_t> next(touched.begin(), touched.end() - 1);
  for (int i = 0; i < model_.n_clusters(); ++i)
    for (std::int64_t k = clique_start(i); k < clique_start(i + 1); ++k)
      clusters[at(next[at(clique_scalars_[at(k)])]++)] = i;
  std::vector<int> seen(at(n_scalars_), -1);
  for (int s = 0; s < n_scalars_; ++s) {
    const auto begin = rows.size();
    for (auto k = touched[at(s)]; k < touched[at(s) + 1]; ++k) {
      const int i = clusters[at(k)];
      for (auto c = clique_start(i); c < clique_start(i + 1); ++c) {
        const int r = clique_scalars_[at(c)];
        if (r <= s || seen[at(r)] == s) continue;
        seen[at(r)] = s;
        rows.push_back(r);
      }
      if (rows.size() - begin == at(n_scalars_ - 1 - s)) break;  // full
    }
    // The factor holds at least the pattern; its work is at least that of dense columns of this height.
    const double n_values = static_cast<double>(rows.size());
    if (16.0 * n_values > most_bytes_) check_size(n_values, n_values * n_values / n_scalars_);
    start[at(s) + 1] = static_cast<std::int64_t>(rows.size());
  }
  symbolic_ = std::make_unique<numeric::SymbolicCholesky>(n_scalars_, start, rows);
  check_size(static_cast<double>(symbolic_->n_values()), symbolic_->flops());

  clique_places_.resize(clique_scalars_.size());
  clique_order_.resize(clique_scalars_.size());
  const auto& place = symbolic_->place();
  // Levels with one random effect each can stand in the order of elimination themselves.
  sorted_ = std::all_of(other_q_.begin(), other_q_.end(), [](int q) { return q == 1; });
  std::vector<int> rank(at(largest_clique_)), scalars(at(largest_clique_));
  std::vector<std::int64_t> modes(at(largest_clique_));
  for (int i = 0; i < model_.n_clusters(); ++i) {
    const int r = clique_size(i);
    const auto first = clique_start(i);
    int* order = clique_order_.data() + first;
    std::iota(order, order + r, 0);
    int* own = clique_scalars_.data() + first;
    std::sort(order, order + r, [&](int a, int b) { return place[at(own[a])] < place[at(own[b])]; });
    for (int k = 0; k < r; ++k) clique_places_[at(first + k)] = place[at(own[order[k]])];
    if (!sorted_) continue;
    for (int k = 0; k < r; ++k) {
      rank[at(order[k])] = k;
      scalars[at(k)] = own[order[k]];
      modes[at(k)] = clique_modes_[at(first + order[k])];
    }
    std::copy_n(scalars.begin(), r, own);
    std::copy_n(modes.begin(), r, clique_modes_.begin() + first);
    std::iota(order, order + r, 0);
    for (auto k = model_.cluster_start(i) * n_others(); k < model_.cluster_start(i + 1) * n_others(); ++k)
      row_places_[at(k)] = rank[at(row_places_[at(k)])];
  }
}

/// The factor and its inverse are kept; a fit evaluates about fifteen times, at three times the work of a
/// factorization.
void JointPattern::check_size(double n_values, double flops) const {
  const double cliques = static_cast<double>(clique_scalars_.size());
  const double bytes = 8.0 * (2.0 * n_values + cliques * (2.0 * q_ + 1.5) + 2.0 * static_cast<double>(n_block_values_));
  if (bytes <= most_bytes_) return;
  std::ostringstream text;
  text.precision(2);
  text << "the grouping factors cross so much that a fit would take about " << bytes / 1e9
       << " GB of memory (the limit is " << most_bytes_ / 1e9 << " GB) and " << 45.0 * flops / flops_per_second / 60.0
       << " minutes: besides the levels of the largest factor, " << n_scalars_
       << " random effects have to be factorized together";
  throw TooLarge(text.str());
}

// ---- B --------------------------------------------------------------------------------------------------------------

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
      const bool own_block = block.factor_a == block.factor_b;
      for (int b = 0; b < q_b; ++b)
        for (int a = 0; a < q_a; ++a) {
          sum[a0 + a] += values[a + b * q_a] * from[b0 + b];
          if (!own_block) sum[b0 + b] += values[a + b * q_a] * from[a0 + a];
        }
    }
  }
}

// ---- H --------------------------------------------------------------------------------------------------------------

JointPrecision::JointPrecision(const JointPattern& pattern)
    : pattern_(pattern),
      cholesky_(pattern.symbolic()),
      factor_(at(pattern.model().n_clusters()) * at(pattern.q() * pattern.q())),
      half_(at(pattern.clique_start(pattern.model().n_clusters())) * at(pattern.q())) {
  int largest = pattern.q();
  for (int o = 0; o < pattern.n_others(); ++o) largest = std::max(largest, pattern.other_q(o));
  const int wide = pattern.largest_clique() + largest;
  block_.resize(at(largest) * at(largest) * 2 + at(wide) * at(wide) + at(wide) * at(pattern.q()));
  clique_.resize(block_.size());
}

bool JointPrecision::factor(const CrossProducts& products, const Eigen::MatrixXd& lambda) {
  const auto& model = pattern_.model();
  const int q = pattern_.q(), n_clusters = model.n_clusters();
  const auto& factors = model.factors();
  auto own = [&](int f) {
    return lambda.block(factors[at(f)].first, factors[at(f)].first, factors[at(f)].q, factors[at(f)].q);
  };
  const Eigen::MatrixXd leading = own(model.leading());
  std::vector<Eigen::MatrixXd> others;
  for (const int f : pattern_.others()) others.push_back(own(f));

  cholesky_.clear();
  double* values = cholesky_.values();
  const auto& symbolic = pattern_.symbolic();
  const auto& place = symbolic.place();
  Eigen::MatrixXd scaled;
  for (const auto& block : pattern_.blocks()) {
    const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
    const int a0 = pattern_.scalar(block.factor_a, block.level_a), b0 = pattern_.scalar(block.factor_b, block.level_b);
    const bool diagonal = block.factor_a == block.factor_b;
    const double* from = products.blocks.data() + block.first;
    if (q_a == 1 && q_b == 1) {
      const double value = others[at(block.factor_a)](0, 0) * from[0] * others[at(block.factor_b)](0, 0);
      const int i = place[at(a0)], j = place[at(b0)];
      values[at(symbolic.position(std::max(i, j), std::min(i, j)))] = value + (diagonal ? 1.0 : 0.0);
      continue;
    }
    scaled = others[at(block.factor_a)].transpose() * Eigen::Map<const Eigen::MatrixXd>(from, q_a, q_b) *
             others[at(block.factor_b)];
    for (int b = 0; b < q_b; ++b)
      for (int a = diagonal ? b : 0; a < q_a; ++a) {
        const int i = place[at(a0 + a)], j = place[at(b0 + b)];
        values[at(symbolic.position(std::max(i, j), std::min(i, j)))] = scaled(a, b) + (diagonal && a == b ? 1.0 : 0.0);
      }
  }

  double logs = 0.0;
  double* work = block_.data();
  for (int i = 0; i < n_clusters; ++i) {
    double* L = factor_.data() + std::int64_t{i} * q * q;
    const double* D = products.leading.data() + std::int64_t{i} * q * q;
    const int r = pattern_.clique_size(i);
    double* T = half_.data() + pattern_.clique_start(i) * q;
    const double* E = products.border.data() + pattern_.clique_start(i) * q;
    if (q == 1) {
      const double l = leading(0, 0), d = 1.0 + l * l * D[0];
      if (!(d > 0.0) || !std::isfinite(d)) return false;
      L[0] = std::sqrt(d);
      logs += std::log(d);
      const double share = l / L[0];
      for (int k = 0; k < r; ++k) T[k] = share * E[k];
    } else {
      small::sandwich(q, leading, D, L, work);
      for (int a = 0; a < q; ++a) L[a + a * q] += 1.0;
      if (!small::cholesky(q, L)) return false;
      for (int a = 0; a < q; ++a) logs += 2.0 * std::log(L[a + a * q]);
      // L^-1 Lambda' E
      for (int k = 0; k < r; ++k) {
        small::transposed_times(q, leading, E + k * q, T + k * q);
        small::forward(q, L, T + k * q);
      }
    }
    if (r == 0) continue;
    // times the others' Lambda, level by level; then in the order of elimination
    for (int o_first = 0; o_first < r;) {
      const int o = pattern_.factor_of(pattern_.clique_scalars(i)[o_first]), q_o = pattern_.other_q(o);
      double* block = T + o_first * q;
      if (q_o == 1) {
        const double l = others[at(o)](0, 0);
        for (int a = 0; a < q; ++a) block[a] *= l;
      } else {
        small::times(q, q_o, block, others[at(o)], work);
      }
      o_first += q_o;
    }
    const int* order = pattern_.clique_order(i);
    const double* sorted = T;
    double* product = work + r * q;
    if (!pattern_.sorted()) {
      for (int k = 0; k < r; ++k)
        for (int a = 0; a < q; ++a) work[a + k * q] = T[a + order[k] * q];
      sorted = work;
    }
    for (int b = 0; b < r; ++b) {
      double* column = product + b * r;
      if (q == 1) {
        const double s = sorted[b];
        for (int a = b; a < r; ++a) column[a] = sorted[a] * s;
      } else {
        for (int a = b; a < r; ++a) {
          double s = 0.0;
          for (int c = 0; c < q; ++c) s += sorted[c + a * q] * sorted[c + b * q];
          column[a] = s;
        }
      }
    }
    symbolic.subtract_clique(pattern_.clique_places(i), r, product, values);
  }
  if (!cholesky_.factor()) return false;
  log_determinant_ = logs + cholesky_.log_determinant();
  return std::isfinite(log_determinant_);
}

double JointPrecision::log_determinant() const { return log_determinant_; }

void JointPrecision::solve(double* x, int n_columns, std::ptrdiff_t leading) const {
  const auto& model = pattern_.model();
  const int q = pattern_.q(), n = pattern_.n_scalars(), n_clusters = model.n_clusters();
  const auto& own = model.factors()[at(model.leading())];
  const auto& place = pattern_.symbolic().place();
  right_.resize(at(n) * at(n_columns));
  for (int c = 0; c < n_columns; ++c) {
    double* v = x + c * leading;
    double* right = right_.data() + std::int64_t{c} * n;
    for (int o = 0; o < pattern_.n_others(); ++o) {
      const auto& factor = model.factors()[at(pattern_.others()[at(o)])];
      const double* from = v + factor.offset;
      const int first = pattern_.scalar(o, 0), count = factor.n_levels * factor.q;
      for (int k = 0; k < count; ++k) right[place[at(first + k)]] = from[k];
    }
    for (int i = 0; i < n_clusters; ++i) {
      double* y = v + own.offset + std::int64_t{model.cluster_level(i)} * q;
      const double* T = half_.data() + pattern_.clique_start(i) * q;
      const int r = pattern_.clique_size(i);
      small::forward(q, factor_.data() + std::int64_t{i} * q * q, y);
      const int *order = pattern_.clique_order(i), *places = pattern_.clique_places(i);
      for (int k = 0; k < r; ++k) {
        double s = 0.0;
        for (int a = 0; a < q; ++a) s += T[a + order[k] * q] * y[a];
        right[places[k]] -= s;
      }
    }
  }
  if (n > 0) cholesky_.solve(right_.data(), n_columns, n);
  for (int c = 0; c < n_columns; ++c) {
    double* v = x + c * leading;
    const double* right = right_.data() + std::int64_t{c} * n;
    for (int i = 0; i < n_clusters; ++i) {
      double* y = v + own.offset + std::int64_t{model.cluster_level(i)} * q;
      const double* T = half_.data() + pattern_.clique_start(i) * q;
      const int r = pattern_.clique_size(i);
      const int *order = pattern_.clique_order(i), *places = pattern_.clique_places(i);
      for (int k = 0; k < r; ++k)
        for (int a = 0; a < q; ++a) y[a] -= T[a + order[k] * q] * right[places[k]];
      small::backward(q, factor_.data() + std::int64_t{i} * q * q, y);
    }
    for (int o = 0; o < pattern_.n_others(); ++o) {
      const auto& factor = model.factors()[at(pattern_.others()[at(o)])];
      double* to = v + factor.offset;
      const int first = pattern_.scalar(o, 0), count = factor.n_levels * factor.q;
      for (int k = 0; k < count; ++k) to[k] = right[place[at(first + k)]];
    }
  }
}

/// With U = D^-1 E' (q x r) and K = C^-1 on the clique: [ D^-1 + U K U'   -U K ; -K U'   K ].
void JointPrecision::cluster_inverse(int i, double* inverse) const {
  const int q = pattern_.q(), r = pattern_.clique_size(i), n = q + r;
  const double* L = factor_.data() + std::int64_t{i} * q * q;
  double* K = clique_.data();
  double* U = K + r * r;
  if (r > 0) {
    pattern_.symbolic().gather_clique(pattern_.clique_places(i), r, cholesky_.inverse(), K);
    const double* T = half_.data() + pattern_.clique_start(i) * q;
    const int* order = pattern_.clique_order(i);
    std::copy(T, T + r * q, U);
    for (int k = 0; k < r; ++k) small::backward(q, L, U + k * q);
    if (q == 1 && pattern_.sorted()) {
      for (int b = 0; b < r; ++b) std::copy(K + b * r, K + (b + 1) * r, inverse + 1 + (1 + b) * n);
      const Eigen::Map<const Eigen::MatrixXd> square(K, r, r);
      const Eigen::Map<const Eigen::VectorXd> u(U, r);
      Eigen::Map<Eigen::VectorXd> border(inverse + 1, r);
      border.noalias() = -(square * u);
      for (int b = 0; b < r; ++b) inverse[(1 + b) * n] = border[b];
      inverse[0] = 1.0 / (L[0] * L[0]) - border.dot(u);
      return;
    }
    for (int b = 0; b < r; ++b)
      for (int a = 0; a < r; ++a) inverse[q + order[a] + (q + order[b]) * n] = K[a + b * r];
    // -U K, and its transpose
    for (int b = 0; b < r; ++b) {
      const double* column = inverse + q + (q + b) * n;
      double* to = inverse + (q + b) * n;
      std::fill(to, to + q, 0.0);
      for (int k = 0; k < r; ++k)
        for (int a = 0; a < q; ++a) to[a] -= U[a + k * q] * column[k];
      for (int a = 0; a < q; ++a) inverse[q + b + a * n] = to[a];
    }
  }
  small::inverse_from_factor(q, L, inverse, n);
  for (int b = 0; b < q; ++b)
    for (int k = 0; k < r; ++k)
      for (int a = 0; a < q; ++a) inverse[a + b * n] -= inverse[a + (q + k) * n] * U[b + k * q];
}

void JointPrecision::block_inverse(int index, double* inverse) const {
  const auto& block = pattern_.blocks()[at(index)];
  const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
  const int a0 = pattern_.scalar(block.factor_a, block.level_a), b0 = pattern_.scalar(block.factor_b, block.level_b);
  const auto& symbolic = pattern_.symbolic();
  const auto& place = symbolic.place();
  for (int b = 0; b < q_b; ++b)
    for (int a = 0; a < q_a; ++a) {
      const int i = place[at(a0 + a)], j = place[at(b0 + b)];
      inverse[a + b * q_a] = cholesky_.inverse()[at(symbolic.position(std::max(i, j), std::min(i, j)))];
    }
}

void JointPrecision::level_products(const CrossProducts& products, const Eigen::MatrixXd& lambda, double* N,
                                    double* covariance, const std::function<void(int, const double*)>& visit) const {
  const auto& model = pattern_.model();
  const int q = pattern_.q();
  const auto& factors = model.factors();
  const auto& own = factors[at(model.leading())];
  const Eigen::MatrixXd& all = lambda;
  std::fill(N, N + model.n_mode_covariances(), 0.0);
  const int wide = q + pattern_.largest_clique();
  std::vector<double> inverse(at(wide) * at(wide)), scaled(at(q) * at(wide));
  const int first = own.first;
  std::vector<double> scale_of_other;
  for (const int f : pattern_.others()) scale_of_other.push_back(all(factors[at(f)].first, factors[at(f)].first));
  for (int i = 0; i < model.n_clusters(); ++i) {
    const int r = pattern_.clique_size(i), n = q + r;
    cluster_inverse(i, inverse.data());
    if (visit) visit(i, inverse.data());
    if (covariance) {
      double* block = covariance + own.covariance_offset + std::int64_t{model.cluster_level(i)} * q * q;
      for (int b = 0; b < q; ++b)
        for (int a = 0; a < q; ++a) block[a + b * q] = inverse[at(a + b * n)];
    }
    const double* D = products.leading.data() + std::int64_t{i} * q * q;
    const double* E = products.border.data() + pattern_.clique_start(i) * q;
    const int* scalars = pattern_.clique_scalars(i);
    double* to = N + own.covariance_offset + std::int64_t{model.cluster_level(i)} * q * q;
    if (pattern_.scalar_only()) {
      const std::int64_t* modes = pattern_.clique_modes(i);
      const double own_scale = all(first, first);
      double sum = D[0] * own_scale * inverse[0];
      for (int k = 0; k < r; ++k) {
        const double product = E[k] * inverse[at(1 + k)];
        sum += product * scale_of_other[at(pattern_.n_others() == 1 ? 0 : pattern_.factor_of(scalars[k]))];
        N[modes[k]] += product * own_scale;
      }
      to[0] = sum;
      continue;
    }
    // The leading level: D Lambda M_11 + sum over levels k of E_k Lambda_k M_k1; first B Lambda, q x (q + r).
    double* BL = scaled.data();
    for (int b = 0; b < q; ++b)
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int k = 0; k < q; ++k) s += D[a + k * q] * all(first + k, first + b);
        BL[a + b * q] = s;
      }
    for (int k = 0; k < r;) {
      const int o = pattern_.factor_of(scalars[k]), q_o = pattern_.other_q(o);
      const int z = factors[at(pattern_.others()[at(o)])].first;
      for (int b = 0; b < q_o; ++b)
        for (int a = 0; a < q; ++a) {
          double s = 0.0;
          for (int c = 0; c < q_o; ++c) s += E[a + (k + c) * q] * all(z + c, z + b);
          BL[a + (q + k + b) * q] = s;
        }
      // This level of another factor: E_k' Lambda_1 M_1k.
      const auto& factor = factors[at(pattern_.others()[at(o)])];
      double* other =
          N + factor.covariance_offset + std::int64_t{(scalars[k] - pattern_.scalar(o, 0)) / q_o} * q_o * q_o;
      for (int b = 0; b < q_o; ++b)
        for (int c = 0; c < q; ++c) {
          double m = 0.0;  // (Lambda_1 M_1k)(c, b)
          for (int d = 0; d < q; ++d) m += all(first + c, first + d) * inverse[at(d + (q + k + b) * n)];
          for (int a = 0; a < q_o; ++a) other[a + b * q_o] += E[c + (k + a) * q] * m;
        }
      k += q_o;
    }
    for (int b = 0; b < q; ++b)
      for (int k = 0; k < n; ++k) {
        const double m = inverse[at(k + b * n)];
        for (int a = 0; a < q; ++a) to[a + b * q] += BL[a + k * q] * m;
      }
  }
  Eigen::MatrixXd meet;
  for (std::size_t index = 0; index < pattern_.blocks().size(); ++index) {
    const auto& block = pattern_.blocks()[index];
    const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
    const auto &factor_a = factors[at(pattern_.others()[at(block.factor_a)])],
               &factor_b = factors[at(pattern_.others()[at(block.factor_b)])];
    meet.resize(q_a, q_b);
    block_inverse(static_cast<int>(index), meet.data());
    if (covariance && block.factor_a == block.factor_b)
      std::copy(meet.data(), meet.data() + q_a * q_a,
                covariance + factor_a.covariance_offset + std::int64_t{block.level_a} * q_a * q_a);
    const double* from = products.blocks.data() + block.first;
    double* N_a = N + factor_a.covariance_offset + std::int64_t{block.level_a} * q_a * q_a;
    double* N_b = N + factor_b.covariance_offset + std::int64_t{block.level_b} * q_b * q_b;
    if (q_a == 1 && q_b == 1) {
      N_a[0] += from[0] * all(factor_b.first, factor_b.first) * meet(0, 0);
      if (block.factor_a != block.factor_b) N_b[0] += from[0] * all(factor_a.first, factor_a.first) * meet(0, 0);
      continue;
    }
    const Eigen::Map<const Eigen::MatrixXd> B(from, q_a, q_b);
    Eigen::Map<Eigen::MatrixXd>(N_a, q_a, q_a).noalias() +=
        B * (all.block(factor_b.first, factor_b.first, q_b, q_b) * meet.transpose());
    if (block.factor_a != block.factor_b)
      Eigen::Map<Eigen::MatrixXd>(N_b, q_b, q_b).noalias() +=
          B.transpose() * (all.block(factor_a.first, factor_a.first, q_a, q_a) * meet);
  }
}

}  // namespace multilevel::estimate
