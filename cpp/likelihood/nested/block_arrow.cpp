#include "likelihood/nested/block_arrow.hpp"

namespace multilevel::likelihood {

BlockArrow::BlockArrow(int most_units, int most_clusters, int q_inner, int q_outer)
    : P(q_inner, q_inner, most_units),
      R(q_outer, q_inner, most_units),
      B_inner(q_inner, q_inner, most_units),
      B_cross(q_outer, q_inner, most_units),
      q_inner_(q_inner),
      q_outer_(q_outer),
      P_outer_(static_cast<std::size_t>(most_clusters) * static_cast<std::size_t>(q_outer * q_outer)),
      B_outer_(P_outer_.size()),
      log_determinant_(static_cast<std::size_t>(most_clusters)),
      H_(q_inner, q_inner, most_units),
      BL_(q_inner, q_inner, most_units),
      cross_(q_outer, q_inner, most_units),
      border_(q_outer, q_inner, most_units),
      solved_(q_inner, 1, most_units) {}

bool BlockArrow::factor(const NestedRows& rows, int cluster, const double* second, double sign,
                        const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer) {
  const Range units = rows.units(cluster), own = rows.rows(units);
  const int n = own.last - own.first;
  auto inner = [&](int a) { return rows.z_inner[static_cast<std::size_t>(a)]; };
  auto outer = [&](int a) { return rows.z_outer[static_cast<std::size_t>(a)]; };

  // The units' blocks: Z'WZ, then H_ii = I + Lambda' Z'WZ Lambda and its factor.
  for (int a = 0; a < q_inner_; ++a)
    for (int b = 0; b <= a; ++b) rows.sums(units, inner(a), inner(b), second, B_inner.at(a, b));
  for (int a = 0; a < q_outer_; ++a)
    for (int b = 0; b < q_inner_; ++b) rows.sums(units, outer(a), inner(b), second, B_cross.at(a, b));
  B_inner.make_symmetric(units);
  B_inner.scale(units, sign);
  B_cross.scale(units, sign);
  BL_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, B_inner, lambda_inner, BL_);
  H_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), BL_, H_);
  H_.add_identity(units);
  double log_determinant = linear_algebra::invert_factor(units, H_, P);
  if (!std::isfinite(log_determinant)) return false;

  // The border L_3i, and the corner less what the units take from it.
  cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, B_cross, lambda_inner, cross_);
  border_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_outer.transpose(), cross_, border_);
  cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, border_, transposed(P), cross_);
  Eigen::Map<Eigen::MatrixXd> B(at(B_outer_, cluster), q_outer_, q_outer_);
  for (int a = 0; a < q_outer_; ++a)
    for (int b = 0; b <= a; ++b)
      B(a, b) = B(b, a) = sign * numeric::dot(n, outer(a) + own.first, outer(b) + own.first, second + own.first);
  const OuterMatrix BL = OuterMatrix(B).lazyProduct(lambda_outer);
  OuterMatrix corner = lambda_outer.transpose().lazyProduct(BL);
  corner.diagonal().array() += 1.0;
  linear_algebra::add_summed_product(units, -1.0, cross_, transposed(cross_), corner);
  if (!std::isfinite(corner.sum())) return false;
  const Eigen::LLT<OuterMatrix> llt(corner);
  if (llt.info() != Eigen::Success) return false;
  const OuterMatrix L = llt.matrixL();
  for (int a = 0; a < q_outer_; ++a) log_determinant += std::log(L(a, a));
  OuterMatrix inverse = OuterMatrix::Identity(q_outer_, q_outer_);
  L.triangularView<Eigen::Lower>().solveInPlace(inverse);
  Eigen::Map<Eigen::MatrixXd>(at(P_outer_, cluster), q_outer_, q_outer_) = inverse;
  log_determinant_[static_cast<std::size_t>(cluster)] = log_determinant;

  border_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, cross_, P, border_);
  R.fill(units, 0.0);
  linear_algebra::add_product(units, -1.0, inverse, border_, R);
  return true;
}

void BlockArrow::solve(const NestedRows& rows, int cluster, const linear_algebra::MatrixBatch& g_inner,
                       const OuterVector& g_outer, linear_algebra::MatrixBatch& inner, OuterVector& outer) {
  const Range units = rows.units(cluster);
  const OuterMatrix inverse = P_outer(cluster);
  OuterVector last = inverse.lazyProduct(g_outer);
  linear_algebra::add_summed_product(units, 1.0, R, g_inner, last);
  solved_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, P, g_inner, solved_);
  inner.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, transposed(P), solved_, inner);
  linear_algebra::add_product(units, 1.0, transposed(R), last, inner);
  outer = inverse.transpose().lazyProduct(last);
}

}  // namespace multilevel::likelihood
