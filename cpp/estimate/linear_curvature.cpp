#include "estimate/linear_curvature.hpp"

namespace multilevel::estimate {

namespace {

constexpr std::int64_t few_effects = 200;  // of several factors together: T is that many squared
constexpr int few_per_level = 24;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

bool LinearCurvature::affordable(const model::Model& model) {
  if (model.factors().size() == 1) return model.q() <= few_per_level;
  return model.n_modes() <= few_effects;
}

void LinearCurvature::set(const CrossProducts& products, const JointPrecision& precision, const Eigen::MatrixXd& lambda,
                          const Layout& layout, const double* inverse, const Eigen::MatrixXd& residual,
                          const Eigen::MatrixXd& cross, const Eigen::VectorXd& beta, bool restricted) {
  const auto& model = pattern_.model();
  const int p = model.p();
  const auto n = layout.entries().size();
  layout_ = &layout;
  restricted_ = restricted;
  log_part.setZero(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(n));
  square = log_part;
  const Eigen::LDLT<Eigen::MatrixXd> factor(cross);
  weight_ = factor.solve(Eigen::MatrixXd::Identity(p, p));
  contrast_.resize(p + 1);
  contrast_ << -beta, 1.0;
  slope_.assign(n, Eigen::MatrixXd::Zero(p + 1, p + 1));
  moved_.resize(n);
  turned_.resize(n);

  if (model.factors().size() == 1) {
    const int q = model.q();
    Eigen::MatrixXd P(q, q), BP(q, q);
    for (int i = 0; i < model.n_clusters(); ++i) {
      const int level = model.cluster_level(i);
      const Eigen::Map<const Eigen::MatrixXd> B(products.leading.data() + std::int64_t{i} * q * q, q, q),
          own(inverse + std::int64_t{level} * q * q, q, q);
      P.noalias() = lambda * own;
      BP.noalias() = B * P;
      P.noalias() = BP * lambda.transpose();
      T_ = B;
      T_.noalias() -= P * B;
      R_ = residual.middleRows(std::int64_t{level} * q, q);
      add_block(lambda, {{0, 0}});
    }
  } else {
    const auto size = model.n_modes();
    const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(size, size);
    Eigen::MatrixXd B(size, size), half, scaled(size, size);
    products.multiply(pattern_, identity.data(), B.data(), static_cast<int>(size), size);
    half = B;
    std::vector<std::pair<int, int>> levels;
    for (int f = 0; f < static_cast<int>(model.factors().size()); ++f)
      for (int level = 0; level < model.factors()[at(f)].n_levels; ++level) levels.emplace_back(f, level);
    Eigen::MatrixXd all = Eigen::MatrixXd::Zero(size, size);  // Lambda of all levels
    for (const auto& [f, level] : levels) {
      const auto& own = model.factors()[at(f)];
      const auto first = own.offset + std::int64_t{level} * own.q;
      all.block(first, first, own.q, own.q) = lambda.block(own.first, own.first, own.q, own.q);
    }
    half = all.transpose() * B;
    scaled = half;
    precision.solve(scaled.data(), static_cast<int>(size), size);
    T_ = B - half.transpose() * scaled;
    R_ = residual;
    add_block(lambda, levels);
  }

  // M's derivatives are complete: what they give for log|M_xx|, r2 and beta.
  beta_slope.resize(p, static_cast<Eigen::Index>(n));
  for (std::size_t a = 0; a < n; ++a)
    beta_slope.col(static_cast<Eigen::Index>(a)) = weight_ * (slope_[a] * contrast_).head(p);
  for (std::size_t a = 0; a < n; ++a) {
    const Eigen::MatrixXd weighted = weight_ * slope_[a].topLeftCorner(p, p);
    for (std::size_t b = 0; b <= a; ++b) {
      const auto r = static_cast<Eigen::Index>(a), c = static_cast<Eigen::Index>(b);
      square(r, c) -= 2.0 * (slope_[a] * contrast_).head(p).dot(beta_slope.col(c));
      if (restricted_)
        log_part(r, c) -= (weighted * weight_).cwiseProduct(slope_[b].topLeftCorner(p, p).transpose()).sum();
    }
  }
  for (auto* part : {&log_part, &square}) part->triangularView<Eigen::StrictlyUpper>() = part->transpose().eval();
}

void LinearCurvature::add_block(const Eigen::MatrixXd& lambda, const std::vector<std::pair<int, int>>& levels) {
  const auto& model = pattern_.model();
  const auto& entries = layout_->entries();
  const auto p = weight_.rows();
  const bool alone = model.factors().size() == 1;
  // dSigma_a X: row r gets Lambda's column times X, and the rows of Lambda's column get X's row r.
  auto apply = [&](const ThetaEntry& entry, const Eigen::MatrixXd& X, Eigen::MatrixXd& to) {
    to.setZero(X.rows(), X.cols());
    for (const auto& [f, level] : levels) {
      const auto& factor = model.factors()[at(f)];
      if (entry.row < factor.first || entry.row >= factor.first + factor.q) continue;
      const auto first = alone ? 0 : factor.offset + std::int64_t{level} * factor.q;
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
    slope_[a].noalias() -= R_.transpose() * moved_[a];
  }
  const Eigen::VectorXd r = R_ * contrast_;
  const Eigen::MatrixXd RW = restricted_ ? Eigen::MatrixXd(R_.leftCols(p) * weight_) : Eigen::MatrixXd();
  for (std::size_t a = 0; a < entries.size(); ++a) {
    const Eigen::VectorXd Tm = T_ * (moved_[a] * contrast_);
    const Eigen::MatrixXd TW = restricted_ ? Eigen::MatrixXd(T_ * moved_[a].leftCols(p) * weight_) : Eigen::MatrixXd();
    for (std::size_t b = 0; b <= a; ++b) {
      const auto i = static_cast<Eigen::Index>(a), j = static_cast<Eigen::Index>(b);
      double log_value = -turned_[a].cwiseProduct(turned_[b].transpose()).sum();
      double square_value = 2.0 * Tm.dot(moved_[b] * contrast_);
      if (restricted_) log_value += 2.0 * TW.cwiseProduct(moved_[b].leftCols(p)).sum();
      // d2Sigma_ab has (row_a, row_b) and (row_b, row_a) where the columns agree.
      if (entries[a].column == entries[b].column) {
        for (const auto& [f, level] : levels) {
          const auto& factor = model.factors()[at(f)];
          if (entries[a].row < factor.first || entries[a].row >= factor.first + factor.q) continue;
          const auto first = (alone ? 0 : factor.offset + std::int64_t{level} * factor.q) - factor.first;
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

}  // namespace multilevel::estimate
