#include "likelihood/choice/sets.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/lanes.hpp"

namespace multilevel::likelihood {

Sets::Sets(int most_rows)
    : p_(static_cast<std::size_t>(most_rows) + numeric::lane_count), weighted_(p_), set_value_(p_) {}

void Sets::take(int n_sets, const std::int64_t* start, std::int64_t origin, const double* response,
                const double* weight) {
  n_sets_ = n_sets;
  first_.resize(static_cast<std::size_t>(n_sets) + 1);
  for (std::size_t s = 0; s < first_.size(); ++s) first_[s] = static_cast<int>(start[s] - origin);
  n_ = first_.back();
  response_ = response;
  weight_ = weight;
}

double Sets::evaluate(const double* eta) {
  double* p = p_.data();
  for (int s = 0; s < n_sets_; ++s) {
    double most = eta[first(s)];
    for (int j = first(s) + 1; j < first(s + 1); ++j) most = std::max(most, eta[j]);
    double chosen = 0.0;
    for (int j = first(s); j < first(s + 1); ++j) {
      p[j] = eta[j] - most;
      if (response_[j] != 0.0) chosen += response_[j] * p[j];
    }
    set_value_[static_cast<std::size_t>(s)] = chosen;
  }
  for (int j = 0; j < n_; j += numeric::lane_count) numeric::store(p + j, numeric::exp(numeric::load(p + j)));
  double total = 0.0;
  for (int s = 0; s < n_sets_; ++s) {
    double sum = 0.0;
    for (int j = first(s); j < first(s + 1); ++j) sum += p[j];
    const double weight = weight_[first(s)], scale = 1.0 / sum;
    double& value = set_value_[static_cast<std::size_t>(s)];
    value -= weight * std::log(sum);
    total += value;
    for (int j = first(s); j < first(s + 1); ++j) {
      p[j] *= scale;
      weighted_[static_cast<std::size_t>(j)] = weight * p[j];
    }
  }
  return total;
}

void Sets::scores(double* to) const {
  for (int j = 0; j < n_; ++j) to[j] = response_[j] - weighted_[static_cast<std::size_t>(j)];
}

void Sets::centre(const double* x, double* to) const {
  const double* p = p_.data();
  for (int s = 0; s < n_sets_; ++s) {
    double mean = 0.0;
    for (int j = first(s); j < first(s + 1); ++j) mean += p[j] * x[j];
    for (int j = first(s); j < first(s + 1); ++j) to[j] = x[j] - mean;
  }
}

void Sets::curve(const double* x, double* to) const {
  const double *p = p_.data(), *weighted = weighted_.data();
  for (int s = 0; s < n_sets_; ++s) {
    double mean = 0.0;
    for (int j = first(s); j < first(s + 1); ++j) mean += p[j] * x[j];
    for (int j = first(s); j < first(s + 1); ++j) to[j] = weighted[j] * (x[j] - mean);
  }
}

void Sets::add_scatter(double& squares, double& weights) const {
  for (int s = 0; s < n_sets_; ++s)
    for (int j = first(s); j < first(s + 1); ++j) {
      const double p = p_[static_cast<std::size_t>(j)], own = weighted_[static_cast<std::size_t>(j)] * (1.0 - p);
      if (!(own > 0.0)) continue;
      const double score = response_[j] - weighted_[static_cast<std::size_t>(j)];
      squares += score * score / own;
      weights += own;
    }
}

}  // namespace multilevel::likelihood
