#include "likelihood/joint/leverages.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Leverages::Leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda, double* leverage)
    : pattern_(pattern),
      lambda_(lambda),
      leverage_(leverage),
      z_(at(pattern.model().q())),
      s_(at(pattern.model().q())),
      place_(at(pattern.model().q())) {}

void Leverages::operator()(int cluster, const double* inverse) {
  const auto& model = pattern_.model();
  while (panel_ < 0 || model.panels()[at(panel_)].last_cluster <= cluster) {
    ++panel_;
    const auto& panel = model.panels()[at(panel_)];
    for (int a = 0; a < model.q(); ++a) z_[at(a)] = model.random_column(panel, a) - panel.first_row;
  }
  if (pattern_.scalar_only() && pattern_.n_others() == 1) return of_two_scalars(cluster, inverse);
  const int size = pattern_.q() + pattern_.clique_size(cluster);
  for (std::int64_t row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row)
    of_row(row, inverse, size);
}

/// Two factors with one random effect each.
void Leverages::of_two_scalars(int cluster, const double* inverse) {
  const auto& model = pattern_.model();
  const int size = 1 + pattern_.clique_size(cluster), own = model.factors()[at(model.leading())].first,
            other = model.factors()[at(pattern_.others()[0])].first;
  const double *z_own = z_[at(own)], *z_other = z_[at(other)];
  for (std::int64_t row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row) {
    const int k = 1 + pattern_.row_places(row)[0];
    const double a = lambda_(own, own) * z_own[row], b = lambda_(other, other) * z_other[row];
    leverage_[row] = a * a * inverse[0] + 2.0 * a * b * inverse[k] + b * b * inverse[k + std::int64_t{k} * size];
  }
}

void Leverages::of_row(std::int64_t row, const double* inverse, int size) {
  const auto& model = pattern_.model();
  const int q = pattern_.q();
  count_ = 0;
  add_effects(row, model.factors()[at(model.leading())].first, q, 0);
  for (int o = 0; o < pattern_.n_others(); ++o)
    add_effects(row, model.factors()[at(pattern_.others()[at(o)])].first, pattern_.other_q(o),
                q + pattern_.row_places(row)[o]);
  double leverage = 0.0;
  for (int a = 0; a < count_; ++a) {
    const double* column = inverse + std::int64_t{place_[at(a)]} * size;
    double sum = 0.5 * s_[at(a)] * column[place_[at(a)]];
    for (int b = 0; b < a; ++b) sum += s_[at(b)] * column[place_[at(b)]];
    leverage += 2.0 * s_[at(a)] * sum;
  }
  leverage_[row] = leverage;
}

/// The row's entries of s for the effects of one level, which stand from `start` on in the cluster's block.
void Leverages::add_effects(std::int64_t row, int first, int width, int start) {
  for (int a = 0; a < width; ++a) {
    double sum = 0.0;
    for (int k = 0; k < width; ++k) sum += lambda_(first + k, first + a) * z_[at(first + k)][row];
    s_[at(count_)] = sum;
    place_[at(count_++)] = start + a;
  }
}

}  // namespace multilevel::likelihood
