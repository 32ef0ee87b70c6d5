#include "likelihood/contributions.hpp"

#include <limits>
#include <numeric>

namespace multilevel::likelihood {

namespace {

/// Sets of levels that rows connect.
class Sets {
 public:
  explicit Sets(std::size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t find(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t i, std::size_t j) {
    i = find(i);
    j = find(j);
    if (i != j) parent_[std::max(i, j)] = std::min(i, j);
  }

 private:
  std::vector<std::size_t> parent_;
};

}  // namespace

Contributions::Contributions(const model::Model& model, const std::int32_t* row_part, int n_parts)
    : n_parts_(n_parts), row_part_(row_part) {
  const auto& factors = model.factors();
  if (factors.empty()) return;
  row_part_ = nullptr;
  std::vector<std::size_t> first{0};
  for (const auto& factor : factors) first.push_back(first.back() + static_cast<std::size_t>(factor.n_levels));
  Sets sets(first.back());
  const auto leading = static_cast<std::size_t>(model.leading());
  const auto level_of = [&](int cluster) {
    return first[leading] + static_cast<std::size_t>(model.cluster_level(cluster));
  };
  for (std::size_t f = 0; f < factors.size(); ++f) {
    if (f == leading) continue;
    const std::int32_t* level = model.levels(static_cast<int>(f));
    for (int cluster = 0; cluster < model.n_clusters(); ++cluster)
      for (auto row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row)
        sets.join(level_of(cluster), first[f] + static_cast<std::size_t>(level[row]));
  }
  // Numbered as their first clusters stand.
  std::vector<int> number(first.back(), -1);
  n_parts_ = 0;
  for (int cluster = 0; cluster < model.n_clusters(); ++cluster) {
    int& own = number[sets.find(level_of(cluster))];
    if (own < 0) own = n_parts_++;
    of_cluster_.push_back(own);
  }
  of_level_.resize(factors.size());
  for (std::size_t f = 0; f < factors.size(); ++f)
    for (int level = 0; level < factors[f].n_levels; ++level)
      of_level_[f].push_back(number[sets.find(first[f] + static_cast<std::size_t>(level))]);
  const auto n_modes = static_cast<std::size_t>(model.n_modes());
  moments.mean.assign(n_modes, 0.0);
  moments.third.assign(n_modes, std::numeric_limits<double>::quiet_NaN());
  moments.fourth = moments.third;
  moments.covariance.assign(static_cast<std::size_t>(model.n_mode_covariances()), 0.0);
}

void Contributions::start(int n_parameters) {
  value.setZero(n_parts_);
  gradient.setZero(n_parameters, n_parts_);
}

}  // namespace multilevel::likelihood
