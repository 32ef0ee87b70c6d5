// What a density has of a count and of a parameter that rows share. Counts are few and rows are many: each small
// count's value is kept for as long as the parameter stays what it is.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "family/series_kernel.hpp"

namespace multilevel::family {

/// `Function::value(y, phi)` for plain lanes of y and a series phi of second order in the parameter.
template <class Function>
class OfCount {
 public:
  using Series = Taylor<2, Lanes>;

  /// The values kept by this thread.
  static OfCount& kept() {
    thread_local OfCount own;
    return own;
  }

  /// Of any numbers; of counts, where phi is one number, the kept ones.
  Series at(Lanes y, Lanes phi) {
    const LaneBits own = numeric::bits(phi), kept = numeric::bits(numeric::broadcast(phi_));
    const LaneBits last = numeric::bits(numeric::broadcast(last_));
    double most = 0.0;
    bool is_kept = true, is_last = true, counts = true;
    for (int i = 0; i < numeric::lane_count; ++i) {
      most = std::max(most, y[i]);
      counts = counts && y[i] >= 0.0 && y[i] == std::trunc(y[i]);
      is_kept = is_kept && own[i] == kept[i];
      is_last = is_last && own[i] == last[i];
    }
    last_ = phi[0];
    if (!is_kept && is_last) {  // twice the same
      phi_ = last_;
      n_ = 0;
      is_kept = true;
    }
    if (!is_kept || !counts || !(most < most_counts)) return series(y, phi);
    while (n_ <= static_cast<int>(most)) extend();
    Series all;
    for (int i = 0; i < numeric::lane_count; ++i) {
      const auto k = static_cast<std::size_t>(y[i]);
      for (std::size_t a = 0; a < 3; ++a) all.c[a][i] = values_[a][k];
    }
    return all;
  }

  /// Out of line, so that kept values and others have the same bits.
  [[gnu::noinline]] static Series series(Lanes y, Lanes phi) {
    Series own{};
    own.c[0] = phi;
    own.c[1] = numeric::broadcast(1.0);
    return Function::value(y, own);
  }

 private:
  static constexpr int most_counts = 256;  // of which rows may be fewer: a thousand more cost little

  void extend() {
    Lanes y;
    for (int i = 0; i < numeric::lane_count; ++i) y[i] = n_ + i;
    const Series next = series(y, numeric::broadcast(phi_));
    for (std::size_t a = 0; a < 3; ++a) numeric::store(values_[a] + n_, next.c[a]);
    n_ += numeric::lane_count;
  }

  double phi_ = std::numeric_limits<double>::quiet_NaN(), last_ = phi_;
  int n_ = 0;
  double values_[3][most_counts];
};

}  // namespace multilevel::family
