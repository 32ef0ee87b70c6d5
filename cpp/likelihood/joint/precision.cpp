#include "likelihood/joint/precision.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "linear_algebra/small_factor.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The lower triangle of T'T, T q x r. Q is q, or 0.
template <int Q>
void lower_gram(int q, int r, const double* __restrict T, double* __restrict to) {
  const int n = Q > 0 ? Q : q;
  for (int b = 0; b < r; ++b, to += r)
    for (int a = b; a < r; ++a) {
      double s = 0.0;
      for (int c = 0; c < n; ++c) s += T[c + a * n] * T[c + b * n];
      to[a] = s;
    }
}

void lower_gram(int q, int r, const double* T, double* to) {
  if (q == 1) return lower_gram<1>(q, r, T, to);
  if (q == 2) return lower_gram<2>(q, r, T, to);
  lower_gram<0>(q, r, T, to);
}

}  // namespace

JointPrecision::JointPrecision(const JointPattern& pattern)
    : pattern_(pattern),
      cholesky_(pattern.symbolic()),
      factor_(at(pattern.model().n_clusters()) * at(pattern.q() * pattern.q())),
      half_(at(pattern.clique_start(pattern.model().n_clusters())) * at(pattern.q())) {
  int largest = pattern.q();
  for (int o = 0; o < pattern.n_others(); ++o) largest = std::max(largest, pattern.other_q(o));
  const int wide = pattern.largest_clique() + largest;
  block_.resize(at(largest) * at(largest) * 2 + at(wide) * at(wide) + at(wide) * at(pattern.q()));
  clique_.resize(block_.size());
}

/// Lambda of each factor.
struct JointPrecision::Scales {
  Scales(const JointPattern& pattern, const Eigen::MatrixXd& lambda) {
    auto own = [&](int f) {
      const auto& factor = pattern.model().factors()[at(f)];
      return lambda.block(factor.first, factor.first, factor.q, factor.q);
    };
    leading = own(pattern.model().leading());
    for (const int f : pattern.others()) others.push_back(own(f));
  }
  Eigen::MatrixXd leading;
  std::vector<Eigen::MatrixXd> others;
};

bool JointPrecision::factor(const CrossProducts& products, const Eigen::MatrixXd& lambda) {
  const Scales scales(pattern_, lambda);
  set_others(products, scales);
  double logs = 0.0;
  for (int i = 0; i < pattern_.model().n_clusters(); ++i) {
    if (!factor_cluster(i, products, scales.leading, logs)) return false;
    if (pattern_.clique_size(i) > 0) subtract_cluster(i, scales);
  }
  if (!cholesky_.factor()) return false;
  log_determinant_ = logs + cholesky_.log_determinant();
  return std::isfinite(log_determinant_);
}

/// I + Lambda' B Lambda of the other factors.
void JointPrecision::set_others(const CrossProducts& products, const Scales& scales) {
  const auto& others = scales.others;
  cholesky_.clear();
  double* values = cholesky_.values();
  const auto& symbolic = pattern_.symbolic();
  const auto& place = symbolic.place();
  Eigen::MatrixXd half, scaled;
  for (const auto& block : pattern_.blocks()) {
    const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
    const int a0 = pattern_.scalar(block.factor_a, block.level_a), b0 = pattern_.scalar(block.factor_b, block.level_b);
    const bool diagonal = block.diagonal();
    const double* from = products.blocks.data() + block.first;
    if (q_a == 1 && q_b == 1) {
      const double value = others[at(block.factor_a)](0, 0) * from[0] * others[at(block.factor_b)](0, 0);
      const int i = place[at(a0)], j = place[at(b0)];
      values[at(symbolic.position(std::max(i, j), std::min(i, j)))] = value + (diagonal ? 1.0 : 0.0);
      continue;
    }
    half.setZero(q_a, q_b);
    scaled.setZero(q_a, q_b);
    linear_algebra::add_transposed_times(1.0, others[at(block.factor_a)],
                                         Eigen::Map<const Eigen::MatrixXd>(from, q_a, q_b), half);
    linear_algebra::add_times(1.0, half, others[at(block.factor_b)], scaled);
    for (int b = 0; b < q_b; ++b)
      for (int a = diagonal ? b : 0; a < q_a; ++a) {
        const int i = place[at(a0 + a)], j = place[at(b0 + b)];
        values[at(symbolic.position(std::max(i, j), std::min(i, j)))] = scaled(a, b) + (diagonal && a == b ? 1.0 : 0.0);
      }
  }
}

/// L_i, and T_i but for the others' Lambda; adds log|D_i| to `logs`. False where D_i is not positive definite.
bool JointPrecision::factor_cluster(int i, const CrossProducts& products, const Eigen::MatrixXd& leading,
                                    double& logs) {
  const int q = pattern_.q(), r = pattern_.clique_size(i);
  double* L = factor_.data() + std::int64_t{i} * q * q;
  const double* D = products.leading.data() + std::int64_t{i} * q * q;
  double* T = half_.data() + pattern_.clique_start(i) * q;
  const double* E = products.border.data() + pattern_.clique_start(i) * q;
  if (q == 1) {
    const double l = leading(0, 0), d = 1.0 + l * l * D[0];
    if (!(d > 0.0) || !std::isfinite(d)) return false;
    L[0] = std::sqrt(d);
    logs += std::log(d);
    const double share = l / L[0];
    for (int k = 0; k < r; ++k) T[k] = share * E[k];
    return true;
  }
  linear_algebra::small::sandwich(q, leading, D, L, block_.data());
  for (int a = 0; a < q; ++a) L[a + a * q] += 1.0;
  if (!linear_algebra::small::cholesky(q, L)) return false;
  for (int a = 0; a < q; ++a) logs += 2.0 * std::log(L[a + a * q]);
  // L^-1 Lambda' E
  for (int k = 0; k < r; ++k) {
    linear_algebra::small::transposed_times(q, leading, E + k * q, T + k * q);
    linear_algebra::small::forward(q, L, T + k * q);
  }
  return true;
}

/// T_i times the others' Lambda, level by level; then T_i' T_i in the order of elimination is taken from C.
void JointPrecision::subtract_cluster(int i, const Scales& scales) {
  const int q = pattern_.q(), r = pattern_.clique_size(i);
  double* T = half_.data() + pattern_.clique_start(i) * q;
  double* work = block_.data();
  for (int o_first = 0; o_first < r;) {
    const int o = pattern_.factor_of(pattern_.clique_scalars(i)[o_first]), q_o = pattern_.other_q(o);
    double* block = T + o_first * q;
    if (q_o == 1) {
      const double l = scales.others[at(o)](0, 0);
      for (int a = 0; a < q; ++a) block[a] *= l;
    } else {
      linear_algebra::small::times(q, q_o, block, scales.others[at(o)], work);
    }
    o_first += q_o;
  }
  const int* order = pattern_.clique_order(i);
  const double* sorted = T;
  double* product = work + r * q;
  if (!pattern_.sorted()) {
    for (int k = 0; k < r; ++k)
      for (int a = 0; a < q; ++a) work[a + k * q] = T[a + order[k] * q];
    sorted = work;
  }
  lower_gram(q, r, sorted, product);
  pattern_.symbolic().subtract_clique(pattern_.clique_places(i), r, product, cholesky_.values());
}

double JointPrecision::log_determinant() const { return log_determinant_; }

double JointPrecision::log_determinant_of_cluster(int i) const {
  const int q = pattern_.q();
  const double* L = factor_.data() + std::int64_t{i} * q * q;
  double sum = 0.0;
  for (int a = 0; a < q; ++a) sum += 2.0 * std::log(L[a + a * q]);
  return sum;
}

double JointPrecision::log_determinant_of_scalar(int scalar) const {
  const auto& symbolic = pattern_.symbolic();
  const int place = symbolic.place()[at(scalar)];
  return 2.0 * std::log(cholesky_.values()[symbolic.position(place, place)]);
}

void JointPrecision::solve(double* x, int n_columns, std::ptrdiff_t leading) const {
  const auto& model = pattern_.model();
  const int q = pattern_.q(), n = pattern_.n_scalars(), n_clusters = model.n_clusters();
  const auto& own = model.factors()[at(model.leading())];
  const auto& place = pattern_.symbolic().place();
  right_.resize(at(n) * at(n_columns));
  for (int c = 0; c < n_columns; ++c) {
    double* v = x + c * leading;
    double* right = right_.data() + std::int64_t{c} * n;
    for (int o = 0; o < pattern_.n_others(); ++o) {
      const auto& factor = model.factors()[at(pattern_.others()[at(o)])];
      const double* from = v + factor.offset;
      const int first = pattern_.scalar(o, 0), count = factor.n_levels * factor.q;
      for (int k = 0; k < count; ++k) right[place[at(first + k)]] = from[k];
    }
    for (int i = 0; i < n_clusters; ++i) {
      double* y = v + own.offset + std::int64_t{model.cluster_level(i)} * q;
      const double* T = half_.data() + pattern_.clique_start(i) * q;
      const int r = pattern_.clique_size(i);
      linear_algebra::small::forward(q, factor_.data() + std::int64_t{i} * q * q, y);
      const int *order = pattern_.clique_order(i), *places = pattern_.clique_places(i);
      for (int k = 0; k < r; ++k) {
        double s = 0.0;
        for (int a = 0; a < q; ++a) s += T[a + order[k] * q] * y[a];
        right[places[k]] -= s;
      }
    }
  }
  if (n > 0) cholesky_.solve(right_.data(), n_columns, n);
  for (int c = 0; c < n_columns; ++c) {
    double* v = x + c * leading;
    const double* right = right_.data() + std::int64_t{c} * n;
    for (int i = 0; i < n_clusters; ++i) {
      double* y = v + own.offset + std::int64_t{model.cluster_level(i)} * q;
      const double* T = half_.data() + pattern_.clique_start(i) * q;
      const int r = pattern_.clique_size(i);
      const int *order = pattern_.clique_order(i), *places = pattern_.clique_places(i);
      for (int k = 0; k < r; ++k)
        for (int a = 0; a < q; ++a) y[a] -= T[a + order[k] * q] * right[places[k]];
      linear_algebra::small::backward(q, factor_.data() + std::int64_t{i} * q * q, y);
    }
    for (int o = 0; o < pattern_.n_others(); ++o) {
      const auto& factor = model.factors()[at(pattern_.others()[at(o)])];
      double* to = v + factor.offset;
      const int first = pattern_.scalar(o, 0), count = factor.n_levels * factor.q;
      for (int k = 0; k < count; ++k) to[k] = right[place[at(first + k)]];
    }
  }
}

/// With U = D^-1 E' (q x r) and K = C^-1 on the clique: [ D^-1 + U K U'   -U K ; -K U'   K ].
void JointPrecision::cluster_inverse(int i, double* inverse) const {
  const int q = pattern_.q(), r = pattern_.clique_size(i), n = q + r;
  const double* L = factor_.data() + std::int64_t{i} * q * q;
  double* K = clique_.data();
  double* U = K + r * r;
  if (r > 0) {
    pattern_.symbolic().gather_clique(pattern_.clique_places(i), r, cholesky_.inverse(), K);
    const double* T = half_.data() + pattern_.clique_start(i) * q;
    const int* order = pattern_.clique_order(i);
    std::copy(T, T + r * q, U);
    for (int k = 0; k < r; ++k) linear_algebra::small::backward(q, L, U + k * q);
    if (q == 1 && pattern_.sorted()) {
      for (int b = 0; b < r; ++b) std::copy(K + b * r, K + (b + 1) * r, inverse + 1 + (1 + b) * n);
      const Eigen::Map<const Eigen::MatrixXd> square(K, r, r);
      const Eigen::Map<const Eigen::VectorXd> u(U, r);
      Eigen::Map<Eigen::VectorXd> border(inverse + 1, r);
      border = -linear_algebra::apply(square, u);
      for (int b = 0; b < r; ++b) inverse[(1 + b) * n] = border[b];
      inverse[0] = 1.0 / (L[0] * L[0]) - border.dot(u);
      return;
    }
    for (int b = 0; b < r; ++b)
      for (int a = 0; a < r; ++a) inverse[q + order[a] + (q + order[b]) * n] = K[a + b * r];
    // -U K, and its transpose
    for (int b = 0; b < r; ++b) {
      const double* column = inverse + q + (q + b) * n;
      double* to = inverse + (q + b) * n;
      std::fill(to, to + q, 0.0);
      for (int k = 0; k < r; ++k)
        for (int a = 0; a < q; ++a) to[a] -= U[a + k * q] * column[k];
      for (int a = 0; a < q; ++a) inverse[q + b + a * n] = to[a];
    }
  }
  linear_algebra::small::inverse_from_factor(q, L, inverse, n);
  for (int b = 0; b < q; ++b)
    for (int k = 0; k < r; ++k)
      for (int a = 0; a < q; ++a) inverse[a + b * n] -= inverse[a + (q + k) * n] * U[b + k * q];
}

void JointPrecision::block_inverse(int index, double* inverse) const {
  const auto& block = pattern_.blocks()[at(index)];
  const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
  const int a0 = pattern_.scalar(block.factor_a, block.level_a), b0 = pattern_.scalar(block.factor_b, block.level_b);
  const auto& symbolic = pattern_.symbolic();
  const auto& place = symbolic.place();
  for (int b = 0; b < q_b; ++b)
    for (int a = 0; a < q_a; ++a) {
      const int i = place[at(a0 + a)], j = place[at(b0 + b)];
      inverse[a + b * q_a] = cholesky_.inverse()[at(symbolic.position(std::max(i, j), std::min(i, j)))];
    }
}

void JointPrecision::level_products(const CrossProducts& products, const Eigen::MatrixXd& lambda, double* N,
                                    double* covariance, const std::function<void(int, const double*)>& visit) const {
  const auto& model = pattern_.model();
  const int q = pattern_.q();
  const auto& own = model.factors()[at(model.leading())];
  std::fill(N, N + model.n_mode_covariances(), 0.0);
  const int wide = q + pattern_.largest_clique();
  std::vector<double> inverse(at(wide) * at(wide)), scaled(at(q) * at(wide));
  const Scales scales(pattern_, lambda);
  for (int i = 0; i < model.n_clusters(); ++i) {
    cluster_inverse(i, inverse.data());
    if (visit) visit(i, inverse.data());
    if (covariance) {
      const int n = q + pattern_.clique_size(i);
      double* block = covariance + own.covariance_offset + std::int64_t{model.cluster_level(i)} * q * q;
      for (int b = 0; b < q; ++b)
        for (int a = 0; a < q; ++a) block[a + b * q] = inverse[at(a + b * n)];
    }
    if (pattern_.scalar_only())
      add_scalar_cluster(i, products, scales, inverse.data(), N);
    else
      add_cluster(i, products, scales, inverse.data(), scaled.data(), N);
  }
  add_blocks(products, scales, N, covariance);
}

/// What a cluster and its clique add to N, where all random effects of a level are one.
void JointPrecision::add_scalar_cluster(int i, const CrossProducts& products, const Scales& scales,
                                        const double* inverse, double* N) const {
  const auto& model = pattern_.model();
  const double* D = products.leading.data() + i;
  const double* E = products.border.data() + pattern_.clique_start(i);
  const int* scalars = pattern_.clique_scalars(i);
  const std::int64_t* modes = pattern_.clique_modes(i);
  const double own_scale = scales.leading(0, 0);
  double sum = D[0] * own_scale * inverse[0];
  for (int k = 0; k < pattern_.clique_size(i); ++k) {
    const double product = E[k] * inverse[1 + k];
    sum += product * scales.others[at(pattern_.n_others() == 1 ? 0 : pattern_.factor_of(scalars[k]))](0, 0);
    N[modes[k]] += product * own_scale;
  }
  N[model.factors()[at(model.leading())].covariance_offset + model.cluster_level(i)] = sum;
}

/// The same of any number. The leading level: D Lambda M_11 + sum over levels k of E_k Lambda_k M_k1, first B Lambda,
/// q x (q + r); a level k of another factor: E_k' Lambda_1 M_1k.
void JointPrecision::add_cluster(int i, const CrossProducts& products, const Scales& scales, const double* inverse,
                                 double* BL, double* N) const {
  const auto& model = pattern_.model();
  const auto& factors = model.factors();
  const int q = pattern_.q(), r = pattern_.clique_size(i), n = q + r;
  const double* D = products.leading.data() + std::int64_t{i} * q * q;
  const double* E = products.border.data() + pattern_.clique_start(i) * q;
  const int* scalars = pattern_.clique_scalars(i);
  for (int b = 0; b < q; ++b)
    for (int a = 0; a < q; ++a) {
      double s = 0.0;
      for (int k = 0; k < q; ++k) s += D[a + k * q] * scales.leading(k, b);
      BL[a + b * q] = s;
    }
  for (int k = 0; k < r;) {
    const int o = pattern_.factor_of(scalars[k]), q_o = pattern_.other_q(o);
    const Eigen::MatrixXd& scale = scales.others[at(o)];
    for (int b = 0; b < q_o; ++b)
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int c = 0; c < q_o; ++c) s += E[a + (k + c) * q] * scale(c, b);
        BL[a + (q + k + b) * q] = s;
      }
    const auto& factor = factors[at(pattern_.others()[at(o)])];
    double* other = N + factor.covariance_offset + std::int64_t{(scalars[k] - pattern_.scalar(o, 0)) / q_o} * q_o * q_o;
    for (int b = 0; b < q_o; ++b)
      for (int c = 0; c < q; ++c) {
        double m = 0.0;  // (Lambda_1 M_1k)(c, b)
        for (int d = 0; d < q; ++d) m += scales.leading(c, d) * inverse[d + (q + k + b) * n];
        for (int a = 0; a < q_o; ++a) other[a + b * q_o] += E[c + (k + a) * q] * m;
      }
    k += q_o;
  }
  double* to = N + factors[at(model.leading())].covariance_offset + std::int64_t{model.cluster_level(i)} * q * q;
  for (int b = 0; b < q; ++b)
    for (int k = 0; k < n; ++k) {
      const double m = inverse[k + b * n];
      for (int a = 0; a < q; ++a) to[a + b * q] += BL[a + k * q] * m;
    }
}

/// What the blocks between levels of the other factors add to N; those of H^-1 on the diagonal into `covariance`.
void JointPrecision::add_blocks(const CrossProducts& products, const Scales& scales, double* N,
                                double* covariance) const {
  const auto& factors = pattern_.model().factors();
  Eigen::MatrixXd meet, half, sum;
  // Not into N itself: how Eigen rounds a product depends on where its result lies, which changes from run to run.
  auto add = [&sum](int q, double* N) { Eigen::Map<Eigen::MatrixXd>(N, q, q) += sum; };
  for (std::size_t index = 0; index < pattern_.blocks().size(); ++index) {
    const auto& block = pattern_.blocks()[index];
    const int q_a = pattern_.other_q(block.factor_a), q_b = pattern_.other_q(block.factor_b);
    const auto &factor_a = factors[at(pattern_.others()[at(block.factor_a)])],
               &factor_b = factors[at(pattern_.others()[at(block.factor_b)])];
    meet.resize(q_a, q_b);
    block_inverse(static_cast<int>(index), meet.data());
    if (covariance && block.diagonal())
      std::copy(meet.data(), meet.data() + q_a * q_a,
                covariance + factor_a.covariance_offset + std::int64_t{block.level_a} * q_a * q_a);
    const double* from = products.blocks.data() + block.first;
    double* N_a = N + factor_a.covariance_offset + std::int64_t{block.level_a} * q_a * q_a;
    double* N_b = N + factor_b.covariance_offset + std::int64_t{block.level_b} * q_b * q_b;
    if (q_a == 1 && q_b == 1) {
      N_a[0] += from[0] * scales.others[at(block.factor_b)](0, 0) * meet(0, 0);
      if (!block.diagonal()) N_b[0] += from[0] * scales.others[at(block.factor_a)](0, 0) * meet(0, 0);
      continue;
    }
    const Eigen::Map<const Eigen::MatrixXd> B(from, q_a, q_b);
    half.setZero(q_b, q_a);
    linear_algebra::add_times_transposed(1.0, scales.others[at(block.factor_b)], meet, half);
    sum.setZero(q_a, q_a);
    linear_algebra::add_times(1.0, B, half, sum);
    add(q_a, N_a);
    if (block.diagonal()) continue;
    half.setZero(q_a, q_b);
    linear_algebra::add_times(1.0, scales.others[at(block.factor_a)], meet, half);
    sum.setZero(q_b, q_b);
    linear_algebra::add_transposed_times(1.0, B, half, sum);
    add(q_b, N_b);
  }
}

}  // namespace multilevel::likelihood
