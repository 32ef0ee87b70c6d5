// What takes eigenvalues: see dense.hpp.
#include <limits>

#include <Eigen/Eigenvalues>

#include "linear_algebra/dense.hpp"

namespace multilevel::linear_algebra {

SymmetricEigen::SymmetricEigen(const Eigen::MatrixXd& symmetric) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(symmetric);
  values = solver.eigenvalues();
  vectors = solver.eigenvectors();
}

Eigen::MatrixXd pseudo_inverse(const Eigen::MatrixXd& semidefinite) {
  const SymmetricEigen eigen(semidefinite);
  const auto n = eigen.values.size();
  const double rounding =
      n > 0 ? static_cast<double>(n) * std::numeric_limits<double>::epsilon() * eigen.values[n - 1] : 0.0;
  const Eigen::VectorXd reciprocal =
      eigen.values.unaryExpr([rounding](double e) { return e > rounding ? 1.0 / e : 0.0; });
  return times_transposed(eigen.vectors * reciprocal.asDiagonal(), eigen.vectors);
}

}  // namespace multilevel::linear_algebra
