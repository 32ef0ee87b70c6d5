#include "search/separation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "numeric/row_sums.hpp"

namespace multilevel::search {

bool separates(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
               double tolerance) {
  double forwards = 0.0, against = 0.0;
  std::vector<double> move(static_cast<std::size_t>(model.largest_panel()));
  for (const auto& panel : model.panels()) {
    std::fill(move.begin(), move.end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), move.data());
    for (int j = 0; j < panel.n_rows; ++j) {
      const auto row = static_cast<std::size_t>(panel.first_row + j);
      const int side = model.family().recession(response.from(0, {})[row]);
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
