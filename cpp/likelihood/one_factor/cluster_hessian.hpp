// The Hessian of a cluster's approximated log-likelihood: the tangent of its gradient, direction by direction.
//
// A dot means the derivative in the direction at hand; everything follows from the formulas of the gradient
// (likelihood_impl.hpp) by the product rule, with  d mode = H^-1 d_explicit f',  d L = L Phi(M),  M = L^-1 dH L^-T.
// By symmetry a beta direction need only give the rows of beta, a theta direction those of beta and theta.
// The rows' own part of the beta block, X' D X, is added for the whole strip elsewhere.
#pragma once

#include <vector>

#include "likelihood/one_factor/cluster_moments.hpp"
#include "likelihood/one_factor/node_moves.hpp"
#include "linear_algebra/dense.hpp"
#include "model/layout.hpp"
#include "model/model.hpp"

namespace multilevel::likelihood {

template <int Q>
class ClusterHessian {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;
  using State = ClusterState<Q>;

 public:
  ClusterHessian(const model::Model& model, const model::Layout& layout, const NodePowers& powers, int q, int n_theta)
      : layout_(layout),
        q_(q),
        p_(model.p()),
        n_theta_(n_theta),
        n_phi_(model.n_phi()),
        K_(static_cast<int>(powers.columns.rows())),
        third_(static_cast<std::size_t>(q * q * q)),
        l4_(q, q),
        lambda_A_(q, q),
        z3_phi_(static_cast<std::size_t>(n_phi_), Vector::Zero(q)),
        moves_(powers, q, p_ + n_theta_ + n_phi_) {
    const int P = p_ + n_theta_ + n_phi_;
    for (int parameter = 0; q > 0 && parameter < P; ++parameter) directions_.push_back(direction(parameter));
    left_.resize(p_, (K_ > 1 ? K_ + q * q : 0) + 2 * q + pair_count(q));
    right_.resize(left_.cols(), P);
    x_moments_.resize(p_, MomentColumns(0, q, K_ > 1).n_columns());
  }

  /// Adds to `hessian`: the beta rows of all columns, and the lower triangle of the theta and phi block.
  void add(State& s, const ClusterRows& of, const MomentColumns& columns, const NodeAverages& averages,
           const Matrix& lambda, Eigen::MatrixXd& hessian) {
    if (q_() == 0) {  // then no mode, node or leverage moves
      add_phi_phi(s, hessian);
      return;
    }
    sum_rows(s, of, columns);
    set_left(s, columns);
    lambda_A_ = lambda * s.A;
    for (Direction& d : directions_) move_mode(s, columns, lambda, d);
    if (K_ > 1) move_shares(s, of, columns, averages);
    for (Direction& d : directions_) {
      if (K_ > 1)
        move_nodes(s, columns, lambda, d);
      else
        d.b1_bar = d.b1;
      move_leverages(s, columns, lambda, d);
      set_right(d);
      if (!d.is_beta) add_theta_rows(s, d, hessian);
      if (d.is_phi) add_phi_rows(s, of, d, hessian);
    }
    if (p_ > 0) linear_algebra::add_times(1.0, left_, right_, hessian.topRows(p_));
  }

 private:
  /// A parameter, and the derivatives by it of what the state calls by the same names.
  struct Direction {
    Direction(int q, int own)
        : parameter(own),
          b1_explicit(Vector::Zero(q)),
          v(q),
          u(q),
          b1(q),
          B(q, q),
          H(q, q),
          M(q, q),
          Phi(q, q),
          node_turn(q, q),
          node_move(q, q),
          b1_bar(q),
          g_bar(q),
          t_b1(q, q),
          t_g(q, q),
          share_b1(q),
          share_b1_t(q, q),
          A(q, q),
          Az(q, q),
          lambda_A(q, q),
          zc(q),
          h(q),
          hz(q) {}

    int parameter;
    bool is_beta = false, is_theta = false, is_phi = false;
    int row = 0, column = 0;  ///< of theta: where the derivative of Lambda is one; it is zero elsewhere
    int phi = 0;              ///< of phi: which of them

    Vector b1_explicit;  ///< of Z'l' while the mode stays
    Vector v, u, b1;
    Matrix B, H, M, Phi;
    Matrix node_turn, node_move;  ///< v_k moves by v + node_turn t_k, u_k by u + node_move t_k
    // Of averages over the nodes; "share" is what the shares alone change. t_b1 is without that, t_g with it.
    Vector b1_bar, g_bar;
    Matrix t_b1, t_g;
    Vector share_b1;
    Matrix share_b1_t;
    Matrix A, Az, lambda_A;
    Vector zc, h, hz;

    /// Products with the derivative of Lambda, Ldot x and Ldot' x.
    Vector lambda_times(const Vector& x) const {
      Vector r = Vector::Zero(static_cast<int>(x.size()));
      if (is_theta) r[row] = x[column];
      return r;
    }
    Vector lambda_transposed_times(const Vector& x) const {
      Vector r = Vector::Zero(static_cast<int>(x.size()));
      if (is_theta) r[column] = x[row];
      return r;
    }
  };

  Direction direction(int parameter) const {
    Direction d(q_(), parameter);
    d.is_beta = parameter < p_;
    d.is_phi = parameter >= p_ + n_theta_;
    d.is_theta = !d.is_beta && !d.is_phi;
    if (d.is_phi) d.phi = parameter - p_ - n_theta_;
    return d;
  }

  /// Sums over the rows that several directions need.
  void sum_rows(State& s, const ClusterRows& of, const MomentColumns& columns) {
    const Strip& strip = of.strip;
    RowArrays& rows = of.rows;
    const int first = of.first, n = of.n;
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
  }

  /// Everything a beta row takes from the rows, side by side; right_ gets what each block is multiplied with.
  void set_left(const State& s, const MomentColumns& columns) {
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
  }

  double& third(int a, int b, int c) { return third_[static_cast<std::size_t>((a * q_() + b) * q_() + c)]; }

  /// The explicit change of Z'l' (mode fixed), then the mode, u, H and its factor.
  void move_mode(const State& s, const MomentColumns& columns, const Matrix& lambda, Direction& d) {
    if (d.is_theta) {  // the order of the random effects may have changed since the last evaluation
      const auto& entry = layout_.entries()[static_cast<std::size_t>(d.parameter - p_)];
      d.row = entry.row;
      d.column = entry.column;
    }
    if (d.is_beta)
      for (int a = 0; a < q_(); ++a) d.b1_explicit[a] = -x_moments_(d.parameter, columns.w_z(a));
    if (d.is_phi) d.b1_explicit = s.b1_phi[static_cast<std::size_t>(d.phi)];
    const Vector u_explicit = d.lambda_times(s.v);
    const Vector force = d.lambda_transposed_times(s.b1) + lambda.transpose() * (d.b1_explicit - s.B * u_explicit);
    d.v = s.Linv.transpose() * (s.Linv * force);
    d.u = u_explicit + lambda * d.v;
    d.b1 = d.b1_explicit - s.B * d.u;

    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) {
        double t = d.is_beta ? x_moments_(d.parameter, columns.l3_zz(a, b)) : 0.0;
        for (int c = 0; c < q_(); ++c) t += third(a, b, c) * d.u[c];
        d.B(a, b) = d.B(b, a) = -t;
      }
    if (d.is_phi) d.B -= s.B2_phi[static_cast<std::size_t>(d.phi)];
    d.H = lambda.transpose() * d.B * lambda;
    if (d.is_theta) {  // Ldot'B Lambda + its transpose
      const Vector bl = lambda.transpose() * s.B.col(d.row);
      linear_algebra::add_to_row(d.H, d.column, bl);
      linear_algebra::add_to_column(d.H, d.column, bl);
    }
    d.M = s.Linv * d.H * s.Linv.transpose();
    if (K_ == 1) return;
    d.Phi = linear_algebra::lower_half_diagonal(d.M);
    // v_k dot = vdot - L^-T Phi' t_k, u_k dot = Ldot v_k + Lambda v_k dot.
    d.node_turn = -(s.Linv.transpose() * d.Phi.transpose());
    d.node_move = lambda * d.node_turn;
    if (d.is_theta) linear_algebra::add_to_row(d.node_move, d.row, Vector(s.Linv.col(d.column)));  // Ldot L^-T
  }

  /// The posterior shares of the nodes, in the first rows of right_.
  void move_shares(const State& s, const ClusterRows& of, const MomentColumns& columns, const NodeAverages& averages) {
    moves_.set(of, averages, columns);
    for (const Direction& d : directions_) {
      moves_.set_form(d.parameter, s, d.u, d.node_move, d.v, d.node_turn);
      auto moved = right_.col(d.parameter).head(K_);
      if (d.is_beta)
        moved = s.x1.row(d.parameter).transpose();
      else if (d.is_phi)
        moved = s.node_phi.col(d.phi);
      else
        moved.setZero();
    }
    moves_.move_shares(s.share, right_.data(), right_.rows());
  }

  /// Averages over the nodes, with what their rows, places and shares change.
  void move_nodes(const State& s, const MomentColumns& columns, const Matrix& lambda, Direction& d) {
    d.b1_bar.setZero();
    d.t_b1 = Matrix::Zero(q_(), q_());
    if (d.is_beta)
      for (int a = 0; a < q_(); ++a) {
        d.b1_bar[a] = -x_moments_(d.parameter, columns.node_w_z(a));
        for (int b = 0; b < q_(); ++b) d.t_b1(b, a) = -x_moments_(d.parameter, columns.node_w_t_z(a, b));
      }
    if (d.is_phi) {
      d.b1_bar = s.b1_bar_phi[static_cast<std::size_t>(d.phi)];
      d.t_b1 = Matrix(s.b1_t_phi[static_cast<std::size_t>(d.phi)].transpose());
    }
    moves_.add_forces(d.u, d.node_move, d.b1_bar, d.t_b1);
    const auto share = moves_.moments(d.parameter);
    d.share_b1 = share.b1;
    d.share_b1_t = share.b1_t;
    // g_k = Lambda' b1_k - v_k
    d.g_bar = d.lambda_transposed_times(s.b1_bar) + lambda.transpose() * Vector(share.b1 + d.b1_bar) -
              s.Linv.transpose() * share.t - d.v - d.node_turn * s.t_bar;
    const Matrix t_b1 = share.b1_t.transpose() + d.t_b1;
    d.t_g = t_b1 * lambda - share.t_t * s.Linv - s.t_t * d.node_turn.transpose();
    d.t_g -= share.t * s.v.transpose() + s.t_bar * d.v.transpose();
    if (d.is_theta) linear_algebra::add_to_column(d.t_g, d.column, linear_algebra::row_of(s.b1_t, d.row));
  }

  /// A, the leverages, and h.
  void move_leverages(const State& s, const MomentColumns& columns, const Matrix& lambda, Direction& d) {
    if (K_ > 1) {
      // C = sum p_k t_k gamma_k', gamma_k = L^-1 g_k, g_k = Lambda' b1_k - v_k.
      const Matrix Cdot = d.t_g * s.Linv.transpose() - s.C * d.Phi.transpose();
      const Matrix Cs = linear_algebra::symmetric_from_lower(s.C), Csdot = linear_algebra::symmetric_from_lower(Cdot);
      const Matrix inner = Matrix::Identity(q_(), q_()) + Cs;
      d.A = s.Linv.transpose() * (Csdot - d.Phi.transpose() * inner - inner * d.Phi) * s.Linv;
    } else {
      d.A = -(s.Linv.transpose() * d.M * s.Linv);
    }
    d.lambda_A = lambda * d.A;
    d.Az = d.lambda_A * lambda.transpose();
    if (d.is_theta) {  // Ldot A Lambda' + its transpose
      const Vector al = lambda * s.A.col(d.column);
      linear_algebra::add_to_row(d.Az, d.row, al);
      linear_algebra::add_to_column(d.Az, d.row, al);
    }

    d.zc = 0.5 * (l4_ * d.u);
    if (d.is_beta)
      for (int a = 0; a < q_(); ++a) d.zc[a] += 0.5 * x_moments_(d.parameter, columns.l4_z(a));
    if (d.is_phi) d.zc += 0.5 * z3_phi_[static_cast<std::size_t>(d.phi)];
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b < q_(); ++b)
        for (int c = 0; c < q_(); ++c) d.zc[c] += 0.5 * third(a, b, c) * d.Az(a, b);

    Vector kappa_dot = d.lambda_transposed_times(s.zc) + lambda.transpose() * d.zc;
    if (K_ > 1) kappa_dot += d.g_bar;  // with one node f'(mode) = 0 whatever the parameters
    d.h = s.Linv.transpose() * (s.Linv * (kappa_dot - d.H * s.h));
    d.hz = d.lambda_times(s.h) + lambda * d.h;
  }

  /// What the beta rows are multiplied with, in the order of left_.
  void set_right(const Direction& d) {
    auto right = right_.col(d.parameter);
    int at = K_ > 1 ? K_ : 0;  // the shares are there
    for (int a = 0; a < q_(); ++a) right[at + a] = d.u[a];
    at += q_();
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b <= a; ++b) right[at + pair_index(a, b)] = d.Az(a, b);
    at += pair_count(q_());
    for (int a = 0; a < q_(); ++a) right[at + a] = d.hz[a];
    at += q_();
    if (K_ == 1) return;
    for (int a = 0; a < q_(); ++a)
      for (int b = 0; b < q_(); ++b) right[at + a * q_() + b] = d.node_move(a, b);
  }

  /// Rows of theta: G = sum p_k b1_k v_k' - B Lambda A + zc v' + b1 h' - B hz v'.
  void add_theta_rows(const State& s, const Direction& d, Eigen::MatrixXd& hessian) {
    Matrix G = s.b1_bar * d.v.transpose() + d.b1_bar * s.v.transpose() - d.B * lambda_A_ - s.B * d.lambda_A +
               d.zc * s.v.transpose() + s.zc * d.v.transpose() + d.b1 * s.h.transpose() + s.b1 * d.h.transpose() -
               (d.B * s.hz + s.B * d.hz) * s.v.transpose() - (s.B * s.hz) * d.v.transpose();
    if (K_ > 1) {
      const Matrix turned = d.share_b1_t + d.t_b1.transpose();
      G += turned * s.Linv + s.b1_t * d.node_turn.transpose() + d.share_b1 * s.v.transpose();
    }
    if (d.is_theta) {
      const Vector left = s.B.col(d.row), right = linear_algebra::row_of(s.A, d.column);
      G += -left * right.transpose();
    }
    for (int e = 0; e < n_theta_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      const double value = G(entry.row, entry.column);
      if (p_ + e >= d.parameter) hessian(p_ + e, d.parameter) += value;
      if (d.is_phi) hessian(d.parameter, p_ + e) += value;
    }
  }

  void add_phi_phi(const State& s, Eigen::MatrixXd& hessian) const {
    const int first = p_ + n_theta_;
    for (int g = 0; g < n_phi_; ++g)
      for (int h = 0; h <= g; ++h)
        hessian(first + g, first + h) += s.phi_phi[static_cast<std::size_t>(family::phi_pair(g, h))];
  }

  void add_phi_rows(const State& s, const ClusterRows& of, const Direction& d, Eigen::MatrixXd& hessian) {
    const auto& second = of.rows.at_mode.phi_phi;
    for (int r = 0; r <= d.phi; ++r) {
      const auto R = static_cast<std::size_t>(r);
      double value = s.b1_bar_phi[R].dot(d.u);
      if (K_ > 1)
        value += linear_algebra::sum_of_products(s.b1_t_phi[R], d.node_move) +
                 numeric::dot(K_, right_.col(d.parameter).data(), s.node_phi.col(r).data());
      value += s.phi_phi[static_cast<std::size_t>(family::phi_pair(d.phi, r))];
      value += 0.5 * z3_phi_[R].dot(d.u) + 0.5 * linear_algebra::sum_of_products(s.B2_phi[R], d.Az) +
               d.u.dot(s.B2_phi[R] * s.hz) + s.b1_phi[R].dot(d.hz);
      value += 0.5 * of.rows.pair_sum(of.strip, of.first, of.n, d.phi, r, second, 2, of.rows.leverage) +
               of.rows.pair_sum(of.strip, of.first, of.n, d.phi, r, second, 1, of.rows.shift);
      hessian(p_ + n_theta_ + d.phi, p_ + n_theta_ + r) += value;
    }
  }

  const model::Layout& layout_;
  linear_algebra::Dimension<Q> q_;
  int p_, n_theta_, n_phi_, K_;
  std::vector<double> third_;   ///< sum l''' z_a z_b z_c
  Matrix l4_;                   ///< sum l'''' (z'Az) z z'
  Matrix lambda_A_;             ///< Lambda A
  std::vector<Vector> z3_phi_;  ///< sum l'''_phi (z'Az) z
  std::vector<Direction> directions_;
  NodeMoves<Q> moves_;
  Eigen::MatrixXd left_, right_, x_moments_;
  std::vector<const double*> x_pointers_, node_pointers_;
};

}  // namespace multilevel::likelihood
