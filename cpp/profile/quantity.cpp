#include "profile/quantity.hpp"

#include <cmath>

namespace multilevel::profile {

namespace {

/// At +-1 a correlation has no slope; so close to it the likelihood is that of the end for all purposes.
constexpr double nearly_one = 1.0 - 1e-9;

Slopes flat(Eigen::Index n) { return {0.0, Eigen::VectorXd::Zero(n), Eigen::MatrixXd::Zero(n, n)}; }

double entry(const Eigen::VectorXd& psi, int at) { return at >= 0 ? psi[at] : 0.0; }

/// Second derivatives that stand between entry a of one row and entry b of the same or another.
void add(Eigen::MatrixXd& hessian, int a, int b, double value) {
  if (a >= 0 && b >= 0) hessian(a, b) += value;
}

}  // namespace

Quantity linear(const Eigen::VectorXd& weights) {
  Quantity quantity;
  quantity.at = [weights](const Eigen::VectorXd& psi, Order) {
    return Slopes{weights.dot(psi), weights, Eigen::MatrixXd::Zero(psi.size(), psi.size())};
  };
  return quantity;
}

Quantity row_length(const std::vector<int>& row) {
  Quantity quantity;
  quantity.lower = 0.0;
  quantity.at = [row](const Eigen::VectorXd& psi, Order) {
    Slopes slopes = flat(psi.size());
    double square = 0.0;
    for (const int i : row) square += psi[i] * psi[i];
    slopes.value = std::sqrt(square);
    if (!(slopes.value > 0.0)) {
      slopes.gradient[row.back()] = 1.0;  // away from zero by the entry on the diagonal
      return slopes;
    }
    for (const int i : row) slopes.gradient[i] = psi[i] / slopes.value;
    for (const int a : row)
      for (const int b : row)
        slopes.hessian(a, b) = ((a == b ? 1.0 : 0.0) - slopes.gradient[a] * slopes.gradient[b]) / slopes.value;
    return slopes;
  };
  return quantity;
}

/// With unit rows u and v of lengths r and s, c = u'v: dc/da = (v - c u) / r, and
/// d2c/da da' = (3 c u u' - u v' - v u' - c I) / r^2, d2c/da db' = (I - v v' - u u' + c u v') / (r s).
Quantity row_cosine(const std::vector<int>& first, const std::vector<int>& second) {
  Quantity quantity;
  quantity.lower = -nearly_one;
  quantity.upper = nearly_one;
  quantity.at = [first, second](const Eigen::VectorXd& psi, Order) {
    const auto n = static_cast<Eigen::Index>(first.size());
    Slopes slopes = flat(psi.size());
    Eigen::VectorXd u(n), v(n);
    for (Eigen::Index k = 0; k < n; ++k) {
      u[k] = entry(psi, first[static_cast<std::size_t>(k)]);
      v[k] = entry(psi, second[static_cast<std::size_t>(k)]);
    }
    const double r = u.norm(), s = v.norm();
    u /= r;
    v /= s;
    const double c = slopes.value = u.dot(v);
    for (Eigen::Index k = 0; k < n; ++k) {
      const int a = first[static_cast<std::size_t>(k)], b = second[static_cast<std::size_t>(k)];
      if (a >= 0) slopes.gradient[a] += (v[k] - c * u[k]) / r;
      if (b >= 0) slopes.gradient[b] += (u[k] - c * v[k]) / s;
    }
    for (Eigen::Index k = 0; k < n; ++k)
      for (Eigen::Index m = 0; m < n; ++m) {
        const int ak = first[static_cast<std::size_t>(k)], am = first[static_cast<std::size_t>(m)];
        const int bk = second[static_cast<std::size_t>(k)], bm = second[static_cast<std::size_t>(m)];
        const double same = k == m ? 1.0 : 0.0;
        add(slopes.hessian, ak, am, (3.0 * c * u[k] * u[m] - u[k] * v[m] - v[k] * u[m] - c * same) / (r * r));
        add(slopes.hessian, bk, bm, (3.0 * c * v[k] * v[m] - v[k] * u[m] - u[k] * v[m] - c * same) / (s * s));
        const double across = (same - v[k] * v[m] - u[k] * u[m] + c * u[k] * v[m]) / (r * s);
        add(slopes.hessian, ak, bm, across);
        add(slopes.hessian, bm, ak, across);
      }
    return slopes;
  };
  return quantity;
}

}  // namespace multilevel::profile
