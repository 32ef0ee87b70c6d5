#include "likelihood/one_factor/node_averages.hpp"

#include <algorithm>

#include "linear_algebra/dense_kernels.hpp"

namespace multilevel::likelihood {

NodePowers::NodePowers(const numeric::QuadratureRule& rule) {
  for (int d = 0; d < rule.dimension; ++d)
    for (int k = 0; k < rule.size; ++k)
      if (rule.node(k)[d] != 0.0) {
        moved.push_back(d);
        break;
      }
  const int m = n_moved();
  columns.resize(rule.size, 1 + m + pair_count(m));
  columns.col(0).setOnes();
  for (int a = 0; a < m; ++a) {
    for (int k = 0; k < rule.size; ++k) columns(k, coordinate(a)) = rule.node(k)[moved[static_cast<std::size_t>(a)]];
    for (int b = 0; b <= a; ++b)
      columns.col(product(a, b)) = columns.col(coordinate(a)).cwiseProduct(columns.col(coordinate(b)));
  }
}

NodeAverages::NodeAverages(const NodePowers& powers, int most_rows, int n_phi, bool second)
    : powers_(powers), second_(second), mean_(powers.columns.cols()) {
  const auto linear = 1 + powers.n_moved();
  weighted_.resize(powers.columns.rows(), powers.columns.cols());
  d1_.resize(most_rows, linear);
  if (!second) return;
  d2_.resize(most_rows, powers.columns.cols());
  d1_phi_.assign(static_cast<std::size_t>(n_phi), d1_);
}

void NodeAverages::set(const ClusterRows& of, const std::vector<double>& share) {
  const int K = static_cast<int>(share.size());
  for (Eigen::Index c = 0; c < weighted_.cols(); ++c) {
    const double* power = powers_.columns.col(c).data();
    double* to = weighted_.col(c).data();
    for (int k = 0; k < K; ++k) to[k] = -share[static_cast<std::size_t>(k)] * power[k];
    mean_[c] = -numeric::sum(K, to);
  }
  average(of.rows.node_d1(0), of, d1_);
  std::copy_n(d1(0), of.n, of.rows.rho + of.first);
  if (!second_) return;
  average(of.rows.node_d2(0), of, d2_);
  std::copy_n(d2(0), of.n, of.rows.curvature + of.first);
  for (std::size_t r = 0; r < d1_phi_.size(); ++r) {
    average(of.rows.node_d1_phi(0, static_cast<int>(r)), of, d1_phi_[r]);
    std::copy_n(d1_phi_[r].data(), of.n, of.rows.x_phi[r] + of.first);
  }
}

/// The cluster's rows x nodes, times the weighted powers.
void NodeAverages::average(const double* at_nodes, const ClusterRows& of, Eigen::MatrixXd& to) const {
  const int K = static_cast<int>(weighted_.rows()), columns = static_cast<int>(to.cols());
  for (int c = 0; c < columns; ++c) std::fill_n(to.col(c).data(), of.n, 0.0);
  linear_algebra::subtract_product(of.n, columns, K, at_nodes + of.first, of.rows.node_stride(), weighted_.data(), 1, K,
                                   to.data(), to.rows());
}

}  // namespace multilevel::likelihood
