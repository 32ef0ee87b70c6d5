#include "estimate/newton.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric/row_sums.hpp"

namespace multilevel::estimate {

namespace {

constexpr double flat = 1e-11;               // scaled eigenvalues below it carry no information
constexpr double negative_curvature = 1e-7;  // scaled; more than rounding
constexpr double largest_beta_step = 4.0;    // on the scale of eta: columns have a root mean square near one
constexpr double eigenvalue_floor = 0.01;    // Fisher scoring shrinks a variance by at most this factor at a time
constexpr int most_shortenings = 15;
constexpr int most_stalls = 5;         // iterations in a row that gain less than a thousandth of what was predicted
constexpr double longest_fall = 15.0;  // of the logarithm of a dispersion below its start: nothing is left of it
constexpr double exact_fall = 6.0;     // the same, where no further step can be had

/// What rounding leaves of a difference of log-likelihoods.
double noise(const Sums& sums) {
  return 4.0 * std::numeric_limits<double>::epsilon() * (1.0 + sums.log_likelihood.magnitude());
}

/// Inverse with small and negative eigenvalues raised to a share of the largest.
Eigen::MatrixXd regular_inverse(const Eigen::MatrixXd& m, double floor) {
  if (m.rows() == 0) return m;
  const Eigen::VectorXd diagonal = m.diagonal().cwiseAbs();
  const Eigen::VectorXd scale = diagonal.unaryExpr([](double d) { return d > 0.0 ? 1.0 / std::sqrt(d) : 0.0; });
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(scale.asDiagonal() * m * scale.asDiagonal());
  const double largest = std::max(eigen.eigenvalues().cwiseAbs().maxCoeff(), 1e-300);
  const Eigen::VectorXd inverse =
      eigen.eigenvalues().unaryExpr([&](double e) { return 1.0 / std::max(std::fabs(e), floor * largest); });
  const Eigen::MatrixXd root = scale.asDiagonal() * eigen.eigenvectors();
  return root * inverse.asDiagonal() * root.transpose();
}

class Search {
 public:
  Search(Objective& objective, const model::Response& response, const std::vector<bool>& free,
         const NewtonOptions& options, const Monitor& monitor)
      : objective_(objective),
        model_(objective.model()),
        response_(response),
        free_(free),
        options_(options),
        monitor_(monitor),
        p_(model_.p()),
        n_theta_(objective.n_theta()),
        all_free_(std::find(free.begin(), free.end(), false) == free.end()) {}

  Optimum run(const Eigen::VectorXd& start, std::vector<double> modes) {
    best_.psi = start;
    best_.modes = std::move(modes);
    best_.step = Eigen::VectorXd::Zero(start.size());
    const auto size = best_.modes.size() * static_cast<std::size_t>(n_theta_ > 0 ? model_.q() : 0);
    best_.mode_covariance.resize(size);
    trial_covariance_.resize(size);
    if (!evaluate_start()) {
      best_.ending = Ending::no_start;
      return best_;
    }
    first_phi_ = best_.psi.tail(model_.n_phi());
    std::string how = "start";
    int stalls = 0;
    for (int iteration = 0;; ++iteration) {
      const ScaledInformation information(best_.sums.hessian, free_);
      const bool concave = information.values.size() == 0 || information.values.minCoeff() > -negative_curvature;
      Eigen::VectorXd gradient = best_.sums.gradient;
      for (std::size_t i = 0; i < free_.size(); ++i)
        if (!free_[i]) gradient[static_cast<Eigen::Index>(i)] = 0.0;
      best_.step = information.solve(gradient, !concave);
      best_.gain = 0.5 * gradient.dot(best_.step);
      best_.trace.push_back({best_.sums.value, best_.gain, how});
      if (monitor_.report) monitor_.report(iteration, best_.sums.value, best_.gain);

      const double tolerance = std::max(options_.gain_tolerance, noise(best_.sums));
      if (runs_away(iteration, concave, tolerance, information)) return best_;
      if (concave && best_.gain < tolerance) {
        best_.ending = Ending::converged;
        return best_;
      }
      if (iteration >= options_.most_iterations) {
        best_.ending = Ending::iteration_limit;
        return best_;
      }
      // Creeping along the edge of a link's domain, where the quadratic promises what is never had.
      const auto& trace = best_.trace;
      const double gained = iteration > 0 ? trace[trace.size() - 1].value - trace[trace.size() - 2].value : 1.0;
      stalls = gained < 0.1 && gained < 1e-3 * trace[trace.size() - 2].gain ? stalls + 1 : 0;
      if (stalls >= most_stalls) {
        best_.ending = dispersion_fell(exact_fall) ? Ending::exact_fit : Ending::no_increase;
        return best_;
      }
      if (concave && moderate(best_.step) && try_line(best_.step, gradient)) {
        how = "newton";
      } else if (n_theta_ > 0 && best_.gain > 1e-6 && try_fisher(gradient)) {
        how = "fisher";
      } else if (!concave && best_.gain < 1e-3 && try_curvature(information)) {
        how = "curvature";
      } else if (try_line(capped(best_.step), gradient)) {
        how = "damped";
      } else if (!concave && try_curvature(information)) {
        how = "curvature";
      } else {
        // What is left may be below what the arithmetic can show.
        best_.ending = concave && best_.gain < 1e-6 ? Ending::converged : Ending::no_increase;
        return best_;
      }
    }
  }

 private:
  /// Random effects that are too large to begin with can leave a link's domain: smaller ones do not.
  bool evaluate_start() {
    for (int i = 0; i < 8; ++i) {
      std::vector<double> modes = best_.modes;
      if (objective_.evaluate(best_.psi, modes, best_.sums, covariance(best_.mode_covariance))) {
        best_.modes = std::move(modes);
        return true;
      }
      if (n_theta_ == 0) return false;
      best_.psi.segment(p_, n_theta_) *= 0.3;
    }
    return false;
  }

  bool dispersion_fell(double fall) const {
    for (Eigen::Index r = 0; r < first_phi_.size(); ++r)
      if (best_.psi[p_ + n_theta_ + r] < first_phi_[r] - fall) return true;
    return false;
  }

  static double* covariance(std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }

  /// The maximum is at infinity. Every sign of it is measured: a step that stays long while the gain vanishes, standard
  /// errors out of all proportion to columns of unit size, a dispersion that falls without end.
  bool runs_away(int iteration, bool concave, double tolerance, const ScaledInformation& information) {
    if (dispersion_fell(longest_fall)) {
      best_.ending = Ending::exact_fit;
      return true;
    }
    if (!options_.look_for_separation || !concave) return false;
    const double beta_step = p_ > 0 ? best_.step.head(p_).cwiseAbs().maxCoeff() : 0.0;
    const bool settled = best_.gain < tolerance;
    bool suspect = iteration >= options_.patience && beta_step > 0.3;
    suspect |= best_.gain < 1e-6 && beta_step > 1e-4;
    suspect |= settled && p_ > 0 &&
               !(information.inverse(static_cast<int>(best_.psi.size())).diagonal().head(p_).maxCoeff() < 400.0);
    if (suspect && p_ > 0) {
      const double drift = best_.gain < 1e-3 || iteration >= 12 ? 0.01 : 1e-6;
      if (separates(model_, response_, best_.step.head(p_), drift) ||
          separates(model_, response_, best_.psi.head(p_), 1e-9)) {
        best_.ending = Ending::separation;
        return true;
      }
    }
    const double theta = n_theta_ > 0 ? best_.psi.segment(p_, n_theta_).cwiseAbs().maxCoeff() : 0.0;
    const double theta_step = n_theta_ > 0 ? best_.step.segment(p_, n_theta_).cwiseAbs().maxCoeff() : 0.0;
    if (settled && (beta_step > 0.1 || theta_step > 0.1 * theta + 0.01)) {
      best_.ending = Ending::divergence;
      return true;
    }
    return false;
  }

  /// Whether the quadratic may be trusted over this step: theta changes by less than half of its size.
  bool moderate(const Eigen::VectorXd& step) const {
    if (p_ > 0 && step.head(p_).cwiseAbs().maxCoeff() > largest_beta_step) return false;
    if (n_theta_ == 0) return true;
    return step.segment(p_, n_theta_).norm() <= 0.5 * best_.psi.segment(p_, n_theta_).norm() + 0.02;
  }

  Eigen::VectorXd capped(Eigen::VectorXd step) const {
    const double beta = p_ > 0 ? step.head(p_).cwiseAbs().maxCoeff() / largest_beta_step : 0.0;
    const double theta =
        n_theta_ > 0 ? step.segment(p_, n_theta_).norm() / (0.5 * best_.psi.segment(p_, n_theta_).norm() + 0.1) : 0.0;
    const auto n_phi = step.size() - p_ - n_theta_;
    const double phi = n_phi > 0 ? step.tail(n_phi).cwiseAbs().maxCoeff() / 2.0 : 0.0;
    return step / std::max({1.0, beta, theta, phi});
  }

  /// Takes the point if its log-likelihood is at least `least`; best_ changes only then.
  bool try_point(const Eigen::VectorXd& psi, double least) {
    trial_modes_ = best_.modes;
    if (!objective_.evaluate(psi, trial_modes_, trial_, covariance(trial_covariance_)) || !(trial_.value >= least))
      return false;
    take_trial(psi);
    // A better order of the coefficients is the same point in other coordinates.
    if (all_free_) {
      Eigen::VectorXd moved = psi;
      if (n_theta_ > 0 && objective_.layout().improve_order(moved.data() + p_)) {
        trial_modes_ = best_.modes;
        if (objective_.evaluate(moved, trial_modes_, trial_, covariance(trial_covariance_))) take_trial(moved);
      }
    }
    return true;
  }

  void take_trial(const Eigen::VectorXd& psi) {
    best_.psi = psi;
    std::swap(best_.modes, trial_modes_);
    std::swap(best_.mode_covariance, trial_covariance_);
    std::swap(best_.sums, trial_);
  }

  /// Backtracking: Armijo, with the quadratic through value, slope and the failed value.
  bool try_line(const Eigen::VectorXd& step, const Eigen::VectorXd& gradient) {
    const double value = best_.sums.value, slope = gradient.dot(step);
    if (!(slope > 0.0)) return false;
    double length = 1.0;
    for (int i = 0; i < most_shortenings; ++i) {
      if (try_point(best_.psi + length * step, value + 1e-4 * length * slope - noise(best_.sums))) return true;
      const double fall = slope * length - (trial_.value - value);
      double shorter = 0.5 * slope * length * length / fall;
      if (!(shorter > 0.1 * length)) shorter = 0.1 * length;
      if (!(shorter < 0.5 * length)) shorter = 0.5 * length;
      length = shorter;
      if (length * slope < noise(best_.sums)) return false;
    }
    return false;
  }

  /// Fisher scoring with the covariance matrix Sigma = Lambda Lambda' as the parameter:
  /// Sigma + D Lambda' + Lambda D', D = I_theta^-1 g_theta. Exact for balanced linear models, and good from far away,
  /// where the same step in Lambda is not.
  bool try_fisher(const Eigen::VectorXd& gradient) {
    const auto P = gradient.size();
    const auto n_phi = P - p_ - n_theta_;
    Eigen::VectorXi others(p_ + n_phi);
    for (int k = 0; k < p_; ++k) others[k] = k;
    for (int r = 0; r < n_phi; ++r) others[p_ + r] = p_ + n_theta_ + r;
    Eigen::MatrixXd block(others.size(), others.size());
    for (Eigen::Index a = 0; a < others.size(); ++a)
      for (Eigen::Index b = 0; b < others.size(); ++b) block(a, b) = -best_.sums.hessian(others[a], others[b]);
    Eigen::VectorXd part(others.size());
    for (Eigen::Index a = 0; a < others.size(); ++a) part[a] = gradient[others[a]];
    Eigen::VectorXd step = Eigen::VectorXd::Zero(P);
    const Eigen::VectorXd moved = regular_inverse(block, 1e-8) * part;
    for (Eigen::Index a = 0; a < others.size(); ++a) step[others[a]] = moved[a];
    step.segment(p_, n_theta_) = regular_inverse(best_.sums.theta_information, 1e-8) * gradient.segment(p_, n_theta_);
    for (std::size_t i = 0; i < free_.size(); ++i)
      if (!free_[i]) step[static_cast<Eigen::Index>(i)] = 0.0;
    // beta and phi are capped; theta is kept in bounds by the floor on the eigenvalues.
    const double beta = p_ > 0 ? step.head(p_).cwiseAbs().maxCoeff() / largest_beta_step : 0.0;
    const double phi = n_phi > 0 ? step.tail(n_phi).cwiseAbs().maxCoeff() : 0.0;
    const double shrink = std::max({1.0, beta, phi});
    step.head(p_) /= shrink;
    step.tail(n_phi) /= shrink;

    const double value = best_.sums.value;
    double length = 1.0;
    for (int i = 0; i < 4; ++i, length *= 0.3) {
      Eigen::VectorXd psi = best_.psi + length * step;
      if (!move_covariance(length * step.segment(p_, n_theta_), psi)) return false;
      if (try_point(psi, value + noise(best_.sums))) return true;
    }
    return false;
  }

  bool move_covariance(const Eigen::VectorXd& d, Eigen::VectorXd& psi) const {
    const Layout& layout = objective_.layout();
    for (std::size_t t = 0; t < model_.terms().size(); ++t) {
      const auto& term = model_.terms()[t];
      const int own = static_cast<int>(t);
      const Eigen::MatrixXd lambda = layout.term_factor(own, best_.psi.data() + p_),
                            change = layout.term_factor(own, d.data());
      const Eigen::MatrixXd sigma =
          lambda * lambda.transpose() + change * lambda.transpose() + lambda * change.transpose();
      Eigen::MatrixXd moved = Eigen::MatrixXd::Zero(term.q, term.q);
      if (static_cast<int>(term.structure->entries(term.q).size()) == term.q) {  // independent coefficients
        for (int a = 0; a < term.q; ++a)
          moved(a, a) = std::sqrt(std::max(sigma(a, a), eigenvalue_floor * lambda(a, a) * lambda(a, a)));
      } else {
        if (!(lambda.diagonal().cwiseAbs().minCoeff() > 1e-8 * lambda.cwiseAbs().maxCoeff())) return false;
        const Eigen::MatrixXd inverse =
            lambda.triangularView<Eigen::Lower>().solve(Eigen::MatrixXd::Identity(term.q, term.q));
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(inverse * sigma * inverse.transpose());
        const Eigen::VectorXd root = eigen.eigenvalues().cwiseMax(eigenvalue_floor).cwiseSqrt();
        const Eigen::MatrixXd half = lambda * eigen.eigenvectors() * root.asDiagonal();
        const Eigen::LLT<Eigen::MatrixXd> llt(half * half.transpose());
        if (llt.info() != Eigen::Success) return false;
        moved = llt.matrixL();
      }
      layout.set_term_factor(own, moved, psi.data() + p_);
    }
    return psi.allFinite();
  }

  /// Away from a saddle point, along the direction of the most negative curvature, both ways.
  bool try_curvature(const ScaledInformation& information) {
    Eigen::Index least = 0;
    if (information.values.size() == 0 || information.values.minCoeff(&least) > -negative_curvature) return false;
    Eigen::VectorXd direction = Eigen::VectorXd::Zero(best_.psi.size());
    for (std::size_t i = 0; i < information.index.size(); ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      direction[information.index[i]] = information.scale[at] * information.vectors(at, least);
    }
    const double value = best_.sums.value;
    direction = capped(direction * 10.0);
    for (double length = 1.0; length > 1e-6; length *= 0.3)
      for (const double sign : {1.0, -1.0})
        if (try_point(best_.psi + sign * length * direction, value + noise(best_.sums))) return true;
    return false;
  }

  Objective& objective_;
  const model::Model& model_;
  const model::Response& response_;
  const std::vector<bool>& free_;
  const NewtonOptions& options_;
  const Monitor& monitor_;
  int p_, n_theta_;
  bool all_free_;
  Optimum best_;
  Eigen::VectorXd first_phi_;
  Sums trial_;
  std::vector<double> trial_modes_, trial_covariance_;
};

}  // namespace

ScaledInformation::ScaledInformation(const Eigen::MatrixXd& hessian, const std::vector<bool>& free) {
  for (std::size_t i = 0; i < free.size(); ++i)
    if (free[i]) index.push_back(static_cast<int>(i));
  const auto n = static_cast<Eigen::Index>(index.size());
  Eigen::MatrixXd information(n, n);
  for (Eigen::Index a = 0; a < n; ++a)
    for (Eigen::Index b = 0; b < n; ++b)
      information(a, b) = -hessian(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]);
  scale = information.diagonal().unaryExpr([](double d) { return d != 0.0 ? 1.0 / std::sqrt(std::fabs(d)) : 0.0; });
  if (n == 0) return;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(scale.asDiagonal() * information * scale.asDiagonal());
  values = eigen.eigenvalues();
  vectors = eigen.eigenvectors();
}

Eigen::VectorXd ScaledInformation::solve(const Eigen::VectorXd& gradient, bool absolute) const {
  Eigen::VectorXd result = Eigen::VectorXd::Zero(gradient.size());
  const auto n = static_cast<Eigen::Index>(index.size());
  Eigen::VectorXd g(n);
  for (Eigen::Index a = 0; a < n; ++a) g[a] = scale[a] * gradient[index[static_cast<std::size_t>(a)]];
  Eigen::VectorXd in_basis = vectors.transpose() * g;
  for (Eigen::Index a = 0; a < n; ++a) {
    const double e = absolute ? std::fabs(values[a]) : values[a];
    in_basis[a] = e > flat ? in_basis[a] / e : 0.0;
  }
  const Eigen::VectorXd x = vectors * in_basis;
  for (Eigen::Index a = 0; a < n; ++a) result[index[static_cast<std::size_t>(a)]] = scale[a] * x[a];
  return result;
}

Eigen::MatrixXd ScaledInformation::inverse(int n_parameters) const {
  Eigen::MatrixXd result =
      Eigen::MatrixXd::Constant(n_parameters, n_parameters, std::numeric_limits<double>::quiet_NaN());
  const auto n = static_cast<Eigen::Index>(index.size());
  if (n == 0) return result;
  const Eigen::VectorXd reciprocal = values.unaryExpr([](double e) { return e > flat ? 1.0 / e : 0.0; });
  Eigen::MatrixXd inner = vectors * reciprocal.asDiagonal() * vectors.transpose();
  // A direction without information takes the variances of the parameters that it moves with it, and no others.
  for (Eigen::Index e = 0; e < n; ++e)
    for (Eigen::Index a = 0; a < n && !(values[e] > flat); ++a)
      if (std::fabs(vectors(a, e)) > 1e-5) {
        inner.row(a).setConstant(std::numeric_limits<double>::quiet_NaN());
        inner.col(a).setConstant(std::numeric_limits<double>::quiet_NaN());
      }
  for (Eigen::Index a = 0; a < n; ++a)
    for (Eigen::Index b = 0; b < n; ++b)
      result(index[static_cast<std::size_t>(a)], index[static_cast<std::size_t>(b)]) =
          scale[a] * inner(a, b) * scale[b];
  return result;
}

bool separates(const model::Model& model, const model::Response& response, const Eigen::VectorXd& direction,
               double tolerance) {
  double forwards = 0.0, against = 0.0;
  std::vector<double> move(static_cast<std::size_t>(model.largest_panel()));
  for (const auto& panel : model.panels()) {
    std::fill(move.begin(), move.end(), 0.0);
    for (int k = 0; k < model.p(); ++k)
      numeric::add_multiple(panel.n_rows, direction[k], model.fixed_column(panel, k), move.data());
    for (int j = 0; j < panel.n_rows; ++j) {
      const auto row = static_cast<std::size_t>(panel.first_row + j);
      const int side = model.family().recession(response.value[row], response.weight[row]);
      const double m = move[static_cast<std::size_t>(j)];
      if (side != 0 && m * side > 0.0)
        forwards = std::max(forwards, std::fabs(m));
      else
        against = std::max(against, std::fabs(m));
    }
  }
  return forwards > 0.0 && against <= tolerance * forwards;
}

Optimum maximize(Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
                 std::vector<double> modes, const std::vector<bool>& free, const NewtonOptions& options,
                 const Monitor& monitor) {
  return Search(objective, response, free, options, monitor).run(start, std::move(modes));
}

}  // namespace multilevel::estimate
