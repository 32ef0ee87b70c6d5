// What the terms of all rows with one nu share: powers of counts, j^nu and j^-nu, and log lambda on a grid of means.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "numeric/lanes.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family::conway_maxwell {

using numeric::any;
using numeric::broadcast;
using numeric::lane_count;
using numeric::LaneBits;
using numeric::Lanes;

/// log j and log j! of small counts, each a double and what it lacks.
struct SmallCounts {
  static constexpr int n = 2048;
  std::array<double, n> log{}, log_low{}, log_factorial{}, log_factorial_low{};

  static const SmallCounts& all() {
    static const SmallCounts made;
    return made;
  }

 private:
  SmallCounts() {
    long double sum = 0.0L;
    for (std::size_t j = 2; j < n; ++j) {
      const long double own = std::log(static_cast<long double>(j));
      sum += own;
      log[j] = static_cast<double>(own);
      log_low[j] = static_cast<double>(own - log[j]);
      log_factorial[j] = static_cast<double>(sum);
      log_factorial_low[j] = static_cast<double>(sum - log_factorial[j]);
    }
  }
};

using Indices = std::array<std::ptrdiff_t, lane_count>;

inline Indices indices(Lanes counts) {
  Indices all;
  for (int i = 0; i < lane_count; ++i) all[static_cast<std::size_t>(i)] = static_cast<std::ptrdiff_t>(counts[i]);
  return all;
}

inline Lanes gather(const double* from, const Indices& at, std::ptrdiff_t shift = 0) {
  Lanes all;
  for (int i = 0; i < lane_count; ++i) all[i] = from[at[static_cast<std::size_t>(i)] + shift];
  return all;
}

/// Those of one nu, each a function of nu and its number alone: what a thread keeps does not show in results.
class Powers {
 public:
  static constexpr double most_count = 32768.0, most_log_power = 600.0;
  static constexpr double grid_from = -7.0, grid_step = 0.125;
  static constexpr int grid_size = 320;  // means up to 2e14

  /// This thread's.
  static Powers& of(double nu);

  /// Counts up to the last one are there.
  void reach(std::ptrdiff_t last) {
    while (n_ <= last) extend();
  }
  std::ptrdiff_t size() const { return n_; }
  const double* up() const { return up_.data(); }            ///< j^nu; zero at zero
  const double* down() const { return down_.data(); }        ///< j^-nu; one at zero
  const double* log() const { return log_.data(); }          ///< log j; zero at zero
  const double* log_low() const { return log_low_.data(); }  ///< and what that lacks

  /// log lambda where the means have these logarithms, by polynomials that have its value and two derivatives at nodes
  /// of a grid; NaN outside of it. solve(nu, log_mu) returns these three for lanes of nodes.
  template <class Solve>
  Lanes log_lambda(Lanes log_mu, Solve solve) {
    const Lanes place = (log_mu - grid_from) / grid_step;
    const LaneBits there = (place >= 0.0) & (place < grid_size - 1.0);
    Indices left = indices(numeric::select(there, place, broadcast(0.0)));
    for (int i = 0; i < lane_count; ++i)
      for (std::ptrdiff_t node = left[static_cast<std::size_t>(i)], end = node + 2; there[i] && node < end; ++node)
        if (!solved_[static_cast<std::size_t>(node / lane_count)]) fill(node / lane_count, solve);
    Lanes at[3], next[3], t;
    for (std::size_t d = 0; d < 3; ++d) {
      at[d] = gather(grid_[d].data(), left);
      next[d] = gather(grid_[d].data(), left, 1);
    }
    for (int i = 0; i < lane_count; ++i) t[i] = place[i] - static_cast<double>(left[static_cast<std::size_t>(i)]);
    const Lanes lacks = next[0] - at[0] - at[1] - at[2], slope = next[1] - at[1] - 2.0 * at[2], bend = next[2] - at[2];
    const Lanes c3 = 10.0 * lacks - 4.0 * slope + bend, c4 = -15.0 * lacks + 7.0 * slope - 2.0 * bend;
    const Lanes c5 = 6.0 * lacks - 3.0 * slope + bend;
    const Lanes found = at[0] + t * (at[1] + t * (at[2] + t * (c3 + t * (c4 + t * c5))));
    return numeric::select(there, found, broadcast(std::numeric_limits<double>::quiet_NaN()));
  }

 private:
  /// As Taylor coefficients in steps of the grid.
  template <class Solve>
  void fill(std::ptrdiff_t group, Solve solve) {
    Lanes log_mu;
    for (int i = 0; i < lane_count; ++i)
      log_mu[i] = grid_from + grid_step * static_cast<double>(group * lane_count + i);
    const std::array<Lanes, 3> found = solve(broadcast(nu_), log_mu);
    numeric::store(grid_[0].data() + group * lane_count, found[0]);
    numeric::store(grid_[1].data() + group * lane_count, found[1] * grid_step);
    numeric::store(grid_[2].data() + group * lane_count, found[2] * (0.5 * grid_step * grid_step));
    solved_[static_cast<std::size_t>(group)] = true;
  }

  [[gnu::noinline]] void extend() {
    constexpr std::ptrdiff_t more = 32;
    const auto size = static_cast<std::size_t>(n_ + more);
    for (auto* own : {&up_, &down_, &log_, &log_low_})
      if (own->size() < size) own->resize(std::max(size, 2 * own->size()));
    const SmallCounts& small = SmallCounts::all();
    for (const std::ptrdiff_t end = n_ + more; n_ < end; n_ += lane_count) {
      Lanes log, low = broadcast(0.0), rounding;
      if (n_ + lane_count <= SmallCounts::n) {
        log = numeric::load(small.log.data() + n_);
        low = numeric::load(small.log_low.data() + n_);
      } else {
        for (int i = 0; i < lane_count; ++i) log[i] = std::log(static_cast<double>(n_ + i));
      }
      const Lanes power = nu_ * log;
      for (int i = 0; i < lane_count; ++i) rounding[i] = std::fma(nu_, log[i], -power[i]) + nu_ * low[i];
      numeric::store(log_.data() + n_, log);
      numeric::store(log_low_.data() + n_, low);
      numeric::store(up_.data() + n_, numeric::exp(power) * (1.0 + rounding));
      numeric::store(down_.data() + n_, numeric::exp(-power) * (1.0 - rounding));
    }
    up_[0] = 0.0;
  }

  double nu_ = std::numeric_limits<double>::quiet_NaN();
  std::ptrdiff_t n_ = 0;
  std::vector<double> up_, down_, log_, log_low_;
  std::array<std::array<double, grid_size>, 3> grid_{};
  std::array<bool, grid_size / 2> solved_{};
};

inline Powers& Powers::of(double nu) {
  struct Kept {
    std::array<Powers, 4> powers;  // a few, for rows of several kinds
    std::size_t next = 0;
  };
  thread_local Kept kept;
  for (auto& own : kept.powers)
    if (own.nu_ == nu) return own;
  Powers& own = kept.powers[kept.next];
  kept.next = (kept.next + 1) % kept.powers.size();
  own.nu_ = nu;
  own.n_ = 0;
  own.solved_.fill(false);
  return own;
}

}  // namespace multilevel::family::conway_maxwell
