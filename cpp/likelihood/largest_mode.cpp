#include "likelihood/largest_mode.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linear_algebra/small_factor.hpp"
#include "linear_algebra/small_spectrum.hpp"
#include "numeric/directions.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

namespace small = linear_algebra::small;

constexpr double infinity = std::numeric_limits<double>::infinity(), minus_infinity = -infinity;
constexpr int least_batch_rows = 1024;  // rows x points of one call of the family, about
constexpr int most_batch = 16, most_shells = 8;
constexpr double first_shell = 1.5, next_shell = 1.3, back = 0.4;
constexpr double least_progress = 1.02, least_curvature = 1e-9;
constexpr double safe = 0.98;  // of a radius, for rounding
constexpr int most_steps = 100, most_shortenings = 40, most_shifts = 60;
constexpr int most_rounds = 3;
constexpr double settled = 0.05;  // how far the limit over the concave coordinates may be above f
constexpr double near_by = 0.5;   // of eta
constexpr double least_shift = 1e-3;
constexpr double mode_decrement = 1e-12;
constexpr double concave_enough = -0.5;  // the most that f curves along a coordinate that is not searched

double dot(int q, const double* x, const double* y) {
  double sum = 0.0;
  for (int a = 0; a < q; ++a) sum += x[a] * y[a];
  return sum;
}
double norm(int q, const double* x) { return std::sqrt(dot(q, x, x)); }

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

LargestMode::LargestMode(const family::Family& family, int most_rows, int q)
    : family_(family),
      q_(q),
      batch_(1),
      downwards_(at(most_rows) + 8),
      eta_(at(std::max(most_rows, least_batch_rows)) + 8),
      response_(eta_),
      second_(eta_),
      weight_(eta_),
      value_(eta_),
      d1_(eta_),
      d2_(eta_),
      third_(downwards_) {}

void LargestMode::set(const Cluster& cluster) {
  cluster_ = cluster;
  copies_ = 0;
  known_ = false;
  batch_ = std::clamp(least_batch_rows / std::max(1, cluster.n), 1, most_batch);
  highest_ = numeric::sum(cluster.n, cluster.bounds.value);
  convex_ = products(cluster.bounds.second, 0.0, 1.0);
  int n_downwards = 0;
  for (int j = 0; j < cluster.n; ++j) {
    const bool down = cluster.bounds.second[j] == 0.0;
    downwards_[at(j)] = down ? 1.0 : 0.0;
    n_downwards += down;
  }
  caps_ = n_downwards > 0 && n_downwards < cluster.n;
  highest_others_ = highest_ - numeric::dot(cluster.n, cluster.bounds.value, downwards_.data());
  axes_ = {};
  for (int a = 0; a < q_; ++a) {
    axes_[at(a * (q_ + 1))] = 1.0;
    curves_[at(a)] = convex_[at(a * (q_ + 1))] - 1.0;
  }
  n_concave_ = 0;
}

/// Takes the coordinates in which the bounded curvature is diagonal.
void LargestMode::turn() {
  if (q_ == 1) return;
  Matrix own = convex_;
  small::diagonalize(q_, own.data(), axes_.data());
  for (int a = 0; a < q_; ++a) {
    turned_[at(a)].assign(at(cluster_.n), 0.0);
    for (int b = 0; b < q_; ++b)
      numeric::add_multiple(cluster_.n, axes_[at(b + a * q_)], cluster_.x[at(b)], turned_[at(a)].data());
  }
  for (int a = 0; a < q_; ++a) {
    cluster_.x[at(a)] = turned_[at(a)].data();
    curves_[at(a)] = own[at(a * (q_ + 1))] - 1.0;
    n_concave_ += a == n_concave_ && a < q_ - 1 && curves_[at(a)] < concave_enough;
  }
  convex_ = {};
  for (int a = 0; a < q_; ++a) convex_[at(a * (q_ + 1))] = curves_[at(a)] + 1.0;
}

/// The last block of a q x q matrix: that of the coordinates that are searched.
LargestMode::Matrix LargestMode::searched(const Matrix& all) const {
  const int d = q_ - n_concave_;
  Matrix own{};
  for (int a = 0; a < d; ++a)
    for (int b = 0; b < d; ++b) own[at(a + b * d)] = all[at(n_concave_ + a + (n_concave_ + b) * q_)];
  return own;
}

/// Of the coordinates that are searched, from zero.
double LargestMode::distance(const Vector& v) const { return norm(q_ - n_concave_, v.data() + n_concave_); }

/// diagonal I + sign X' diag(weight) X.
LargestMode::Matrix LargestMode::products(const double* weight, double diagonal, double sign) const {
  Matrix r{};
  for (int a = 0; a < q_; ++a)
    for (int b = 0; b <= a; ++b) {
      const double own = sign * numeric::dot(cluster_.n, cluster_.x[at(a)], cluster_.x[at(b)], weight);
      r[at(a + b * q_)] = r[at(b + a * q_)] = own + (a == b ? diagonal : 0.0);
    }
  return r;
}

void LargestMode::copy_rows(int copies) {
  const int n = cluster_.n;
  const family::Observations& own = cluster_.data;
  if (copies_ == 0) {
    data_ = {response_.data(), own.second ? second_.data() : nullptr, weight_.data(), own.phi};
    for (int r = 0; r < family::max_phi; ++r)
      if (own.phi.step[r]) {
        phi_[r].resize(eta_.size());
        data_.phi.value[r] = phi_[r].data();
      }
  }
  for (; copies_ < copies; ++copies_) {
    const int to = copies_ * n;
    std::copy_n(own.response, n, response_.data() + to);
    if (own.second) std::copy_n(own.second, n, second_.data() + to);
    std::copy_n(own.weight, n, weight_.data() + to);
    for (int r = 0; r < family::max_phi; ++r)
      if (own.phi.step[r]) std::copy_n(own.phi.value[r], n, phi_[r].data() + to);
  }
}

/// f and its gradient at `m` points; minus infinity where there is none.
void LargestMode::evaluate(Point* points, int m) {
  const int n = cluster_.n;
  for (int first = 0; first < m; first += batch_) {
    const int own = std::min(batch_, m - first);
    copy_rows(own);
    for (int k = 0; k < own; ++k) {
      double* eta = eta_.data() + k * n;
      std::copy_n(cluster_.fixed_eta, n, eta);
      for (int a = 0; a < q_; ++a) numeric::add_multiple(n, points[first + k].at[at(a)], cluster_.x[at(a)], eta);
    }
    family::RowDerivatives out;
    out.value = value_.data();
    out.eta[0] = d1_.data();
    out.eta[1] = d2_.data();
    family_.derivatives(family::Order::step, {own * n, eta_.data(), data_}, out);
    for (int k = 0; k < own; ++k) {
      Point& point = points[first + k];
      point.f = numeric::sum(n, value_.data() + k * n) - 0.5 * dot(q_, point.at.data(), point.at.data());
      if (!std::isfinite(point.f)) point.f = minus_infinity;
      for (int a = 0; a < q_; ++a)
        point.gradient[at(a)] = numeric::dot(n, cluster_.x[at(a)], d1_.data() + k * n) - point.at[at(a)];
      point.most = point.f;
      point.to_most = {};
      for (int a = 0; a < n_concave_; ++a) {
        const double* x = cluster_.x[at(a)];
        point.most -= 0.5 * point.gradient[at(a)] * point.gradient[at(a)] / curves_[at(a)];
        point.to_most[at(a)] = point.gradient[at(a)] / (1.0 - numeric::dot(n, x, x, d2_.data() + k * n));
      }
      if (caps_) cap(point, value_.data() + k * n, d1_.data() + k * n);
    }
  }
}

void LargestMode::cap(Point& point, const double* value, const double* d1) const {
  const int n = cluster_.n;
  point.capped =
      highest_others_ + numeric::dot(n, value, downwards_.data()) - 0.5 * dot(q_, point.at.data(), point.at.data());
  for (int a = 0; a < q_; ++a) {
    const double slope = numeric::dot(n, cluster_.x[at(a)], d1, downwards_.data()) - point.at[at(a)];
    point.capped_gradient[at(a)] = slope;
    if (a < n_concave_) point.capped += 0.5 * slope * slope;
  }
}

/// Evaluates points, and moves their concave coordinates towards where f is largest along them: that makes the limits
/// closer. Returns how many evaluations it took.
int LargestMode::evaluate_settled(Point* points, int m) {
  evaluate(points, m);
  int used = m;
  Point moved[numeric::most_directions];
  int from[numeric::most_directions];
  for (int round = 0; n_concave_ > 0 && round < most_rounds; ++round) {
    int n = 0;
    for (int k = 0; k < m; ++k) {
      if (!(points[k].most > points[k].f + settled)) continue;
      moved[n] = points[k];
      for (int a = 0; a < n_concave_; ++a) moved[n].at[at(a)] += points[k].to_most[at(a)];
      from[n++] = k;
    }
    if (n == 0) break;
    evaluate(moved, n);
    used += n;
    for (int k = 0; k < n; ++k)
      if (moved[k].most < points[from[k]].most) points[from[k]] = moved[k];
  }
  return used;
}

/// Newton's method; afterwards d2_ holds the rows' second derivatives. False where it has not come to a mode.
bool LargestMode::climb(Point& point) {
  evaluate(&point, 1);
  for (int iteration = 0; iteration < most_steps && std::isfinite(point.f); ++iteration) {
    const Matrix H = products(d2_.data(), 1.0, -1.0);
    double shift = 0.0;
    bool concave = true;
    Vector step = point.gradient;
    for (int k = 0;; ++k) {
      Matrix L = H;
      for (int a = 0; a < q_; ++a) L[at(a * (q_ + 1))] += shift;
      if (small::cholesky(q_, L.data())) {
        small::forward(q_, L.data(), step.data());
        small::backward(q_, L.data(), step.data());
        break;
      }
      if (k == most_shifts) return false;
      concave = false;
      shift =
          shift == 0.0 ? least_shift * std::fmax(1.0, std::fabs(small::largest_eigenvalue(q_, H.data()))) : 2.0 * shift;
    }
    const double decrement = dot(q_, point.gradient.data(), step.data());
    if (!std::isfinite(decrement)) return false;
    if (decrement < mode_decrement) return concave;
    Point next = point;
    double factor = 1.0;
    for (int k = 0;; ++k, factor *= 0.5) {
      if (k == most_shortenings) return false;
      for (int a = 0; a < q_; ++a) next.at[at(a)] = point.at[at(a)] + factor * step[at(a)];
      evaluate(&next, 1);
      if (next.f >= point.f - 1e-13 * (1.0 + std::fabs(point.f))) break;
    }
    point = next;
  }
  return false;
}

/// False where v is no mode.
bool LargestMode::make_peak(const Vector& v, double f, const double* d2, Peak& peak) {
  const int first = n_concave_, d = q_ - first;
  peak.at = v;
  peak.f = f;
  peak.L = products(d2, 1.0, -1.0);
  if (!std::isfinite(f) || !small::cholesky(q_, peak.L.data())) return false;
  const Matrix S = searched(peak.L);
  Matrix product{}, C{};
  for (int a = 0; a < d; ++a) {
    C[at(a * (d + 1))] = curves_[at(first + a)];
    for (int b = 0; b < d; ++b)
      for (int k = 0; k <= std::min(a, b); ++k) product[at(a + b * d)] += S[at(a + k * d)] * S[at(b + k * d)];
  }
  peak.stretch = small::largest_eigenvalue(d, product.data());
  small::whiten(d, S.data(), C.data());
  peak.curvature = small::largest_eigenvalue(d, C.data());
  peak.proved = false;
  peak.radius = ball(peak, cluster_.bounds.third, infinity);
  const int n = cluster_.n;
  std::copy_n(cluster_.fixed_eta, n, eta_.data());
  for (int a = 0; a < q_; ++a) numeric::add_multiple(n, v[at(a)], cluster_.x[at(a)], eta_.data());
  if (family_.third_near({n, eta_.data(), cluster_.data}, near_by, third_.data()))
    peak.radius = std::fmax(peak.radius, ball(peak, third_.data(), near_by));
  return true;
}

/// The radius within which f is below its value at a mode, by bounds of third derivatives that hold where no eta moves
/// by more than `near`.
double LargestMode::ball(const Peak& peak, const double* third, double near) const {
  const int first = n_concave_, d = q_ - first;
  // With the concave coordinates where H has them largest, f <= f(mode) - r^2 / 2 + T r^3 / 6 in every direction that
  // y_j' is a part of. Its slope along the concave ones is at most G r^2 / 2 then, in units of the root of the
  // curvature there, and f is not larger anywhere else along them by more than half of that squared.
  Matrix T{}, G{};
  double longest = 0.0;
  for (int j = 0; j < cluster_.n; ++j) {
    Vector y;
    double concave = 0.0;
    for (int a = 0; a < q_; ++a) y[at(a)] = cluster_.x[at(a)][j];
    for (int a = 0; a < first; ++a) concave -= y[at(a)] * y[at(a)] / curves_[at(a)];
    small::forward(q_, peak.L.data(), y.data());
    const double* own = y.data() + first;
    const double length = norm(d, own), size = third[j] * length, slope = third[j] * std::sqrt(concave);
    if (!(length > 0.0)) continue;
    if (!std::isfinite(size) || !std::isfinite(slope)) return 0.0;
    longest = std::fmax(longest, length);
    for (int a = 0; a < d; ++a)
      for (int b = 0; b < d; ++b) {
        T[at(a + b * d)] += size * own[a] * own[b];
        G[at(a + b * d)] += slope * own[a] * own[b];
      }
  }
  const double t = small::largest_eigenvalue(d, T.data()) / 3.0,
               g = first > 0 ? small::largest_eigenvalue(d, G.data()) : 0.0;
  return safe * std::fmin(2.0 / (t + std::sqrt(t * t + g * g)), near / longest);
}

/// No v further out than this can make f as large as that.
double LargestMode::reach(double f) const { return std::sqrt(2.0 * std::fmax(0.0, highest_ - f)); }

bool LargestMode::is_largest(const double* v, double value, const double* d2) {
  Matrix K{};
  for (int k = 0; k < q_ * q_; ++k) K[at(k)] = -convex_[at(k)];
  for (int a = 0; a < q_; ++a) K[at(a * (q_ + 1))] += 1.0;
  if (small::cholesky(q_, K.data())) return true;  // f is concave
  if (!std::isfinite(highest_)) return false;
  turn();
  Vector mode{};
  for (int a = 0; a < q_; ++a)
    for (int b = 0; b < q_; ++b) mode[at(a)] += axes_[at(b + a * q_)] * v[b];
  known_ = make_peak(mode, value, d2, peak_);
  return known_ && within_shells(peak_);
}

/// Excludes shell after shell around a mode: each point p excludes, of the cone around its direction, the radii where
/// the parabola from f(p) along the cone's least favourable line is below the mode. The radius grows as far as that
/// goes.
bool LargestMode::within_shells(Peak& peak) {
  const double c = std::fmax(peak.curvature, least_curvature);
  const int d = q_ - n_concave_;
  const double most_v = reach(peak.f) + distance(peak.at);  // of a step that can lead to more
  const Matrix S = searched(peak.L);
  Matrix inverse{};
  small::inverse_from_factor(d, S.data(), inverse.data(), d);
  const double least_length = 1.0 / std::sqrt(peak.stretch),
               most_length = std::sqrt(small::largest_eigenvalue(d, inverse.data()));
  double& covered = peak.radius;
  double r = first_shell * covered;
  for (int shell = 0; shell < most_shells; ++shell) {
    // Further out what a point excludes is a narrower cone.
    const numeric::Directions& all = numeric::directions(d, shell > 0);
    const double sine = std::sqrt(1.0 - all.cosine * all.cosine);
    Point points[numeric::most_directions];
    const double* ways[numeric::most_directions];
    int n = 0;
    for (int k = 0; k < all.n; ++k) {
      Vector s{};
      std::copy_n(all.at[k], d, s.begin() + n_concave_);
      small::backward(q_, peak.L.data(), s.data());
      // How long steps in the cone are at least, for each unit of r.
      const double length = std::fmax(least_length, all.cosine * distance(s) - sine * most_length);
      if (covered * length >= most_v) continue;
      for (int a = 0; a < q_; ++a) points[n].at[at(a)] = peak.at[at(a)] + r * s[at(a)];
      ways[n++] = all.at[k];
    }
    if (n == 0) return peak.proved = true;
    evaluate_settled(points, n);
    double first = 0.0, last = infinity;
    // The largest slope in a cone, given the gradient in the coordinates of the shells and its part along the axis.
    const auto most_in_cone = [&](const Vector& g, double along) {
      const double size = norm(d, g.data()), across = std::sqrt(std::fmax(0.0, size * size - along * along));
      return along >= size * all.cosine ? size : along * all.cosine + across * sine;
    };
    // Whether f with capped rows excludes all of a cone from a radius on.
    const auto falls_for_ever = [&](const Point& point, const double* way, double from) {
      Vector g{};
      std::copy_n(point.capped_gradient.begin() + n_concave_, d, g.begin());
      small::forward(d, S.data(), g.data());
      const double along = dot(d, g.data(), way), most = most_in_cone(g, along);
      return most < 0.0 && point.capped - peak.f - r * along + most * from < 0.0;
    };
    for (int k = 0; k < n; ++k) {
      if (!std::isfinite(points[k].f)) return false;
      Vector g{};
      std::copy_n(points[k].gradient.begin() + n_concave_, d, g.begin());
      small::forward(d, S.data(), g.data());
      const double along = dot(d, g.data(), ways[k]), most = most_in_cone(g, along);
      const double A = 0.5 * c, B = most - c * r * all.cosine,
                   C = points[k].most - peak.f - r * along + 0.5 * c * r * r;
      const double square = B * B - 4.0 * A * C;
      if (!(square > 0.0)) {
        first = infinity;
        break;
      }
      const double root = std::sqrt(square), sum = B < 0.0 ? root - B : -root - B;  // without cancellation
      first = std::fmax(first, B < 0.0 ? 2.0 * C / sum : sum / (2.0 * A));
      const double end = safe * (B < 0.0 ? sum / (2.0 * A) : 2.0 * C / sum);
      if (!caps_ || !falls_for_ever(points[k], ways[k], end)) last = std::fmin(last, end);
    }
    if (first <= covered * safe) {
      if (!(last > least_progress * covered)) return false;
      covered = last;
      r = next_shell * covered;
    } else {
      if (r < least_progress * covered) return false;
      r = covered + back * (r - covered);
    }
  }
  return false;
}

/// Climbs from a point and takes the mode where it is better.
void LargestMode::try_for_better(const Point& from, Peak& best) {
  Point point = from;
  Peak found;
  if (!climb(point) || !make_peak(point.at, point.f, d2_.data(), found)) return;
  if (std::isfinite(best.f)) met_another_ = true;
  if (!(found.f > best.f)) return;
  best = found;
  within_shells(best);
}

bool LargestMode::find(double* v, double& value) {
  met_another_ = false;
  if (!known_) {
    peak_ = {};
    peak_.f = minus_infinity;
  }
  const bool proved = search_boxes(peak_);
  value = peak_.f;
  if (std::isfinite(value))
    for (int b = 0; b < q_; ++b) {
      v[b] = 0.0;
      for (int a = 0; a < q_; ++a) v[b] += axes_[at(b + a * q_)] * peak_.at[at(a)];
    }
  return proved;
}

}  // namespace multilevel::likelihood
