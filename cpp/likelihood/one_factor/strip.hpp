// A strip: consecutive clusters of one panel whose rows fit the workspace, and the arrays of rows that they share.
#pragma once

#include <algorithm>
#include <vector>

#include "family/family.hpp"
#include "model/model.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

struct Strip {
  int first_cluster = 0, last_cluster = 0;
  int n_rows = 0;
  std::vector<const double*> x, z;  ///< columns, from the strip's first row
  const double* response = nullptr;
  const double* weight = nullptr;
  const double* offset = nullptr;
  std::vector<int> start;  ///< first row of each cluster within the strip, and n_rows

  int n_clusters() const { return last_cluster - first_cluster; }

  void set(const model::Model& model, const model::Response& data, const model::Panel& panel, int first, int last,
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
    response = data.value.get() + row;
    weight = data.weight.get() + row;
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
  RowArrays(int rows, int n_nodes, int n_phi) : rows_(static_cast<std::size_t>(rows) + 8), n_nodes_(n_nodes) {
    const int own_nodes = n_nodes > 1 ? n_nodes : 0;
    const int per_phi = 4 + own_nodes + 1, pairs = n_phi * (n_phi + 1) / 2;
    data_.resize(rows_ * static_cast<std::size_t>(12 + 2 * own_nodes + n_phi * per_phi + pairs * 3));
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
    for (int r = 0; r < n_phi; ++r) {
      for (auto& d : at_mode.phi[r]) d = take();
      x_phi[r] = take();
    }
    for (int pair = 0; pair < pairs; ++pair)
      for (auto& d : at_mode.phi_phi[pair]) d = take();
    if (own_nodes) {
      node_d1_ = next;
      next += rows_ * static_cast<std::size_t>(own_nodes);
      node_d2_ = next;
      next += rows_ * static_cast<std::size_t>(own_nodes);
      for (int r = 0; r < n_phi; ++r) {
        node_d1_phi_[r] = next;
        next += rows_ * static_cast<std::size_t>(own_nodes);
      }
    }
  }

  // With one node the mode's own derivatives are the node's.
  double* node_d1(int k) { return n_nodes_ > 1 ? node_d1_ + static_cast<std::size_t>(k) * rows_ : at_mode.eta[0]; }
  double* node_d2(int k) { return n_nodes_ > 1 ? node_d2_ + static_cast<std::size_t>(k) * rows_ : at_mode.eta[1]; }
  double* node_d1_phi(int k, int r) {
    return n_nodes_ > 1 ? node_d1_phi_[r] + static_cast<std::size_t>(k) * rows_ : at_mode.phi[r][1];
  }

  double* fixed_eta;               ///< o_j
  double* eta;                     ///< o_j + z_j'u
  family::RowDerivatives at_mode;  ///< l and its derivatives at the conditional mode
  double* rho;                     ///< d log-likelihood / d o_j
  double* curvature;               ///< the part of d rho_j / d o_j that is the row's own
  double* leverage;                ///< z_j' Lambda A Lambda' z_j
  double* shift;                   ///< z_j' Lambda h
  double* scratch;
  double* x_phi[family::max_phi] = {};  ///< the part of d rho_j / d phi that is the row's own

 private:
  std::size_t rows_;
  int n_nodes_;
  std::vector<double> data_;
  double* node_d1_ = nullptr;
  double* node_d2_ = nullptr;
  double* node_d1_phi_[family::max_phi] = {};
};

}  // namespace multilevel::likelihood
