#include "profile/profile.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "fit/fit.hpp"
#include "likelihood/linear/all_parameters.hpp"
#include "numeric/parallel.hpp"
#include "search/scaled_information.hpp"

namespace multilevel::profile {

namespace {

std::unique_ptr<likelihood::Objective> objective_of_all(const model::Model& model, const model::Response& response,
                                                        const ProfileOptions& options, int threads,
                                                        const likelihood::Monitor& monitor) {
  if (model.is_linear() && model.q() > 0)
    return std::make_unique<likelihood::AllParametersObjective>(model, response, threads, monitor, options.most_bytes);
  return fit::make_objective(model, response, options.n_quadrature, threads, monitor, likelihood::Derivatives::hessian,
                             options.most_bytes);
}

/// How far each parameter may go: its standard error, where there is one.
Eigen::VectorXd errors_of(const Eigen::MatrixXd& hessian) {
  const auto P = hessian.rows();
  const search::ScaledInformation information(hessian, std::vector<bool>(static_cast<std::size_t>(P), true));
  const Eigen::MatrixXd covariance = information.inverse(static_cast<int>(P));
  Eigen::VectorXd errors(P);
  for (Eigen::Index k = 0; k < P; ++k) {
    const double own = covariance(k, k), alone = std::fabs(hessian(k, k));
    errors[k] = own > 0.0 && std::isfinite(own) ? std::sqrt(own) : alone > 0.0 ? 1.0 / std::sqrt(alone) : 1.0;
  }
  return errors;
}

Profile joined(Side lower, Side upper, const CurvePoint& summit, const model::UserScale& scale) {
  Profile profile;
  std::vector<std::pair<const CurvePoint*, double>> points{{&summit, 0.0}};
  for (const auto& point : lower.points) points.emplace_back(&point, -1.0);
  for (const auto& point : upper.points) points.emplace_back(&point, 1.0);
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.first->value < b.first->value; });
  const auto n = static_cast<Eigen::Index>(points.size());
  profile.values.resize(n);
  profile.zeta.resize(n);
  profile.slopes.resize(n);
  profile.psi.resize(n, summit.psi.size());
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto& [point, sign] = points[static_cast<std::size_t>(i)];
    profile.values[i] = point->value;
    profile.zeta[i] = sign * point->fall;
    profile.slopes[i] = point->slope;
    profile.psi.row(i) = scale.outward(point->psi).transpose();
  }
  profile.limits[0] = lower.limit;
  profile.limits[1] = upper.limit;
  profile.ends[0] = lower.end;
  profile.ends[1] = upper.end;
  return profile;
}

}  // namespace

ProfileRecord profile(const model::Model& model, const model::Response& response, const Eigen::VectorXd& psi,
                      const std::vector<Eigen::VectorXd>& others, const std::vector<Quantity>& quantities,
                      const ProfileOptions& options, const likelihood::Monitor& monitor) {
  const auto scale = model.user_scale(response);
  ProfileRecord record;
  Summit summit;
  summit.psi = scale.inward(psi);
  for (const auto& other : others) summit.others.push_back(scale.inward(other));
  summit.modes.assign(static_cast<std::size_t>(model.n_modes()), 0.0);
  {
    const auto objective = objective_of_all(model, response, options, options.threads, monitor);
    likelihood::Sums sums;
    if (!objective->evaluate(summit.psi, summit.modes, sums)) return record;
    if (!objective->hessian_has_digits(sums) && !objective->differentiate(summit.psi, summit.modes, sums))
      return record;
    summit.value = record.value = record.most = sums.value;
    summit.hessian = sums.hessian;
    summit.errors = errors_of(sums.hessian);
  }
  record.measured = true;

  const int tasks = 2 * static_cast<int>(quantities.size());
  const int at_once = std::max(1, std::min(options.threads, tasks)), each = std::max(1, options.threads / at_once);
  std::atomic<bool> stopped{false};
  likelihood::Monitor quiet;
  quiet.keep_going = [&] { return !stopped.load(std::memory_order_relaxed); };
  std::vector<Side> sides(static_cast<std::size_t>(tasks));
  const bool finished = numeric::parallel_for(
      tasks, at_once,
      [&](int task, int worker) {
        // The first worker may ask the caller, the others are told.
        likelihood::Monitor asking;
        asking.keep_going = [&] {
          if (monitor.keep_going && !monitor.keep_going()) stopped = true;
          return !stopped;
        };
        const likelihood::Monitor& own = worker == 0 ? asking : quiet;
        const auto objective = objective_of_all(model, response, options, each, own);
        sides[static_cast<std::size_t>(task)] =
            climb_down(*objective, response, scale, summit, quantities[static_cast<std::size_t>(task / 2)],
                       task % 2 == 0 ? -1 : 1, options.cutoff, options.steps, own);
      },
      monitor.keep_going);
  if (!finished) throw likelihood::Interrupted{};
  for (std::size_t k = 0; k < quantities.size(); ++k) {
    for (const Side& side : {sides[2 * k], sides[2 * k + 1]}) record.most = std::max(record.most, side.most);
    CurvePoint top;
    top.psi = summit.psi;
    top.value = quantities[k].at(psi, Order::value).value;
    top.slope = std::numeric_limits<double>::quiet_NaN();
    record.profiles.push_back(joined(std::move(sides[2 * k]), std::move(sides[2 * k + 1]), top, scale));
  }
  return record;
}

}  // namespace multilevel::profile
