#include "likelihood/joint/level_contributions.hpp"

#include "likelihood/joint/moments.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Eigen::VectorXd entry_gradient(const model::Model& model, const model::Layout& layout, const LevelGradient& at) {
  Eigen::MatrixXd G = Eigen::MatrixXd::Zero(model.q(), model.q());
  subtract_level_products(model, at.products.data(), G);
  add_level_outer(model, 1.0, at.rho.data(), at.modes.data(), G);
  add_level_outer(model, 1.0, at.force.data(), at.h.data(), G);
  Eigen::VectorXd gradient(layout.n_entries());
  for (int e = 0; e < layout.n_entries(); ++e) {
    const auto& entry = layout.entries()[index(e)];
    gradient[e] = G(entry.row, entry.column);
  }
  return gradient;
}

void contribute_levels(const JointPattern& pattern, const JointPrecision& precision, const model::Layout& layout,
                       const LevelGradient& at, Contributions& to) {
  const auto& model = pattern.model();
  const auto& entries = layout.entries();
  for (std::size_t f = 0; f < model.factors().size(); ++f) {
    const auto& factor = model.factors()[f];
    const auto q = std::int64_t{factor.q};
    for (int level = 0; level < factor.n_levels; ++level) {
      const int part = to.of_level(static_cast<int>(f), level);
      const auto first = index(factor.offset + level * q);
      const double* N = at.products.data() + factor.covariance_offset + level * q * q;
      for (int e = 0; e < layout.n_entries(); ++e) {
        const int row = entries[index(e)].row - factor.first, column = entries[index(e)].column - factor.first;
        if (row < 0 || row >= factor.q) continue;
        to.gradient(model.p() + e, part) += at.rho[first + index(row)] * at.modes[first + index(column)] +
                                            at.force[first + index(row)] * at.h[first + index(column)] -
                                            N[row + column * q];
      }
      for (std::size_t a = first; a < first + index(q); ++a) to.value[part] -= 0.5 * at.modes[a] * at.modes[a];
    }
  }
  for (int cluster = 0; cluster < model.n_clusters(); ++cluster)
    to.value[to.of_cluster(cluster)] -= 0.5 * precision.log_determinant_of_cluster(cluster);
  for (int o = 0; o < pattern.n_others(); ++o) {
    const int f = pattern.others()[index(o)];
    for (int level = 0; level < model.factors()[index(f)].n_levels; ++level)
      for (int a = 0; a < pattern.other_q(o); ++a)
        to.value[to.of_level(f, level)] -= 0.5 * precision.log_determinant_of_scalar(pattern.scalar(o, level) + a);
  }
}

void contribute_moments(const model::Model& model, const LevelGradient& at, const double* mode_covariance,
                        Contributions& to) {
  Eigen::MatrixXd half;
  for (const auto& factor : model.factors()) {
    const auto q = std::int64_t{factor.q};
    const Eigen::MatrixXd M = to.to_user.block(factor.first, factor.first, factor.q, factor.q);
    for (int level = 0; level < factor.n_levels; ++level) {
      const auto first = factor.offset + level * q, square = factor.covariance_offset + level * q * q;
      const Eigen::Map<const Eigen::VectorXd> v(at.modes.data() + first, factor.q), h(at.h.data() + first, factor.q);
      const Eigen::Map<const Eigen::MatrixXd> own(mode_covariance + square, factor.q, factor.q);
      Eigen::Map<Eigen::VectorXd>(to.moments.mean.data() + first, factor.q) = Eigen::VectorXd(M.lazyProduct(v + h));
      half = M.lazyProduct(own);
      Eigen::Map<Eigen::MatrixXd>(to.moments.covariance.data() + square, factor.q, factor.q) =
          Eigen::MatrixXd(half.lazyProduct(M.transpose()));
    }
  }
}

}  // namespace multilevel::likelihood
