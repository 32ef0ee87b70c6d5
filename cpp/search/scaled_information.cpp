#include "search/scaled_information.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "linear_algebra/dense.hpp"

namespace multilevel::search {

namespace {

constexpr double flat = 1e-11;        // scaled eigenvalues below it carry no information
constexpr double within_error = 3.0;  // of what the two halves of a Hessian differ by

}  // namespace

ScaledInformation::ScaledInformation(const Eigen::MatrixXd& hessian, const std::vector<bool>& free,
                                     const Eigen::MatrixXd& hessian_error) {
  for (std::size_t i = 0; i < free.size(); ++i)
    if (free[i]) index.push_back(static_cast<int>(i));
  const auto n = static_cast<Eigen::Index>(index.size());
  Eigen::MatrixXd information(n, n);
  for (Eigen::Index a = 0; a < n; ++a)
    for (Eigen::Index b = 0; b < n; ++b)
      information(a, b) = -hessian(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]);
  scale = information.diagonal().unaryExpr([](double d) { return d != 0.0 ? 1.0 / std::sqrt(std::fabs(d)) : 0.0; });
  if (n == 0) return;
  linear_algebra::SymmetricEigen eigen(scale.asDiagonal() * information * scale.asDiagonal());
  values = std::move(eigen.values);
  vectors = std::move(eigen.vectors);
  if (hessian_error.size() > 0) flatten(hessian_error);
}

void ScaledInformation::flatten(const Eigen::MatrixXd& hessian_error) {
  const auto n = static_cast<Eigen::Index>(index.size());
  for (Eigen::Index e = 0; e < n; ++e) {
    double square = 0.0;
    for (Eigen::Index a = 0; a < n; ++a)
      for (Eigen::Index b = 0; b < n; ++b) {
        const double own = hessian_error(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]);
        const double moved = vectors(a, e) * vectors(b, e) * scale[a] * scale[b] * own;
        square += moved * moved;
      }
    if (std::fabs(values[e]) <= within_error * std::sqrt(square)) values[e] = 0.0;
  }
}

Eigen::VectorXd ScaledInformation::solve(const Eigen::VectorXd& gradient, bool absolute) const {
  Eigen::VectorXd result = Eigen::VectorXd::Zero(gradient.size());
  const auto n = static_cast<Eigen::Index>(index.size());
  Eigen::VectorXd g(n);
  for (Eigen::Index a = 0; a < n; ++a) g[a] = scale[a] * gradient[index[static_cast<std::size_t>(a)]];
  Eigen::VectorXd in_basis = linear_algebra::apply_transposed(vectors, g);
  for (Eigen::Index a = 0; a < n; ++a) {
    const double e = absolute ? std::fabs(values[a]) : values[a];
    in_basis[a] = e > flat ? in_basis[a] / e : 0.0;
  }
  const Eigen::VectorXd x = linear_algebra::apply(vectors, in_basis);
  for (Eigen::Index a = 0; a < n; ++a) result[index[static_cast<std::size_t>(a)]] = scale[a] * x[a];
  return result;
}

Eigen::MatrixXd ScaledInformation::inverse(int n_parameters) const {
  Eigen::MatrixXd result =
      Eigen::MatrixXd::Constant(n_parameters, n_parameters, std::numeric_limits<double>::quiet_NaN());
  const auto n = static_cast<Eigen::Index>(index.size());
  if (n == 0) return result;
  const Eigen::VectorXd reciprocal = values.unaryExpr([](double e) { return e > flat ? 1.0 / e : 0.0; });
  Eigen::MatrixXd inner = linear_algebra::times_transposed(vectors * reciprocal.asDiagonal(), vectors);
  // A direction without information takes the variances of the parameters that it moves with it, and no others.
  for (Eigen::Index e = 0; e < n; ++e)
    for (Eigen::Index a = 0; a < n && !(values[e] > flat); ++a)
      if (std::fabs(vectors(a, e)) > 1e-5) {
        inner.row(a).setConstant(std::numeric_limits<double>::quiet_NaN());
        inner.col(a).setConstant(std::numeric_limits<double>::quiet_NaN());
      }
  for (Eigen::Index a = 0; a < n; ++a)
    for (Eigen::Index b = 0; b < n; ++b)
      result(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]) =
          scale[a] * inner(a, b) * scale[b];
  return result;
}

}  // namespace multilevel::search
