// What a density has of a count and of a parameter that rows share. Counts are few and rows are many: each small
// count's value is kept for as long as the parameter stays what it is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include "family/series_kernel.hpp"

namespace multilevel::family {

/// `Function::value(y, phi)` for plain lanes of y and of the parameter, or a series of second order in it.
template <class Function>
class OfCount {
 public:
  /// The values kept by this thread.
  static OfCount& kept() {
    thread_local OfCount own;
    return own;
  }

  /// Whether the values of all of these rows are kept: they are small counts, and share the parameter.
  bool keep(const Rows& rows) {
    const double phi = *rows.data.phi.value[0];
    const bool again = phi == last_;
    last_ = phi;
    const double most = most_count(rows);
    if (!(most < most_counts)) return false;
    if (phi != phi_) {
      if (!again && most > rows.n) return false;  // more counts than rows
      phi_ = phi;
      n_ = 0;
    }
    while (n_ <= static_cast<int>(most)) extend();
    return true;
  }

  /// The series to order D, the value alone or the second, of counts that are kept.
  template <int D>
  Taylor<D, Lanes> at(Lanes y) const {
    Taylor<D, Lanes> all;
    for (int i = 0; i < lane_count; ++i) {
      const auto k = static_cast<std::size_t>(y[i]);
      for (std::size_t a = 0; a <= D; ++a) all.c[a][i] = values_[a][k];
    }
    return all;
  }

  /// The same of any numbers. Out of line, so that kept values and others have the same bits.
  template <int D>
  [[gnu::noinline]] static Taylor<D, Lanes> of(Lanes y, Lanes phi) {
    if constexpr (D == 0) {
      return {{Function::value(y, phi)}};
    } else {
      Taylor<D, Lanes> own{};
      own.c[0] = phi;
      own.c[1] = numeric::broadcast(1.0);
      return Function::value(y, own);
    }
  }

 private:
  static constexpr int most_counts = 256;  // of which rows may be fewer: a thousand more cost little

  /// The largest count; infinity where rows are not counts that share the parameter.
  static double most_count(const Rows& rows) {
    constexpr double two_52 = 4503599627370496.0;
    const bool common = rows.data.phi.step[0] == 0;
    const Lanes phi = numeric::broadcast(*rows.data.phi.value[0]);
    Lanes most{};
    LaneBits fine = most == 0.0;
    for (int i = 0; i < rows.n; i += lane_count) {
      const int n = std::min(lane_count, rows.n - i);
      const Lanes y = series_kernel::take(rows.data.response, i, n);
      fine &= (y >= 0.0) & (y == (y + two_52) - two_52);
      if (!common) fine &= series_kernel::take(rows.data.phi.value[0], i, n) == phi;
      most = numeric::select(y > most, y, most);
    }
    double largest = 0.0;
    for (int i = 0; i < lane_count; ++i)
      largest = fine[i] ? std::max(largest, most[i]) : std::numeric_limits<double>::infinity();
    return largest;
  }

  void extend() {
    Lanes y;
    for (int i = 0; i < lane_count; ++i) y[i] = n_ + i;
    const Taylor<2, Lanes> next = of<2>(y, numeric::broadcast(phi_));
    for (std::size_t a = 0; a < 3; ++a) numeric::store(values_[a] + n_, next.c[a]);
    n_ += lane_count;
  }

  double phi_ = std::numeric_limits<double>::quiet_NaN(), last_ = phi_;
  int n_ = 0;
  double values_[3][most_counts];
};

}  // namespace multilevel::family
