#include "search/covariance_step.hpp"

#include <algorithm>
#include <cmath>

namespace multilevel::search {

namespace {

constexpr double eigenvalue_floor = 0.01;  // a step shrinks a variance by at most this factor at a time

/// Where theta is not a whole factor: the same for standard deviations, and plain steps of a moderate length.
void move_theta(const model::Layout& layout, const model::Term& term, int own, int p, const Eigen::VectorXd& before,
                const Eigen::VectorXd& d, Eigen::VectorXd& psi) {
  const int first = layout.first_theta(own), n = layout.first_theta(own + 1) - first;
  const Eigen::VectorXd now = before.segment(p + first, n);
  Eigen::VectorXd step = d.segment(first, n);
  if (term.structure->kind() == covariance::Kind::loadings) {
    step /= std::max(1.0, step.norm() / (0.5 * now.norm() + 0.1));
    psi.segment(p + first, n) = now + step;
    return;
  }
  for (const int k : term.structure->scale_parameters(term.q)) {
    const double square = now[k] * now[k];
    psi[p + first + k] =
        std::copysign(std::sqrt(std::max(square + 2.0 * now[k] * step[k], eigenvalue_floor * square)), now[k]);
  }
  const int tau = term.structure->correlation_parameter(term.q);
  if (tau >= 0) psi[p + first + tau] = now[tau] + std::clamp(step[tau], -1.0, 1.0);
}

}  // namespace

Eigen::MatrixXd regular_inverse(const Eigen::MatrixXd& m, double floor) {
  if (m.rows() == 0) return m;
  const Eigen::VectorXd diagonal = m.diagonal().cwiseAbs();
  const Eigen::VectorXd scale = diagonal.unaryExpr([](double d) { return d > 0.0 ? 1.0 / std::sqrt(d) : 0.0; });
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(scale.asDiagonal() * m * scale.asDiagonal());
  const double largest = std::max(eigen.eigenvalues().cwiseAbs().maxCoeff(), 1e-300);
  const Eigen::VectorXd inverse =
      eigen.eigenvalues().unaryExpr([&](double e) { return 1.0 / std::max(std::fabs(e), floor * largest); });
  const Eigen::MatrixXd root = scale.asDiagonal() * eigen.eigenvectors();
  return root * inverse.asDiagonal() * root.transpose();
}

bool move_covariance(const model::Layout& layout, const model::Model& model, int p, const Eigen::VectorXd& now,
                     const Eigen::VectorXd& d, Eigen::VectorXd& psi) {
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const int own = static_cast<int>(t);
    if (term.structure->kind() == covariance::Kind::loadings || term.structure->kind() == covariance::Kind::scaled) {
      move_theta(layout, term, own, p, now, d, psi);
      continue;
    }
    const Eigen::MatrixXd lambda = layout.term_factor(own, now.data() + p), change = layout.term_factor(own, d.data());
    const Eigen::MatrixXd sigma =
        lambda * lambda.transpose() + change * lambda.transpose() + lambda * change.transpose();
    Eigen::MatrixXd moved = Eigen::MatrixXd::Zero(term.q, term.q);
    if (term.q == 1 || term.structure->kind() == covariance::Kind::diagonal) {  // independent coefficients
      for (int a = 0; a < term.q; ++a)
        moved(a, a) = std::sqrt(std::max(sigma(a, a), eigenvalue_floor * lambda(a, a) * lambda(a, a)));
    } else {
      if (!(lambda.diagonal().cwiseAbs().minCoeff() > 1e-8 * lambda.cwiseAbs().maxCoeff())) return false;
      const Eigen::MatrixXd inverse =
          lambda.triangularView<Eigen::Lower>().solve(Eigen::MatrixXd::Identity(term.q, term.q));
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(inverse * sigma * inverse.transpose());
      const Eigen::VectorXd root = eigen.eigenvalues().cwiseMax(eigenvalue_floor).cwiseSqrt();
      const Eigen::MatrixXd half = lambda * eigen.eigenvectors() * root.asDiagonal();
      const Eigen::LLT<Eigen::MatrixXd> llt(half * half.transpose());
      if (llt.info() != Eigen::Success) return false;
      moved = llt.matrixL();
    }
    layout.set_term_factor(own, moved, psi.data() + p);
  }
  return psi.allFinite();
}

}  // namespace multilevel::search
