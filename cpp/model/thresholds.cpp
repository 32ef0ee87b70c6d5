// Thresholds between ordered categories: coefficients that are in two of the family's parameters, the upper and the
// lower end of a row's category.
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "linear_algebra/dense.hpp"
#include "model/model.hpp"
#include "numeric/parallel.hpp"

namespace multilevel::model {

namespace {

constexpr double rounding = 1e-9;

/// Coefficients whose products with the rows come nearest to the values.
Eigen::VectorXd least_squares(const Eigen::MatrixXd& rows, const Eigen::VectorXd& values) {
  return linear_algebra::solve_semidefinite(linear_algebra::transposed_times(rows, rows),
                                            linear_algebra::transposed_times(rows, values));
}

}  // namespace

/// What moves all thresholds alike, and which coefficients a row can have at once.
void Model::lay_out_thresholds() {
  const auto m = thresholds_.cols(), n = thresholds_.rows();
  if (m == 0) return;
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(n), level = least_squares(thresholds_, ones);
  if ((linear_algebra::apply(thresholds_, level) - ones).cwiseAbs().maxCoeff() < rounding) threshold_level_ = level;
  if (family_->all_thresholds()) {
    threshold_parts_.resize(static_cast<std::size_t>(m));
    for (Eigen::Index g = 0; g < m; ++g)
      for (Eigen::Index r = 0; r < n; ++r)
        if (thresholds_(r, g) != 0.0) threshold_parts_[static_cast<std::size_t>(g)].push_back(static_cast<int>(r));
    return;
  }
  meet_.assign(static_cast<std::size_t>(4 * m * m), false);
  for (Eigen::Index category = 0; category <= n; ++category)
    for (Eigen::Index g = 0; g < 2 * m; ++g)
      for (Eigen::Index h = 0; h < 2 * m; ++h) {
        const Eigen::Index own = category - g % 2, other = category - h % 2;
        if (own < 0 || other < 0 || own >= n || other >= n) continue;
        if (thresholds_(own, g / 2) != 0.0 && thresholds_(other, h / 2) != 0.0)
          meet_[static_cast<std::size_t>(g * 2 * m + h)] = true;
      }
}

/// Where all thresholds are parameters of the family: a coefficient's column in each of them, times what stands there
/// in the thresholds' matrix.
PhiUses Model::threshold_uses(const Panel& panel, const Response& response, int g) const {
  const auto m = thresholds_.cols();
  const auto& parts = threshold_parts_[static_cast<std::size_t>(g % m)];
  PhiUses uses;
  uses.n = static_cast<int>(parts.size());
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const bool plain = thresholds_(parts[k], g % m) == 1.0;
    const auto at = (static_cast<std::int64_t>(parts[k]) * n_thresholds() + g) * n_rows_ + panel.first_row;
    uses.use[k] = {parts[k], plain ? column(panel, phi_[static_cast<std::size_t>(g)].slot) : response.ends.get() + at};
  }
  return uses;
}

/// Those columns that are not the coefficient's own.
void Model::set_scaled_columns(Response& response) const {
  const auto m = thresholds_.cols(), n = thresholds_.rows();
  if ((thresholds_.array() == 0.0 || thresholds_.array() == 1.0).all()) return;
  response.ends.reset(new double[static_cast<std::size_t>(n * n_thresholds() * n_rows_)]);
  for (const auto& panel : panels_)
    for (int g = 0; g < n_thresholds(); ++g)
      for (Eigen::Index r = 0; r < n; ++r) {
        const double* x = column(panel, phi_[static_cast<std::size_t>(g)].slot);
        double* to = response.ends.get() + (r * n_thresholds() + g) * n_rows_ + panel.first_row;
        for (int j = 0; j < panel.n_rows; ++j) to[j] = thresholds_(r, g % m) * x[j];
      }
}

/// The thresholds' columns of all rows, given their categories 1, 2, ...
void Model::set_ends(const double* y, Response& response, int threads) const {
  const auto m = thresholds_.cols();
  for (std::int64_t j = 0; j < n_rows_; ++j)
    if (!(y[j] >= 1.0 && y[j] <= n_categories() && y[j] == std::floor(y[j])))
      throw std::invalid_argument("a category is a whole number from 1 to " + std::to_string(n_categories()));
  response.thresholds = frequency_thresholds(response);
  if (family_->all_thresholds()) return set_scaled_columns(response);
  response.ends.reset(new double[static_cast<std::size_t>(2 * n_thresholds() * n_rows_)]);
  numeric::parallel_for(static_cast<int>(panels_.size()), threads, [&](int i, int) {
    const Panel& panel = panels_[static_cast<std::size_t>(i)];
    for (int g = 0; g < n_thresholds(); ++g) {
      const double* x = column(panel, phi_[static_cast<std::size_t>(g)].slot);
      const double* category = response.value.get() + panel.first_row;
      double* upper = response.ends.get() + 2 * g * n_rows_ + panel.first_row;
      double* lower = upper + n_rows_;
      for (int j = 0; j < panel.n_rows; ++j) {
        const auto k = static_cast<Eigen::Index>(category[j]);
        upper[j] = k < n_categories() ? thresholds_(k - 1, g % m) * x[j] : 0.0;
        lower[j] = k > 1 ? thresholds_(k - 2, g % m) * x[j] : 0.0;
      }
    }
  });
}

/// Half a row is added to each category, so that every threshold is finite. Where rows come in no more patterns of
/// nominal columns than there are columns, items say, those of each pattern have frequencies of their own.
Eigen::VectorXd Model::frequency_thresholds(const Response& response) const {
  const auto n = thresholds_.rows(), m = thresholds_.cols(), n_columns = n_thresholds() / m;
  Eigen::MatrixXd patterns;
  std::vector<int> pattern = threshold_patterns(patterns);
  const bool apart = !pattern.empty();
  if (!apart) {
    patterns = Eigen::MatrixXd::Identity(1, n_columns);
    pattern.assign(static_cast<std::size_t>(n_rows_), 0);
  }
  std::vector<std::vector<double>> counts(static_cast<std::size_t>(patterns.rows()),
                                          std::vector<double>(static_cast<std::size_t>(n) + 1, 0.5));
  for (std::size_t j = 0; j < pattern.size(); ++j)
    counts[static_cast<std::size_t>(pattern[j])][static_cast<std::size_t>(response.value[j]) - 1] += response.weight[j];
  Eigen::MatrixXd coefficients(patterns.rows(), m);
  Eigen::VectorXd quantiles(n);
  for (Eigen::Index i = 0; i < patterns.rows(); ++i) {
    for (Eigen::Index k = 0; k < n; ++k)
      quantiles[k] = family_->frequency_threshold(counts[static_cast<std::size_t>(i)], static_cast<std::size_t>(k));
    coefficients.row(i) = least_squares(thresholds_, quantiles).transpose();
  }
  if (!apart) {
    Eigen::VectorXd all = Eigen::VectorXd::Zero(n_thresholds());
    all.head(m) = coefficients.row(0).transpose();
    for (int g = static_cast<int>(m); g < n_thresholds(); ++g)
      if (const Column& c = phi_[static_cast<std::size_t>(g)]; c.centre_slot != no_slot) all[g] = all[g % m] / c.scale;
    return all;
  }
  Eigen::VectorXd all(n_thresholds());
  for (Eigen::Index k = 0; k < m; ++k) {
    const Eigen::VectorXd own = least_squares(patterns, coefficients.col(k));
    for (Eigen::Index c = 0; c < n_columns; ++c) all[c * m + k] = own[c];
  }
  return all;
}

void Model::move_items(int g, double by, double* phi) const {
  const auto m = static_cast<int>(thresholds_.cols());
  for (int h = g + m; g < m && h < n_thresholds(); h += m)
    if (const Column& c = phi_[static_cast<std::size_t>(h)]; c.centre_slot != no_slot) phi[h] += by / c.scale;
}

/// The different rows of the thresholds' columns, and which one each row has; empty where they are more than columns,
/// or there is one column alone.
std::vector<int> Model::threshold_patterns(Eigen::MatrixXd& patterns) const {
  const auto m = thresholds_.cols(), n_columns = n_thresholds() / m;
  if (n_columns == 1) return {};
  std::map<std::vector<double>, int> found;
  std::vector<int> pattern(static_cast<std::size_t>(n_rows_));
  std::vector<double> own(static_cast<std::size_t>(n_columns));
  for (const auto& panel : panels_)
    for (int j = 0; j < panel.n_rows; ++j) {
      for (Eigen::Index c = 0; c < n_columns; ++c)
        own[static_cast<std::size_t>(c)] = column(panel, phi_[static_cast<std::size_t>(c * m)].slot)[j];
      const auto place = found.try_emplace(own, static_cast<int>(found.size())).first;
      if (static_cast<Eigen::Index>(found.size()) > n_columns) return {};
      pattern[static_cast<std::size_t>(panel.first_row + j)] = place->second;
    }
  patterns.resize(static_cast<Eigen::Index>(found.size()), n_columns);
  for (const auto& [values, place] : found)
    patterns.row(place) = Eigen::Map<const Eigen::RowVectorXd>(values.data(), n_columns);
  return pattern;
}

}  // namespace multilevel::model
