#include "model/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "family/modified/make.hpp"

namespace multilevel::model {

namespace {

constexpr int panel_rows = 1024;
constexpr int most_chunks = 64;

/// Beside columns of items, of which a row has one or none, a constant becomes the column of the item that has none:
/// then a row has one column. The items' name its slot; without any the constant is no column.
template <class Columns, class Stored>
void set_items(const std::vector<Panel>& panels, int ones, int none, Columns& columns, Stored stored) {
  auto& first = columns.front();
  const int slot = first.slot;
  const auto every_row = [&](auto&& good) {
    for (const auto& panel : panels)
      for (int j = 0; j < panel.n_rows; ++j)
        if (!good(panel, j)) return false;
    return true;
  };
  bool some = false;
  for (auto& own : columns) {
    const auto is_item = [&](const Panel& panel, int j) {
      const double x = stored(panel, own.slot)[j];
      return x == 0.0 || (x == own.scale && stored(panel, slot)[j] == 1.0);
    };
    if (&own == &first || own.shift != 0.0 || !every_row(is_item)) continue;
    own.centre_slot = slot;
    some = true;
    every_row([&](const Panel& panel, int j) {
      if (stored(panel, own.slot)[j] != 0.0) stored(panel, slot)[j] = 0.0;
      return true;
    });
  }
  const bool left = !every_row([&](const Panel& panel, int j) { return stored(panel, slot)[j] == 0.0; });
  if (some && left) return;
  first.slot = ones;
  for (auto& own : columns) own.centre_slot = none;
}

}  // namespace

Model::Model(const Specification& given, int threads)
    : family_(given.own_family ? given.own_family : family::make_family(given.family, given.link, given.zero)),
      n_rows_(given.n_rows) {
  if (n_rows_ < 1 || n_rows_ > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("the number of rows must be between 1 and 2^31 - 1");
  const Specification s = with_sets(given);
  if (s.thresholds.size() > 0 && family_->all_thresholds()) {
    if (s.thresholds.rows() > family::max_phi)
      throw std::invalid_argument("the family takes at most " + std::to_string(family::max_phi + 1) + " categories");
    family_ = family_->of_categories(static_cast<int>(s.thresholds.rows()) + 1);
  }
  lay_out_terms(s);
  find_nesting(s);
  sort_rows(s);
  if (s.sets) find_sets(s.sets);
  cut_panels(!s.codes.empty());
  fill_columns(s, threads);
  check_kinds();
}

/// Finds the factors whose levels differ within a set; where all do, sets are a factor themselves.
Specification Model::with_sets(Specification s) {
  crossed_.assign(s.codes.size(), false);
  if (!s.sets || s.codes.empty()) return s;
  const std::int32_t n_sets = 1 + *std::max_element(s.sets, s.sets + n_rows_);
  for (std::size_t f = 0; f < s.codes.size(); ++f) {
    std::vector<std::int32_t> first(static_cast<std::size_t>(n_sets), -1);
    for (std::int64_t j = 0; j < n_rows_ && !crossed_[f]; ++j) {
      auto& own = first[static_cast<std::size_t>(s.sets[j])];
      if (own < 0) own = s.codes[f][j];
      crossed_[f] = own != s.codes[f][j];
    }
    sets_cross_ |= crossed_[f];
  }
  if (std::find(crossed_.begin(), crossed_.end(), false) == crossed_.end()) {
    s.codes.push_back(s.sets);
    s.n_levels.push_back(n_sets);
    crossed_.push_back(false);
  }
  return s;
}

/// Random columns stand factor by factor, those of one factor in the order of its terms; theta in the order of terms.
void Model::lay_out_terms(const Specification& s) {
  for (const auto& term : s.terms) {
    if (term.grouping_factor < 0 || static_cast<std::size_t>(term.grouping_factor) >= s.codes.size())
      throw std::invalid_argument("a term names a grouping factor that is not there");
    const auto& structure = covariance::structure(term.structure);
    const int q = static_cast<int>(term.columns.size());
    structure.check(q);
    n_theta_ += structure.n_theta(q);
    if (term.variable < 0 || term.variable > family_->n_phi())
      throw std::invalid_argument("a term belongs to a parameter that the family does not have");
    terms_.push_back({term.grouping_factor, 0, q, &structure, term.variable});
  }
  Factor next{0, 0, 0, 0, 0};
  for (std::size_t f = 0; f < s.codes.size(); ++f) {
    next.n_levels = s.n_levels[f];
    next.q = 0;
    for (auto& term : terms_) {
      if (term.factor != static_cast<int>(f)) continue;
      term.first = next.first + next.q;
      next.q += term.q;
    }
    if (next.q == 0 && s.codes[f] != s.sets) throw std::invalid_argument("a grouping factor has no term");
    factors_.push_back(next);
    next.first += next.q;
    next.offset += std::int64_t{next.n_levels} * next.q;
    next.covariance_offset += std::int64_t{next.n_levels} * next.q * next.q;
  }
  const auto effects = [&](std::size_t g) {
    return crossed_[g] ? std::int64_t{-1} : std::int64_t{factors_[g].n_levels} * factors_[g].q;
  };
  for (std::size_t f = 1; f < factors_.size(); ++f)
    if (effects(f) > effects(static_cast<std::size_t>(leading_))) leading_ = static_cast<int>(f);
}

void Model::find_nesting(const Specification& s) {
  if (s.codes.size() != 2 || sets_cross()) return;
  const std::size_t inner = s.n_levels[1] >= s.n_levels[0] ? 1 : 0, outer = 1 - inner;
  std::vector<std::int32_t> within(static_cast<std::size_t>(s.n_levels[inner]), -1);
  for (std::int64_t j = 0; j < n_rows_; ++j) {
    auto& at = within[static_cast<std::size_t>(s.codes[inner][j])];
    if (at < 0) at = s.codes[outer][j];
    if (at != s.codes[outer][j]) return;
  }
  // Clusters in the order of the outer levels.
  nesting_.inner = leading_ = static_cast<int>(inner);
  nesting_.outer = static_cast<int>(outer);
  std::vector<int> start(static_cast<std::size_t>(s.n_levels[outer]) + 1, 0);
  for (const auto level : within) ++start[static_cast<std::size_t>(std::max(level, 0)) + 1];
  for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
  nesting_.first_unit = start;
  cluster_level_.resize(within.size());
  for (std::size_t i = 0; i < within.size(); ++i)
    cluster_level_[static_cast<std::size_t>(start[static_cast<std::size_t>(std::max(within[i], 0))]++)] =
        static_cast<int>(i);
  for (int c = 0; c < s.n_levels[outer]; ++c) nesting_.outer_level.push_back(c);
}

/// Counting sort by cluster, of choices by set before: stable, one pass to count and one to place.
void Model::sort_rows(const Specification& s) {
  const auto n = static_cast<std::size_t>(n_rows_);
  order_.resize(n);
  std::vector<std::int32_t> given(n);
  for (std::size_t j = 0; j < n; ++j) given[j] = static_cast<std::int32_t>(j);
  if (s.sets) std::stable_sort(given.begin(), given.end(), [&](auto a, auto b) { return s.sets[a] < s.sets[b]; });
  if (s.codes.empty()) {
    order_ = std::move(given);
    return;
  }
  const auto leading = static_cast<std::size_t>(leading_);
  const std::int32_t* code = s.codes[leading];
  std::vector<std::int32_t> cluster(static_cast<std::size_t>(s.n_levels[leading]));
  for (std::size_t i = 0; i < cluster.size(); ++i)
    cluster[static_cast<std::size_t>(cluster_level(static_cast<int>(i)))] = static_cast<std::int32_t>(i);
  std::vector<std::int64_t> start(cluster.size() + 1, 0);
  for (std::size_t j = 0; j < n; ++j) ++start[static_cast<std::size_t>(cluster[static_cast<std::size_t>(code[j])]) + 1];
  for (std::size_t i = 1; i < start.size(); ++i) {
    if (start[i] == 0) throw std::invalid_argument("a level of the grouping factor has no row");
    start[i] += start[i - 1];
  }
  cluster_start_ = start;
  for (const std::int32_t j : given) {
    const auto at = static_cast<std::size_t>(cluster[static_cast<std::size_t>(code[j])]);
    order_[static_cast<std::size_t>(start[at]++)] = j;
  }
  levels_.resize(s.codes.size());
  for (std::size_t f = 0; f < s.codes.size(); ++f) {
    if (f == leading) continue;
    levels_[f].resize(n);
    for (std::size_t j = 0; j < n; ++j) levels_[f][j] = s.codes[f][order_[j]];
  }
}

/// Sets keep their order and their rows within a cluster, because the sort is stable.
void Model::find_sets(const std::int32_t* sets) {
  std::int32_t last = -1, most = -1;
  for (std::size_t j = 0; j < order_.size(); ++j) {
    const std::int32_t own = sets[order_[j]];
    if (j == 0 || own != last) set_start_.push_back(static_cast<std::int64_t>(j));
    last = own;
    most = std::max(most, own);
  }
  if (static_cast<std::int64_t>(set_start_.size()) != std::int64_t{most} + 1)
    throw std::invalid_argument("every set has rows");
  set_start_.push_back(n_rows_);
}

void Model::cut_panels(bool grouped) {
  if (!grouped) {  // no random effects: any cut of the rows will do, but through a set
    for (std::int64_t row = 0; row < n_rows_;) {
      cluster_start_.push_back(row);
      row += panel_rows;
      if (has_sets() && row < n_rows_) row = *std::lower_bound(set_start_.begin(), set_start_.end(), row);
    }
    cluster_start_.push_back(n_rows_);
  }
  // Of nested factors a panel holds whole levels of the outer one.
  auto next_cut = [&, outer = std::size_t{0}](int cluster) mutable {
    if (nesting_.inner < 0) return cluster + 1;
    while (nesting_.first_unit[outer] <= cluster) ++outer;
    return nesting_.first_unit[outer];
  };
  int largest_panel = 0;
  for (int first = 0, cluster = 0; cluster < n_clusters(); ++cluster) {
    const std::int64_t rows = cluster_start(cluster + 1) - cluster_start(first);
    largest_cluster_ =
        std::max(largest_cluster_, static_cast<int>(cluster_start(cluster + 1) - cluster_start(cluster)));
    if (next_cut(cluster) != cluster + 1) continue;
    const bool last = cluster + 1 == n_clusters();
    // A cluster that would take the panel far beyond its size begins the next one.
    if (rows >= panel_rows || last || cluster_start(next_cut(cluster + 1)) - cluster_start(first) > 2 * panel_rows) {
      panels_.push_back({first, cluster + 1, cluster_start(first), static_cast<int>(rows)});
      largest_panel = std::max(largest_panel, static_cast<int>(rows));
      first = cluster + 1;
    }
  }
  const int n_panels = static_cast<int>(panels_.size());
  const double share = static_cast<double>(n_rows_) / std::min(most_chunks, n_panels);
  for (int first = 0, panel = 0; panel < n_panels; ++panel) {
    const Panel& now = panels_[static_cast<std::size_t>(panel)];
    const double done = static_cast<double>(now.first_row + now.n_rows);
    if (done >= share * static_cast<double>(chunks_.size() + 1) - 0.5 || panel + 1 == n_panels) {
      chunks_.push_back({first, panel + 1});
      first = panel + 1;
    }
  }
  ones_.assign(static_cast<std::size_t>(largest_panel), 1.0);
  for (std::size_t c = 0, set = 0; has_sets() && c < cluster_start_.size(); ++c) {
    while (set_start_[set] < cluster_start_[c]) ++set;
    if (set_start_[set] != cluster_start_[c])
      throw std::invalid_argument("the rows of a set are in one level of the grouping factor");
    cluster_set_.push_back(static_cast<int>(set));
  }
}

/// The family's parameters: a constant one is a coefficient without a column.
void Model::lay_out_phi(std::vector<std::vector<Column>>& columns, const std::vector<std::vector<double>>& raw_norm,
                        std::vector<std::optional<double>> given) {
  columns.resize(static_cast<std::size_t>(family_->n_phi()));
  given.resize(columns.size());
  phi_offset_slot_.resize(columns.size(), no_slot);
  for (std::size_t r = 0; r < columns.size(); ++r) {
    auto& own = columns[r];
    if (r == 0 && n_threshold_parts() > 0 && !own.empty() && own.front().slot >= 0)
      set_items(panels_, ones_slot, no_slot, own, [&](const Panel& panel, int slot) { return stored(panel, slot); });
    const auto p = static_cast<Eigen::Index>(own.size());
    Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(p, p);
    for (const auto& panel : panels_) add_gram(panel, own, gram);
    phi_redundant_.push_back(p > 0 ? drop_redundant(own, gram, raw_norm[r]) : std::vector<int>());
    const bool ends = static_cast<int>(r) < n_threshold_parts();
    const bool constant = !ends && !given[r] && phi_offset_slot_[r] == no_slot &&
                          (own.empty() || (own.size() == 1 && own[0].slot == ones_slot));
    if (ends && r == 0) {
      n_threshold_columns_ = static_cast<int>(own.size());
      std::vector<Column> each;
      for (const auto& column : own) each.insert(each.end(), static_cast<std::size_t>(thresholds_.cols()), column);
      own = std::move(each);
    }
    const int size = constant ? 1 : static_cast<int>(own.size());
    phi_parts_.push_back({n_phi(), n_phi() + size, constant, given[r].value_or(0.0)});
    phi_part_of_.insert(phi_part_of_.end(), static_cast<std::size_t>(size), static_cast<int>(r));
    phi_intercept_.push_back(-1);
    if (ends) {
      phi_.insert(phi_.end(), own.begin(), own.end());
      continue;
    }
    for (const auto& column : own)
      if (column.slot == ones_slot && !constant)
        phi_intercept_[r] = phi_parts_[r].first + static_cast<int>(&column - own.data());
    if (constant)
      phi_.push_back({no_slot, 0.0, 1.0});
    else
      phi_.insert(phi_.end(), own.begin(), own.end());
  }
}

void Model::check_kinds() const {
  const int n_members = family_->n_members();
  if (n_members == 1) return;
  if (phi_offset_slot_[0] == no_slot) throw std::invalid_argument("a family by row needs the kind of each row");
  for (const auto& panel : panels_)
    for (int j = 0; j < panel.n_rows; ++j) {
      const double kind = kinds(panel)[j];
      if (!(kind >= 0.0 && kind < n_members && kind == std::floor(kind)))
        throw std::invalid_argument("the kind of a row is a whole number from 0 to " + std::to_string(n_members - 1));
    }
}

bool Model::phi_varies() const {
  return std::any_of(phi_parts_.begin(), phi_parts_.end(), [](const PhiPart& part) { return !part.constant; });
}

bool Model::several_predictors() const {
  return std::any_of(terms_.begin(), terms_.end(), [](const Term& term) { return term.variable != 0; });
}

}  // namespace multilevel::model
