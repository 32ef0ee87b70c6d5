#include "fit/contributions.hpp"

#include "fit/fit.hpp"
#include "likelihood/contributions.hpp"
#include "linear_algebra/dense.hpp"

namespace multilevel::fit {

namespace {

std::vector<Eigen::MatrixXd> by_factor(const model::Model& model, const std::vector<double>& values, bool square) {
  std::vector<Eigen::MatrixXd> result;
  for (const auto& factor : model.factors()) {
    if (factor.q == 0) continue;  // the sets of choices
    const int size = square ? factor.q * factor.q : factor.q;
    const auto first = square ? factor.covariance_offset : factor.offset;
    result.emplace_back(Eigen::Map<const Eigen::MatrixXd>(values.data() + first, size, factor.n_levels));
  }
  return result;
}

}  // namespace

ContributionRecord contributions(const model::Model& model, const double* y, const Eigen::VectorXd& psi,
                                 const ContributionRequest& request, const likelihood::Monitor& monitor) {
  std::vector<double> constants(static_cast<std::size_t>(model.n_rows()));
  const model::Response response = model.prepare(y, request.threads, constants.data());
  const auto scale = model.user_scale(response);
  const bool grouped = !model.factors().empty();
  // Rows of one part may lie anywhere where no grouping factor makes the parts: then one thread writes.
  const auto objective =
      make_objective(model, response, model.is_exact() ? 1 : request.n_quadrature, grouped ? request.threads : 1,
                     monitor, likelihood::Derivatives::gradient, request.most_bytes);
  likelihood::Contributions parts(model, request.row_part, request.n_parts);
  const Eigen::VectorXd inside = scale.inward(psi);
  const double* theta = inside.data() + model.p();
  const model::Layout& layout = objective->layout();
  parts.with_moments = request.moments && grouped;
  if (parts.with_moments) parts.to_user = linear_algebra::times(model.random_basis(response), layout.lambda(theta));
  objective->contribute_to(&parts);
  std::vector<double> modes(static_cast<std::size_t>(model.n_modes()), 0.0);
  std::vector<double> mode_covariance(parts.with_moments ? static_cast<std::size_t>(model.n_mode_covariances()) : 0);
  likelihood::Sums sums;
  ContributionRecord record;
  const likelihood::AtLeisure leisure(*objective);
  record.good = objective->evaluate(inside, modes, sums, parts.with_moments ? mode_covariance.data() : nullptr);
  if (!record.good) return record;

  record.value = parts.value;
  for (int cluster = 0; grouped && cluster < model.n_clusters(); ++cluster)
    for (auto row = model.cluster_start(cluster); row < model.cluster_start(cluster + 1); ++row)
      record.value[parts.of_cluster(cluster)] += constants[static_cast<std::size_t>(row)];
  for (std::size_t row = 0; !grouped && row < constants.size(); ++row)
    record.value[request.row_part[row]] += constants[row];

  // From the entries of Lambda to theta, and to the user's scale: derivatives by psi are a linear map of those inside.
  const int n_beta = model.p(), n_entries = grouped ? layout.n_entries() : 0, n_theta = grouped ? model.n_theta() : 0,
            n_phi = model.n_phi();
  Eigen::MatrixXd inner(model.n_parameters(), parts.n_parts());
  inner.topRows(n_beta) = parts.gradient.topRows(n_beta);
  inner.bottomRows(n_phi) = parts.gradient.bottomRows(n_phi);
  if (n_theta > 0)
    inner.middleRows(n_beta, n_theta) =
        linear_algebra::transposed_times(layout.jacobian(theta), parts.gradient.middleRows(n_beta, n_entries));
  record.gradient = linear_algebra::transposed_times(linear_algebra::inverse(scale.matrix), inner);
  if (grouped) {
    record.leading = model.factors()[static_cast<std::size_t>(model.leading())].q > 0 ? model.leading() : 0;
    for (int level = 0; level < model.factors()[static_cast<std::size_t>(record.leading)].n_levels; ++level)
      record.level_part.push_back(parts.of_level(record.leading, level));
  }
  if (parts.with_moments) {
    record.mean = by_factor(model, parts.moments.mean, false);
    record.third = by_factor(model, parts.moments.third, false);
    record.fourth = by_factor(model, parts.moments.fourth, false);
    record.covariance = by_factor(model, parts.moments.covariance, true);
  }
  return record;
}

}  // namespace multilevel::fit
