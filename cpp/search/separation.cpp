#include "search/separation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "numeric/row_sums.hpp"

namespace multilevel::search {

namespace {

/// The same where rows are ordered categories: no upper end may fall, no lower end rise.
bool separates_categories(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
                          double tolerance) {
  double forwards = 0.0, against = 0.0;
  const auto n = static_cast<std::size_t>(model.largest_panel());
  std::vector<double> eta(n), upper(n), lower(n);
  const double* thresholds = direction.data() + model.p() + model.n_theta();
  for (const auto& panel : model.panels()) {
    for (auto* move : {&eta, &upper, &lower}) std::fill(move->begin(), move->end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), eta.data());
    for (int g = 0; g < model.n_thresholds(); ++g) {
      const auto uses = model.phi_uses(panel, response, g);
      numeric::add_multiple(panel.n_rows, thresholds[g], uses.use[0].column, upper.data());
      numeric::add_multiple(panel.n_rows, thresholds[g], uses.use[1].column, lower.data());
    }
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
      const double category = response.value[static_cast<std::size_t>(panel.first_row) + j];
      const double rise = category < model.n_categories() ? upper[j] - eta[j] : 0.0;
      const double fall = category > 1.0 ? eta[j] - lower[j] : 0.0;
      forwards = std::max({forwards, rise, fall});
      against = std::max({against, -rise, -fall});
    }
  }
  return forwards > 0.0 && against <= tolerance * forwards;
}

/// The same of families whose rows depend on all thresholds.
bool separates_by_all_thresholds(const model::Model& model, const model::Response& response,
                                 const Eigen::VectorXd& direction, double tolerance) {
  double forwards = 0.0, against = 0.0;
  const int n = model.n_threshold_parts();
  std::vector<double> eta(static_cast<std::size_t>(model.largest_panel())), own(static_cast<std::size_t>(n));
  std::vector<std::vector<double>> moves(static_cast<std::size_t>(n), eta);
  const double* thresholds = direction.data() + model.p() + model.n_theta();
  for (const auto& panel : model.panels()) {
    std::fill(eta.begin(), eta.end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), eta.data());
    for (int r = 0; r < n; ++r)
      model.phi_part_rows(panel, response, r, 0, panel.n_rows, thresholds, moves[static_cast<std::size_t>(r)].data());
    for (std::size_t j = 0; j < static_cast<std::size_t>(panel.n_rows); ++j) {
      for (std::size_t r = 0; r < own.size(); ++r) own[r] = moves[r][j] - eta[j];
      const double category = response.value[static_cast<std::size_t>(panel.first_row) + j];
      model.family().away(static_cast<int>(category), own.data());
      for (const double move : own) {
        forwards = std::max(forwards, move);
        against = std::max(against, -move);
      }
    }
  }
  return forwards > 0.0 && against <= tolerance * forwards;
}

/// The same where one of the alternatives of a set is chosen: none may gain on it.
bool separates_choices(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
                       double tolerance) {
  double forwards = 0.0, against = 0.0;
  std::vector<double> move(static_cast<std::size_t>(model.largest_panel()));
  for (const auto& panel : model.panels()) {
    std::fill(move.begin(), move.end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), move.data());
    for (int set = model.cluster_set(panel.first_cluster); set < model.cluster_set(panel.last_cluster); ++set) {
      const auto first = model.set_start(set), last = model.set_start(set + 1);
      const auto at = [&](std::int64_t row) { return move[static_cast<std::size_t>(row - panel.first_row)]; };
      for (auto chosen = first; chosen < last; ++chosen) {
        if (response.value[static_cast<std::size_t>(chosen)] == 0.0) continue;
        for (auto row = first; row < last; ++row) {
          forwards = std::max(forwards, at(chosen) - at(row));
          against = std::max(against, at(row) - at(chosen));
        }
      }
    }
  }
  return forwards > 0.0 && against <= tolerance * forwards;
}

}  // namespace

bool separates(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
               double tolerance) {
  if (model.n_thresholds() > 0 && model.family().all_thresholds())
    return separates_by_all_thresholds(model, response, direction, tolerance);
  if (model.has_sets()) return separates_choices(model, response, direction, tolerance);
  if (model.n_thresholds() > 0) return separates_categories(model, response, direction, tolerance);
  double forwards = 0.0, against = 0.0;
  std::vector<double> move(static_cast<std::size_t>(model.largest_panel()));
  for (const auto& panel : model.panels()) {
    std::fill(move.begin(), move.end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), move.data());
    const double* kind = model.kinds(panel);
    for (int j = 0; j < panel.n_rows; ++j) {
      const auto row = static_cast<std::size_t>(panel.first_row + j);
      const auto& family = kind ? model.family().member(static_cast<int>(kind[j])) : model.family();
      const int side = family.recession(response.from(0, {})[row]);
      if (side == family::either_way) continue;
      const double m = move[static_cast<std::size_t>(j)];
      if (side != 0 && m * side > 0.0)
        forwards = std::max(forwards, std::fabs(m));
      else
        against = std::max(against, std::fabs(m));
    }
  }
  return forwards > 0.0 && against <= tolerance * forwards;
}

}  // namespace multilevel::search
