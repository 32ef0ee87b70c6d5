#include "search/moves.hpp"

#include <algorithm>
#include <cmath>

#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr double enormous = 5.0;        // of a standard deviation: there the likelihood is ragged
constexpr double negligible = 1e-6;     // of theta, on the internal scale
constexpr double large = 6.0;           // beside the usual start
constexpr double rows_of_effect = 3.0;  // at most, where random effects can take what is residual
constexpr double less_residual = 2.0;   // of its parameter, on the scale of a logarithm
constexpr double hardly_any = 1e-3;     // beside others
constexpr double beside_others = 0.3;   // of the usual start, where other terms have what there is of it
constexpr std::size_t most_scales = 8;  // of a structure, to be changed one by one
constexpr int most_of_a_formula = 4;    // coefficients
constexpr double moved = 3.5;           // of the logarithm of a dispersion, for the column and for its mean

/// Without variance a correlation says nothing, wherever it went: it begins in the middle.
void reset_correlations(const likelihood::Objective& objective, int term, Eigen::VectorXd& psi) {
  const int first = objective.n_beta() + objective.layout().first_theta(term);
  const int last = objective.n_beta() + objective.layout().first_theta(term + 1);
  const Bounds bounds(objective);
  for (const int i : bounds.correlations())
    if (i >= first && i < last) psi[i] = 0.0;
}

/// What has no variance, raised: all terms, each of them, and where one has standard deviations of its own each of
/// these, as far as the largest beside it. Searches that begin without it stay without it.
std::vector<NamedStart> raised_zeros(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                     const Eigen::VectorXd& plain) {
  std::vector<NamedStart> found;
  const int p = objective.n_beta();
  const auto& terms = objective.model().terms();
  NamedStart all{"from the best, none zero", best};
  int n_raised = 0;
  for (int t = 0; t < static_cast<int>(terms.size()); ++t) {
    const auto& term = terms[static_cast<std::size_t>(t)];
    if (term.structure->has_loadings()) continue;
    const int first = p + objective.layout().first_theta(t);
    const auto rows = term.structure->theta_rows(term.q);
    std::vector<int> sizes;
    double largest = 0.0;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (rows[k] < 0) continue;
      sizes.push_back(first + static_cast<int>(k));
      largest = std::max(largest, std::fabs(best[sizes.back()]));
    }
    NamedStart start{"from the best, term not zero (" + std::to_string(t + 1) + ")", best};
    if (largest < negligible) {
      for (const int k : sizes) start.psi[k] = all.psi[k] = beside_others * plain[k];
      reset_correlations(objective, t, start.psi);
      reset_correlations(objective, t, all.psi);
      found.push_back(start);
      ++n_raised;
    } else if (term.structure->scale_parameters(term.q).size() > 1) {
      for (const int k : sizes) {
        if (std::fabs(best[k]) >= negligible) continue;
        start.psi = best;
        start.psi[k] = largest;
        found.push_back(start);
      }
    }
  }
  if (n_raised > 1) found.insert(found.begin(), all);
  return found;
}

/// Components of the variances that are zero at `psi`, or hardly more, become what they are at `plain`.
void raise_zeros(const std::vector<std::vector<int>>& parts, const Eigen::VectorXd& plain, int p, double factor,
                 Eigen::VectorXd& psi) {
  for (const auto& part : parts) {
    if (std::any_of(part.begin(), part.end(), [&](int k) {
          return std::fabs(psi[p + k]) >= std::max(negligible, hardly_any * factor * std::fabs(plain[p + k]));
        }))
      continue;
    for (const int k : part) psi[p + k] = factor * plain[p + k];
  }
}

/// All variances at once: those of the best, and those of a start at which all are as large; the rest as at the best.
void move_together(const likelihood::Objective& objective, const std::vector<std::vector<int>>& parts,
                   const Eigen::VectorXd& best, const Eigen::VectorXd& plain, std::vector<NamedStart>& found) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  const Bounds bounds(objective);
  const double size = bounds.without_tau(best, n_theta).norm(), usual = bounds.without_tau(plain, n_theta).norm();
  for (const double factor : {0.05, 5.0}) {
    if (size < negligible || n_theta == 1) break;
    NamedStart start{factor < 1.0 ? "from the best, all smaller" : "from the best, all larger", best};
    raise_zeros(parts, plain, p, size / usual, start.psi);
    start.psi.segment(p, n_theta) *= factor;
    found.push_back(start);
  }
  if (n_theta == 0) return;
  NamedStart start{"from the best, all large", best};
  start.psi.segment(p, n_theta) = large * plain.segment(p, n_theta);
  for (const int i : bounds.correlations()) start.psi[i] = plain[i];
  found.push_back(start);
}

/// Parameters of the family: where they have a limit there, and on either side of an ordinary value; else an
/// ordinary one, larger and smaller. Of those with several coefficients the first moves, of thresholds for all items;
/// and where others follow formulas, these begin anew.
void move_family(const likelihood::Objective& objective, const std::vector<std::vector<int>>& parts,
                 const Eigen::VectorXd& best, const Eigen::VectorXd& plain, std::vector<NamedStart>& found) {
  const int first = objective.n_beta() + objective.n_theta();
  const auto parameters = objective.model().family().parameters();
  for (std::size_t r = 0; objective.n_phi() > 0 && r < parameters.size(); ++r) {
    const auto& part = objective.model().phi_parts()[r];
    if (part.first == part.last) continue;  // it is given
    const int at = first + part.first;
    const double now = best[at], limit = parameters[r].limit, lower = parameters[r].lower_limit;
    std::vector values{0.0, now + 3.0, now - 3.0};
    if (part.constant && std::isfinite(limit)) values = {limit, 2.0, -1.0};
    if (part.constant && std::isfinite(lower)) values = {lower, -1.0, 1.0};
    for (const double value : values) {
      if (std::fabs(now - value) < 1.0) continue;
      NamedStart start{"from the best, another dispersion", best};
      start.psi[at] = value;
      objective.model().move_items(part.first, value - now, start.psi.data() + first);
      raise_zeros(parts, plain, objective.n_beta(), 1.0, start.psi);
      found.push_back(start);
      if (begin_formulas_anew(objective, plain, r, start.psi)) found.push_back(start);
    }
  }
}

/// Formulas of dispersions: rows where a column is large, or where it is not, much more or less dispersed.
/// There may be a maximum where some rows alone tell the means, and it is seen only from means that have followed.
void move_formulas(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                   std::vector<NamedStart>& found) {
  const auto& model = objective.model();
  const int first = objective.n_beta() + objective.n_theta();
  for (std::size_t r = 0; r < model.phi_parts().size(); ++r) {
    const auto& part = model.phi_parts()[r];
    const int constant = model.phi_intercept(static_cast<int>(r));
    if (!is_dispersion_formula(model, r) || part.last - part.first > most_of_a_formula) continue;
    for (int k = part.first; k < part.last; ++k)
      for (const double by : {moved, -moved}) {
        if (k == constant) continue;
        NamedStart start{"from the best, some rows more precise", best, true};
        start.psi[first + k] += constant < 0 ? 2.0 * by : by;
        if (constant < 0) {
          found.push_back(start);
          continue;
        }
        for (const double level : {moved, -moved}) {  // the others stay
          start.psi[first + constant] = best[first + constant] + level;
          found.push_back(start);
        }
      }
  }
}

/// Of ordered categories with a scale: linear predictors and thresholds further apart, and the scale as much larger.
/// What has a larger scale stays as it is while the other categories come nearer to being certain, and no other move
/// goes there, since each of them changes one side of that alone.
void stretch(const likelihood::Objective& objective, const Eigen::VectorXd& best, std::vector<NamedStart>& found) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  const int n_thresholds = objective.model().n_thresholds(), n_scale = objective.n_phi() - n_thresholds;
  if (n_thresholds == 0 || n_scale == 0) return;
  const Bounds bounds(objective);
  for (const double factor : {4.0, 2.0}) {
    NamedStart start{"from the best, scale larger", best};
    start.psi.head(p + n_theta + n_thresholds) *= factor;
    for (const int i : bounds.correlations()) start.psi[i] = best[i];
    start.psi.tail(n_scale).array() += std::log(factor);
    found.push_back(start);
  }
}

/// The residual's part of the variance, taken by the random effects: where these are hardly fewer than rows, either can
/// stand for the other. Sizes are at least the usual ones, and the dispersion less; not of linear models, which have it
/// profiled out.
void take_residual(const likelihood::Objective& objective, const Eigen::VectorXd& best, const Eigen::VectorXd& plain,
                   std::vector<NamedStart>& found) {
  const auto& model = objective.model();
  const int p = objective.n_beta(), first = p + objective.n_theta();
  if (model.is_linear() || objective.n_phi() == 0 || model.n_thresholds() > 0 || model.family().n_members() > 1 ||
      static_cast<double>(model.n_modes()) * rows_of_effect < static_cast<double>(model.n_responses()))
    return;
  const auto& own = model.phi_parts()[0];
  if (own.first == own.last) return;  // it is given
  std::vector<double> phi;
  for (const auto& part : model.phi_parts())
    phi.push_back(part.first == part.last ? part.given : best[first + part.first]);
  const double now = model.family().dispersion(phi.data());
  phi[0] -= less_residual;
  const double lower = model.family().dispersion(phi.data());
  if (lower == now) return;
  NamedStart start{"from the best, in place of the residual", best};
  for (const auto& part : components(objective))
    for (const int k : part) start.psi[p + k] = std::max(std::fabs(best[p + k]), std::fabs(plain[p + k]));
  const Bounds bounds(objective);
  for (const int i : bounds.correlations()) start.psi[i] = 0.0;
  start.psi[first + own.first] += lower < now ? -less_residual : less_residual;
  found.push_back(start);
}

/// The level of all responses, where the density does not rule out that most of them are far from it: each bulk of them
/// makes a maximum.
void move_level(const likelihood::Objective& objective, const Eigen::VectorXd& best, double unit,
                std::vector<NamedStart>& found) {
  const int intercept = objective.model().intercept();
  if (intercept < 0 || intercept >= objective.n_beta() || !objective.model().family().far_modes()) return;
  for (const double by : {1.0, -1.0, 2.0, -2.0}) {
    NamedStart start{"from the best, another level", best};
    start.psi[intercept] += by * unit;
    found.push_back(start);
  }
}

/// Of scaled correlations each standard deviation is a part too, where there are few.
void add_standard_deviations(const likelihood::Objective& objective, std::vector<std::vector<int>>& parts) {
  const auto& terms = objective.model().terms();
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const auto scales = terms[t].structure->scale_parameters(terms[t].q);
    if (terms[t].structure->kind() != covariance::Kind::scaled || scales.size() < 2 || scales.size() > most_scales)
      continue;
    for (const int k : scales) parts.push_back({objective.layout().first_theta(static_cast<int>(t)) + k});
  }
}

/// Each part alone: not zero where it is, else smaller and larger.
void move_each(const likelihood::Objective& objective, const std::vector<std::vector<int>>& parts,
               const Eigen::VectorXd& best, const Eigen::VectorXd& plain, std::vector<NamedStart>& found) {
  const int p = objective.n_beta();
  for (std::size_t one = 0; one < parts.size(); ++one) {
    double size = 0.0;
    for (const int k : parts[one]) size = std::max(size, std::fabs(best[p + k]));
    const std::string which = " (" + std::to_string(one + 1) + ")";
    if (size < negligible) {
      NamedStart start{"from the best, not zero" + which, best};
      for (const int k : parts[one]) start.psi[p + k] = plain[p + k];
      found.push_back(start);
      continue;
    }
    std::vector<double> factors{0.03, 0.2, 4.0};
    if (!objective.model().family().is_linear() && size > enormous) factors.insert(factors.end(), {0.35, 0.6, 2.0});
    for (const double factor : factors) {
      NamedStart start{(factor < 1.0 ? "from the best, smaller" : "from the best, larger") + which, best};
      for (const int k : parts[one]) start.psi[p + k] *= factor;
      found.push_back(start);
    }
  }
}

/// Parameters that make a correlation, to either side; or only those at an end, to the middle and to the other.
void move_correlations(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                       const Eigen::VectorXd& plain, bool at_end, std::vector<NamedStart>& found) {
  const int p = objective.n_beta();
  const Bounds bounds(objective);
  for (const int i : bounds.correlations())
    for (const double tau : {0.0, far_tau, -far_tau}) {
      const bool from_an_end = std::fabs(best[i]) > far_tau && best[i] * tau <= 0.0;
      if (at_end ? !from_an_end : tau == 0.0 || std::fabs(best[i] - tau) < 1.0) continue;
      NamedStart start{tau == 0.0  ? "from the best, uncorrelated"
                       : tau > 0.0 ? "from the best, correlated"
                                   : "from the best, correlated negatively",
                       best};
      start.psi[i] = tau;
      // Without variance a correlation says nothing.
      for (int k = 0; k < objective.n_theta(); ++k)
        if (std::fabs(best[p + k]) < negligible) start.psi[p + k] = plain[p + k];
      found.push_back(start);
    }
}

/// The loadings of a term, each with the other sign.
void reverse_loadings(const likelihood::Objective& objective, int term, const Eigen::VectorXd& best,
                      std::vector<NamedStart>& found) {
  const int p = objective.n_beta(), first = p + objective.layout().first_theta(term);
  const int last = p + objective.layout().first_theta(term + 1);
  for (int k = first + 1; k < last && last - first <= most_loadings; ++k) {
    NamedStart start{"from the best, loading reversed", best};
    start.psi[k] = -start.psi[k];
    found.push_back(start);
  }
}

/// The correlations of a term of two or three columns, row by row with the other sign, and none at all.
void reverse_correlations(const likelihood::Objective& objective, int term, const Eigen::VectorXd& best,
                          std::vector<NamedStart>& found) {
  const auto& own = objective.model().terms()[static_cast<std::size_t>(term)];
  if (own.q < 2 || own.q > 3) return;
  const int first = objective.n_beta() + objective.layout().first_theta(term);
  const auto entries = own.structure->entries(own.q);
  NamedStart apart{"from the best, uncorrelated", best};
  for (int row = 1; row < own.q; ++row) {
    NamedStart reversed{"from the best, correlation reversed", best};
    double square = 0.0;
    for (std::size_t e = 0; e < entries.size(); ++e) {
      if (entries[e].row != row) continue;
      const int k = first + static_cast<int>(e);
      square += best[k] * best[k];
      apart.psi[k] = entries[e].column == row ? std::sqrt(square) : 0.0;
      if (entries[e].column != row) reversed.psi[k] = -best[k];
    }
    if (reversed.psi != best) found.push_back(reversed);
  }
  found.push_back(apart);
}

}  // namespace

bool begin_formulas_anew(const likelihood::Objective& objective, const Eigen::VectorXd& plain, std::size_t moved,
                         Eigen::VectorXd& psi) {
  const auto& parts = objective.model().phi_parts();
  const int first = objective.n_beta() + objective.n_theta();
  const Eigen::VectorXd before = psi;
  for (auto r = static_cast<std::size_t>(objective.model().n_threshold_parts()); r < parts.size(); ++r) {
    if (parts[r].constant) continue;
    const int from = parts[r].first + (r == moved ? 1 : 0), n = parts[r].last - from;
    psi.segment(first + from, n) = plain.segment(first + from, n);
  }
  return psi != before;
}

std::vector<NamedStart> likely_moves(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                     const Eigen::VectorXd& plain, double unit) {
  const int p = objective.n_beta();
  std::vector<NamedStart> found;
  const auto parts = components(objective);
  if (objective.model().random_overlap() > much_overlap) {
    std::vector<int> single;
    for (const auto& part : parts)
      if (part.size() == 1) single.push_back(p + part[0]);
    for (std::size_t one = 0; single.size() > 1 && one < single.size(); ++one) {
      NamedStart start{"from the best, in place of others (" + std::to_string(one + 1) + ")", best};
      double square = 0.0;
      for (const int k : single) {
        square += best[k] * best[k];
        start.psi[k] *= 0.03;
      }
      start.psi[single[one]] = std::sqrt(square);
      found.push_back(start);
    }
  }
  take_residual(objective, best, plain, found);
  const std::vector<NamedStart> raised = raised_zeros(objective, best, plain);
  if (!raised.empty()) found.push_back(raised[0]);
  move_family(objective, parts, best, plain, found);
  move_formulas(objective, best, found);
  stretch(objective, best, found);
  move_level(objective, best, unit, found);
  move_correlations(objective, best, plain, true, found);
  const Bounds bounds(objective);
  const double size = bounds.without_tau(best, objective.n_theta()).lpNorm<Eigen::Infinity>();
  const auto& terms = objective.model().terms();
  if (size >= negligible &&
      std::none_of(terms.begin(), terms.end(), [](const auto& term) { return term.structure->has_loadings(); })) {
    // From a small one a search goes back to where it came from, and where there is none it may be highest.
    NamedStart start{"from the best, no variances", best};
    start.psi.segment(p, objective.n_theta()).setZero();
    for (const int i : bounds.correlations()) start.psi[i] = best[i];
    found.push_back(start);
  }
  if (!objective.model().is_linear() && size > large_effect) {
    // Where effects are large maxima are close together.
    NamedStart start{"from the best, twice as large", best};
    start.psi.segment(p, objective.n_theta()) *= 2.0;
    for (const int i : bounds.correlations()) start.psi[i] = best[i];
    found.insert(found.begin(), start);
  }
  if (raised.size() > 1) found.insert(found.end(), raised.begin() + 1, raised.end());
  return found;
}

std::vector<NamedStart> moves(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                              const Eigen::VectorXd& plain) {
  std::vector<NamedStart> found;
  auto parts = components(objective);
  add_standard_deviations(objective, parts);
  move_together(objective, parts, best, plain, found);
  move_family(objective, parts, best, plain, found);
  move_each(objective, parts, best, plain, found);
  move_correlations(objective, best, plain, false, found);
  const auto& terms = objective.model().terms();
  for (std::size_t t = 0; t < terms.size(); ++t) {
    if (terms[t].structure->has_loadings())
      reverse_loadings(objective, static_cast<int>(t), best, found);
    else if (terms[t].structure->kind() == covariance::Kind::full)
      reverse_correlations(objective, static_cast<int>(t), best, found);
  }
  return found;
}

}  // namespace multilevel::search
