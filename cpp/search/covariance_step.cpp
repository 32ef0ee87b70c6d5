#include "search/covariance_step.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"

namespace multilevel::search {

namespace {

constexpr double eigenvalue_floor = 0.01;  // a step shrinks a variance by at most this factor at a time

/// Where theta is not a whole factor: the same for standard deviations, and plain steps of a moderate length.
void move_theta(const model::Layout& layout, const model::Term& term, int own, int p, const Eigen::VectorXd& before,
                const Eigen::VectorXd& d, Eigen::VectorXd& psi) {
  const int first = layout.first_theta(own), n = layout.first_theta(own + 1) - first;
  const Eigen::VectorXd now = before.segment(p + first, n);
  Eigen::VectorXd step = d.segment(first, n);
  if (term.structure->has_loadings()) {
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
  const linear_algebra::SymmetricEigen eigen(scale.asDiagonal() * m * scale.asDiagonal());
  const double largest = std::max(eigen.values.cwiseAbs().maxCoeff(), 1e-300);
  const Eigen::VectorXd inverse =
      eigen.values.unaryExpr([&](double e) { return 1.0 / std::max(std::fabs(e), floor * largest); });
  const Eigen::MatrixXd root = scale.asDiagonal() * eigen.vectors;
  return linear_algebra::times_transposed(root * inverse.asDiagonal(), root);
}

bool move_covariance(const model::Layout& layout, const model::Model& model, int p, const Eigen::VectorXd& now,
                     const Eigen::VectorXd& d, Eigen::VectorXd& psi) {
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    const int own = static_cast<int>(t);
    if (term.structure->has_loadings() || term.structure->kind() == covariance::Kind::scaled) {
      move_theta(layout, term, own, p, now, d, psi);
      continue;
    }
    const Eigen::MatrixXd lambda = layout.term_factor(own, now.data() + p), change = layout.term_factor(own, d.data());
    Eigen::MatrixXd sigma = linear_algebra::times_transposed(lambda, lambda);
    linear_algebra::add_times_transposed(1.0, change, lambda, sigma);
    linear_algebra::add_times_transposed(1.0, lambda, change, sigma);
    Eigen::MatrixXd moved = Eigen::MatrixXd::Zero(term.q, term.q);
    if (term.q == 1 || term.structure->kind() == covariance::Kind::diagonal) {  // independent coefficients
      for (int a = 0; a < term.q; ++a)
        moved(a, a) = std::sqrt(std::max(sigma(a, a), eigenvalue_floor * lambda(a, a) * lambda(a, a)));
    } else {
      if (!(lambda.diagonal().cwiseAbs().minCoeff() > 1e-8 * lambda.cwiseAbs().maxCoeff())) return false;
      const Eigen::MatrixXd inverse = linear_algebra::solve_lower(lambda, Eigen::MatrixXd::Identity(term.q, term.q));
      const linear_algebra::SymmetricEigen eigen(
          linear_algebra::times_transposed(linear_algebra::times(inverse, sigma), inverse));
      const Eigen::VectorXd root = eigen.values.cwiseMax(eigenvalue_floor).cwiseSqrt();
      const Eigen::MatrixXd half = linear_algebra::times(lambda, eigen.vectors) * root.asDiagonal();
      const linear_algebra::Cholesky factor(linear_algebra::times_transposed(half, half));
      if (!factor.positive_definite()) return false;
      moved = factor.lower();
    }
    layout.set_term_factor(own, moved, psi.data() + p);
  }
  return psi.allFinite();
}

}  // namespace multilevel::search
