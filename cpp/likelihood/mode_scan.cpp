#include "likelihood/mode_scan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace multilevel::likelihood {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();
constexpr double without_bound = 10.0;  // the grid reaches no further
constexpr double fine_step = 4.0;       // of eta, from one point of a fine grid to the next
constexpr int most_climbs = 2;          // of a level
constexpr int most_steps = 8;           // of a climb on the line: what is left is the joint search's
constexpr int most_halvings = 30;
constexpr double close_enough = 1e-6;  // Newton decrement on the line

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

ModeScan::ModeScan(int most_rows, int most_levels)
    : eta_(at(most_rows) + 8),
      base_(eta_),
      own_slope_(eta_),
      response_(eta_),
      second_(eta_),
      weight_(eta_),
      level_(eta_.size()),
      value_(eta_),
      d1_(eta_),
      d2_(eta_),
      at_(at(most_levels)),
      f_(at_),
      slope_(at_),
      information_(at_),
      zeros_(at(most_rows)),
      zero_start_(at(most_levels) + 1),
      n_points_(at(most_levels)),
      points_(at(most_levels) * most_points),
      climbs_(at(most_levels)),
      peaks_(at(most_levels) * most_peaks),
      promises_(peaks_),
      best_(at_),
      gain_(at_),
      present_(at_),
      reach_(at_),
      steepest_(at_) {}

ModeScan::~ModeScan() = default;

void ModeScan::run(const family::Family& family, const Line& line) {
  take_rows(line, [&](int i) { return line.wants(i); });
  find_reach(family, line);
  find_zeros(family, line);
  int most = 0;
  for (int i = 0; i < line.n_levels; ++i) {
    make_grid(family, line, i);
    most = std::max(most, n_points_[at(i)]);
  }
  if (most == 1) most = 0;
  for (int k = 0; k < most; ++k) {
    if (k % 4 == 0) take_rows(line, [&](int i) { return n_points_[at(i)] > std::max(k, 1); });
    for (int i = 0; i < line.n_levels; ++i) at_[at(i)] = points(i)[std::min(k, n_points_[at(i)] - 1)].at;
    evaluate(family, line);
    for (int i = 0; i < line.n_levels; ++i) {
      if (k >= n_points_[at(i)]) continue;
      Point& point = points(i)[k];
      point.f = f_[at(i)];
      point.slope = slope_[at(i)];
      point.information = information_[at(i)];
    }
  }
  for (int i = 0; i < line.n_levels; ++i) {
    if (n_points_[at(i)] > 1)
      list_peaks(i);
    else
      std::fill_n(peaks_.data() + index(i, 0), most_peaks, nan);
  }
}

/// Copies the rows of those levels that are still of interest.
template <class Wanted>
void ModeScan::take_rows(const Line& line, Wanted wanted) {
  n_rows_ = 0;
  data_ = {response_.data(), line.data.second ? second_.data() : nullptr, weight_.data(), line.data.phi};
  for (int r = 0; r < family::max_phi; ++r)
    if (data_.phi.step[r]) {
      phi_[r].resize(eta_.size());
      data_.phi.value[r] = phi_[r].data();
    }
  for (int j = 0; j < line.n_rows; ++j) {
    const int i = line.level[j];
    if (!wanted(i)) continue;
    const auto to = at(n_rows_++);
    base_[to] = line.eta[j] - line.effect[i] * line.slope[j];
    own_slope_[to] = line.slope[j];
    response_[to] = line.data.response[j];
    if (line.data.second) second_[to] = line.data.second[j];
    weight_[to] = line.data.weight[j];
    for (int r = 0; r < family::max_phi; ++r)
      if (data_.phi.step[r]) phi_[r][to] = line.data.phi.value[r][j];
    level_[to] = i;
  }
}

void ModeScan::set_bounds(const family::Family& family, const Line& line) {
  const int n_phi = family.n_phi();
  bool same = bounded_ == line.data.response && bound_.size() == at(line.n_rows);
  for (int r = 0; r < n_phi; ++r)
    same = same && line.data.phi.step[r] == 0 && *line.data.phi.value[r] == bounded_phi_[r];
  if (same) return;
  bound_.resize(at(line.n_rows));
  family.suprema(line.n_rows, line.data, bound_.data());
  bounded_ = line.data.response;
  for (int r = 0; r < n_phi; ++r) bounded_phi_[r] = line.data.phi.at(r, 0);
}

/// Per level, how far out the effect can be better than at present, and the most that it moves a row by.
void ModeScan::find_reach(const family::Family& family, const Line& line) {
  std::copy_n(line.effect, line.n_levels, at_.data());
  evaluate(family, line);
  std::fill_n(reach_.data(), line.n_levels, 0.0);
  set_bounds(family, line);
  for (int j = 0; j < line.n_rows; ++j) reach_[at(line.level[j])] += bound_[at(j)];
  for (int i = 0; i < line.n_levels; ++i) {
    present_[at(i)] = std::isfinite(f_[at(i)]) ? f_[at(i)] : minus_infinity;
    const double reach = std::sqrt(2.0 * std::fmax(0.0, reach_[at(i)] - present_[at(i)]));
    reach_[at(i)] = std::isfinite(reach) ? reach : without_bound;
  }
  std::fill_n(steepest_.data(), line.n_levels, 0.0);
  for (int j = 0; j < line.n_rows && line.fine; ++j)
    steepest_[at(line.level[j])] = std::max(steepest_[at(line.level[j])], std::fabs(line.slope[j]));
}

/// Per level, the effects at which a row's density vanishes, in order.
void ModeScan::find_zeros(const family::Family& family, const Line& line) {
  std::fill(zero_start_.begin(), zero_start_.end(), 0);
  if (!family.is_even()) return;
  auto zero_of = [&](int j) {
    const double slope = line.slope[j];
    if (slope == 0.0 || !family.vanishes_at_zero(line.data[j])) return nan;
    const double v = line.effect[line.level[j]] - line.eta[j] / slope;
    return std::fabs(v) < reach_[at(line.level[j])] ? v : nan;
  };
  for (int j = 0; j < line.n_rows; ++j)
    if (!std::isnan(zero_of(j))) ++zero_start_[at(line.level[j]) + 1];
  for (int i = 0; i < line.n_levels; ++i) zero_start_[at(i) + 1] += zero_start_[at(i)];
  for (int j = 0; j < line.n_rows; ++j) {
    const double v = zero_of(j);
    if (!std::isnan(v)) zeros_[at(zero_start_[at(line.level[j])]++)] = v;
  }
  for (int i = line.n_levels; i > 0; --i) zero_start_[at(i)] = zero_start_[at(i) - 1];
  zero_start_[0] = 0;
  for (int i = 0; i < line.n_levels; ++i)
    std::sort(zeros_.begin() + zero_start_[at(i)], zeros_.begin() + zero_start_[at(i) + 1]);
}

void ModeScan::make_grid(const family::Family& family, const Line& line, int level) {
  Point* point = points(level);
  int n = 0;
  auto add = [&](double v) { point[n++] = {v, nan, nan, nan, false}; };
  const double reach = reach_[at(level)];
  add(line.effect[level]);
  n_points_[at(level)] = 1;
  if (!line.wants(level)) return;
  // Between zeros an even density is log-concave: without one in reach there is nothing else to find.
  if (family.is_even() && std::isfinite(present_[at(level)]) && zero_start_[at(level)] == zero_start_[at(level) + 1])
    return;
  const double wanted = 2.0 * reach * steepest_[at(level)] / fine_step;
  const int count = static_cast<int>(std::clamp<double>(std::ceil(wanted), n_even, most_even));
  for (int k = 0; k < count && reach > 0.0 && !family.is_even(); ++k) add(reach * ((2.0 * k + 1.0) / count - 1.0));
  const double *zero = zeros_.data() + zero_start_[at(level)], *last = zeros_.data() + zero_start_[at(level) + 1];
  const auto pieces = last - zero + 1;
  if (pieces > 1) {
    const auto kept = std::min<std::ptrdiff_t>(pieces, most_pieces);
    for (std::ptrdiff_t k = 0; k < kept; ++k) {
      const auto piece = kept == pieces ? k : k * (pieces - 1) / (kept - 1);
      add(0.5 * ((piece == 0 ? -reach : zero[piece - 1]) + (piece == pieces - 1 ? reach : zero[piece])));
    }
  }
  std::sort(point, point + n, [](const Point& a, const Point& b) { return a.at < b.at; });
  for (int k = 0; k < n; ++k) {
    while (zero != last && *zero <= point[k].at) {
      point[k].after_zero = true;
      ++zero;
    }
  }
  n_points_[at(level)] = n;
}

void ModeScan::evaluate(const family::Family& family, const Line& line) {
  const int n = n_rows_;
  for (int j = 0; j < n; ++j) eta_[at(j)] = base_[at(j)] + at_[at(level_[at(j)])] * own_slope_[at(j)];
  family::RowDerivatives out;
  out.value = value_.data();
  out.eta[0] = d1_.data();
  out.eta[1] = d2_.data();
  family.derivatives(family::Order::step, {n, eta_.data(), data_}, out);
  for (int i = 0; i < line.n_levels; ++i) {
    f_[at(i)] = -0.5 * at_[at(i)] * at_[at(i)];
    slope_[at(i)] = -at_[at(i)];
    information_[at(i)] = 1.0;
  }
  for (int j = 0; j < n; ++j) {
    const auto i = at(level_[at(j)]);
    f_[i] += value_[at(j)];
    slope_[i] += d1_[at(j)] * own_slope_[at(j)];
    information_[i] -= d2_[at(j)] * own_slope_[at(j)] * own_slope_[at(j)];
  }
}

void ModeScan::list_peaks(int level) {
  const Point* point = points(level);
  const int n = n_points_[at(level)];
  int count = 0;
  double *peaks = peaks_.data() + index(level, 0), *promise = promises_.data() + index(level, 0);
  for (int k = 0; k < n; ++k) {
    const Point& own = point[k];
    if (!std::isfinite(own.f) || !std::isfinite(own.slope)) continue;
    // f rises towards a neighbour that is no higher: between the two it has a peak, whichever way the neighbour slopes.
    bool is_peak = false;
    if (own.slope > 0.0)
      is_peak = k + 1 == n || point[k + 1].after_zero || !(point[k + 1].f > own.f);
    else
      is_peak = k == 0 || own.after_zero || !(point[k - 1].f >= own.f);
    if (!is_peak) continue;
    double value = own.f + (own.information > 0.0 ? 0.5 * own.slope * own.slope / own.information : 0.0);
    double v = own.at;
    for (int r = 0; r < most_peaks; ++r) {
      if (r < count && promise[r] >= value) continue;
      if (r >= count) {
        promise[r] = value;
        peaks[r] = v;
        ++count;
        break;
      }
      std::swap(promise[r], value);
      std::swap(peaks[r], v);
    }
  }
  std::fill(peaks + count, peaks + most_peaks, nan);
}

void ModeScan::climb(const family::Family& family, const Line& line) {
  for (int i = 0; i < line.n_levels; ++i) {
    best_[at(i)] = line.effect[i];
    gain_[at(i)] = 0.0;
  }
  for (int r = 0; r < most_climbs; ++r) {
    int moving = 0;
    for (int i = 0; i < line.n_levels; ++i) {
      Climb& climb = climbs_[at(i)];
      climb = {line.effect[i], minus_infinity, 0.0, 0, false, true};
      const double peak = peaks_[index(i, r)];
      if (std::isnan(peak) || peak == line.effect[i]) continue;
      climb.at = peak;
      climb.done = false;
      ++moving;
    }
    if (moving == 0) continue;
    take_rows(line, [&](int i) { return !climbs_[at(i)].done; });
    for (int iteration = 0; moving > 0 && iteration < most_steps; ++iteration) {
      for (int i = 0; i < line.n_levels; ++i) {
        const Climb& climb = climbs_[at(i)];
        at_[at(i)] = climb.done ? climb.at : climb.at + climb.step;
      }
      evaluate(family, line);
      for (int i = 0; i < line.n_levels; ++i) {
        Climb& climb = climbs_[at(i)];
        if (climb.done) continue;
        if (climb.started && !(f_[at(i)] >= climb.f)) {
          climb.step *= 0.5;
          climb.done = ++climb.halvings > most_halvings;
        } else {
          climb.at = at_[at(i)];
          climb.f = f_[at(i)];
          climb.started = true;
          const double slope = slope_[at(i)], information = information_[at(i)];
          // Where f is convex its prior alone bounds the step.
          climb.step = slope / (information > 0.0 ? information : std::max(1.0, std::fabs(information)));
          climb.done = !std::isfinite(climb.step) || slope * climb.step < close_enough;
          const double gain = climb.f - present_[at(i)];
          if (gain > gain_[at(i)]) {
            gain_[at(i)] = gain;
            best_[at(i)] = climb.at;
          }
        }
        if (climb.done) --moving;
      }
    }
  }
}

}  // namespace multilevel::likelihood
