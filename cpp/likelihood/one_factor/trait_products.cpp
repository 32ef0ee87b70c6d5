#include "likelihood/one_factor/trait_products.hpp"

#include <algorithm>

#include "numeric/lane_total.hpp"
#include "numeric/lanes.hpp"

namespace multilevel::likelihood {

namespace {

constexpr std::size_t cached = 8192;  // numbers in the left vectors of a block
constexpr std::size_t most_clusters = 16;
constexpr std::size_t tile_rows = 4, tile_columns = 3;  // their sums and what they are made of fill the registers

}  // namespace

TraitProducts::TraitProducts(int n_parameters, int length)
    : length_(static_cast<std::size_t>(length)), sums_(Eigen::MatrixXd::Zero(n_parameters, n_parameters)) {}

void TraitProducts::start() {
  block_.clear();
  used_ = 0;
  sums_.setZero();
}

void TraitProducts::open(const std::vector<int>& touched) {
  if (touched != block_) {
    close_block();
    block_ = touched;
    const std::size_t A = block_.size();
    room_ = std::clamp(cached / std::max<std::size_t>(1, A * length_), std::size_t{1}, most_clusters);
    row_ = room_ * length_;
    const std::size_t padded = (A + tile_rows + tile_columns) * row_;
    if (left_.size() < padded) {
      left_.resize(padded);
      right_.resize(padded);
    }
  } else if (used_ == room_) {
    multiply();
  }
  slot_ = used_ * length_;
  ++used_;
}

/// Tiles of the lower triangle. What stands beyond the last parameter is multiplied and left aside.
void TraitProducts::multiply() {
  using numeric::Lanes;
  const std::size_t A = block_.size(), n = used_ * length_;
  for (std::size_t a = 0; a < A; a += tile_rows)
    for (std::size_t b = 0; b < std::min(a + tile_rows, A); b += tile_columns) {
      const double *l0 = left_.data() + a * row_, *l1 = l0 + row_, *l2 = l1 + row_, *l3 = l2 + row_;
      const double *r0 = right_.data() + b * row_, *r1 = r0 + row_, *r2 = r1 + row_;
      Lanes s00{}, s01{}, s02{}, s10{}, s11{}, s12{}, s20{}, s21{}, s22{}, s30{}, s31{}, s32{};
      for (std::size_t k = 0; k < n; k += numeric::lane_count) {
        const Lanes x0 = numeric::load(r0 + k), x1 = numeric::load(r1 + k), x2 = numeric::load(r2 + k);
        Lanes y = numeric::load(l0 + k);
        s00 += y * x0, s01 += y * x1, s02 += y * x2;
        y = numeric::load(l1 + k);
        s10 += y * x0, s11 += y * x1, s12 += y * x2;
        y = numeric::load(l2 + k);
        s20 += y * x0, s21 += y * x1, s22 += y * x2;
        y = numeric::load(l3 + k);
        s30 += y * x0, s31 += y * x1, s32 += y * x2;
      }
      const Lanes tile[tile_rows][tile_columns] = {{s00, s01, s02}, {s10, s11, s12}, {s20, s21, s22}, {s30, s31, s32}};
      for (std::size_t i = 0; i < tile_rows && a + i < A; ++i)
        for (std::size_t j = 0; j < tile_columns && b + j <= a + i; ++j)
          put(block_[a + i], block_[b + j], numeric::total(tile[i][j]));
    }
  used_ = 0;
}

void TraitProducts::close_block() {
  if (used_ > 0) multiply();
  block_.clear();
}

void TraitProducts::finish(int n_beta, Eigen::MatrixXd& hessian) {
  close_block();
  for (Eigen::Index b = 0; b < sums_.cols(); ++b)
    for (Eigen::Index a = b; a < sums_.rows(); ++a) {
      const double sum = sums_(a, b);
      if (b < n_beta)
        hessian(b, a) += sum;
      else
        hessian(a, b) += sum;
      if (a < n_beta && a != b) hessian(a, b) += sum;
    }
}

}  // namespace multilevel::likelihood
