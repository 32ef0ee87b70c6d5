#include "likelihood/objective.hpp"

#include "likelihood/differences.hpp"
#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

void Objective::set_phi_information(const Eigen::MatrixXd& second, Eigen::MatrixXd& hessian) const {
  if (n_phi_ == 0) return;
  auto block = hessian.bottomRightCorner(n_phi_, n_phi_);
  block = second.selfadjointView<Eigen::Lower>();
  if (n_phi_ > 1 && linear_algebra::Cholesky(-block).positive_definite()) return;
  for (int g = 0; g < n_phi_; ++g) {
    const double own = second(g, g);
    block.row(g).setZero();
    block.col(g).setZero();
    block(g, g) = own < 0.0 ? own : -1.0;
  }
}

bool Objective::differentiate(const Eigen::VectorXd& psi, const std::vector<double>& modes, Sums& sums) {
  return Differences(*this, psi, modes).hessian(sums);
}

bool Objective::differentiate_carefully(const Eigen::VectorXd& psi, const std::vector<double>& modes,
                                        const std::vector<bool>& free, Sums& sums) {
  if (!differentiate(psi, modes, sums)) return false;
  if (sums.hessian_error.size() > 0) Differences(*this, psi, modes).refine(free, sums);
  return true;
}

}  // namespace multilevel::likelihood
