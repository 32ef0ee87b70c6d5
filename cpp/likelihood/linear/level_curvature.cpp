#include "likelihood/linear/level_curvature.hpp"

#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

void LevelCurvature::add(const Level& level, const Eigen::VectorXd& contrast, const Eigen::MatrixXd& weight,
                         Eigen::MatrixXd& log_part, Eigen::MatrixXd& square, std::vector<Eigen::MatrixXd>& slope) {
  const auto q = level.lambda.rows(), p = weight.rows();
  const Eigen::MatrixXd &T = level.T, &R = level.R;
  const Eigen::MatrixXd U = linear_algebra::times(T, level.lambda);
  const Eigen::MatrixXd Ut = U.transpose(), G = linear_algebra::transposed_times(level.lambda, R);
  const Eigen::VectorXd r = linear_algebra::apply(R, contrast), g = linear_algebra::apply(G, contrast);
  Eigen::MatrixXd GW, RW;
  if (p > 0) {
    GW = linear_algebra::times(G.leftCols(p), weight);
    RW = linear_algebra::times(R.leftCols(p), weight);
  }
  Eigen::VectorXd t(q), v(q);
  for (std::size_t l = 0; l < directions_.size(); ++l) {
    const model::ThetaDirection& own = directions_[l];
    left_.setZero(q, q);   // (D_l H^-1)'
    right_.setZero(q, q);  // (D_l'U)'
    DG_.setZero(q, R.cols());
    DR_.setZero(q, R.cols());
    for (const auto& [row, column, w] : own.parts) {
      left_.col(row) += w * level.inverse.col(column);
      right_.col(column) += w * Ut.col(row);
      DG_.row(row) += w * G.row(column);
      DR_.row(column) += w * R.row(row);
    }
    K_.setZero(q, q);
    for (const int row : own.rows) K_.noalias() += T.col(row) * left_.col(row).transpose();
    for (const int column : own.columns) K_.noalias() -= U.col(column) * right_.col(column).transpose();
    TM_.setZero(q, R.cols());
    V_.setZero(q, R.cols());
    for (const int row : own.rows) {
      TM_.noalias() += T.col(row) * DG_.row(row);
      V_.noalias() += Ut.col(row) * DG_.row(row);
    }
    for (const int column : own.columns) {
      TM_.noalias() += U.col(column) * DR_.row(column);
      V_.noalias() -= level.inverse.col(column) * DR_.row(column);
    }
    linear_algebra::add_transposed_times(-1.0, R, DG_, slope[l]);
    linear_algebra::add_transposed_times(-1.0, DG_, R, slope[l]);
    t = linear_algebra::apply(TM_, contrast);
    v = linear_algebra::apply(V_, contrast);
    if (p > 0) {
      linear_algebra::add_times_transposed(1.0, TM_.leftCols(p), GW, K_);
      linear_algebra::add_times_transposed(1.0, RW, V_.leftCols(p), K_);
    }
    for (std::size_t k = l; k < directions_.size(); ++k) {
      double log_value = 0.0, square_value = 0.0;
      for (const auto& [row, column, w] : directions_[k].parts) {
        log_value += w * K_(row, column);
        square_value += w * (t[row] * g[column] + r[row] * v[column]);
      }
      log_part(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(l)) += 2.0 * log_value;
      square(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(l)) += 2.0 * square_value;
    }
  }
}

}  // namespace multilevel::likelihood
