#include "likelihood/joint/moments.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double well_conditioned = 1e-3;  // smallest singular value of Lambda beside its size

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

double least_singular_value(const Eigen::MatrixXd& a) {
  return std::sqrt(std::max(linear_algebra::SymmetricEigen(linear_algebra::transposed_times(a, a)).values[0], 0.0));
}

/// `rows` gives the rows that a random column belongs to.
template <class Rows>
void add_parts(const model::Model& model, const model::Panel& panel, const double* u, const Rows& rows) {
  for (int f = 0; f < static_cast<int>(model.factors().size()); ++f) {
    const auto& factor = model.factors()[at(f)];
    for (int a = 0; a < factor.q; ++a) {
      const double* z = model.random_column(panel, factor.first + a);
      const double* own = u + factor.offset + a;
      double* eta = rows(factor.first + a);
      if (f != model.leading()) {
        const std::int32_t* level = model.levels(f) + panel.first_row;
        for (int j = 0; j < panel.n_rows; ++j) eta[j] += own[std::int64_t{level[j]} * factor.q] * z[j];
        continue;
      }
      for (int i = panel.first_cluster; i < panel.last_cluster; ++i) {
        const auto first = model.cluster_start(i) - panel.first_row;
        numeric::add_multiple(static_cast<int>(model.cluster_start(i + 1) - model.cluster_start(i)),
                              own[std::int64_t{model.cluster_level(i)} * factor.q], z + first, eta + first);
      }
    }
  }
}

template <class Rows>
void add_sums(const model::Model& model, const model::Panel& panel, const Rows& rows, double* sums) {
  for (int f = 0; f < static_cast<int>(model.factors().size()); ++f) {
    const auto& factor = model.factors()[at(f)];
    for (int a = 0; a < factor.q; ++a) {
      const double *z = model.random_column(panel, factor.first + a), *x = rows(factor.first + a);
      double* own = sums + factor.offset + a;
      if (f != model.leading()) {
        const std::int32_t* level = model.levels(f) + panel.first_row;
        for (int j = 0; j < panel.n_rows; ++j) own[std::int64_t{level[j]} * factor.q] += z[j] * x[j];
        continue;
      }
      for (int i = panel.first_cluster; i < panel.last_cluster; ++i) {
        const auto first = model.cluster_start(i) - panel.first_row;
        own[std::int64_t{model.cluster_level(i)} * factor.q] +=
            numeric::dot(static_cast<int>(model.cluster_start(i + 1) - model.cluster_start(i)), z + first, x + first);
      }
    }
  }
}

}  // namespace

void scale_modes(const model::Model& model, const Eigen::MatrixXd& lambda, const double* v, double* u) {
  for (const auto& factor : model.factors()) {
    const int q = factor.q;
    const double* from = v + factor.offset;
    double* to = u + factor.offset;
    for (int level = 0; level < factor.n_levels; ++level, from += q, to += q)
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int k = 0; k < q; ++k) s += lambda(factor.first + a, factor.first + k) * from[k];
        to[a] = s;
      }
  }
}

void transpose_scale_modes(const model::Model& model, const Eigen::MatrixXd& lambda, double* x) {
  std::vector<double> sums;
  for (const auto& factor : model.factors()) {
    const int q = factor.q;
    sums.resize(at(q));
    double* own = x + factor.offset;
    for (int level = 0; level < factor.n_levels; ++level, own += q) {
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int k = 0; k < q; ++k) s += lambda(factor.first + k, factor.first + a) * own[k];
        sums[at(a)] = s;
      }
      std::copy(sums.begin(), sums.end(), own);
    }
  }
}

void add_random_part(const model::Model& model, const model::Panel& panel, const double* u, double* eta) {
  add_parts(model, panel, u, [eta](int) { return eta; });
}

void add_random_parts(const model::Model& model, const model::Panel& panel, const double* u, double* const* eta) {
  add_parts(model, panel, u, [eta](int column) { return eta[column]; });
}

void add_level_sums(const model::Model& model, const model::Panel& panel, const double* x, double* sums) {
  add_sums(model, panel, [x](int) { return x; }, sums);
}

void add_level_sums_of_each(const model::Model& model, const model::Panel& panel, const double* const* x,
                            double* sums) {
  add_sums(model, panel, [x](int column) { return x[column]; }, sums);
}

void add_level_outer(const model::Model& model, double scale, const double* x, const double* y, Eigen::MatrixXd& G) {
  for (const auto& factor : model.factors()) {
    const int q = factor.q;
    const double *left = x + factor.offset, *right = y + factor.offset;
    if (q == 1) {
      G(factor.first, factor.first) += scale * numeric::dot(factor.n_levels, left, right);
      continue;
    }
    const Eigen::Map<const Eigen::MatrixXd> X(left, q, factor.n_levels), Y(right, q, factor.n_levels);
    linear_algebra::add_times_transposed(scale, X, Y, G.block(factor.first, factor.first, q, q));
  }
}

void subtract_level_products(const model::Model& model, const double* N, Eigen::MatrixXd& G) {
  for (const auto& factor : model.factors()) {
    const int q = factor.q;
    const double* own = N + factor.covariance_offset;
    if (q == 1) {
      G(factor.first, factor.first) -= numeric::sum(factor.n_levels, own);
      continue;
    }
    for (int level = 0; level < factor.n_levels; ++level, own += q * q)
      G.block(factor.first, factor.first, q, q) -= Eigen::Map<const Eigen::MatrixXd>(own, q, q);
  }
}

namespace {

/// What a level tells of a factor's block of Lambda: P = N, T = B - N Lambda'B and LN = Lambda'N.
template <class Use>
void for_levels(const JointPattern& pattern, const CrossProducts& products, const Eigen::MatrixXd& lambda,
                const double* N, int f, Use use) {
  const auto& model = pattern.model();
  const auto& factor = model.factors()[at(f)];
  const int q = factor.q;
  const double* product = N + factor.covariance_offset;
  const Eigen::MatrixXd scale = lambda.block(factor.first, factor.first, q, q);
  const bool divide = model.factors().size() > 1 && least_singular_value(scale) > well_conditioned * scale.norm();
  const Eigen::MatrixXd inverse = divide ? linear_algebra::inverse(scale) : Eigen::MatrixXd();
  int other = -1;
  for (int o = 0; o < pattern.n_others(); ++o)
    if (pattern.others()[at(o)] == f) other = o;
  Eigen::MatrixXd T(q, q), LN(q, q), P(q, q);
  for (int index = 0; index < factor.n_levels; ++index) {
    // The leading factor's cross-products stand by cluster, the others' by level.
    const int level = other < 0 ? model.cluster_level(index) : index;
    const double* values = other < 0
                               ? products.leading.data() + std::int64_t{index} * q * q
                               : products.blocks.data() + pattern.blocks()[at(pattern.own_block(other, level))].first;
    const Eigen::Map<const Eigen::MatrixXd> B(values, q, q), own_N(product + std::int64_t{level} * q * q, q, q);
    P = own_N;
    LN.setZero();
    T.setZero();
    if (divide) {
      linear_algebra::add_times(1.0, P, inverse, T);
    } else {
      linear_algebra::add_transposed_times(1.0, scale, B, LN);
      T = B;
      linear_algebra::add_times(-1.0, P, LN, T);
      LN.setZero();
    }
    T = (0.5 * (T + T.transpose())).eval();
    linear_algebra::add_transposed_times(1.0, scale, P, LN);
    use(P, T, LN);
  }
}

/// Entry by entry: where theta are about as many.
Eigen::MatrixXd entry_information(const JointPattern& pattern, const CrossProducts& products,
                                  const Eigen::MatrixXd& lambda, const double* N, const model::Layout& layout) {
  const auto& model = pattern.model();
  const auto& entries = layout.entries();
  const auto n = static_cast<Eigen::Index>(entries.size());
  Eigen::MatrixXd information = Eigen::MatrixXd::Zero(n, n);
  for (int f = 0; f < static_cast<int>(model.factors().size()); ++f) {
    const auto& factor = model.factors()[at(f)];
    const int q = factor.q;
    if (q == 0) continue;  // the sets of choices
    std::vector<Eigen::Index> own;
    for (Eigen::Index e = 0; e < n; ++e)
      if (entries[at(e)].row >= factor.first && entries[at(e)].row < factor.first + q) own.push_back(e);
    if (q == 1) {
      const double* product = N + factor.covariance_offset;
      information(own[0], own[0]) = 2.0 * numeric::dot(factor.n_levels, product, product);
      continue;
    }
    for_levels(pattern, products, lambda, N, f, [&](const auto& P, const auto& T, const auto& LN) {
      for (std::size_t a = 0; a < own.size(); ++a) {
        const int r = entries[at(own[a])].row - factor.first, s = entries[at(own[a])].column - factor.first;
        for (std::size_t b = 0; b <= a; ++b) {
          const int r2 = entries[at(own[b])].row - factor.first, s2 = entries[at(own[b])].column - factor.first;
          information(own[a], own[b]) += P(r, s2) * P(r2, s) + T(r, r2) * LN(s2, s);
        }
      }
    });
    for (std::size_t a = 0; a < own.size(); ++a)
      for (std::size_t b = 0; b < a; ++b) information(own[b], own[a]) = information(own[a], own[b]);
  }
  return information;
}

/// Along theta: for each D_l = dLambda / dtheta_l the matrix P D_l'P + T D_l LN, of which every D_k takes its share.
Eigen::MatrixXd information_along(const std::vector<model::ThetaDirection>& directions, const JointPattern& pattern,
                                  const CrossProducts& products, const Eigen::MatrixXd& lambda, const double* N) {
  const auto& model = pattern.model();
  const auto m = static_cast<Eigen::Index>(directions.size());
  Eigen::MatrixXd information = Eigen::MatrixXd::Zero(m, m), left, right, K;
  for (int f = 0; f < static_cast<int>(model.factors().size()); ++f) {
    const auto& factor = model.factors()[at(f)];
    const int q = factor.q, first = factor.first;
    if (q == 0) continue;
    std::vector<std::size_t> own;
    for (std::size_t k = 0; k < directions.size(); ++k) {
      const auto& parts = directions[k].parts;
      if (!parts.empty() && parts[0].row >= first && parts[0].row < first + q) own.push_back(k);
    }
    for_levels(pattern, products, lambda, N, f, [&](const auto& P, const auto& T, const auto& LN) {
      for (std::size_t b = 0; b < own.size(); ++b) {
        const auto& direction = directions[own[b]];
        left.setZero(q, q);   // (D_l LN)'
        right.setZero(q, q);  // (D_l'P)'
        for (const auto& [row, column, w] : direction.parts) {
          left.col(row - first) += w * LN.row(column - first).transpose();
          right.col(column - first) += w * P.row(row - first).transpose();
        }
        K.setZero(q, q);
        for (const int row : direction.rows) K.noalias() += T.col(row - first) * left.col(row - first).transpose();
        for (const int column : direction.columns)
          K.noalias() += P.col(column - first) * right.col(column - first).transpose();
        for (std::size_t a = b; a < own.size(); ++a) {
          double sum = 0.0;
          for (const auto& [row, column, w] : directions[own[a]].parts) sum += w * K(row - first, column - first);
          information(static_cast<Eigen::Index>(own[a]), static_cast<Eigen::Index>(own[b])) += sum;
        }
      }
    });
  }
  information.triangularView<Eigen::StrictlyUpper>() = information.transpose().eval();
  return information;
}

}  // namespace

Eigen::MatrixXd theta_information(const JointPattern& pattern, const CrossProducts& products,
                                  const Eigen::MatrixXd& lambda, const double* N, const model::Layout& layout,
                                  const double* theta) {
  if (layout.is_linear()) return entry_information(pattern, products, lambda, N, layout);
  const auto directions = layout.directions(theta);
  const double q = pattern.model().q(), n = layout.n_entries();
  double moved = 0.0;
  for (const auto& direction : directions)
    moved += static_cast<double>(direction.rows.size() + direction.columns.size());
  if (moved * q * q < 2.0 * n * n) return information_along(directions, pattern, products, lambda, N);
  return linear_algebra::sandwich(layout.jacobian(theta), entry_information(pattern, products, lambda, N, layout));
}

}  // namespace multilevel::likelihood
