#include "likelihood/nested/information.hpp"

namespace multilevel::likelihood {

NestedInformation::NestedInformation(const model::Model& model, const model::Layout& layout, int most_units,
                                     int q_inner, int q_outer)
    : layout_(layout),
      p_(model.p()),
      weighted_(static_cast<std::size_t>(model.largest_panel())),
      columns_(static_cast<std::size_t>(model.p())),
      products_(model.p()),
      outer_x_(q_outer, model.p()),
      outer_g_(q_outer, model.p()),
      solved_(q_outer, model.p()),
      inner_x_(q_inner, model.p(), most_units),
      inner_g_(q_inner, model.p(), most_units),
      inner_solved_(q_inner, model.p(), most_units),
      LB_(q_inner, q_inner, most_units),
      LB_cross_(q_outer, q_inner, most_units),
      y_(q_inner, q_inner, most_units),
      y_outer_(q_outer, q_inner, most_units),
      T_(q_inner, q_inner, most_units),
      TL_(q_inner, q_inner, most_units),
      S_(q_inner, q_inner, most_units) {}

void NestedInformation::add(const NestedRows& rows, int cluster, const BlockArrow& arrow, const double* second,
                            const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, int first_inner,
                            int first_outer, Sums& sums) {
  if (p_ > 0) add_beta(rows, cluster, arrow, second, lambda_inner, lambda_outer, sums.hessian);
  const Range units = rows.units(cluster);
  const OuterMatrix P = arrow.P_outer(cluster), B = arrow.B_outer(cluster);

  // Units: T = B_ii - y_i'y_i - y_3'y_3 with y = L^-1 Lambda'B.
  LB_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), arrow.B_inner, LB_);
  LB_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_outer.transpose(), arrow.B_cross, LB_cross_);
  y_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, arrow.P, LB_, y_);
  y_outer_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, P, LB_cross_, y_outer_);
  linear_algebra::add_product(units, 1.0, arrow.R, LB_, y_outer_);
  T_.copy(units, arrow.B_inner);
  linear_algebra::add_product(units, -1.0, transposed(y_), y_, T_);
  linear_algebra::add_product(units, -1.0, transposed(y_outer_), y_outer_, T_);
  TL_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, T_, lambda_inner, TL_);
  S_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), TL_, S_);

  // The cluster: the same with the units' part of y summed.
  const OuterMatrix LB = lambda_outer.transpose().lazyProduct(B);
  OuterMatrix y = P.lazyProduct(LB), T = B;
  const int q = static_cast<int>(B.rows());
  LB_cross_.fill(units, 0.0);  // B_3i Lambda
  linear_algebra::add_product(units, 1.0, arrow.B_cross, lambda_inner, LB_cross_);
  linear_algebra::add_summed_product(units, 1.0, arrow.R, transposed(LB_cross_), y);
  y_outer_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, LB_cross_, transposed(arrow.P), y_outer_);
  linear_algebra::add_summed_product(units, -1.0, y_outer_, transposed(y_outer_), T);
  T -= y.transpose().lazyProduct(y);
  const OuterMatrix TL = T.lazyProduct(lambda_outer);
  const OuterMatrix S = lambda_outer.transpose().lazyProduct(TL);

  const auto& entries = layout_.entries();
  for (std::size_t a = 0; a < entries.size(); ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      const auto &x = entries[a], &z = entries[b];
      const bool x_outer = x.row >= first_outer && x.row < first_outer + q,
                 z_outer = z.row >= first_outer && z.row < first_outer + q;
      if (x_outer != z_outer) continue;
      const int first = x_outer ? first_outer : first_inner;
      const int xr = x.row - first, xc = x.column - first, zr = z.row - first, zc = z.column - first;
      double sum = 0.0;
      if (x_outer) {
        sum = S(xc, zc) * T(xr, zr) + TL(zr, xc) * TL(xr, zc);
      } else {
        const int n = units.last - units.first;
        sum = numeric::dot(n, S_.at(xc, zc) + units.first, T_.at(xr, zr) + units.first) +
              numeric::dot(n, TL_.at(zr, xc) + units.first, TL_.at(xr, zc) + units.first);
      }
      sums.theta_information(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b)) += sum;
    }
}

void NestedInformation::add_beta(const NestedRows& rows, int cluster, const BlockArrow& arrow, const double* second,
                                 const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer,
                                 Eigen::MatrixXd& hessian) {
  const Range units = rows.units(cluster), own = rows.rows(units);
  const int n = own.last - own.first;
  for (int k = 0; k < p_; ++k) columns_[static_cast<std::size_t>(k)] = rows.x[static_cast<std::size_t>(k)] + own.first;
  for (int k = 0; k < p_; ++k) {
    const double* x = columns_[static_cast<std::size_t>(k)];
    double* weighted = weighted_.data() + own.first;
    for (int j = 0; j < n; ++j) weighted[j] = second[own.first + j] * x[j];  // -W x
    for (int other = 0; other <= k; ++other) {
      const double product = numeric::dot(n, columns_[static_cast<std::size_t>(other)], weighted);
      hessian(k, other) += product;
      if (other != k) hessian(other, k) += product;
    }
    for (int a = 0; a < rows.q_inner; ++a)
      rows.sums(units, rows.z_inner[static_cast<std::size_t>(a)], weighted_.data(), inner_x_.at(a, k));
    outer_x_.col(k) = rows.outer_sums(own, weighted_.data());
  }
  // gamma = L^-1 S'WX; gamma'gamma comes off the information.
  inner_g_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner.transpose(), inner_x_, inner_g_);
  inner_solved_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, arrow.P, inner_g_, inner_solved_);
  outer_g_.noalias() = lambda_outer.transpose() * outer_x_;
  solved_.noalias() = arrow.P_outer(cluster) * outer_g_;
  linear_algebra::add_summed_product(units, 1.0, arrow.R, inner_g_, solved_);
  hessian.topLeftCorner(p_, p_).noalias() += solved_.transpose() * solved_;
  auto block = hessian.topLeftCorner(p_, p_);
  linear_algebra::add_summed_product(units, 1.0, transposed(inner_solved_), inner_solved_, block);
}

}  // namespace multilevel::likelihood
