#include "likelihood/one_factor/fixed_products.hpp"

#include <algorithm>

#include "linear_algebra/dense.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int columns_at_a_time = 4;
constexpr int wide = 16;  // from so many columns on a matrix product pays

}  // namespace

FixedProducts::FixedProducts(int p, int most_rows)
    : p_(p), weighted_(columns_at_a_time, std::vector<double>(static_cast<std::size_t>(most_rows) + 8)) {}

void FixedProducts::add_gradient(const Strip& strip, const RowArrays& rows, Sums& sums) const {
  for (int k = 0; k < p_; ++k)
    sums.gradient[k] += numeric::dot(strip.n_rows, strip.x[static_cast<std::size_t>(k)], rows.rho);
}

void FixedProducts::add_hessian(const Strip& strip, const RowArrays& rows, int first_phi, Sums& sums) {
  if (p_ > wide)
    add_wide_products(strip, rows, sums);
  else
    add_products(strip, rows, sums);
  for (std::size_t r = 0; r < rows.x_phi.size(); ++r)
    for (int k = 0; k < p_; ++k)
      sums.hessian(k, first_phi + static_cast<int>(r)) +=
          numeric::dot(strip.n_rows, strip.x[static_cast<std::size_t>(k)], rows.x_phi[r]);
}

/// X' D X four columns at a time.
void FixedProducts::add_products(const Strip& strip, const RowArrays& rows, Sums& sums) {
  const int n = strip.n_rows;
  for (int k = 0; k < p_; k += columns_at_a_time) {
    const int block = std::min(columns_at_a_time, p_ - k);
    const double* columns[columns_at_a_time];
    for (int c = 0; c < block; ++c) {
      double* to = weighted_[static_cast<std::size_t>(c)].data();
      const double* x = strip.x[static_cast<std::size_t>(k + c)];
      for (int j = 0; j < n; ++j) to[j] = rows.curvature[j] * x[j];
      columns[c] = to;
    }
    // Rows 0 .. k + block - 1 of these columns; what lies below the diagonal is filled in by symmetry.
    products_.setZero(k + block, block);
    numeric::cross_products(n, k + block, strip.x.data(), block, columns, products_.data(), 1, k + block);
    for (int c = 0; c < block; ++c)
      for (int row = 0; row <= k + c; ++row) {
        sums.hessian(row, k + c) += products_(row, c);
        if (row != k + c) sums.hessian(k + c, row) += products_(row, c);
      }
  }
}

/// The same by a matrix product.
void FixedProducts::add_wide_products(const Strip& strip, const RowArrays& rows, Sums& sums) {
  const int n = strip.n_rows;
  wide_x_.resize(n, p_);
  for (int k = 0; k < p_; ++k)
    wide_x_.col(k) = Eigen::Map<const Eigen::VectorXd>(strip.x[static_cast<std::size_t>(k)], n);
  wide_dx_ = Eigen::Map<const Eigen::VectorXd>(rows.curvature, n).asDiagonal() * wide_x_;
  linear_algebra::add_transposed_times(1.0, wide_x_, wide_dx_, sums.hessian.topLeftCorner(p_, p_));
}

}  // namespace multilevel::likelihood
