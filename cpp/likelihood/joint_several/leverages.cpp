#include "likelihood/joint_several/leverages.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

PairLeverages::PairLeverages(const JointPattern& pattern, const JointDensities& densities,
                             const Eigen::MatrixXd& lambda, std::vector<std::vector<double>>& leverage)
    : pattern_(pattern), densities_(densities), lambda_(lambda), leverage_(leverage), columns_(pattern.model().q()) {}

void PairLeverages::operator()(int cluster, const double* inverse) {
  const auto& model = pattern_.model();
  while (panel_ < 0 || model.panels()[at(panel_)].last_cluster <= cluster)
    densities_.columns(model.panels()[at(++panel_)], columns_);
  const int q = pattern_.q(), size = q + pattern_.clique_size(cluster);
  for (std::int64_t row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row) {
    effects_.clear();
    add_effects(row, model.factors()[at(model.leading())].first, q, 0);
    for (int o = 0; o < pattern_.n_others(); ++o)
      add_effects(row, model.factors()[at(pattern_.others()[at(o)])].first, pattern_.other_q(o),
                  q + pattern_.row_places(row)[o]);
    for (auto& own : leverage_) own[at(row)] = 0.0;
    for (const auto& a : effects_) {
      const double* column = inverse + std::int64_t{a.place} * size;
      for (const auto& b : effects_)  // of a pair of two variables once
        if (b.main <= a.main)
          leverage_[at(JointDensities::pair(a.main, b.main))][at(row)] += a.s * b.s * column[b.place];
    }
  }
}

/// The row's entries of S for the effects of one level, which stand from `start` on in the cluster's block.
void PairLeverages::add_effects(std::int64_t row, int first, int width, int start) {
  for (int a = 0; a < width; ++a) {
    double s = 0.0;
    for (int k = 0; k < width; ++k) s += lambda_(first + k, first + a) * columns_.z[at(first + k)][row];
    if (s != 0.0) effects_.push_back({s, start + a, densities_.main_of()[at(first + a)]});
  }
}

}  // namespace multilevel::likelihood
