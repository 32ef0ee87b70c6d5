// What takes eigenvalues and orthogonal factors: see dense.hpp.
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include "linear_algebra/dense.hpp"

namespace multilevel::linear_algebra {

SymmetricEigen::SymmetricEigen(const Eigen::MatrixXd& symmetric) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(symmetric);
  values = solver.eigenvalues();
  vectors = solver.eigenvectors();
}

Eigen::VectorXd least_squares(const Eigen::MatrixXd& a, const Eigen::VectorXd& b) {
  return a.completeOrthogonalDecomposition().solve(b);
}

Eigen::MatrixXd pseudo_inverse(const Eigen::MatrixXd& a) { return a.completeOrthogonalDecomposition().pseudoInverse(); }

}  // namespace multilevel::linear_algebra
