#include "numeric/reduced_product.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>

namespace multilevel::numeric {

namespace {

constexpr double tie = 1e-9;

/// Every ascending list of `dimension` numbers below `values`.
template <class Visitor>
void multisets(int values, int dimension, Visitor visit) {
  std::vector<int> list(static_cast<std::size_t>(dimension), 0);
  while (true) {
    visit(list);
    auto last = list.rbegin();
    while (last != list.rend() && *last == values - 1) ++last;
    if (last == list.rend()) return;
    const int next = *last + 1;
    std::fill(list.rbegin(), last, next);
    *last = next;
  }
}

double arrangements(const std::vector<int>& list) {
  double n = 1.0, run = 0.0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    run = i > 0 && list[i] == list[i - 1] ? run + 1.0 : 1.0;
    n *= static_cast<double>(i + 1) / run;
  }
  return std::round(n);
}

/// h[i](x): the orthonormal Hermite polynomials of degree 0, 2, 4, ...
std::vector<double> even_hermite(double x, int count) {
  std::vector<double> h{1.0};
  double before = 1.0, now = x;
  for (int degree = 2; static_cast<int>(h.size()) < count; ++degree) {
    const double next = (x * now - std::sqrt(degree - 1.0) * before) / std::sqrt(static_cast<double>(degree));
    before = now;
    now = next;
    if (degree % 2 == 0) h.push_back(now);
  }
  return h;
}

std::vector<Orbit> all_orbits(const std::vector<double>& value, const std::vector<double>& weight, int dimension) {
  std::vector<Orbit> orbits;
  multisets(static_cast<int>(value.size()), dimension, [&](const std::vector<int>& places) {
    double size = arrangements(places), total = size;
    for (const int i : places) {
      total *= weight[static_cast<std::size_t>(i)];
      if (value[static_cast<std::size_t>(i)] > 0.0) size *= 2.0;
    }
    orbits.push_back({places, static_cast<std::int64_t>(size), total});
  });
  return orbits;
}

/// The symmetric polynomials of high degree at the orbits, times sqrt(W): an orthonormal basis of the free directions.
Eigen::MatrixXd free_directions(const std::vector<Orbit>& orbits, const std::vector<double>& value, int points,
                                int dimension) {
  const int values = static_cast<int>(value.size());
  const auto n = static_cast<Eigen::Index>(orbits.size());
  std::vector<std::vector<double>> h;
  for (const double x : value) h.push_back(even_hermite(x, values));
  Eigen::MatrixXd basis = Eigen::MatrixXd::Zero(n, n);
  Eigen::Index n_free = 0;
  multisets(values, dimension, [&](std::vector<int> p) {
    if (std::accumulate(p.begin(), p.end(), 0) <= points) return;
    auto column = basis.col(n_free++);
    const double norm = arrangements(p);
    do {
      for (Eigen::Index o = 0; o < n; ++o) {
        const auto& places = orbits[static_cast<std::size_t>(o)].places;
        double product = 1.0;
        for (std::size_t i = 0; i < p.size(); ++i)
          product *= h[static_cast<std::size_t>(places[i])][static_cast<std::size_t>(p[i])];
        column[o] += product;
      }
    } while (std::next_permutation(p.begin(), p.end()));
    for (Eigen::Index o = 0; o < n; ++o) column[o] *= std::sqrt(orbits[static_cast<std::size_t>(o)].weight / norm);
  });
  basis.conservativeResize(Eigen::NoChange, n_free);
  return basis;
}

struct Loss {
  Eigen::Index orbit = -1;
  double step = 0.0;
};

/// The first orbit to lose all its weight in this direction; of several, the largest.
Loss first_loss(const std::vector<Orbit>& orbits, const std::vector<bool>& left_out, const Eigen::VectorXd& s,
                const Eigen::VectorXd& direction) {
  const double least = -1e-12 * direction.cwiseAbs().maxCoeff();
  Loss found;
  for (Eigen::Index o = 0; o < s.size(); ++o) {
    if (left_out[static_cast<std::size_t>(o)] || direction[o] >= least) continue;
    const double own = std::max(0.0, s[o] / -direction[o]);
    const bool tied = found.orbit >= 0 && std::fabs(own - found.step) <= tie * found.step;
    if (found.orbit < 0 ||
        (tied ? orbits[static_cast<std::size_t>(o)].size > orbits[static_cast<std::size_t>(found.orbit)].size
              : own < found.step))
      found = {o, own};
  }
  return found;
}

/// Turns the basis so that only its last column moves this orbit, and drops that column.
void hold(Eigen::Index orbit, Eigen::MatrixXd& basis) {
  Eigen::VectorXd mirror = basis.row(orbit).transpose();
  const Eigen::Index last = mirror.size() - 1;
  mirror[last] += std::copysign(mirror.norm(), mirror[last]);
  if (mirror.norm() > 0.0) basis -= (basis * mirror) * mirror.transpose() * (2.0 / mirror.squaredNorm());
  basis.conservativeResize(Eigen::NoChange, last);
  basis.row(orbit).setZero();
}

}  // namespace

std::vector<Orbit> reduced_product(const std::vector<double>& value, const std::vector<double>& weight, int points,
                                   int dimension) {
  std::vector<Orbit> orbits = all_orbits(value, weight, dimension);
  Eigen::MatrixXd basis = free_directions(orbits, value, points, dimension);
  // s = sqrt(W) * relative weight. The cost of an orbit is its number of nodes, a little more where its weight was
  // small.
  const auto n = static_cast<Eigen::Index>(orbits.size());
  Eigen::VectorXd s(n), cost(n);
  for (Eigen::Index o = 0; o < n; ++o) {
    const Orbit& orbit = orbits[static_cast<std::size_t>(o)];
    s[o] = std::sqrt(orbit.weight);
    cost[o] = static_cast<double>(orbit.size) * std::pow(orbit.weight, -0.1);
  }
  std::vector<bool> left_out(static_cast<std::size_t>(n), false);
  while (basis.cols() > 0) {
    Eigen::VectorXd direction = -basis * (basis.transpose() * cost);
    if (direction.norm() < tie * cost.norm()) direction = -basis.col(0) * (basis.col(0).sum() < 0.0 ? -1.0 : 1.0);
    const Loss loss = first_loss(orbits, left_out, s, direction);
    if (loss.orbit < 0) break;
    s += loss.step * direction;
    s[loss.orbit] = cost[loss.orbit] = 0.0;
    left_out[static_cast<std::size_t>(loss.orbit)] = true;
    hold(loss.orbit, basis);
  }
  for (Eigen::Index o = 0; o < n; ++o) {
    Orbit& orbit = orbits[static_cast<std::size_t>(o)];
    const double kept = std::sqrt(orbit.weight);
    orbit.weight = s[o] > tie * kept ? s[o] * kept : 0.0;
  }
  return orbits;
}

}  // namespace multilevel::numeric
