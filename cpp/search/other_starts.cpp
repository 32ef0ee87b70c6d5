#include "search/other_starts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "linear_algebra/dense.hpp"
#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr double much_overlap = 0.8;  // squared cosine of two random columns that are not free to be recombined
constexpr int few_levels = 10;
constexpr double few_rows = 50.0;
constexpr double many_rows = 5000.0, some_clusters = 0.05;
constexpr double rows_per_parameter = 8.0;
constexpr double rows_per_effect = 2.0;  // fewer leave the likelihood of a non-linear model ragged
constexpr int long_search = 15;          // iterations
constexpr double large_effect = 2.0;     // of a standard deviation, on the scale of eta or beside the residual's
constexpr double enormous = 5.0;         // the same: there the likelihood is ragged
constexpr double negligible = 1e-6;      // of theta, on the internal scale
constexpr double large = 6.0;            // beside the usual start
constexpr double hardly_any = 1e-3;      // beside others
constexpr std::size_t most_scales = 8;   // of a structure, to be changed one by one
constexpr int most_loadings = 8;
constexpr double near_one = 0.995;  // of a correlation

/// Sizes of the columns of Lambda that a start may choose apart: one per term, or per coefficient where they are
/// independent. As positions in theta.
std::vector<std::vector<int>> components(const likelihood::Objective& objective) {
  const auto& terms = objective.model().terms();
  const model::Layout& layout = objective.layout();
  std::vector<std::vector<int>> found;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const auto& term = terms[t];
    const int own = static_cast<int>(t), first = layout.first_theta(own), last = layout.first_theta(own + 1);
    const auto kind = term.structure->kind();
    const auto scales = term.structure->scale_parameters(term.q);
    if (kind == covariance::Kind::diagonal && last - first > 1 && term.q <= 4) {
      for (int k = first; k < last; ++k) found.push_back({k});
    } else if (kind == covariance::Kind::full && term.q > 1 && term.q <= 3) {
      // Row by row of the factor, which is coefficient by coefficient.
      for (int row = 0; row < term.q; ++row) {
        std::vector<int> at;
        const auto entries = term.structure->entries(term.q);
        for (std::size_t e = 0; e < entries.size(); ++e)
          if (entries[e].row == row) at.push_back(first + static_cast<int>(e));
        found.push_back(at);
      }
    } else if (kind == covariance::Kind::scaled) {
      std::vector<int> at;
      for (const int k : scales) at.push_back(first + k);
      found.push_back(at);
    } else {
      std::vector<int> at;
      const auto rows = term.structure->theta_rows(term.q);
      for (int k = first; k < last; ++k)
        if (rows[static_cast<std::size_t>(k - first)] >= 0) at.push_back(k);
      found.push_back(at);
    }
  }
  return found;
}

/// The random column that each theta is proportional to, or -1; of unstructured terms, which have a basis of their own,
/// none.
std::vector<int> theta_rows(const likelihood::Objective& objective) {
  std::vector<int> rows;
  for (const auto& term : objective.model().terms())
    for (const int row : term.structure->theta_rows(term.q))
      rows.push_back(row < 0 || (term.structure->kind() == covariance::Kind::full && term.q > 1) ? -1
                                                                                                 : term.first + row);
  return rows;
}

/// Whether the mean leaves its range for some linear predictor, as with the identity link of a positive response.
bool has_edge(const family::Family& family) {
  const auto inside = [&](double eta) {
    switch (family.support()) {
      case family::Support::positive:
      case family::Support::nonnegative:
      case family::Support::counts:
      case family::Support::positive_counts:
        return family.mean(eta) > 0.0;
      case family::Support::trials:
      case family::Support::open_unit:
        return family.mean(eta) > 0.0 && family.mean(eta) < 1.0;
      default:
        return true;
    }
  };
  return !inside(-1.0) || !inside(1.0);
}

}  // namespace

bool looks_odd(const likelihood::Objective& objective, const Optimum& optimum, const std::vector<bool>& free) {
  const auto& model = objective.model();
  if (optimum.ending != Ending::converged || static_cast<int>(optimum.trace.size()) > long_search) return true;
  if (std::find(free.begin(), free.end(), false) != free.end()) return true;
  const auto rows = static_cast<double>(model.n_rows());
  if (model.random_overlap() > much_overlap || rows < few_rows) return true;
  if (rows < rows_per_parameter * objective.n_parameters() || has_edge(model.family())) return true;
  // With a mode for each cluster a likelihood is smooth, whatever the family; of few rows it can have several maxima.
  const bool ragged = objective.n_theta() > 0 ? !model.family().log_concave() : model.family().far_modes();
  if (ragged &&
      (rows < many_rows || static_cast<double>(optimum.sums.several_modes) > some_clusters * model.n_clusters()))
    return true;
  const bool linear = model.is_linear();
  if (!linear && static_cast<double>(model.n_modes()) * rows_per_effect > rows) return true;
  if (model.factors().size() > 1)
    for (const auto& factor : model.factors())
      if (factor.q > 0 && factor.n_levels < few_levels) return true;
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const auto& term = model.terms()[t];
    if (term.structure->kind() == covariance::Kind::scaled || term.structure->has_loadings()) return true;
    const Eigen::MatrixXd factor =
        objective.layout().term_factor(static_cast<int>(t), optimum.psi.data() + objective.n_beta());
    const Eigen::MatrixXd sigma = linear_algebra::times_transposed(factor, factor);
    for (int a = 0; a < term.q; ++a) {
      if (!linear && sigma(a, a) > large_effect * large_effect) return true;
      for (int b = 0; b < a; ++b)
        if (std::fabs(sigma(a, b)) > near_one * std::sqrt(sigma(a, a) * sigma(b, b))) return true;
    }
  }
  return false;
}

int affordable_starts(const likelihood::Objective& objective) {
  const double work = objective.work();
  if (work < 3e5) return 8;
  if (work < 3e6) return 4;
  return work < 3e7 ? 1 : 0;
}

std::vector<NamedStart> other_starts(const likelihood::Objective& objective, const Eigen::VectorXd& plain) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  if (n_theta == 0) return {};
  const auto& model = objective.model();
  const Bounds bounds(objective);
  auto with = [&](double factor, const char* name) {
    NamedStart start{name, plain};
    start.psi.segment(p, n_theta) *= factor;
    for (const int i : bounds.correlations()) start.psi[i] = plain[i];
    return start;
  };
  std::vector<NamedStart> starts{with(0.15, "small variances"), with(4.0, "large variances")};
  if (model.random_overlap() > much_overlap) {
    // Effects of columns that nearly repeat each other must be large to show in what tells them apart.
    NamedStart start{"as if columns were centred", plain};
    const auto rows = theta_rows(objective);
    for (int k = 0; k < n_theta; ++k)
      if (rows[static_cast<std::size_t>(k)] >= 0)
        start.psi[p + k] /= std::sqrt(model.random_left()[rows[static_cast<std::size_t>(k)]]);
    starts.insert(starts.begin(), start);
  }
  const auto parts = components(objective);
  for (std::size_t one = 0; parts.size() > 1 && one < std::min<std::size_t>(parts.size(), 4); ++one) {
    NamedStart start = with(0.15, "one variance large");
    start.name += " (" + std::to_string(one + 1) + ")";
    for (const int k : parts[one]) start.psi[p + k] = 2.0 * plain[p + k];
    starts.push_back(start);
  }
  // Of a non-linear model, as far out as responses can be that random effects all but reproduce.
  if (!model.is_linear() || static_cast<double>(model.n_rows()) < few_rows)
    starts.insert(starts.begin() + 2, with(20.0, "very large variances"));
  const family::Support support = model.family().support();
  for (std::size_t t = 0; t < model.terms().size(); ++t) {
    const int first = p + objective.layout().first_theta(static_cast<int>(t));
    const int last = p + objective.layout().first_theta(static_cast<int>(t) + 1);
    if (!model.terms()[t].structure->has_loadings() || last - first > most_loadings) continue;
    // Of categories a loading may have no end, which is where quadrature is at its worst: nothing begins near it.
    const bool bounded = support == family::Support::trials || support == family::Support::categories;
    for (int k = first; k < last; ++k)
      for (const double factor : {2.0, 20.0}) {
        if (bounded && factor > 10.0) continue;
        NamedStart start{factor < 10.0 ? "one loading" : "one large loading", plain};
        start.psi.segment(first, last - first).setZero();
        start.psi[k] = factor * plain[first];
        starts.push_back(start);
      }
  }
  if (!bounds.correlations().empty()) {
    for (const double tau : {-0.5, 1.5, -1.5}) {
      NamedStart start{tau > 0.0    ? "high correlation"
                       : tau < -1.0 ? "negative correlation"
                                    : "some negative correlation",
                       plain};
      for (const int i : bounds.correlations()) start.psi[i] = tau;
      starts.insert(starts.begin(), start);
    }
  }
  return starts;
}

namespace {

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
/// ordinary one, larger and smaller. Of those with several coefficients the first moves, of thresholds for all items.
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
    }
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

/// Parameters that make a correlation, to either side.
void move_correlations(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                       const Eigen::VectorXd& plain, std::vector<NamedStart>& found) {
  const int p = objective.n_beta();
  const Bounds bounds(objective);
  for (const int i : bounds.correlations())
    for (const double tau : {far_tau, -far_tau}) {
      if (std::fabs(best[i] - tau) < 1.0) continue;
      NamedStart start{tau > 0.0 ? "from the best, correlated" : "from the best, correlated negatively", best};
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

/// Numbers that look like independent standard normal ones, the same on every machine.
class Scatter {
 public:
  double operator()() {
    double sum = -6.0;  // of twelve uniform numbers
    for (int k = 0; k < 12; ++k) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      sum += static_cast<double>(state_ >> 11) * 0x1p-53;
    }
    return sum;
  }

 private:
  std::uint64_t state_ = 20260101;
};

}  // namespace

std::vector<NamedStart> likely_moves(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                     const Eigen::VectorXd& plain) {
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
  move_family(objective, parts, best, plain, found);
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
  return found;
}

std::vector<NamedStart> scattered(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                  const Eigen::VectorXd& plain, int n) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  const Bounds bounds(objective);
  const Eigen::VectorXd usual = bounds.without_tau(plain, n_theta);
  const double size = n_theta > 0 ? usual.cwiseAbs().maxCoeff() : 1.0;
  constexpr std::array scales{2.0, 0.6, 6.0, 20.0};
  Scatter next;
  std::vector<NamedStart> found;
  for (int one = 0; one < n; ++one) {
    NamedStart start{"here and there", one % 2 == 0 ? best : plain};
    const double scale = scales[static_cast<std::size_t>(one) % scales.size()];
    for (int k = 0; k < n_theta; ++k) start.psi[p + k] = scale * (usual[k] != 0.0 ? usual[k] : size) * next();
    for (const int i : bounds.correlations()) start.psi[i] = next();
    if (one % 3 == 1)
      for (int i = 0; i < p; ++i) start.psi[i] += 2.0 * size * next();
    if (one % 3 != 0) {
      const auto n_phi = plain.size() - p - n_theta;
      start.psi.tail(n_phi) = plain.tail(n_phi);
      for (int g = 0; g < static_cast<int>(n_phi); ++g) {
        const double by = 2.0 * next();
        start.psi[p + n_theta + g] += by;
        objective.model().move_items(g, by, start.psi.data() + p + n_theta);
      }
    }
    bounds.project(start.psi);
    found.push_back(std::move(start));
  }
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
  move_correlations(objective, best, plain, found);
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
