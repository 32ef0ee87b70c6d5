// The Hessian of a cluster's approximated log-likelihood: the tangent of its gradient, direction by direction.
//
// A dot means the derivative in the direction at hand; everything follows from the formulas of the gradient
// (likelihood_impl.hpp) by the product rule, with  d mode = H^-1 d_explicit f',  d L = L Phi(M),  M = L^-1 dH L^-T.
// By symmetry a beta direction need only give the rows of beta, a theta direction those of beta and theta.
// The rows' own part of the beta block, X' D X, is added for the whole strip elsewhere.
#pragma once

#include <vector>

#include "likelihood/one_factor/cluster_moments.hpp"
#include "linear_algebra/dense.hpp"
#include "model/layout.hpp"
#include "model/model.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

template <int Q>
class ClusterHessian {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;
  using ConstVectorMap = typename linear_algebra::Small<Q>::ConstVectorMap;
  using State = ClusterState<Q>;

 public:
  ClusterHessian(const model::Model& model, const model::Layout& layout, const numeric::QuadratureRule& rule, int q,
                 int n_theta)
      : layout_(layout),
        rule_(rule),
        q_(q),
        p_(model.p()),
        n_theta_(n_theta),
        n_phi_(model.n_phi()),
        K_(rule.size),
        third_(static_cast<std::size_t>(q * q * q)),
        l4_(q, q),
        z3_phi_(static_cast<std::size_t>(n_phi_), Vector::Zero(q)),
        phi_node_change_(static_cast<std::size_t>(n_phi_)),
        pdot_(K_),
        fdot_(K_) {
    const int P = p_ + n_theta_ + n_phi_;
    left_.resize(p_, (K_ > 1 ? K_ + q * q : 0) + 2 * q + pair_count(q));
    right_.resize(left_.cols(), P);
    x_moments_.resize(p_, MomentColumns(0, q, K_ > 1).n_columns());
  }

  /// Adds to `hessian`: the beta rows of all columns, and the lower triangle of the theta and phi block. The cluster's
  /// rows are [first, first + n) of the strip.
  void add(State& s, const Strip& strip, RowArrays& rows, const MomentColumns& columns, int first, int n,
           const Matrix& lambda, Eigen::MatrixXd& hessian) {
    row_sums(s, strip, rows, columns, first, n);
    const int P = p_ + n_theta_ + n_phi_;
    for (int d = 0; d < P; ++d) direction(s, lambda, rows, first, n, d, hessian);
    if (p_ > 0) linear_algebra::add_times(1.0, left_, right_, hessian.topRows(p_));
  }

 private:
  void row_sums(State& s, const Strip& strip, RowArrays& rows, const MomentColumns& columns, int first, int n) {
    std::vector<const double*>& x = x_pointers_;
    x.assign(strip.x.begin(), strip.x.end());
    for (auto& column : x) column += first;
    // x_moments_(k, c) = x_k' column c
    numeric::cross_products(n, p_, x.data(), columns.n_columns(), columns.all(), x_moments_.data(), 1, p_);
    if (K_ > 1) {
      std::vector<const double*>& d1 = node_pointers_;
      d1.clear();
      for (int k = 0; k < K_; ++k) d1.push_back(rows.node_d1(k) + first);
      numeric::cross_products(n, p_, x.data(), K_, d1.data(), s.x1.data(), 1, p_);
    }
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) {
        l4_(a, b) = l4_(b, a) =
            numeric::dot(n, columns.column(columns.l4_z(a)), strip.z[static_cast<std::size_t>(b)] + first);
        for (int c = 0; c <= b; ++c) {
          const double t =
              numeric::dot(n, columns.column(columns.l3_zz(a, b)), strip.z[static_cast<std::size_t>(c)] + first);
          third(a, b, c) = third(a, c, b) = third(b, a, c) = third(b, c, a) = third(c, a, b) = third(c, b, a) = t;
        }
      }
    for (int r = 0; r < n_phi_; ++r)
      for (int a = 0; a < q_(); ++a)
        z3_phi_[static_cast<std::size_t>(r)][a] = numeric::dot(n, strip.z[static_cast<std::size_t>(a)] + first,
                                                               rows.phi(r, 3) + first, rows.leverage + first);

    // Everything a beta row takes from the rows, side by side; right_ gets what each block is multiplied with.
    int at = 0;
    if (K_ > 1) {
      left_.leftCols(K_) = s.x1;
      at += K_;
    }
    for (int a = 0; a < q_(); ++a) {
      auto column = left_.col(at + a);
      column = 0.5 * x_moments_.col(columns.l4_z(a)) - x_moments_.col(K_ > 1 ? columns.node_w_z(a) : columns.w_z(a));
      for (int b = 0; b < q_(); ++b) column += s.hz[b] * x_moments_.col(columns.l3_zz(a, b));
    }
    at += q_();
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b)
        left_.col(at + pair_index(a, b)) = (a == b ? 0.5 : 1.0) * x_moments_.col(columns.l3_zz(a, b));
    at += pair_count(q_());
    for (int a = 0; a < q_(); ++a) left_.col(at + a) = -x_moments_.col(columns.w_z(a));
    at += q_();
    if (K_ > 1)
      for (int a = 0; a < q_(); ++a)
        for (int b = 0; b < q_(); ++b) left_.col(at + a * q_() + b) = -x_moments_.col(columns.node_w_t_z(a, b));
    columns_ = &columns;
    strip_ = &strip;
  }

  double& third(int a, int b, int c) { return third_[static_cast<std::size_t>((a * q_() + b) * q_() + c)]; }

  void direction(State& s, const Matrix& lambda, RowArrays& rows, int first, int n, int d, Eigen::MatrixXd& hessian) {
    const int theta_index = d - p_, phi_index = d - p_ - n_theta_;
    const bool is_beta = d < p_, is_theta = !is_beta && theta_index < n_theta_, is_phi = phi_index >= 0;
    const Vector zero = Vector::Zero(q_());
    const MomentColumns& columns = *columns_;

    // Lambda-dot has a single entry, at (row, column).
    int row = 0, column = 0;
    if (is_theta) {
      row = layout_.entries()[static_cast<std::size_t>(theta_index)].row;
      column = layout_.entries()[static_cast<std::size_t>(theta_index)].column;
    }
    // Products with Lambda-dot: Ldot x, Ldot' x.
    auto ldot = [&](const auto& x) {
      Vector r = zero;
      if (is_theta) r[row] = x[column];
      return r;
    };
    auto ldot_transposed = [&](const auto& x) {
      Vector r = zero;
      if (is_theta) r[column] = x[row];
      return r;
    };

    // The explicit change of Z'l' (mode fixed), then the mode, u and H.
    Vector b1_explicit = zero;
    if (is_beta)
      for (int a = 0; a < q_(); ++a) b1_explicit[a] = -x_moments_(d, columns.w_z(a));
    if (is_phi) b1_explicit = s.b1_phi[static_cast<std::size_t>(phi_index)];
    const Vector u_explicit = ldot(s.v);
    const Vector force = ldot_transposed(s.b1) + lambda.transpose() * (b1_explicit - s.B * u_explicit);
    const Vector vdot = s.Linv.transpose() * (s.Linv * force);
    const Vector udot = u_explicit + lambda * vdot;
    const Vector b1dot = b1_explicit - s.B * udot;

    Matrix Bdot(q_(), q_());
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) {
        double t = is_beta ? x_moments_(d, columns.l3_zz(a, b)) : 0.0;
        for (int c = 0; c < q_(); ++c) t += third(a, b, c) * udot[c];
        Bdot(a, b) = Bdot(b, a) = -t;
      }
    if (is_phi) Bdot -= s.B2_phi[static_cast<std::size_t>(phi_index)];
    Matrix Hdot = lambda.transpose() * Bdot * lambda;
    if (is_theta) {  // Ldot'B Lambda + its transpose
      const Vector bl = lambda.transpose() * s.B.col(row);
      linear_algebra::add_to_row(Hdot, column, bl);
      linear_algebra::add_to_column(Hdot, column, bl);
    }
    const Matrix M = s.Linv * Hdot * s.Linv.transpose();
    const Matrix Phi = linear_algebra::lower_half_diagonal(M);

    // Nodes: v_k dot = vdot - L^-T Phi' t_k, u_k dot = Ldot v_k + Lambda v_k dot.
    const Matrix node_turn = -(s.Linv.transpose() * Phi.transpose());
    Vector g_bar_dot = zero, b1_bar = zero, b1_bar_dot = zero, pdot_b1 = zero;
    Matrix t_b1dot = Matrix::Zero(q_(), q_()), t_vdot = t_b1dot, pdot_t_gamma = t_b1dot, t_b1 = t_b1dot,
           pdot_b1_v = t_b1dot, b1_vdot = t_b1dot;
    if (K_ > 1) {
      double mean = 0.0;
      for (int k = 0; k < K_; ++k) {
        const Vector t = ConstVectorMap(rule_.node(k), q_());
        const Vector v_k = s.at(s.node_v, k);
        const Vector vdot_k = vdot + node_turn * t;
        const Vector udot_k = ldot(v_k) + lambda * vdot_k;
        const Vector b1_k = s.at(s.node_b1, k);
        double f = b1_k.dot(udot_k) - v_k.dot(vdot_k);
        if (is_beta) f += s.x1(d, k);
        if (is_phi) f += s.node_phi[static_cast<std::size_t>(k * n_phi_ + phi_index)];
        fdot_[k] = f;
        mean += s.share[static_cast<std::size_t>(k)] * f;
      }
      for (int k = 0; k < K_; ++k) pdot_[k] = s.share[static_cast<std::size_t>(k)] * (fdot_[k] - mean);
      if (is_beta)
        for (int a = 0; a < q_(); ++a) {
          b1_bar_dot[a] = -x_moments_(d, columns.node_w_z(a));
          for (int b = 0; b < q_(); ++b) t_b1dot(b, a) = -x_moments_(d, columns.node_w_t_z(a, b));
        }
    } else {
      pdot_[0] = 0.0;
      if (is_beta) b1_bar_dot = b1_explicit;
    }
    std::fill(phi_node_change_.begin(), phi_node_change_.end(), 0.0);
    for (int k = 0; k < K_; ++k) {
      const double share = s.share[static_cast<std::size_t>(k)];
      const Vector t = ConstVectorMap(rule_.node(k), q_());
      const Vector v_k = s.at(s.node_v, k), b1_k = s.at(s.node_b1, k), g_k = s.at(s.node_g, k),
                   gamma_k = s.at(s.node_gamma, k);
      const Matrix B_k = s.matrix_at(s.node_B, k);
      const Vector vdot_k = vdot + node_turn * t;
      const Vector udot_k = ldot(v_k) + lambda * vdot_k;
      Vector change = -(B_k * udot_k);  // of Z'l' at the node; the explicit part of beta is in already
      if (is_phi) {
        for (int r = 0; r < n_phi_; ++r) {
          const Vector b1_phi = ConstVectorMap(s.node_b1_phi.data() + (k * n_phi_ + r) * q_(), q_());
          if (r == phi_index) change += b1_phi;
          phi_node_change_[static_cast<std::size_t>(r)] += share * b1_phi.dot(udot_k);
        }
      }
      b1_bar += share * b1_k;
      b1_bar_dot += share * change;
      pdot_b1 += pdot_[k] * b1_k;
      g_bar_dot += pdot_[k] * g_k - share * vdot_k;
      t_b1 += share * t * b1_k.transpose();
      t_b1dot += share * t * change.transpose();
      t_vdot += share * t * vdot_k.transpose();
      pdot_t_gamma += pdot_[k] * t * gamma_k.transpose();
      pdot_b1_v += pdot_[k] * b1_k * v_k.transpose();
      b1_vdot += share * b1_k * vdot_k.transpose();
    }
    g_bar_dot += ldot_transposed(b1_bar) + lambda.transpose() * b1_bar_dot;

    Matrix Adot(q_(), q_());
    if (K_ > 1) {
      // C = sum p_k t_k gamma_k', gamma_k = L^-1 g_k, g_k = Lambda' b1_k - v_k.
      Matrix t_gdot = t_b1dot * lambda - t_vdot;
      if (is_theta) linear_algebra::add_to_column(t_gdot, column, Vector(t_b1.col(row)));
      const Matrix Cdot = pdot_t_gamma + t_gdot * s.Linv.transpose() - s.C * Phi.transpose();
      const Matrix Cs = linear_algebra::symmetric_from_lower(s.C), Csdot = linear_algebra::symmetric_from_lower(Cdot);
      const Matrix inner = Matrix::Identity(q_(), q_()) + Cs;
      Adot = s.Linv.transpose() * (Csdot - Phi.transpose() * inner - inner * Phi) * s.Linv;
    } else {
      Adot = -(s.Linv.transpose() * M * s.Linv);
    }
    Matrix Azdot = lambda * Adot * lambda.transpose();
    if (is_theta) {  // Ldot A Lambda' + its transpose
      const Vector al = lambda * s.A.col(column);
      linear_algebra::add_to_row(Azdot, row, al);
      linear_algebra::add_to_column(Azdot, row, al);
    }

    Vector zcdot = 0.5 * (l4_ * udot);
    if (is_beta)
      for (int a = 0; a < q_(); ++a) zcdot[a] += 0.5 * x_moments_(d, columns.l4_z(a));
    if (is_phi) zcdot += 0.5 * z3_phi_[static_cast<std::size_t>(phi_index)];
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b < q_(); ++b)
        for (int c = 0; c < q_(); ++c) zcdot[c] += 0.5 * third(a, b, c) * Azdot(a, b);

    Vector kappa_dot = ldot_transposed(s.zc) + lambda.transpose() * zcdot;
    if (K_ > 1) kappa_dot += g_bar_dot;  // with one node f'(mode) = 0 whatever the parameters
    const Vector hdot = s.Linv.transpose() * (s.Linv * (kappa_dot - Hdot * s.h));
    const Vector hzdot = ldot(s.h) + lambda * hdot;

    // What the beta rows are multiplied with, in the order of left_.
    int at = 0;
    if (K_ > 1) {
      right_.col(d).head(K_) = pdot_;
      at += K_;
    }
    for (int a = 0; a < q_(); ++a) right_(at + a, d) = udot[a];
    at += q_();
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) right_(at + pair_index(a, b), d) = Azdot(a, b);
    at += pair_count(q_());
    for (int a = 0; a < q_(); ++a) right_(at + a, d) = hzdot[a];
    at += q_();
    if (K_ > 1) {
      Matrix N = lambda * node_turn;
      if (is_theta) linear_algebra::add_to_row(N, row, Vector(s.Linv.col(column)));  // Ldot L^-T
      for (int a = 0; a < q_(); ++a)
        for (int b = 0; b < q_(); ++b) right_(at + a * q_() + b, d) = N(a, b);
    }
    if (is_beta) return;

    // Rows of theta: G = sum p_k b1_k v_k' - B Lambda A + zc v' + b1 h' - B hz v'.
    Matrix G = pdot_b1_v + b1_vdot + b1_bar_dot * s.v.transpose() + t_b1dot.transpose() * s.Linv -
               Bdot * (lambda * s.A) - s.B * (lambda * Adot) + zcdot * s.v.transpose() + s.zc * vdot.transpose() +
               b1dot * s.h.transpose() + s.b1 * hdot.transpose() - (Bdot * s.hz + s.B * hzdot) * s.v.transpose() -
               (s.B * s.hz) * vdot.transpose();
    if (is_theta) {
      const Vector left = s.B.col(row), right = linear_algebra::row_of(s.A, column);
      G += -left * right.transpose();
    }
    for (int e = 0; e < n_theta_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      const double value = G(entry.row, entry.column);
      if (p_ + e >= d) hessian(p_ + e, d) += value;
      if (is_phi) hessian(d, p_ + e) += value;
    }
    if (!is_phi) return;

    for (int r = 0; r <= phi_index; ++r) {
      const auto R = static_cast<std::size_t>(r);
      const auto& second = rows.at_mode.phi_phi;
      double value = phi_node_change_[R];
      for (int k = 0; k < K_; ++k) value += pdot_[k] * s.node_phi[static_cast<std::size_t>(k * n_phi_ + r)];
      value += s.phi_phi[static_cast<std::size_t>(family::phi_pair(phi_index, r))];
      value += 0.5 * z3_phi_[R].dot(udot) + 0.5 * linear_algebra::sum_of_products(s.B2_phi[R], Azdot) +
               udot.dot(s.B2_phi[R] * s.hz) + s.b1_phi[R].dot(hzdot);
      value += 0.5 * rows.pair_sum(*strip_, first, n, phi_index, r, second, 2, rows.leverage) +
               rows.pair_sum(*strip_, first, n, phi_index, r, second, 1, rows.shift);
      hessian(p_ + n_theta_ + phi_index, p_ + n_theta_ + r) += value;
    }
  }

  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  linear_algebra::Dimension<Q> q_;
  int p_, n_theta_, n_phi_, K_;
  std::vector<double> third_;            ///< sum l''' z_a z_b z_c
  Matrix l4_;                            ///< sum l'''' (z'Az) z z'
  std::vector<Vector> z3_phi_;           ///< sum l'''_phi (z'Az) z
  std::vector<double> phi_node_change_;  ///< sum_k p_k (Z'l'_phi at v_k)'u_k dot, per coefficient
  Eigen::VectorXd pdot_, fdot_;
  Eigen::MatrixXd left_, right_, x_moments_;
  std::vector<const double*> x_pointers_, node_pointers_;
  const MomentColumns* columns_ = nullptr;
  const Strip* strip_ = nullptr;
};

}  // namespace multilevel::likelihood
