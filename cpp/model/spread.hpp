// Mean and size of a column, and the power of two that brings it near one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "model/source.hpp"

namespace multilevel::model {

struct Spread {
  double mean, root_mean_square, norm;  ///< rms of x - mean (or of x, uncentred); norm of x itself
};

/// Sums over blocks of fixed length, added in order: the same bits every time. `unit` keeps squares in range.
template <class Value>
Spread spread(std::int64_t n, bool centre, Value value, double unit) {
  constexpr std::int64_t block = 4096;
  const double origin = value(0) * unit;  // deviations from some value of the column keep the digits of far-off columns
  double sum = 0.0, square = 0.0, raw = 0.0;
  for (std::int64_t first = 0; first < n; first += block) {
    const std::int64_t last = std::min(n, first + block);
    double s = 0.0, ss = 0.0, rr = 0.0;
#pragma omp simd reduction(+ : s, ss, rr)
    for (std::int64_t j = first; j < last; ++j) {
      const double x = value(j) * unit, d = x - origin;
      s += d;
      ss += d * d;
      rr += x * x;
    }
    sum += s;
    square += ss;
    raw += rr;
  }
  const double count = static_cast<double>(n);
  Spread r;
  r.norm = std::sqrt(raw) / unit;
  if (centre) {
    const double mean = sum / count;
    r.mean = (origin + mean) / unit;
    r.root_mean_square = std::sqrt(std::max(0.0, square / count - mean * mean)) / unit;
  } else {
    r.mean = 0.0;
    r.root_mean_square = std::sqrt(raw / count) / unit;
  }
  return r;
}

template <class Value>
Spread spread(std::int64_t n, bool centre, Value value) {
  const Spread plain = spread(n, centre, value, 1.0);
  constexpr double small = 1e-140, large = 1e140;
  if (plain.norm < large && (plain.norm > small || plain.norm == 0.0) && plain.root_mean_square != 0.0) return plain;
  double most = 0.0;
  for (std::int64_t j = 0; j < n; ++j) most = std::max(most, std::fabs(value(j)));
  if (most == 0.0 || (most < large && most > small)) return plain;
  return spread(n, centre, value, std::exp2(-std::round(std::log2(most))));
}

inline Spread spread(const Source& source, std::int64_t n, bool centre) {
  Spread r{0.0, 1.0, std::sqrt(static_cast<double>(n))};
  visit_type(source.type, [&]<class T>() {
    if (source.stride == static_cast<std::ptrdiff_t>(sizeof(T))) {
      const T* x = reinterpret_cast<const T*>(source.data);
      r = spread(n, centre, [x](std::int64_t j) { return static_cast<double>(x[j]); });
    } else {
      r = spread(n, centre, [&](std::int64_t j) { return source.at<T>(j); });
    }
  });
  return r;
}

/// Whether at least half of a column is zero.
inline bool mostly_zero(const Source& source, std::int64_t n) {
  std::int64_t zeros = 0;
  visit_type(source.type, [&]<class T>() {
    for (std::int64_t j = 0; j < n; ++j) zeros += source.at<T>(j) == 0.0;
  });
  return 2 * zeros >= n;
}

/// A power of two, so that scaling changes no digit.
inline double scale_for(double size) {
  if (!(size > 0.0)) return 1.0;
  return std::exp2(-std::round(std::log2(size)));
}

}  // namespace multilevel::model
