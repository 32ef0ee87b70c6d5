#include "likelihood/linear/curvature.hpp"

#include "likelihood/linear/level_curvature.hpp"
#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

namespace {

constexpr std::int64_t few_effects = 400;  // of several factors together: T is that many squared
constexpr int few_per_level = 24, few_theta = 8;
constexpr int fewest_per_level = 4;
constexpr double large_spread = 1e5;  // of a level, tr Lambda'B Lambda: differences lose digits beyond

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// T = B - B Lambda H^-1 Lambda'B without that difference: C (I + C'Sigma C)^-1 C' where B = C C'. As the residual
/// variance goes to zero T does too, and what is left of the difference is rounding.
Eigen::MatrixXd times_inverse_variance(const Eigen::MatrixXd& B, const Eigen::MatrixXd& lambda) {
  const Eigen::MatrixXd root = linear_algebra::semidefinite_root(B);
  const Eigen::MatrixXd scaled = linear_algebra::transposed_times(lambda, root);
  Eigen::MatrixXd variance = Eigen::MatrixXd::Identity(root.cols(), root.cols());
  linear_algebra::add_transposed_times(1.0, scaled, scaled, variance);
  const linear_algebra::Cholesky factor(variance);
  return linear_algebra::times(root, factor.solve(root.transpose()));
}

/// B of the random effects of all levels of all factors, and their Lambda.
struct Whole {
  Eigen::MatrixXd B, lambda;
};

Whole whole_of(const JointPattern& pattern, const CrossProducts& products, const Eigen::MatrixXd& lambda) {
  const auto& model = pattern.model();
  const auto size = model.n_modes();
  Whole all{Eigen::MatrixXd(size, size), Eigen::MatrixXd::Zero(size, size)};
  const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(size, size);
  products.multiply(pattern, identity.data(), all.B.data(), static_cast<int>(size), size);
  for (const auto& factor : model.factors())
    for (int level = 0; level < factor.n_levels; ++level) {
      const auto first = factor.offset + std::int64_t{level} * factor.q;
      all.lambda.block(first, first, factor.q, factor.q) = lambda.block(factor.first, factor.first, factor.q, factor.q);
    }
  return all;
}

/// log|I + Lambda'B Lambda|, from B's root: where B has less than full rank its directions without rows give zero.
double log_determinant_of(const Eigen::MatrixXd& B, const Eigen::MatrixXd& lambda) {
  const Eigen::MatrixXd scaled = linear_algebra::transposed_times(lambda, linear_algebra::semidefinite_root(B));
  Eigen::MatrixXd variance = Eigen::MatrixXd::Identity(scaled.cols(), scaled.cols());
  linear_algebra::add_transposed_times(1.0, scaled, scaled, variance);
  return linear_algebra::Cholesky(variance).log_determinant();
}

}  // namespace

double sharp_log_determinant(const JointPattern& pattern, const CrossProducts& products,
                             const Eigen::MatrixXd& lambda) {
  const auto& model = pattern.model();
  if (model.factors().size() > 1) {
    const Whole all = whole_of(pattern, products, lambda);
    return log_determinant_of(all.B, all.lambda);
  }
  const int q = model.q();
  double sum = 0.0;
  for (int i = 0; i < model.n_clusters(); ++i)
    sum += log_determinant_of(
        Eigen::Map<const Eigen::MatrixXd>(products.leading.data() + std::int64_t{i} * q * q, q, q), lambda);
  return sum;
}

bool LinearCurvature::affordable(const model::Model& model) {
  if (model.factors().size() == 1) return model.q() <= few_per_level || model.n_theta() <= few_theta;
  return model.n_modes() <= few_effects;
}

void LinearCurvature::set(const CrossProducts& products, const Eigen::MatrixXd& lambda, const model::Layout& layout,
                          const double* theta, const double* inverse, const Eigen::MatrixXd& residual,
                          const Eigen::MatrixXd& cross, const Eigen::VectorXd& beta, bool restricted) {
  const auto& model = pattern_.model();
  const int p = model.p();
  // Levels of many coefficients are added along theta, all others entry by entry.
  const bool along_theta = model.factors().size() == 1 && model.q() > fewest_per_level;
  const auto n = at(along_theta ? layout.n_theta() : layout.n_entries());
  layout_ = &layout;
  restricted_ = restricted;
  log_part.setZero(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(n));
  square = log_part;
  weight_ = linear_algebra::solve_semidefinite(cross, Eigen::MatrixXd::Identity(p, p));
  contrast_.resize(p + 1);
  contrast_ << -beta, 1.0;
  slope_.assign(n, Eigen::MatrixXd::Zero(p + 1, p + 1));
  moved_.resize(n);
  turned_.resize(n);

  if (model.factors().size() == 1 && model.q() <= fewest_per_level) {
    add_by_moments(products, lambda, inverse, residual);
  } else if (along_theta) {
    const int q = model.q();
    LevelCurvature of_levels(layout.directions(theta));
    const Eigen::MatrixXd none;
    for (int i = 0; i < model.n_clusters(); ++i) {
      const int level = model.cluster_level(i);
      const Eigen::Map<const Eigen::MatrixXd> B(products.leading.data() + std::int64_t{i} * q * q, q, q);
      T_ = times_inverse_variance(B, lambda);
      R_ = residual.middleRows(std::int64_t{level} * q, q);
      const LevelCurvature::Level own{T_, lambda, R_, {inverse + std::int64_t{level} * q * q, q, q}};
      of_levels.add(own, contrast_, restricted_ ? weight_ : none, log_part, square, slope_);
    }
  } else {
    std::vector<std::pair<int, int>> levels;
    for (int f = 0; f < static_cast<int>(model.factors().size()); ++f)
      for (int level = 0; level < model.factors()[at(f)].n_levels; ++level) levels.emplace_back(f, level);
    const Whole all = whole_of(pattern_, products, lambda);
    T_ = times_inverse_variance(all.B, all.lambda);
    R_ = residual;
    add_block(lambda, levels);
  }

  // M's derivatives are complete: what they give for log|M_xx|, r2 and beta.
  beta_slope.resize(p, static_cast<Eigen::Index>(n));
  std::vector<Eigen::VectorXd> right(n);
  for (std::size_t a = 0; a < n; ++a) {
    right[a] = linear_algebra::apply(slope_[a], contrast_).head(p);
    beta_slope.col(static_cast<Eigen::Index>(a)) = linear_algebra::apply(weight_, right[a]);
  }
  for (std::size_t a = 0; a < n; ++a) {
    Eigen::MatrixXd weighted;
    if (restricted_)
      weighted = linear_algebra::times(linear_algebra::times(weight_, slope_[a].topLeftCorner(p, p)), weight_);
    for (std::size_t b = 0; b <= a; ++b) {
      const auto r = static_cast<Eigen::Index>(a), c = static_cast<Eigen::Index>(b);
      square(r, c) -= 2.0 * right[a].dot(beta_slope.col(c));
      if (restricted_) log_part(r, c) -= weighted.cwiseProduct(slope_[b].topLeftCorner(p, p).transpose()).sum();
    }
  }
  for (auto* part : {&log_part, &square}) part->triangularView<Eigen::StrictlyUpper>() = part->transpose().eval();
  if (along_theta || layout.is_linear()) return;
  const Eigen::MatrixXd jacobian = layout.jacobian(theta);
  for (auto* part : {&log_part, &square}) *part = linear_algebra::sandwich(jacobian, *part);
  beta_slope = linear_algebra::times(beta_slope, jacobian);
}

/// T = B - B Lambda H^-1 Lambda'B of every level, in the order of levels, a row each.
Eigen::MatrixXd LinearCurvature::by_level(const CrossProducts& products, const Eigen::MatrixXd& lambda,
                                          const double* inverse) const {
  const auto& model = pattern_.model();
  const int q = model.q(), n_levels = model.n_clusters();
  Eigen::MatrixXd T(n_levels, q * q);
  double LB[fewest_per_level * fewest_per_level], M[fewest_per_level * fewest_per_level];  // Lambda'B, H^-1 Lambda'B
  for (int i = 0; i < n_levels; ++i) {
    const int level = model.cluster_level(i);
    const double *B = products.leading.data() + std::int64_t{i} * q * q, *own = inverse + std::int64_t{level} * q * q;
    for (int b = 0; b < q; ++b)
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int k = 0; k < q; ++k) s += lambda(k, a) * B[k + b * q];
        LB[a + b * q] = s;
      }
    double spread = 0.0;
    for (int a = 0; a < q; ++a)
      for (int k = 0; k < q; ++k) spread += LB[a + k * q] * lambda(k, a);
    if (!(spread < large_spread)) {
      const Eigen::MatrixXd sharp = times_inverse_variance(Eigen::Map<const Eigen::MatrixXd>(B, q, q), lambda);
      T.row(level) = Eigen::Map<const Eigen::RowVectorXd>(sharp.data(), q * q);
      continue;
    }
    for (int b = 0; b < q; ++b)
      for (int a = 0; a < q; ++a) {
        double s = 0.0;
        for (int k = 0; k < q; ++k) s += own[a + k * q] * LB[k + b * q];
        M[a + b * q] = s;
      }
    for (int b = 0; b < q; ++b)
      for (int a = 0; a < q; ++a) {
        double s = B[a + b * q];
        for (int k = 0; k < q; ++k) s -= LB[k + a * q] * M[k + b * q];
        T(level, a + b * q) = s;
      }
  }
  return T;
}

/// tr(dSigma_a T dSigma_b X) summed over the levels is a contraction of sum vec(T) vec(X)', and dM_a one of the
/// products of R's rows.
void LinearCurvature::add_by_moments(const CrossProducts& products, const Eigen::MatrixXd& lambda,
                                     const double* inverse, const Eigen::MatrixXd& residual) {
  const auto& model = pattern_.model();
  const auto& entries = layout_->entries();
  const int q = model.q(), n_levels = model.n_clusters(), p = static_cast<int>(weight_.rows());
  std::vector<Eigen::MatrixXd> R(at(q));
  for (int k = 0; k < q; ++k)
    R[at(k)] = Eigen::Map<const Eigen::MatrixXd, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>(
        residual.data() + k, n_levels, p + 1, {residual.rows(), q});
  const Eigen::MatrixXd T = by_level(products, lambda, inverse);
  Eigen::MatrixXd X(n_levels, q * q), Y = Eigen::MatrixXd::Zero(n_levels, q * q);
  std::vector<Eigen::VectorXd> r(at(q));
  for (int k = 0; k < q; ++k) r[at(k)] = linear_algebra::apply(R[at(k)], contrast_);
  for (int b = 0; b < q; ++b) {
    const Eigen::MatrixXd weighted =
        restricted_ ? linear_algebra::times(R[at(b)].leftCols(p), weight_) : Eigen::MatrixXd();
    for (int a = 0; a < q; ++a) {
      X.col(a + b * q) = r[at(a)].cwiseProduct(r[at(b)]);
      if (restricted_) Y.col(a + b * q) = R[at(a)].leftCols(p).cwiseProduct(weighted).rowwise().sum();
    }
  }
  const Eigen::MatrixXd TT = linear_algebra::transposed_times(T, T), TX = linear_algebra::transposed_times(T, X),
                        TY = linear_algebra::transposed_times(T, Y);
  const Eigen::VectorXd sum_T = T.colwise().sum(), sum_X = X.colwise().sum(), sum_Y = Y.colwise().sum();
  auto change = [&](const model::ThetaEntry& entry) {
    Eigen::MatrixXd d = Eigen::MatrixXd::Zero(q, q);
    d.row(entry.row) += lambda.col(entry.column).transpose();
    d.col(entry.row) += lambda.col(entry.column);
    return d;
  };
  for (int k = 0; k < q; ++k)
    for (int l = 0; l <= k; ++l) {
      const Eigen::MatrixXd W = linear_algebra::transposed_times(R[at(k)], R[at(l)]);
      for (std::size_t a = 0; a < entries.size(); ++a) {
        const double weight = change(entries[a])(k, l);
        if (weight == 0.0) continue;
        slope_[a] -= weight * W;
        if (k != l) slope_[a] -= weight * W.transpose();
      }
    }
  for (std::size_t a = 0; a < entries.size(); ++a) {
    const Eigen::MatrixXd left = change(entries[a]);
    for (std::size_t b = 0; b <= a; ++b) {
      const Eigen::MatrixXd right = change(entries[b]);
      double log_value = 0.0, square_value = 0.0;
      for (int k = 0; k < q; ++k)
        for (int l = 0; l < q; ++l)
          for (int m = 0; m < q; ++m)
            for (int n = 0; n < q; ++n) {
              const double both = left(k, l) * right(m, n);
              const int lm = l + m * q, nk = n + k * q;
              log_value += both * (2.0 * TY(lm, nk) - TT(lm, nk));
              square_value += 2.0 * both * TX(lm, nk);
            }
      if (entries[a].column == entries[b].column) {
        const int both = entries[a].row + entries[b].row * q;
        log_value += 2.0 * (sum_T[both] - sum_Y[both]);
        square_value -= 2.0 * sum_X[both];
      }
      log_part(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b)) += log_value;
      square(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b)) += square_value;
    }
  }
}

void LinearCurvature::add_block(const Eigen::MatrixXd& lambda, const std::vector<std::pair<int, int>>& levels) {
  const auto& model = pattern_.model();
  const auto& entries = layout_->entries();
  const auto p = weight_.rows();
  // dSigma_a X: row r gets Lambda's column times X, and the rows of Lambda's column get X's row r.
  auto apply = [&](const model::ThetaEntry& entry, const Eigen::MatrixXd& X, Eigen::MatrixXd& to) {
    to.setZero(X.rows(), X.cols());
    for (const auto& [f, level] : levels) {
      const auto& factor = model.factors()[at(f)];
      if (entry.row < factor.first || entry.row >= factor.first + factor.q) continue;
      const auto first = factor.offset + std::int64_t{level} * factor.q;
      const auto row = first + entry.row - factor.first;
      for (int k = 0; k < factor.q; ++k) {
        const double l = lambda(factor.first + k, entry.column);
        if (l == 0.0) continue;
        to.row(row) += l * X.row(first + k);
        to.row(first + k) += l * X.row(row);
      }
    }
  };
  for (std::size_t a = 0; a < entries.size(); ++a) {
    apply(entries[a], R_, moved_[a]);
    apply(entries[a], T_, turned_[a]);
    linear_algebra::add_transposed_times(-1.0, R_, moved_[a], slope_[a]);
  }
  const Eigen::VectorXd r = linear_algebra::apply(R_, contrast_);
  std::vector<Eigen::VectorXd> moved_r;
  for (const auto& moved : moved_) moved_r.push_back(linear_algebra::apply(moved, contrast_));
  const Eigen::MatrixXd RW = restricted_ ? linear_algebra::times(R_.leftCols(p), weight_) : Eigen::MatrixXd();
  for (std::size_t a = 0; a < entries.size(); ++a) {
    const Eigen::VectorXd Tm = linear_algebra::apply(T_, moved_r[a]);
    Eigen::MatrixXd TW;
    if (restricted_) TW = linear_algebra::times(linear_algebra::times(T_, moved_[a].leftCols(p)), weight_);
    for (std::size_t b = 0; b <= a; ++b) {
      const auto i = static_cast<Eigen::Index>(a), j = static_cast<Eigen::Index>(b);
      double log_value = -turned_[a].cwiseProduct(turned_[b].transpose()).sum();
      double square_value = 2.0 * Tm.dot(moved_r[b]);
      if (restricted_) log_value += 2.0 * TW.cwiseProduct(moved_[b].leftCols(p)).sum();
      // d2Sigma_ab has (row_a, row_b) and (row_b, row_a) where the columns agree.
      if (entries[a].column == entries[b].column) {
        for (const auto& [f, level] : levels) {
          const auto& factor = model.factors()[at(f)];
          if (entries[a].row < factor.first || entries[a].row >= factor.first + factor.q) continue;
          const auto first = factor.offset + std::int64_t{level} * factor.q - factor.first;
          const auto ra = first + entries[a].row, rb = first + entries[b].row;
          log_value += 2.0 * T_(ra, rb);
          square_value -= 2.0 * r[ra] * r[rb];
          if (restricted_) log_value -= 2.0 * RW.row(ra).dot(R_.row(rb).head(p));
        }
      }
      log_part(i, j) += log_value;
      square(i, j) += square_value;
    }
  }
}

}  // namespace multilevel::likelihood
