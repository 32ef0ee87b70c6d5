// The rows of one panel with two nested grouping factors: rows lie in units (levels of the inner factor), units in
// clusters (levels of the outer one). Numbers of rows, units and clusters count from the panel's first.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <vector>

#include "family/family.hpp"
#include "linear_algebra/matrix_batch.hpp"
#include "model/model.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

using linear_algebra::MatrixBatch;
using linear_algebra::Range;

/// The most random effects per level of one factor where levels are nested and there is quadrature.
inline constexpr int most_nested_effects = 16;

using OuterVector = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, most_nested_effects, 1>;
using OuterMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, most_nested_effects, most_nested_effects>;

class NestedRows {
 public:
  int n_rows = 0, n_units = 0, n_clusters = 0;
  int first_unit = 0, first_cluster = 0;  ///< of the panel among those of the model
  int q_inner = 0, q_outer = 0;
  std::vector<const double*> x, z_inner, z_outer;  ///< columns
  std::vector<model::PhiUses> phi;                 ///< where the coefficients of the family's parameters stand
  family::Observations data;                       ///< the family's parameters are set apart
  const double* offset = nullptr;

  void set(const model::Model& model, const model::Response& response, const model::Panel& panel);

  int first_row(int unit) const { return unit_start_[static_cast<std::size_t>(unit)]; }
  Range units(int cluster) const {
    return {cluster_start_[static_cast<std::size_t>(cluster)], cluster_start_[static_cast<std::size_t>(cluster) + 1]};
  }
  Range rows(Range units) const { return {first_row(units.first), first_row(units.last)}; }
  int unit(int row) const { return unit_of_[static_cast<std::size_t>(row)]; }
  const int* unit_of() const { return unit_of_.data(); }
  family::Rows family_rows(Range r, const double* eta) const {
    return {r.last - r.first, eta + r.first, data.from(r.first)};
  }

  /// Per unit of the range, the sum of a over its rows.
  void sums(Range units, const double* a, double* out) const {
    for (int i = units.first; i < units.last; ++i)
      out[i] = numeric::sum(first_row(i + 1) - first_row(i), a + first_row(i));
  }
  void sums(Range units, const double* a, const double* b, double* out) const {
    for (int i = units.first; i < units.last; ++i)
      out[i] = numeric::dot(first_row(i + 1) - first_row(i), a + first_row(i), b + first_row(i));
  }
  void sums(Range units, const double* a, const double* b, const double* c, double* out) const {
    for (int i = units.first; i < units.last; ++i)
      out[i] = numeric::dot(first_row(i + 1) - first_row(i), a + first_row(i), b + first_row(i), c + first_row(i));
  }
  /// Of a run of rows, the sum of derivatives of an order by the family's parameters, as coefficient g takes them:
  /// times its column in each of its places; times `factor` if there is one. The derivatives' arrays begin at row
  /// `origin`.
  double phi_sum(Range r, int g, const double* const (*derivatives)[4], int order, const double* factor = nullptr,
                 int origin = 0) const {
    double sum = 0.0;
    for (const auto& use : phi[static_cast<std::size_t>(g)])
      sum += column_sum(r, derivatives[use.part][order] - origin, use.column, factor);
    return sum;
  }
  static double column_sum(Range r, const double* d, const double* column, const double* factor) {
    const int n = r.last - r.first;
    if (column && factor) return numeric::dot(n, d + r.first, factor + r.first, column + r.first);
    if (column) return numeric::dot(n, d + r.first, column + r.first);
    return factor ? numeric::dot(n, d + r.first, factor + r.first) : numeric::sum(n, d + r.first);
  }
  /// Z' d of every unit for the inner columns.
  void inner_sums(Range units, const double* d, linear_algebra::MatrixBatch& out) const {
    for (int a = 0; a < q_inner; ++a) sums(units, z_inner[static_cast<std::size_t>(a)], d, out.at(a));
  }
  /// Z' d of a run of rows for the outer columns.
  OuterVector outer_sums(Range r, const double* d) const {
    OuterVector out(q_outer);
    for (int a = 0; a < q_outer; ++a)
      out[a] = numeric::dot(r.last - r.first, z_outer[static_cast<std::size_t>(a)] + r.first, d + r.first);
    return out;
  }
  /// to += Z u, the units' own u.
  void add_inner(Range r, const linear_algebra::MatrixBatch& u, double* to) const {
    for (int a = 0; a < q_inner; ++a) {
      const double *z = z_inner[static_cast<std::size_t>(a)], *effect = u.at(a);
      for (int j = r.first; j < r.last; ++j) to[j] += effect[unit(j)] * z[j];
    }
  }
  void add_outer(Range r, const OuterVector& u, double* to) const {
    for (int a = 0; a < q_outer; ++a)
      numeric::add_multiple(r.last - r.first, u[a], z_outer[static_cast<std::size_t>(a)] + r.first, to + r.first);
  }

 private:
  std::vector<int> unit_start_;     ///< first row of each unit, and n_rows
  std::vector<int> cluster_start_;  ///< first unit of each cluster, and n_units
  std::vector<int> unit_of_;        ///< of each row
};

/// Arrays of rows, allocated once for the largest panel.
class NestedArrays {
 public:
  NestedArrays(int rows, int q_inner, const model::Model& model);

  double* fixed_eta;               ///< o_j
  double* eta;                     ///< at whatever is evaluated
  family::RowDerivatives at_mode;  ///< at the conditional mode
  double* rho;                     ///< d log-likelihood / d o_j
  double* leverage;                ///< s_j'A s_j
  double* shift;                   ///< s_j'h
  double* scratch;
  double* phi_rows[family::max_phi] = {};  ///< parameters of the family that differ from row to row
  std::vector<double*> scaled_z;           ///< z_j'Lambda L_ii^-T of the inner factor

 private:
  std::vector<double> data_;
};

}  // namespace multilevel::likelihood
