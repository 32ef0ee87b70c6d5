// Redundant columns: the factorization that finds them takes the columns in their order, as R does, so that of several
// columns that depend on each other the last one goes.
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "model/model.hpp"

namespace multilevel::model {

namespace {

constexpr double tolerance = 1e-7;  // of a column's norm that must be left when the earlier ones are taken out
constexpr double cross_product_limit = 1e-6;  // squared; below it the Gram matrix is too coarse and the rows decide
constexpr double certain = 1e-14;             // squared; no more than rounding is left
constexpr double rounding = 1e-12;            // what centring leaves of a constant column

}  // namespace

/// Norm of column k less its projection on the kept columns, from the rows themselves, with one refinement.
double Model::residual_norm(const std::vector<Column>& columns, int k, const std::vector<int>& kept,
                            Eigen::VectorXd coefficients, const Eigen::MatrixXd& gram) const {
  const auto m = static_cast<Eigen::Index>(kept.size());
  Eigen::MatrixXd inner(m, m);
  for (Eigen::Index a = 0; a < m; ++a)
    for (Eigen::Index b = 0; b <= a; ++b)
      inner(a, b) = inner(b, a) = gram(std::max(kept[static_cast<std::size_t>(a)], kept[static_cast<std::size_t>(b)]),
                                       std::min(kept[static_cast<std::size_t>(a)], kept[static_cast<std::size_t>(b)]));
  double norm = 0.0;
  for (int pass = 0; pass < 3; ++pass) {
    Eigen::VectorXd cross = Eigen::VectorXd::Zero(m);
    norm = 0.0;
    for (const Panel& panel : panels_) {
      Eigen::Map<const Eigen::VectorXd> x(column(panel, columns[static_cast<std::size_t>(k)].slot), panel.n_rows);
      Eigen::VectorXd residual = x;
      for (Eigen::Index a = 0; a < m; ++a)
        residual -=
            coefficients[a] *
            Eigen::Map<const Eigen::VectorXd>(
                column(panel, columns[static_cast<std::size_t>(kept[static_cast<std::size_t>(a)])].slot), panel.n_rows);
      if (has_sets()) take_out_set_means(panel, residual.data());
      norm += residual.squaredNorm();
      for (Eigen::Index a = 0; a < m; ++a)
        cross[a] += residual.dot(Eigen::Map<const Eigen::VectorXd>(
            column(panel, columns[static_cast<std::size_t>(kept[static_cast<std::size_t>(a)])].slot), panel.n_rows));
    }
    coefficients += linear_algebra::solve_semidefinite(inner, cross);
  }
  return std::sqrt(norm);
}

/// Keeps the columns that are no linear combination of earlier ones; returns the positions of the others.
std::vector<int> Model::drop_redundant(std::vector<Column>& columns, const Eigen::MatrixXd& gram,
                                       const std::vector<double>& raw_norm) const {
  const int p = static_cast<int>(columns.size());
  Eigen::MatrixXd factor = Eigen::MatrixXd::Zero(p, p);  // rows: columns kept so far
  std::vector<int> kept, redundant_columns;
  for (int k = 0; k < p; ++k) {
    const auto m = static_cast<Eigen::Index>(kept.size());
    Eigen::VectorXd row(m);
    for (Eigen::Index a = 0; a < m; ++a) row[a] = gram(k, kept[static_cast<std::size_t>(a)]);
    row = linear_algebra::solve_lower(factor.topLeftCorner(m, m), row);
    const double norm = std::sqrt(gram(k, k));
    double left = gram(k, k) - row.squaredNorm();
    bool redundant = !(norm > rounding * raw_norm[static_cast<std::size_t>(k)]);
    if (!redundant && left < certain * gram(k, k)) {
      redundant = true;
    } else if (!redundant && left < cross_product_limit * gram(k, k)) {
      const Eigen::VectorXd coefficients = linear_algebra::solve_lower_transposed(factor.topLeftCorner(m, m), row);
      const double residual = residual_norm(columns, k, kept, coefficients, gram);
      redundant = !(residual > tolerance * norm);
      left = residual * residual;
    }
    if (redundant) {
      redundant_columns.push_back(k);
      continue;
    }
    factor.row(m).head(m) = row.transpose();
    factor(m, m) = std::sqrt(left);
    kept.push_back(k);
  }
  std::vector<Column> left;
  for (const int k : kept) left.push_back(columns[static_cast<std::size_t>(k)]);
  columns = std::move(left);
  return redundant_columns;
}

}  // namespace multilevel::model
