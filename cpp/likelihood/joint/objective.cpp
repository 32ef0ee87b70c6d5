#include "likelihood/joint/objective.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double mode_tolerance = 1e-10;  // Newton decrement after which the last step is taken unseen,
constexpr double mode_error = 1e-9;       // and the error that it may leave
constexpr double close_by = 1e-2;         // Newton decrement below which the next step can use the same factor
constexpr int most_newton_steps = 200;
constexpr int most_halvings = 60;
constexpr int most_start_halvings = 8;        // of a start outside the domain
constexpr int most_entries = 60;              // steps from there towards the domain
constexpr double outside_weight = 1e6;        // of a row outside, beside the prior's one
constexpr std::int64_t thorough_rows = 5000;  // up to so many the largest of several modes is looked for at leisure
constexpr double most_trial_rows = 20000.0;   // rows x random effects up to which levels are tried one by one
constexpr double worth_a_search = 3.0;        // how far below the best a trial may be before its Newton steps
constexpr double least_parallel_rows = 20000.0;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

JointObjective::JointObjective(const model::Model& model, const model::Response& response, int threads,
                               const Monitor& monitor, double most_bytes)
    : Objective(model, model.p(), model.n_theta(), model.n_phi(), monitor),
      response_(response),
      threads_(static_cast<double>(model.n_rows()) < least_parallel_rows
                   ? 1
                   : std::min(threads, static_cast<int>(model.chunks().size()))),
      pattern_(model, most_bytes),
      products_(pattern_),
      precision_(pattern_) {
  const auto n = at(model.n_rows()) + 8, n_modes = at(model.n_modes());
  for (auto* rows : {&fixed_eta_, &eta_, &value_, &weight_, &leverage_, &shift_}) rows->resize(n);
  const auto n_phi = at(model.n_phi()), pairs = n_phi * (n_phi + 1) / 2;
  rows_.resize(n * (4 + 4 * n_phi + 3 * pairs));
  double* next = rows_.data();
  auto take = [&] {
    double* array = next;
    next += n;
    return array;
  };
  at_mode_.value = value_.data();
  for (auto& d : at_mode_.eta) d = take();
  for (std::size_t r = 0; r < n_phi; ++r)
    for (auto& d : at_mode_.phi[r]) d = take();
  for (std::size_t r = 0; r < pairs; ++r)
    for (auto& d : at_mode_.phi_phi[r]) d = take();
  for (auto* effects : {&u_, &gradient_, &step_, &old_}) effects->resize(n_modes);
  products_by_level_.resize(at(model.n_mode_covariances()));
  partial_.resize(model.chunks().size());
  if (!model.family().log_concave()) several_ = std::make_unique<Several>(model);
}

JointObjective::Several::Several(const model::Model& model)
    : scan(static_cast<int>(model.n_rows()),
           std::max_element(model.factors().begin(), model.factors().end(),
                            [](const auto& a, const auto& b) { return a.n_levels < b.n_levels; })
               ->n_levels),
      slope(at(model.n_rows())),
      effect(at(model.n_modes())),
      level(slope.size()),
      best_v(at(model.n_modes())) {}

/// eta at the modes and the family's derivatives there; returns the sum of the log densities.
double JointObjective::evaluate_rows(family::Order order, const double* phi, const std::vector<double>& modes) {
  scale_modes(model_, lambda_, modes.data(), u_.data());
  const auto& chunks = model_.chunks();
  const bool finished = numeric::parallel_for(
      static_cast<int>(chunks.size()), threads_,
      [&](int c, int) {
        auto& sum = partial_[at(c)];
        sum = {};
        for (int i = chunks[at(c)].first_panel; i < chunks[at(c)].last_panel; ++i) {
          const auto& panel = model_.panels()[at(i)];
          const auto first = panel.first_row;
          std::copy_n(fixed_eta_.data() + first, panel.n_rows, eta_.data() + first);
          add_random_part(model_, panel, u_.data(), eta_.data() + first);
          family::RowDerivatives out;
          out.value = at_mode_.value + first;
          for (int a = 0; a < 4; ++a) out.eta[a] = at_mode_.eta[a] + first;
          for (int r = 0; r < n_phi_; ++r)
            for (int a = 0; a < 4; ++a) out.phi[r][a] = at_mode_.phi[r][a] + first;
          for (int r = 0; r < n_phi_ * (n_phi_ + 1) / 2; ++r)
            for (int a = 0; a < 3; ++a) out.phi_phi[r][a] = at_mode_.phi_phi[r][a] + first;
          model_.family().derivatives(
              order, {panel.n_rows, eta_.data() + first, response_.value.get() + first, response_.weight.get() + first},
              phi, out);
          for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
            const auto begin = model_.cluster_start(cluster);
            sum.add(numeric::sum(static_cast<int>(model_.cluster_start(cluster + 1) - begin), value_.data() + begin));
          }
        }
      },
      monitor_.keep_going);
  if (!finished) throw Interrupted{};
  numeric::CompensatedSum total;
  for (const auto& part : partial_) total.add(part);
  return total.total();
}

void JointObjective::set_weights(bool observed, const double* phi) {
  if (observed) {
    for (std::int64_t j = 0; j < model_.n_rows(); ++j) weight_[at(j)] = -at_mode_.eta[1][j];
  } else {
    for (const auto& panel : model_.panels())
      model_.family().expected_information(
          {panel.n_rows, eta_.data() + panel.first_row, response_.value.get() + panel.first_row,
           response_.weight.get() + panel.first_row},
          phi, weight_.data() + panel.first_row);
  }
  products_.set(pattern_, weight_.data());
}

/// f'(v) = S'l' - v
void JointObjective::penalized_gradient(const std::vector<double>& modes) {
  std::fill(gradient_.begin(), gradient_.end(), 0.0);
  for (const auto& panel : model_.panels())
    add_level_sums(model_, panel, at_mode_.eta[0] + panel.first_row, gradient_.data());
  transpose_scale_modes(model_, lambda_, gradient_.data());
  for (std::size_t k = 0; k < modes.size(); ++k) gradient_[k] -= modes[k];
}

/// Where the density is log-concave there is one mode, and the search may start anywhere. Otherwise the largest is
/// looked for, from starts that the parameters and the data alone decide; but differences are taken at one and the same
/// mode.
bool JointObjective::find_modes(const double* phi, std::vector<double>& modes, Sums& sums) {
  double f = 0.0;
  return several_ && !gradient_only_ ? find_largest(phi, modes, sums) : climb(phi, modes, sums, f);
}

/// Searches from zero, from what the responses alone say of the random effects, and from where the best of these can be
/// bettered by moving levels one by one. Small data, where it costs nothing to speak of, are searched more thoroughly:
/// there every level is tried at its other peaks with the rest following. What cannot be seen are modes better only by
/// moving several levels at once; sums.several_modes counts what hints at them.
bool JointObjective::find_largest(const double* phi, std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  const int n_factors = static_cast<int>(model_.factors().size());
  s.found = false;
  s.best_f = -std::numeric_limits<double>::infinity();
  auto search = [&] {
    double f = 0.0;
    return climb(phi, modes, sums, f) && keep_best(f, modes, sums);
  };
  const bool thorough = model_.n_rows() <= thorough_rows;
  auto settle_all = [&](bool forwards) {
    for (int round = 0; round < (thorough ? most_rounds : 1); ++round)
      if (!settle(phi, modes, forwards ? 0 : n_factors - 1, forwards ? 1 : -1)) break;
  };
  for (const double side : {0.0, 1.0, -1.0}) {
    if (side < 0.0 && !model_.family().is_even()) continue;
    // What is best with the others held depends on who comes first.
    for (const bool forwards : {true, false}) {
      if (side == 0.0)
        std::fill(modes.begin(), modes.end(), 0.0);
      else if (!from_responses(phi, side, modes))
        continue;
      if (side == 0.0 || thorough) settle_all(forwards);
      search();
      if (side != 0.0 && !thorough) break;
    }
  }
  if (!s.found) return false;
  for (int round = 0; round < most_rounds; ++round) {
    modes = s.best_v;
    if (settle(phi, modes, 0, 1) && search()) continue;
    if (!try_levels(phi, modes, sums)) break;
  }
  modes = s.best_v;
  return true;
}

/// Tries each level at its other peaks, everything else following. True when that led to something better.
bool JointObjective::try_levels(const double* phi, std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  if (static_cast<double>(model_.n_modes()) * static_cast<double>(model_.n_rows()) > most_trial_rows) return false;
  const auto n = static_cast<Eigen::Index>(modes.size());
  const int n_factors = static_cast<int>(model_.factors().size());
  bool better = false;
  for (int factor = 0; factor < n_factors; ++factor) {
    const auto& own = model_.factors()[at(factor)];
    for (int a = 0; a < own.q; ++a) {
      modes = s.best_v;
      scan_along(factor, a, phi, modes);
      s.peaks.clear();
      for (int level = 0; level < own.n_levels; ++level)
        for (int r = 0; r < ModeScan::most_peaks; ++r) s.peaks.push_back(s.scan.peak(level, r));
      for (int level = 0; level < own.n_levels; ++level)
        for (int r = 0; r < ModeScan::most_peaks; ++r) {
          const double peak = s.peaks[at(level * ModeScan::most_peaks + r)];
          const auto place = at(own.offset + std::int64_t{level} * own.q + a);
          if (std::isnan(peak) || std::fabs(peak - s.best_v[place]) < 1e-3) continue;
          modes = s.best_v;
          modes[place] = peak;
          settle(phi, modes, (factor + 1) % n_factors, 1);
          const double f = evaluate_rows(family::Order::step, phi, modes) -
                           0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm();
          double found = 0.0;
          if (f > s.best_f - worth_a_search && climb(phi, modes, sums, found)) better |= keep_best(found, modes, sums);
        }
    }
  }
  return better;
}

/// Moves v so that rows outside the domain come nearer to what their responses make of eta. False where v cannot.
bool JointObjective::enter_domain(std::vector<double>& modes) {
  std::fill(step_.begin(), step_.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j) {
      weight_[at(j)] = std::isfinite(value_[at(j)]) ? 0.0 : outside_weight;
      const double target = model_.family().start_eta(response_.value[at(j)], response_.weight[at(j)]);
      shift_[at(j)] = weight_[at(j)] * (target - eta_[at(j)]);
    }
    add_level_sums(model_, panel, shift_.data() + panel.first_row, step_.data());
  }
  products_.set(pattern_, weight_.data());
  if (!precision_.factor(products_, lambda_)) return false;
  transpose_scale_modes(model_, lambda_, step_.data());
  precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));
  double size = 0.0;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    modes[k] += step_[k];
    size += step_[k] * step_[k];
  }
  return std::isfinite(size) && size > 0.0;
}

/// v of the linear model in which every row says what its response alone would make of eta.
bool JointObjective::from_responses(const double* phi, double side, std::vector<double>& modes) {
  const auto& family = model_.family();
  for (std::int64_t j = 0; j < model_.n_rows(); ++j)
    eta_[at(j)] = side * family.start_eta(response_.value[at(j)], response_.weight[at(j)]);
  set_weights(false, phi);
  if (!precision_.factor(products_, lambda_)) return false;
  std::fill(modes.begin(), modes.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j)
      shift_[at(j)] = weight_[at(j)] * (eta_[at(j)] - fixed_eta_[at(j)]);
    add_level_sums(model_, panel, shift_.data() + panel.first_row, modes.data());
  }
  transpose_scale_modes(model_, lambda_, modes.data());
  precision_.solve(modes.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));
  return std::all_of(modes.begin(), modes.end(), [](double v) { return std::isfinite(v); });
}

/// Takes the modes that have just been found if they are better.
bool JointObjective::keep_best(double f, const std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  if (s.found) {
    double distance = 0.0, size = 1.0;
    for (std::size_t k = 0; k < modes.size(); ++k) {
      distance += (modes[k] - s.best_v[k]) * (modes[k] - s.best_v[k]);
      size += s.best_v[k] * s.best_v[k];
    }
    if (!(distance > same_mode * size)) return false;
    ++sums.several_modes;
    if (!(f > s.best_f)) return false;
  }
  s.found = true;
  s.best_f = f;
  s.best_v = modes;
  return true;
}

/// Moves the random effects of one factor after the other, from `first` on and round, to the largest value of f with
/// everything else held: levels of one factor share no rows, so all of them can move at once. True when one has moved.
bool JointObjective::settle(const double* phi, std::vector<double>& modes, int first, int step) {
  Several& s = *several_;
  const int n_factors = static_cast<int>(model_.factors().size());
  bool moved = false;
  for (int k = 0, factor = first; k < n_factors; ++k, factor = (factor + step + n_factors) % n_factors) {
    const auto& own = model_.factors()[at(factor)];
    for (int a = 0; a < own.q; ++a) {
      const ModeScan::Line line = scan_along(factor, a, phi, modes);
      s.scan.climb(model_.family(), phi, line);
      for (int i = 0; i < own.n_levels; ++i) {
        if (!(s.scan.gain(i) > least_gain)) continue;
        modes[at(own.offset + std::int64_t{i} * own.q + a)] = s.scan.best(i);
        moved = true;
      }
    }
  }
  return moved;
}

/// The peaks of f along one random effect of all levels of a factor.
ModeScan::Line JointObjective::scan_along(int factor, int a, const double* phi, const std::vector<double>& modes) {
  Several& s = *several_;
  const auto& own = model_.factors()[at(factor)];
  evaluate_rows(family::Order::step, phi, modes);
  std::fill(s.slope.begin(), s.slope.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (int b = 0; b < own.q; ++b)
      numeric::add_multiple(panel.n_rows, lambda_(own.first + b, own.first + a),
                            model_.random_column(panel, own.first + b), s.slope.data() + panel.first_row);
    for (int i = panel.first_cluster; i < panel.last_cluster; ++i)
      for (std::int64_t j = model_.cluster_start(i); j < model_.cluster_start(i + 1); ++j)
        s.level[at(j)] = factor == model_.leading() ? model_.cluster_level(i) : model_.levels(factor)[j];
  }
  for (int i = 0; i < own.n_levels; ++i) s.effect[at(i)] = modes[at(own.offset + std::int64_t{i} * own.q + a)];
  const ModeScan::Line line{static_cast<int>(model_.n_rows()),
                            own.n_levels,
                            eta_.data(),
                            s.slope.data(),
                            response_.value.get(),
                            response_.weight.get(),
                            s.level.data(),
                            s.effect.data()};
  s.scan.run(model_.family(), phi, line);
  return line;
}

/// Newton's method on f, which is returned; the last step is taken unseen, once its decrement is negligible.
bool JointObjective::climb(const double* phi, std::vector<double>& modes, Sums& sums, double& f) {
  double last = std::numeric_limits<double>::infinity();
  bool started = false, concave = true;
  // A factor from close by points the way as well: that of the point whose differences are taken, or of the last step.
  bool reuse = gradient_only_ && factored_;
  factored_ = false;
  int halvings = 0, entries = 0;
  const auto n = static_cast<Eigen::Index>(modes.size());
  // The decrement is a sum over the random effects, as the information is.
  const double size = std::max(1.0, static_cast<double>(n) / 1000.0);
  for (int iteration = 0; iteration < most_newton_steps; ++iteration) {
    check_interrupt();
    const double rows = evaluate_rows(family::Order::step, phi, modes);
    const double now = rows - 0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm();
    if (!started && !std::isfinite(now)) {
      // Outside the domain at the start: towards v = 0, then to where the responses are. Whether there is a mode must
      // not depend on where the search began.
      reuse = false;
      const bool at_zero = std::all_of(modes.begin(), modes.end(), [](double v) { return v == 0.0; });
      if (!at_zero && entries == 0) {
        const double factor = ++halvings < most_start_halvings ? 0.5 : 0.0;
        for (auto& v : modes) v *= factor;
      } else if (++entries > most_entries || !enter_domain(modes)) {
        return false;
      }
      continue;
    }
    if (started && !(now >= f - 1e-9 * (1.0 + std::fabs(f)))) {
      if (++halvings > most_halvings) return false;
      reuse = false;
      for (std::size_t k = 0; k < modes.size(); ++k) {
        step_[k] *= 0.5;
        modes[k] = old_[k] + step_[k];
      }
      continue;
    }
    penalized_gradient(modes);
    // Where the observed H is not positive definite, the expected information never points downhill.
    if (!reuse) {
      set_weights(true, phi);
      concave = precision_.factor(products_, lambda_);
      if (!concave) {
        set_weights(false, phi);
        if (!precision_.factor(products_, lambda_)) return false;
      }
    }
    step_ = gradient_;
    precision_.solve(step_.data(), 1, n);
    ++sums.newton_steps;
    const double decrement =
        Eigen::Map<const Eigen::VectorXd>(gradient_.data(), n).dot(Eigen::Map<const Eigen::VectorXd>(step_.data(), n));
    if (!std::isfinite(decrement)) return false;
    started = true;
    halvings = 0;
    f = now;
    old_ = modes;
    for (std::size_t k = 0; k < modes.size(); ++k) modes[k] += step_[k];
    // After a step with its own factor an error of the order of the decrement is left; after one with another's, the
    // step shortened as the last one was.
    const double shortening = !reuse ? decrement : std::isfinite(last) ? std::min(1.0, decrement / last) : 1.0;
    if (decrement * shortening < size * mode_error * mode_error && decrement < size * mode_tolerance)
      return concave;  // a saddle point is no mode
    reuse = concave && decrement < close_by && decrement < 0.01 * last;
    last = decrement;
  }
  return false;
}

bool JointObjective::evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                              double* mode_covariance) {
  ++evaluations_;
  check_interrupt();
  const int n_entries = layout_.n_entries();
  sums.start(n_beta_ + n_entries + n_phi_, n_entries, gradient_only_ ? Derivatives::gradient : Derivatives::hessian);
  if (!psi.allFinite()) return false;
  const double* phi = psi.data() + n_beta_ + n_theta_;
  lambda_ = layout_.lambda(psi.data() + n_beta_);
  for (const auto& panel : model_.panels()) {
    double* o = fixed_eta_.data() + panel.first_row;
    const double* offset = model_.family().is_linear() ? nullptr : model_.offset(panel);
    for (int j = 0; j < panel.n_rows; ++j) o[j] = offset ? offset[j] : 0.0;
    for (int k = 0; k < n_beta_; ++k) numeric::add_multiple(panel.n_rows, psi[k], model_.fixed_column(panel, k), o);
  }
  if (!find_modes(phi, modes, sums)) return false;

  evaluate_rows(family::Order::full, phi, modes);
  set_weights(true, phi);
  if (!precision_.factor(products_, lambda_)) return false;
  factored_ = true;
  const auto n = static_cast<Eigen::Index>(modes.size());
  for (const auto& part : partial_) sums.log_likelihood.add(part);
  sums.log_likelihood.add(-0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm());
  sums.log_likelihood.add(-0.5 * precision_.log_determinant());
  sums.log_likelihood.add(response_.constant);
  sums.value = sums.log_likelihood.total();
  if (!std::isfinite(sums.value)) return false;

  // lev_j = s_j' H^-1 s_j, cluster by cluster.
  precision_.invert();
  const int q = pattern_.q(), own = model_.factors()[at(model_.leading())].first;
  std::vector<double> s(at(model_.q()));
  std::vector<int> place(at(model_.q()));
  std::vector<const double*> z(at(model_.q()));
  int panel_index = -1;
  auto leverages = [&](int cluster, const double* inverse) {
    while (panel_index < 0 || model_.panels()[at(panel_index)].last_cluster <= cluster) {
      ++panel_index;
      const auto& panel = model_.panels()[at(panel_index)];
      for (int a = 0; a < model_.q(); ++a) z[at(a)] = model_.random_column(panel, a) - panel.first_row;
    }
    const int size = q + pattern_.clique_size(cluster);
    if (pattern_.scalar_only() && pattern_.n_others() == 1) {
      const int other = model_.factors()[at(pattern_.others()[0])].first;
      const double *z_own = z[at(own)], *z_other = z[at(other)];
      for (std::int64_t row = model_.cluster_start(cluster); row < model_.cluster_start(cluster + 1); ++row) {
        const int k = 1 + pattern_.row_places(row)[0];
        const double a = lambda_(own, own) * z_own[row], b = lambda_(other, other) * z_other[row];
        leverage_[at(row)] =
            a * a * inverse[0] + 2.0 * a * b * inverse[k] + b * b * inverse[k + std::int64_t{k} * size];
      }
      return;
    }
    for (std::int64_t row = model_.cluster_start(cluster); row < model_.cluster_start(cluster + 1); ++row) {
      int count = 0;
      auto add = [&](int first, int width, int start) {
        for (int a = 0; a < width; ++a) {
          double sum = 0.0;
          for (int k = 0; k < width; ++k) sum += lambda_(first + k, first + a) * z[at(first + k)][row];
          s[at(count)] = sum;
          place[at(count++)] = start + a;
        }
      };
      add(own, q, 0);
      for (int o = 0; o < pattern_.n_others(); ++o)
        add(model_.factors()[at(pattern_.others()[at(o)])].first, pattern_.other_q(o), q + pattern_.row_places(row)[o]);
      double leverage = 0.0;
      for (int a = 0; a < count; ++a) {
        const double* column = inverse + std::int64_t{place[at(a)]} * size;
        double sum = 0.5 * s[at(a)] * column[place[at(a)]];
        for (int b = 0; b < a; ++b) sum += s[at(b)] * column[place[at(b)]];
        leverage += 2.0 * s[at(a)] * sum;
      }
      leverage_[at(row)] = leverage;
    }
  };
  precision_.level_products(products_, lambda_, products_by_level_.data(), mode_covariance, leverages);

  // c_j = l''' lev / 2,  h = H^-1 S'c,  rho_j = l' + c - w s_j'h: what d log-likelihood / d o_j is.
  std::fill(step_.begin(), step_.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j)
      shift_[at(j)] = 0.5 * at_mode_.eta[2][j] * leverage_[at(j)];
    add_level_sums(model_, panel, shift_.data() + panel.first_row, step_.data());
  }
  transpose_scale_modes(model_, lambda_, step_.data());
  precision_.solve(step_.data(), 1, n);  // h
  scale_modes(model_, lambda_, step_.data(), u_.data());
  std::fill(gradient_.begin(), gradient_.end(), 0.0);  // Z'rho
  std::fill(old_.begin(), old_.end(), 0.0);            // Z'l'
  std::vector<double> shift(at(model_.largest_panel()));
  for (const auto& panel : model_.panels()) {
    const auto first = panel.first_row;
    std::fill(shift.begin(), shift.end(), 0.0);
    add_random_part(model_, panel, u_.data(), shift.data());
    double* rho = shift_.data() + first;
    for (int j = 0; j < panel.n_rows; ++j)
      rho[j] += at_mode_.eta[0][first + j] + at_mode_.eta[1][first + j] * shift[at(j)];
    for (int k = 0; k < n_beta_; ++k)
      sums.gradient[k] += numeric::dot(panel.n_rows, model_.fixed_column(panel, k), rho);
    for (int r = 0; r < n_phi_; ++r)
      sums.gradient[n_beta_ + n_entries + r] +=
          numeric::sum(panel.n_rows, at_mode_.phi[r][0] + first) +
          0.5 * numeric::dot(panel.n_rows, at_mode_.phi[r][2] + first, leverage_.data() + first) +
          numeric::dot(panel.n_rows, at_mode_.phi[r][1] + first, shift.data());
    add_level_sums(model_, panel, rho, gradient_.data());
    add_level_sums(model_, panel, at_mode_.eta[0] + first, old_.data());
  }
  Eigen::MatrixXd G = Eigen::MatrixXd::Zero(model_.q(), model_.q());
  subtract_level_products(model_, products_by_level_.data(), G);
  add_level_outer(model_, 1.0, gradient_.data(), modes.data(), G);
  add_level_outer(model_, 1.0, old_.data(), step_.data(), G);
  for (int e = 0; e < n_entries; ++e) {
    const auto& entry = layout_.entries()[at(e)];
    sums.gradient[n_beta_ + e] = G(entry.row, entry.column);
  }
  Eigen::MatrixXd none, information;
  const double* theta = psi.data() + n_beta_;
  if (!gradient_only_)
    information = theta_information(pattern_, products_, lambda_, products_by_level_.data(), layout_);
  layout_.theta_derivatives(n_beta_, theta, sums.gradient, none, information);
  sums.theta_information = information;
  if (!gradient_only_) approximate_hessian(phi, sums);
  return sums.gradient.allFinite();
}

/// Fisher information of the working linear mixed model: X'WX - X'WS H^-1 S'WX for beta, level by level for theta.
void JointObjective::approximate_hessian(const double* phi, Sums& sums) {
  (void)phi;
  const auto n_modes = model_.n_modes();
  Eigen::MatrixXd SX = Eigen::MatrixXd::Zero(n_modes, n_beta_), XX = Eigen::MatrixXd::Zero(n_beta_, n_beta_);
  std::vector<double> weighted(at(model_.largest_panel()));
  std::vector<const double*> columns(at(n_beta_));
  Eigen::VectorXd products(n_beta_);
  for (const auto& panel : model_.panels()) {
    for (int k = 0; k < n_beta_; ++k) columns[at(k)] = model_.fixed_column(panel, k);
    for (int k = 0; k < n_beta_; ++k) {
      for (int j = 0; j < panel.n_rows; ++j) weighted[at(j)] = weight_[at(panel.first_row + j)] * columns[at(k)][j];
      const double* one = weighted.data();
      numeric::cross_products(panel.n_rows, 1, &one, k + 1, columns.data(), products.data(), 1, 1);
      XX.row(k).head(k + 1) += products.head(k + 1).transpose();
      add_level_sums(model_, panel, weighted.data(), SX.col(k).data());
    }
  }
  XX.triangularView<Eigen::StrictlyUpper>() = XX.transpose().eval();
  for (int k = 0; k < n_beta_; ++k) transpose_scale_modes(model_, lambda_, SX.col(k).data());
  Eigen::MatrixXd solved = SX;
  if (n_beta_ > 0) precision_.solve(solved.data(), n_beta_, n_modes);
  sums.hessian.setZero(n_parameters(), n_parameters());
  sums.hessian.topLeftCorner(n_beta_, n_beta_) = -(XX - SX.transpose() * solved);
  sums.hessian.block(n_beta_, n_beta_, n_theta_, n_theta_) = -sums.theta_information;
  for (int r = 0; r < n_phi_; ++r) {
    double second = 0.0;
    const int pair = family::phi_pair(r, r);
    for (const auto& panel : model_.panels())
      second += numeric::sum(panel.n_rows, at_mode_.phi_phi[pair][0] + panel.first_row);
    const int k = n_beta_ + n_theta_ + r;
    sums.hessian(k, k) = second < 0.0 ? second : -1.0;
  }
}

}  // namespace multilevel::likelihood
