// A strip: consecutive clusters of one panel whose rows fit the workspace, and the arrays of rows that they share.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "family/family.hpp"
#include "model/model.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

struct Strip {
  int first_cluster = 0, last_cluster = 0;
  int n_rows = 0;
  std::vector<const double*> x, z;  ///< columns, from the strip's first row
  std::vector<model::PhiUses> phi;  ///< where the coefficients of the family's parameters stand
  family::Observations data;
  const double* offset = nullptr;
  std::vector<int> start;  ///< first row of each cluster within the strip, and n_rows

  int n_clusters() const { return last_cluster - first_cluster; }

  /// The family's parameters are set apart.
  void set(const model::Model& model, const model::Response& response, const model::Panel& panel, int first, int last,
           int q) {
    first_cluster = first;
    last_cluster = last;
    const auto row = model.cluster_start(first);
    const auto in_panel = row - panel.first_row;
    n_rows = static_cast<int>(model.cluster_start(last) - row);
    x.resize(static_cast<std::size_t>(model.p()));
    z.resize(static_cast<std::size_t>(q));
    for (int k = 0; k < model.p(); ++k) x[static_cast<std::size_t>(k)] = model.fixed_column(panel, k) + in_panel;
    for (int a = 0; a < q; ++a) z[static_cast<std::size_t>(a)] = model.random_column(panel, a) + in_panel;
    phi.resize(static_cast<std::size_t>(model.n_phi()));
    for (int g = 0; g < model.n_phi(); ++g)
      phi[static_cast<std::size_t>(g)] = model.phi_uses(panel, response, g).from(in_panel);
    data = response.from(row, {});
    // A linear family has its offset taken from the response.
    offset = model.offset(panel) && !model.family().is_linear() ? model.offset(panel) + in_panel : nullptr;
    start.resize(static_cast<std::size_t>(last - first) + 1);
    for (int i = first; i <= last; ++i)
      start[static_cast<std::size_t>(i - first)] = static_cast<int>(model.cluster_start(i) - row);
  }
};

/// Arrays of rows, allocated once for the largest strip.
class RowArrays {
 public:
  RowArrays(int rows, int n_nodes, const model::Model& model)
      : model_(model), rows_(static_cast<std::size_t>(rows) + 8), n_nodes_(n_nodes), parts_(model.phi_parts()) {
    const int own_nodes = n_nodes > 1 ? n_nodes : 0, n_parts = static_cast<int>(parts_.size()), n_phi = model.n_phi();
    const int pairs = n_parts * (n_parts + 1) / 2;
    // Of a part that varies: its rows, and what its coefficients make of its derivatives.
    int varying = 0;
    for (const auto& part : parts_)
      if (!part.constant) varying += 1 + 4 * (part.last - part.first);
    data_.resize(rows_ * static_cast<std::size_t>(12 + 2 * own_nodes + 4 * n_parts + pairs * 3 +
                                                  n_phi * (own_nodes + 1) + varying));
    double* next = data_.data();
    auto take = [&] {
      double* array = next;
      next += rows_;
      return array;
    };
    fixed_eta = take();
    eta = take();
    at_mode.value = take();
    for (auto& d : at_mode.eta) d = take();
    rho = take();
    curvature = take();
    leverage = take();
    shift = take();
    scratch = take();
    for (int pair = 0; pair < pairs; ++pair)
      for (auto& d : at_mode.phi_phi[pair]) d = take();
    for (int r = 0; r < n_parts; ++r) {
      const auto& part = parts_[static_cast<std::size_t>(r)];
      for (auto& d : at_mode.phi[r]) d = take();
      if (!part.constant) phi_rows[r] = take();
      for (int g = part.first; g < part.last; ++g) {
        phi_.push_back({});
        for (int a = 0; a < 4; ++a)
          phi_.back()[static_cast<std::size_t>(a)] = part.constant ? at_mode.phi[r][a] : take();
      }
    }
    for (int g = 0; g < n_phi; ++g) x_phi.push_back(take());
    if (own_nodes) {
      auto take_nodes = [&] {
        double* arrays = next;
        next += rows_ * static_cast<std::size_t>(own_nodes);
        return arrays;
      };
      node_d1_ = take_nodes();
      node_d2_ = take_nodes();
      for (int g = 0; g < n_phi; ++g) node_d1_phi_.push_back(take_nodes());
    }
  }

  // With one node the mode's own derivatives are the node's.
  double* node_d1(int k) { return n_nodes_ > 1 ? node_d1_ + static_cast<std::size_t>(k) * rows_ : at_mode.eta[0]; }
  double* node_d2(int k) { return n_nodes_ > 1 ? node_d2_ + static_cast<std::size_t>(k) * rows_ : at_mode.eta[1]; }
  double* node_d1_phi(int k, int g) {
    return n_nodes_ > 1 ? node_d1_phi_[static_cast<std::size_t>(g)] + static_cast<std::size_t>(k) * rows_ : phi(g, 1);
  }
  std::ptrdiff_t node_stride() const { return static_cast<std::ptrdiff_t>(rows_); }  ///< from one node to the next

  /// d^a / d eta^a of the derivative by coefficient g of the family's parameters, at the conditional mode.
  double* phi(int g, int a) { return phi_[static_cast<std::size_t>(g)][static_cast<std::size_t>(a)]; }

  /// From the derivatives by the family's parameters to those by their coefficients.
  void spread_phi(const Strip& strip) {
    for (int g = 0; g < static_cast<int>(phi_.size()); ++g)
      for (int a = 0; a < 4; ++a)
        spread(strip.phi[static_cast<std::size_t>(g)], 0, strip.n_rows, at_mode.phi, a, phi(g, a));
  }

  /// Of rows [first, last): derivatives of an order by the family's parameters, as a coefficient in these places takes
  /// them; nothing where it makes a constant part, whose own they are.
  static void spread(const model::PhiUses& uses, int first, int last, const double* const (*derivatives)[4], int order,
                     double* to) {
    bool more = false;
    for (const auto& use : uses) {
      const double *x = use.column, *from = derivatives[use.part][order];
      for (int j = first; x && !more && j < last; ++j) to[j] = x[j] * from[j];
      for (int j = first; x && more && j < last; ++j) to[j] += x[j] * from[j];
      more = true;
    }
  }

  /// Of rows [first, first + n): the sum of derivatives of an order by the pair of the family's parameters that
  /// coefficients g and h are in, times the columns of both, times `factor` if there is one; over all their places.
  double pair_sum(const Strip& strip, int first, int n, int g, int h, const double* const (*derivatives)[3], int order,
                  const double* factor) const {
    const auto &own = strip.phi[static_cast<std::size_t>(g)], &other = strip.phi[static_cast<std::size_t>(h)];
    double sum = 0.0;
    for (int a = 0; a < own.n; ++a)
      for (int b = 0; b < other.n; ++b) {
        if (!model_.phi_meet(g, a, h, b)) continue;
        const auto &x = own.use[static_cast<std::size_t>(a)], &y = other.use[static_cast<std::size_t>(b)];
        const int pair = family::phi_pair(std::max(x.part, y.part), std::min(x.part, y.part));
        sum += pair_sum(x.column, y.column, first, n, derivatives[pair][order], factor);
      }
    return sum;
  }
  static double pair_sum(const double* x, const double* y, int first, int n, const double* second,
                         const double* factor) {
    second += first;
    if (factor) factor += first;
    if (!x) std::swap(x, y);
    if (!x) return factor ? numeric::dot(n, second, factor) : numeric::sum(n, second);
    if (!factor && !y) return numeric::dot(n, second, x + first);
    if (!factor) return numeric::dot(n, second, x + first, y + first);
    if (!y) return numeric::dot(n, second, factor, x + first);
    double sum = 0.0;
    for (int j = 0; j < n; ++j) sum += second[j] * factor[j] * x[first + j] * y[first + j];
    return sum;
  }

  double* fixed_eta;               ///< o_j
  double* eta;                     ///< o_j + z_j'u
  family::RowDerivatives at_mode;  ///< l and its derivatives at the conditional mode
  double* rho;                     ///< d log-likelihood / d o_j
  double* curvature;               ///< the part of d rho_j / d o_j that is the row's own
  double* leverage;                ///< z_j' Lambda A Lambda' z_j
  double* shift;                   ///< z_j' Lambda h
  double* scratch;
  double* phi_rows[family::max_phi] = {};  ///< parameters of the family that differ from row to row
  std::vector<double*> x_phi;              ///< the part of d rho_j / d (coefficient) that is the row's own

 private:
  const model::Model& model_;
  std::size_t rows_;
  int n_nodes_;
  const std::vector<model::PhiPart>& parts_;
  std::vector<double> data_;
  std::vector<std::array<double*, 4>> phi_;
  double* node_d1_ = nullptr;
  double* node_d2_ = nullptr;
  std::vector<double*> node_d1_phi_;
};

/// The rows [first, first + n) of a strip, those of a cluster.
struct ClusterRows {
  const Strip& strip;
  RowArrays& rows;
  int first, n;
};

}  // namespace multilevel::likelihood
