#include "search/bounds.hpp"

#include <algorithm>
#include <cmath>

namespace multilevel::search {

Bounds::Bounds(const likelihood::Objective& objective) : n_beta_(objective.n_beta()) {
  const auto& model = objective.model();
  const auto& layout = objective.layout();
  for (std::size_t t = 0; objective.n_theta() > 0 && t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const int first = n_beta_ + layout.first_theta(static_cast<int>(t));
    Term own{term.structure->scale_parameters(term.q), term.structure->correlation_parameter(term.q)};
    if (own.scales.empty()) continue;
    for (int& k : own.scales) k += first;
    if (own.tau >= 0) correlations_.push_back(own.tau += first);
    if (own.scales.size() > 1) positive_.insert(positive_.end(), own.scales.begin(), own.scales.end());
    terms_.push_back(std::move(own));
  }
  const auto parameters = model.family().parameters();
  for (std::size_t r = 0; objective.n_phi() > 0 && r < parameters.size(); ++r) {
    const auto& part = model.phi_parts()[r];
    const double limit = parameters[r].limit, lower = parameters[r].lower_limit;
    const int position = n_beta_ + objective.n_theta() + part.first;
    if (part.constant && std::isfinite(limit)) limits_.push_back({position, limit});
    if (part.constant && std::isfinite(lower)) limits_.push_back({position, lower, -1.0});
    if (part.constant && parameters[r].level > 0.0) levels_.push_back({position, parameters[r].level});
  }
}

void Bounds::project(Eigen::VectorXd& psi) const {
  for (const int i : positive_) psi[i] = std::fabs(psi[i]);
  for (const int i : correlations_) psi[i] = std::clamp(psi[i], -largest_tau, largest_tau);
  for (const auto& limit : limits_)
    if (limit.reached(psi)) psi[limit.position] = limit.value;
}

bool Bounds::allows(const Eigen::VectorXd& psi) const {
  return std::all_of(positive_.begin(), positive_.end(), [&](int i) { return psi[i] >= 0.0; });
}

double Bounds::excess(const Eigen::VectorXd& psi, const Eigen::VectorXd& step) const {
  double result = 1.0;
  for (const int i : positive_)
    if (step[i] < 0.0 && psi[i] > 0.0) result = std::max(result, -step[i] / (0.9 * psi[i]));
  for (const int i : correlations_) result = std::max(result, std::fabs(step[i]));
  return result;
}

void Bounds::mark_held(const Eigen::VectorXd& psi, std::vector<bool>& free) const {
  for (const auto& term : terms_) {
    std::size_t left = 0;
    for (const int i : term.scales) {
      if (psi[i] != 0.0)
        ++left;
      else
        free[static_cast<std::size_t>(i)] = false;
    }
    if (term.tau < 0) continue;
    const std::size_t needed = std::min<std::size_t>(term.scales.size(), 2);
    if (left < needed || std::fabs(psi[term.tau]) >= largest_tau) free[static_cast<std::size_t>(term.tau)] = false;
  }
  for (const auto& limit : limits_)
    if (limit.reached(psi)) free[static_cast<std::size_t>(limit.position)] = false;
}

Eigen::VectorXd Bounds::without_tau(const Eigen::VectorXd& psi, int n_theta) const {
  Eigen::VectorXd theta = psi.segment(n_beta_, n_theta);
  for (const int i : correlations_) theta[i - n_beta_] = 0.0;
  return theta;
}

}  // namespace multilevel::search
