// Sums over the rows of one cluster, at its mode and at its nodes, that the gradient and the Hessian are made of.
#pragma once

#include <vector>

#include "likelihood/one_factor/node_averages.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "linear_algebra/small.hpp"

namespace multilevel::likelihood {

/// Products of row quantities with z and with x. "Columns" are arrays of rows made once and multiplied with every x and
/// z.
class MomentColumns {
 public:
  MomentColumns(int rows, int q, bool nodes) : q_(q), rows_(static_cast<std::size_t>(rows) + 8) {
    n_columns_ = 2 * q + pair_count(q) + (nodes ? q + q * q : 0);
    data_.resize(rows_ * static_cast<std::size_t>(n_columns_));
    for (int c = 0; c < n_columns_; ++c) columns_.push_back(data_.data() + static_cast<std::size_t>(c) * rows_);
  }

  int n_columns() const { return n_columns_; }
  const double* const* all() const { return columns_.data(); }

  // Where each block of columns begins.
  int w_z(int a) const { return a; }                                                   ///< w z_a
  int l3_zz(int a, int b) const { return q_ + pair_index(a, b); }                      ///< l''' z_a z_b
  int l4_z(int a) const { return q_ + pair_count(q_) + a; }                            ///< l'''' (z'Az) z_a
  int node_w_z(int a) const { return 2 * q_ + pair_count(q_) + a; }                    ///< sum_k p_k w_k z_a
  int node_w_t_z(int a, int b) const { return 3 * q_ + pair_count(q_) + a * q_ + b; }  ///< sum_k p_k w_k t_kb z_a

  /// Of a cluster's rows, at whose mode the derivatives are known and the leverages; those of its nodes are averaged,
  /// `curvature` is sum_k p_k l''_jk so far.
  void set(const ClusterRows& of);
  void set_nodes(const ClusterRows& of, const NodePowers& powers, const NodeAverages& averages);

  double* column(int c) { return data_.data() + static_cast<std::size_t>(c) * rows_; }
  const double* column(int c) const { return data_.data() + static_cast<std::size_t>(c) * rows_; }

 private:
  int q_, n_columns_;
  std::size_t rows_;
  std::vector<double> data_;
  std::vector<const double*> columns_;
};

/// What a cluster's derivatives need, in the notation of likelihood.hpp.
template <int Q>
struct ClusterState {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;

  ClusterState(int q, int n_nodes, int n_phi, int p)
      : v(q),
        b1(q),
        g_bar(q),
        h(q),
        hz(q),
        zc(q),
        B(q, q),
        Linv(q, q),
        C(Matrix::Zero(q, q)),
        A(q, q),
        Az(q, q),
        b1_v(q, q),
        b1_bar(q),
        t_bar(Vector::Zero(q)),
        b1_t(Matrix::Zero(q, q)),
        t_t(Matrix::Zero(q, q)) {
    const auto K = static_cast<std::size_t>(n_nodes), R = static_cast<std::size_t>(n_phi);
    share.resize(K);
    node_phi.resize(n_nodes, n_phi);
    phi_phi.resize(R * (R + 1) / 2);
    b1_phi.resize(R, Vector::Zero(q));
    B2_phi.resize(R, Matrix::Zero(q, q));
    b1_bar_phi = b1_phi;
    b1_t_phi = B2_phi;
    x1.resize(p, n_nodes);
  }

  Vector v, b1;  ///< mode; Z'l'
  Vector g_bar;  ///< sum_k p_k g_k
  Vector h, hz;  ///< H^-1 kappa; Lambda h
  Vector zc;     ///< Z'c, c_j = l'''_j z_j'Az z_j / 2
  Matrix B, Linv, C, A, Az;
  Matrix b1_v;  ///< sum_k p_k Z'l'(v_k) v_k'
  // Averages over the nodes: of b1_k = Z'l'(v_k), t_k, b1_k t_k' and t_k t_k'; one node is at t = 0.
  Vector b1_bar, t_bar;
  Matrix b1_t, t_t;
  std::vector<Vector> b1_phi;      ///< Z'l'_phi
  std::vector<Matrix> B2_phi;      ///< Z' diag(l''_phi) Z
  std::vector<Vector> b1_bar_phi;  ///< sum_k p_k Z'l'_phi(v_k)
  std::vector<Matrix> b1_t_phi;    ///< sum_k p_k Z'l'_phi(v_k) t_k'
  std::vector<double> share;       ///< p_k
  Eigen::MatrixXd node_phi;        ///< sum_j l_phi at v_k, K x coefficients
  Eigen::MatrixXd x1;              ///< X'l'(v_k), p x K
  std::vector<double> phi_phi;     ///< sum_k p_k sum_j l_phi_phi, of pairs of coefficients
};

}  // namespace multilevel::likelihood
