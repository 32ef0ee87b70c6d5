// The quadrature nodes of a strip's clusters: the conditional density at each, and its rows' derivatives there.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "likelihood/one_factor/node_averages.hpp"
#include "likelihood/one_factor/strip.hpp"
#include "linear_algebra/small.hpp"
#include "model/model.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

template <int Q>
class ClusterNodes {
  using Vector = typename linear_algebra::Small<Q>::Vector;
  using Matrix = typename linear_algebra::Small<Q>::Matrix;
  using ConstVectorMap = typename linear_algebra::Small<Q>::ConstVectorMap;
  using ConstMatrixMap = typename linear_algebra::Small<Q>::ConstMatrixMap;

 public:
  ClusterNodes(const model::Model& model, const numeric::QuadratureRule& rule, const NodePowers& powers, int q,
               int most_clusters, int most_rows)
      : model_(model), rule_(rule), powers_(powers), q_(q), n_phi_(model.n_phi()), K_(rule.size) {
    if (K_ > 1) squares_.resize(powers.columns.cols(), most_clusters);
    if (K_ > 1) along_.resize(most_rows, 1 + powers.n_moved());
    const auto size = static_cast<std::size_t>(most_clusters) * static_cast<std::size_t>(K_);
    const std::size_t n_phi = static_cast<std::size_t>(n_phi_), parts = model.phi_parts().size();
    f_.resize(size);
    phi_.resize(size * n_phi);
    phi_phi_.resize(size * (n_phi * (n_phi + 1) / 2));
    part_rows_.resize(2 * parts + parts * (parts + 1) / 2,
                      std::vector<double>(static_cast<std::size_t>(most_rows) + 8));
  }

  /// At v_k = mode + L^-T t_k of all clusters; L^-1 (q x q) of one after the other. eta is that of the modes.
  void evaluate(const Strip& strip, RowArrays& rows, const Matrix& lambda, const double* modes,
                const std::vector<double>& Linv) {
    const int m = strip.n_clusters(), n = strip.n_rows;
    std::copy_n(rows.eta, n, along_.data());
    for (int i = 0; i < m; ++i) {
      const ConstMatrixMap own(Linv.data() + static_cast<std::ptrdiff_t>(i) * q_() * q_(), q_(), q_());
      set_squares(i, Vector(ConstVectorMap(modes + i * q_(), q_())), own);
      set_along(strip, i, Matrix(lambda * own.transpose()));
    }
    for (int k = 0; k < K_; ++k) {
      const double* t = rule_.node(k);
      for (int i = 0; i < m; ++i) f_[index(i, k)] = log_weight(i, k);
      std::copy_n(along_.data(), n, rows.eta);
      for (int a = 0; a < powers_.n_moved(); ++a)
        numeric::add_multiple(n, t[moved(a)], along_.col(powers_.coordinate(a)).data(), rows.eta);
      const family::RowDerivatives out = places(rows, k);
      model_.family().derivatives(family::Order::node, {n, rows.eta, strip.data}, out);
      for (int i = 0; i < m; ++i) add_rows({strip, rows, first_row(strip, i), cluster_rows(strip, i)}, i, k, out);
    }
  }

  /// Posterior shares of a cluster's nodes; returns the logarithm of their sum. A node where the link has left its
  /// domain has no share: the density of the responses is zero there.
  double shares(int i, std::vector<double>& share) const {
    const double* f = f_.data() + index(i, 0);
    double largest = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < K_; ++k)
      if (f[k] > largest) largest = f[k];
    double total = 0.0;
    for (int k = 0; k < K_; ++k) {
      double& own = share[static_cast<std::size_t>(k)];
      own = std::isnan(f[k]) ? 0.0 : std::exp(f[k] - largest);
      total += own;
    }
    for (auto& own : share) own /= total;
    return largest + std::log(total);
  }

  /// The sum over a cluster's rows of derivatives by a coefficient of the family's parameters, and by a pair.
  double phi(int i, int k, int r) const {
    return phi_[index(i, k) * static_cast<std::size_t>(n_phi_) + static_cast<std::size_t>(r)];
  }
  double phi_phi(int i, int k, int pair) const {
    return phi_phi_[index(i, k) * static_cast<std::size_t>(n_phi_ * (n_phi_ + 1) / 2) + static_cast<std::size_t>(pair)];
  }

  /// Zero, for a node without a share: far out, or outside the domain, derivatives are no numbers.
  void clear(const ClusterRows& of, int k) const {
    std::fill_n(of.rows.node_d1(k) + of.first, of.n, 0.0);
    std::fill_n(of.rows.node_d2(k) + of.first, of.n, 0.0);
    for (int r = 0; r < n_phi_; ++r) std::fill_n(of.rows.node_d1_phi(k, r) + of.first, of.n, 0.0);
  }

 private:
  static int first_row(const Strip& strip, int i) { return strip.start[static_cast<std::size_t>(i)]; }
  static int cluster_rows(const Strip& strip, int i) {
    return strip.start[static_cast<std::size_t>(i) + 1] - first_row(strip, i);
  }

  int moved(int a) const { return powers_.moved[static_cast<std::size_t>(a)]; }

  /// (t't - v'v) / 2 of a cluster as a linear form in the powers of t: v = mode + L^-T t.
  void set_squares(int i, const Vector& mode, const Matrix& Linv) {
    double* to = squares_.col(i).data();
    const Vector linear = Linv * mode;
    const Matrix square = Linv * Linv.transpose();
    to[0] = -0.5 * mode.squaredNorm();
    for (int a = 0; a < powers_.n_moved(); ++a) {
      to[powers_.coordinate(a)] = -linear[moved(a)];
      for (int b = 0; b < a; ++b) to[powers_.product(a, b)] = -square(moved(a), moved(b));
      to[powers_.product(a, a)] = 0.5 - 0.5 * square(moved(a), moved(a));
    }
  }

  /// What the coordinates of t move eta by; `turn`: what they move u by.
  void set_along(const Strip& strip, int i, const Matrix& turn) {
    const int first = first_row(strip, i), n = cluster_rows(strip, i);
    for (int a = 0; a < powers_.n_moved(); ++a) {
      double* to = along_.col(powers_.coordinate(a)).data() + first;
      std::fill_n(to, n, 0.0);
      for (int b = 0; b < q_(); ++b)
        numeric::add_multiple(n, turn(b, moved(a)), strip.z[static_cast<std::size_t>(b)] + first, to);
    }
  }

  double log_weight(int i, int k) const {
    const double* form = squares_.col(i).data();
    double sum = rule_.log_weights[static_cast<std::size_t>(k)];
    for (int c = 0; c < powers_.columns.cols(); ++c) sum += form[c] * powers_.columns(k, c);
    return sum;
  }

  /// Where the derivatives of a node go: those by eta, and by parameters that are constant, stay.
  family::RowDerivatives places(RowArrays& rows, int k) {
    family::RowDerivatives out;
    out.value = rows.scratch;
    out.eta[0] = rows.node_d1(k);
    out.eta[1] = rows.node_d2(k);
    const auto& parts = model_.phi_parts();
    std::size_t used = 0;
    for (std::size_t r = 0; r < parts.size(); ++r) {
      out.phi[r][0] = part_rows_[used++].data();
      out.phi[r][1] = parts[r].constant ? rows.node_d1_phi(k, parts[r].first) : part_rows_[used++].data();
    }
    for (std::size_t pair = 0; pair < parts.size() * (parts.size() + 1) / 2; ++pair)
      out.phi_phi[pair][0] = part_rows_[used++].data();
    return out;
  }

  /// A cluster's log density at a node, and its derivatives by the coefficients of the family's parameters.
  void add_rows(const ClusterRows& of, int i, int k, const family::RowDerivatives& out) {
    const int first = of.first, n = of.n;
    f_[index(i, k)] += numeric::sum(n, out.value + first);
    for (int g = 0; g < n_phi_; ++g) {
      const auto& uses = of.strip.phi[static_cast<std::size_t>(g)];
      double& sum = phi_[index(i, k) * static_cast<std::size_t>(n_phi_) + static_cast<std::size_t>(g)];
      sum = 0.0;
      for (const auto& use : uses) {
        const double* own = out.phi[use.part][0] + first;
        sum += use.column ? numeric::dot(n, own, use.column + first) : numeric::sum(n, own);
      }
      RowArrays::spread(uses, first, first + n, out.phi, 1, of.rows.node_d1_phi(k, g));
      for (int h = 0; h <= g; ++h)
        phi_phi_[index(i, k) * static_cast<std::size_t>(n_phi_ * (n_phi_ + 1) / 2) +
                 static_cast<std::size_t>(family::phi_pair(g, h))] =
            of.rows.pair_sum(of.strip, first, n, g, h, out.phi_phi, 0, nullptr);
    }
  }

  std::size_t index(int i, int k) const {
    return static_cast<std::size_t>(i) * static_cast<std::size_t>(K_) + static_cast<std::size_t>(k);
  }

  const model::Model& model_;
  const numeric::QuadratureRule& rule_;
  const NodePowers& powers_;
  linear_algebra::Dimension<Q> q_;
  int n_phi_, K_;
  std::vector<double> f_;              ///< f(v_k) + t't/2 + log omega_k
  std::vector<double> phi_, phi_phi_;  ///< sums of derivatives, per cluster and node
  Eigen::MatrixXd squares_;            ///< of each cluster, what its node's v'v is made of
  Eigen::MatrixXd along_;              ///< of each row, eta at the mode and what each coordinate of t moves it by
  std::vector<std::vector<double>> part_rows_;
};

}  // namespace multilevel::likelihood
