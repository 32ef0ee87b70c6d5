#include "likelihood/joint/pattern.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

#include "numeric/memory.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double memory_share = 0.8;
constexpr double flops_per_second = 2e10;  // for the message only

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

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
  if (model_.sets_cross()) return find_blocks_of_sets();
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

/// The alternatives of a set share a sum, so that all levels that occur in it meet.
void JointPattern::find_blocks_of_sets() {
  const int n_sets = model_.cluster_set(model_.n_clusters());
  std::map<std::pair<int, int>, std::int32_t> found;  // by the scalars that two levels begin with
  set_level_start_.push_back(0);
  for (int set = 0; set < n_sets; ++set) {
    const auto begin = set_levels_.size();
    for (int o = 0; o < n_others(); ++o) {
      const std::int32_t* level = model_.levels(others_[at(o)]);
      const auto own = static_cast<std::ptrdiff_t>(set_levels_.size());
      for (auto row = model_.set_start(set); row < model_.set_start(set + 1); ++row)
        if (std::none_of(set_levels_.begin() + own, set_levels_.end(),
                         [&](const SetLevel& other) { return other.level == level[row]; }))
          set_levels_.push_back({o, level[row], row});
      std::sort(set_levels_.begin() + own, set_levels_.end(),
                [](const SetLevel& a, const SetLevel& b) { return a.level < b.level; });
    }
    set_level_start_.push_back(static_cast<std::int64_t>(set_levels_.size()));
    set_block_start_.push_back(static_cast<std::int64_t>(set_blocks_.size()));
    for (auto b = begin; b < set_levels_.size(); ++b)
      for (auto a = begin; a <= b; ++a) {
        const SetLevel &one = set_levels_[a], &other = set_levels_[b];
        if (a == b) {
          set_blocks_.push_back(own_block(one.factor, one.level));
          continue;
        }
        const auto [place, fresh] =
            found.try_emplace({scalar(one.factor, one.level), scalar(other.factor, other.level)},
                              static_cast<std::int32_t>(blocks_.size()));
        if (fresh) {
          blocks_.push_back({one.factor, other.factor, one.level, other.level, n_block_values_});
          n_block_values_ += other_q(one.factor) * other_q(other.factor);
        }
        set_blocks_.push_back(place->second);
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
  symbolic_ = std::make_unique<linear_algebra::SymbolicCholesky>(n_scalars_, start, rows);
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

}  // namespace multilevel::likelihood
