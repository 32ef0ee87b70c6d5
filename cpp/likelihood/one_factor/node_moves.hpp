// How the shares of a cluster's nodes move, and the forces there, for all parameters at once.
//
// The node at v_k = mode + L^-T t_k moves by v dot + N t_k, its random effects u_k by u dot + E t_k. Its log density
// therefore moves by a linear form in b1_k, b1_k t_k', t_k and t_k t_k', which are the same for all parameters, and
// what moved shares make of averages is averages of these again: a product of matrices there and one back.
#pragma once

#include <vector>

#include <Eigen/Core>

#include "likelihood/one_factor/cluster_moments.hpp"
#include "likelihood/one_factor/node_averages.hpp"
#include "linear_algebra/dense_kernels.hpp"
#include "linear_algebra/small.hpp"

namespace multilevel::likelihood {

template <int Q>
class NodeMoves {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;

 public:
  /// For P parameters.
  NodeMoves(const NodePowers& powers, int q, int P)
      : powers_(powers),
        q_(q),
        m_(powers.n_moved()),
        K_(static_cast<int>(powers.columns.rows())),
        features_((K_ + linear_algebra::read_ahead), q + q * m_ + m_ + pair_count(m_)),
        form_(features_.cols(), P),
        moments_(features_.cols(), P),
        second_(static_cast<std::size_t>(q * q)),
        third_(second_.size() * static_cast<std::size_t>(m_)),
        fourth_(third_.size() * static_cast<std::size_t>(m_)) {
    features_.setZero();
    features_.topRightCorner(K_, m_ + pair_count(m_)) = powers.columns.rightCols(m_ + pair_count(m_));
  }

  /// Of a cluster.
  void set(const ClusterRows& of, const NodeAverages& averages, const MomentColumns& columns) {
    set_features(of);
    set_curvature(of, averages, columns);
  }

  /// The linear form of a parameter, -f dot of the nodes without what is explicit: u, E, v and N are how it moves.
  void set_form(int parameter, const ClusterState<Q>& s, const Vector& u, const Matrix& E, const Vector& v,
                const Matrix& N) {
    double* to = form_.col(parameter).data();
    const Vector t = s.Linv * v + N.transpose() * s.v;
    const Matrix tt = s.Linv * N;
    for (int i = 0; i < q_(); ++i) *to++ = -u[i];
    for (int a = 0; a < m_; ++a)
      for (int i = 0; i < q_(); ++i) *to++ = -E(i, dimension(a));
    for (int a = 0; a < m_; ++a) *to++ = t[dimension(a)];
    for (int a = 0; a < m_; ++a)
      for (int b = 0; b <= a; ++b) {
        const int i = dimension(a), j = dimension(b);
        *to++ = a == b ? tt(i, i) : tt(i, j) + tt(j, i);
      }
  }

  /// `moves`, K x P: f dot of the nodes, of which what is explicit is there already, becomes p dot.
  void move_shares(const std::vector<double>& share, double* moves, std::ptrdiff_t leading) {
    const int P = static_cast<int>(form_.cols()), F = static_cast<int>(form_.rows());
    linear_algebra::subtract_product(K_, P, F, features_.data(), features_.rows(), form_.data(), 1, F, moves, leading);
    for (int parameter = 0; parameter < P; ++parameter) {
      double* f = moves + parameter * leading;
      const double mean = numeric::dot(K_, share.data(), f);
      for (int k = 0; k < K_; ++k) f[k] = share[static_cast<std::size_t>(k)] * (f[k] - mean);
    }
    moments_.setZero();
    linear_algebra::subtract_transposed_product(F, P, K_, features_.data(), features_.rows(), moves, leading,
                                                moments_.data(), F);
  }

  /// sum_k p_k dot of b1_k, b1_k t_k', t_k and t_k t_k'.
  struct Moments {
    explicit Moments(int q) : b1(Vector::Zero(q)), t(b1), b1_t(Matrix::Zero(q, q)), t_t(b1_t) {}
    Vector b1, t;
    Matrix b1_t, t_t;
  };
  Moments moments(int parameter) const {
    Moments r(q_());
    const double* from = moments_.col(parameter).data();
    for (int i = 0; i < q_(); ++i) r.b1[i] = -*from++;
    for (int a = 0; a < m_; ++a)
      for (int i = 0; i < q_(); ++i) r.b1_t(i, dimension(a)) = -*from++;
    for (int a = 0; a < m_; ++a) r.t[dimension(a)] = -*from++;
    for (int a = 0; a < m_; ++a)
      for (int b = 0; b <= a; ++b) {
        const int i = dimension(a), j = dimension(b);
        r.t_t(i, j) = r.t_t(j, i) = -*from++;
      }
    return r;
  }

  /// Adds what b1_k moves by where eta does, averaged: -sum_k p_k B_k u_k dot to `b1`, and to `t_b1` the same t_k times
  /// that, transposed.
  void add_forces(const Vector& u, const Matrix& E, Vector& b1, Matrix& t_b1) const {
    const int q = q_();
    for (int a = 0; a < q; ++a)
      for (int b = 0; b < q; ++b) b1[a] -= second_[static_cast<std::size_t>(a * q + b)] * u[b];
    for (int c = 0; c < m_; ++c)
      for (int b = 0; b < q; ++b) {
        const double* third = third_.data() + (c * q + b) * q;
        const double e = E(b, dimension(c));
        for (int a = 0; a < q; ++a) {
          b1[a] -= third[a] * e;
          t_b1(dimension(c), a) -= third[a] * u[b];
        }
      }
    for (int d = 0; d < m_; ++d)
      for (int c = 0; c < m_; ++c)
        for (int b = 0; b < q; ++b) {
          const double* fourth = fourth_.data() + ((d * m_ + c) * q + b) * q;
          const double e = E(b, dimension(c));
          for (int a = 0; a < q; ++a) t_b1(dimension(d), a) -= fourth[a] * e;
        }
  }

 private:
  int dimension(int a) const { return powers_.moved[static_cast<std::size_t>(a)]; }

  /// b1_k = Z'l'(v_k), and its products with t_k.
  void set_features(const ClusterRows& of) {
    for (int i = 0; i < q_(); ++i) {
      const double* z = of.strip.z[static_cast<std::size_t>(i)] + of.first;
      double* to = features_.col(i).data();
      for (int k = 0; k < K_; ++k) to[k] = numeric::dot(of.n, z, of.rows.node_d1(k) + of.first);
    }
    for (int a = 0; a < m_; ++a)
      for (int i = 0; i < q_(); ++i) {
        const double *t = powers_.columns.col(powers_.coordinate(a)).data(), *b1 = features_.col(i).data();
        double* to = features_.col(q_() + a * q_() + i).data();
        for (int k = 0; k < K_; ++k) to[k] = t[k] * b1[k];
      }
  }

  /// sum_k p_k B_k, times t_k and times t_k t_k'.
  void set_curvature(const ClusterRows& of, const NodeAverages& averages, const MomentColumns& columns) {
    const int q = q_(), n = of.n;
    const auto z = [&](int a) { return of.strip.z[static_cast<std::size_t>(a)] + of.first; };
    for (int a = 0; a < q; ++a)
      for (int b = 0; b <= a; ++b) {
        second_[static_cast<std::size_t>(a * q + b)] = second_[static_cast<std::size_t>(b * q + a)] =
            numeric::dot(n, columns.column(columns.node_w_z(a)), z(b));
        for (int c = 0; c < m_; ++c)
          third_[static_cast<std::size_t>((c * q + a) * q + b)] =
              third_[static_cast<std::size_t>((c * q + b) * q + a)] =
                  numeric::dot(n, columns.column(columns.node_w_t_z(a, dimension(c))), z(b));
        for (int d = 0; d < m_; ++d)
          for (int c = 0; c <= d; ++c) {
            const double sum = -numeric::dot(n, averages.d2(powers_.product(d, c)), z(a), z(b));
            for (const int block : {d * m_ + c, c * m_ + d})
              fourth_[static_cast<std::size_t>((block * q + a) * q + b)] =
                  fourth_[static_cast<std::size_t>((block * q + b) * q + a)] = sum;
          }
      }
  }

  const NodePowers& powers_;
  linear_algebra::Dimension<Q> q_;
  int m_, K_;
  Eigen::MatrixXd features_;  ///< a row for each node: b1_k, b1_k t_k', t_k, t_k t_k'
  Eigen::MatrixXd form_, moments_;
  std::vector<double> second_, third_, fourth_;  ///< sum_k p_k B_k, sum_k p_k B_k t_k, sum_k p_k B_k t_k t_k'
};

}  // namespace multilevel::likelihood
