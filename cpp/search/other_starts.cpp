#include "search/other_starts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "linear_algebra/dense.hpp"
#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr int few_levels = 10;
constexpr double few_rows = 50.0;
constexpr double small_data = 1000.0;  // rows
constexpr double many_rows = 5000.0, some_clusters = 0.05;
constexpr double rows_per_parameter = 8.0;
constexpr double rows_per_effect = 2.0;  // fewer leave the likelihood of a non-linear model ragged
constexpr int long_search = 15;          // iterations
constexpr double near_one = 0.995;       // of a coefficient's correlation with those before it together

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

bool has_few_rows(const likelihood::Objective& objective) {
  return static_cast<double>(objective.model().n_responses()) < few_rows;
}

bool is_dispersion_formula(const model::Model& model, std::size_t part) {
  return !model.phi_parts()[part].constant && model.phi_parts()[part].first < model.phi_parts()[part].last &&
         model.family().parameters()[part].part == "dispersion";
}

bool looks_odd(const likelihood::Objective& objective, const Optimum& optimum, const std::vector<bool>& free) {
  const auto& model = objective.model();
  if (optimum.ending != Ending::converged || static_cast<int>(optimum.trace.size()) > long_search) return true;
  if (std::find(free.begin(), free.end(), false) != free.end()) return true;
  const auto rows = static_cast<double>(model.n_responses());
  if (model.random_overlap() > much_overlap || has_few_rows(objective)) return true;
  if (rows < rows_per_parameter * objective.n_parameters() || has_edge(model.family())) return true;
  // Ranges that are wide leave open how much of what differs within them is residual.
  if (model.family().two_numbers() && model.family().support() != family::Support::trials && rows < small_data)
    return true;
  // With a mode for each cluster a likelihood is smooth, whatever the family; of few rows it can have several maxima.
  const bool ragged = objective.n_theta() > 0 ? !model.family().log_concave() : model.family().far_modes();
  if (ragged &&
      (rows < many_rows || static_cast<double>(optimum.sums.several_modes) > some_clusters * model.n_clusters()))
    return true;
  // Rows may tell the means together, or some of them alone.
  for (std::size_t r = 0; rows < many_rows && r < model.phi_parts().size(); ++r)
    if (is_dispersion_formula(model, r)) return true;
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
      if (factor(a, a) * factor(a, a) < (1.0 - near_one * near_one) * sigma(a, a)) return true;
    }
  }
  return false;
}

int affordable_starts(const likelihood::Objective& objective) {
  const double work = objective.work();
  const auto& terms = objective.model().terms();
  const bool loadings =
      std::any_of(terms.begin(), terms.end(), [](const auto& term) { return term.structure->has_loadings(); });
  // An evaluation of traits costs less than one of as many effects.
  if (work < 3e5 || (loadings && static_cast<double>(objective.model().n_responses()) < small_data)) return 8;
  if (work < 3e6) return 4;
  return work < 3e7 ? 1 : 0;
}

double unit_of_level(const model::Model& model, const model::Response& response) {
  if (model.family().support() != family::Support::numbers || model.family().link() != "identity") return 1.0;
  const auto n = static_cast<Eigen::Index>(model.n_rows());
  const Eigen::Map<const Eigen::ArrayXd> value(response.value.get(), n);
  const double deviation = std::sqrt((value - value.mean()).square().sum() / static_cast<double>(n));
  return deviation > 0.0 && std::isfinite(deviation) ? deviation : 1.0;
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
  // The best may be where nothing is finite without random effects.
  if (has_few_rows(objective) && !model.is_linear()) starts.push_back(with(0.0, "no variances"));
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
  if (!model.is_linear() || has_few_rows(objective))
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

std::vector<NamedStart> scattered(const likelihood::Objective& objective, const Eigen::VectorXd& best,
                                  const Eigen::VectorXd& plain, double unit, int n) {
  const int p = objective.n_beta(), n_theta = objective.n_theta();
  const Bounds bounds(objective);
  const Eigen::VectorXd usual = bounds.without_tau(plain, n_theta);
  const double size = n_theta > 0 ? usual.cwiseAbs().maxCoeff() : unit;
  constexpr std::array scales{2.0, 0.6, 6.0, 20.0};
  Scatter next;
  std::vector<NamedStart> found;
  for (int one = 0; one < n; ++one) {
    NamedStart start{"here and there", one % 2 == 0 ? best : plain};
    const double scale = scales[static_cast<std::size_t>(one) % scales.size()];
    for (int k = 0; k < n_theta; ++k) start.psi[p + k] = scale * (usual[k] != 0.0 ? usual[k] : size) * next();
    for (const int i : bounds.correlations()) start.psi[i] = next();
    if (one % 3 == 1 || (n_theta == 0 && objective.model().family().far_modes()))
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

}  // namespace multilevel::search
