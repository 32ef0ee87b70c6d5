#include "model/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "family/modified/make.hpp"
#include "linear_algebra/dense.hpp"
#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::model {

namespace {

constexpr int panel_rows = 1024;
constexpr int most_chunks = 64;
constexpr int wide = 16;  // columns from which on matrix products beat our own loops

struct Spread {
  double mean, root_mean_square, norm;  ///< rms of x - mean (or of x, uncentred); norm of x itself
};

/// Sums over blocks of fixed length, added in order: the same bits every time. `unit` keeps squares in range.
template <class Value>
Spread spread(std::int64_t n, bool centre, Value value, double unit) {
  constexpr std::int64_t block = 4096;
  const double origin = value(0) * unit;  // deviations from some value of the column keep the digits of far-off columns
  double sum = 0.0, square = 0.0, raw = 0.0;
  for (std::int64_t first = 0; first < n; first += block) {
    const std::int64_t last = std::min(n, first + block);
    double s = 0.0, ss = 0.0, rr = 0.0;
#pragma omp simd reduction(+ : s, ss, rr)
    for (std::int64_t j = first; j < last; ++j) {
      const double x = value(j) * unit, d = x - origin;
      s += d;
      ss += d * d;
      rr += x * x;
    }
    sum += s;
    square += ss;
    raw += rr;
  }
  const double count = static_cast<double>(n);
  Spread r;
  r.norm = std::sqrt(raw) / unit;
  if (centre) {
    const double mean = sum / count;
    r.mean = (origin + mean) / unit;
    r.root_mean_square = std::sqrt(std::max(0.0, square / count - mean * mean)) / unit;
  } else {
    r.mean = 0.0;
    r.root_mean_square = std::sqrt(raw / count) / unit;
  }
  return r;
}

template <class Value>
Spread spread(std::int64_t n, bool centre, Value value) {
  const Spread plain = spread(n, centre, value, 1.0);
  constexpr double small = 1e-140, large = 1e140;
  if (plain.norm < large && (plain.norm > small || plain.norm == 0.0) && plain.root_mean_square != 0.0) return plain;
  double most = 0.0;
  for (std::int64_t j = 0; j < n; ++j) most = std::max(most, std::fabs(value(j)));
  if (most == 0.0 || (most < large && most > small)) return plain;
  return spread(n, centre, value, std::exp2(-std::round(std::log2(most))));
}

Spread spread(const Source& source, std::int64_t n, bool centre) {
  Spread r{0.0, 1.0, std::sqrt(static_cast<double>(n))};
  visit_type(source.type, [&]<class T>() {
    if (source.stride == static_cast<std::ptrdiff_t>(sizeof(T))) {
      const T* x = reinterpret_cast<const T*>(source.data);
      r = spread(n, centre, [x](std::int64_t j) { return static_cast<double>(x[j]); });
    } else {
      r = spread(n, centre, [&](std::int64_t j) { return source.at<T>(j); });
    }
  });
  return r;
}

/// A power of two, so that scaling changes no digit.
double scale_for(double size) {
  if (!(size > 0.0)) return 1.0;
  return std::exp2(-std::round(std::log2(size)));
}

void gather(const Source& source, const std::int32_t* rows, int n, double shift, double scale, double* to) {
  if (source.type == Source::Type::one) std::fill(to, to + n, 1.0);
  visit_type(source.type, [&]<class T>() {
    if (source.stride == static_cast<std::ptrdiff_t>(sizeof(T))) {
      const T* from = reinterpret_cast<const T*>(source.data);
      for (int j = 0; j < n; ++j) to[j] = (static_cast<double>(from[rows[j]]) - shift) * scale;
    } else {
      for (int j = 0; j < n; ++j) to[j] = (source.at<T>(rows[j]) - shift) * scale;
    }
  });
}

Source doubles(const double* data) {
  return {Source::Type::f64, reinterpret_cast<const char*>(data), static_cast<std::ptrdiff_t>(sizeof(double))};
}

}  // namespace

Model::Model(const Specification& s, int threads)
    : family_(s.own_family ? s.own_family : family::make_family(s.family, s.link, s.zero)), n_rows_(s.n_rows) {
  if (n_rows_ < 1 || n_rows_ > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("the number of rows must be between 1 and 2^31 - 1");
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
    if (next.q == 0) throw std::invalid_argument("a grouping factor has no term");
    factors_.push_back(next);
    next.first += next.q;
    next.offset += std::int64_t{next.n_levels} * next.q;
    next.covariance_offset += std::int64_t{next.n_levels} * next.q * next.q;
  }
  for (std::size_t f = 1; f < factors_.size(); ++f) {
    const auto effects = [&](std::size_t g) { return std::int64_t{factors_[g].n_levels} * factors_[g].q; };
    if (effects(f) > effects(static_cast<std::size_t>(leading_))) leading_ = static_cast<int>(f);
  }
}

void Model::find_nesting(const Specification& s) {
  if (s.codes.size() != 2) return;
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
    throw std::invalid_argument("the rows of a set are in one level of the grouping factor, and every set has rows");
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

/// Root mean square.
double Model::column_size(const Source& source) const { return spread(source, n_rows_, false).root_mean_square; }

Model::Column Model::store(const Source& source, double shift, double scale) {
  const Column column{static_cast<int>(stored_sources_.size()), shift, scale};
  stored_sources_.push_back(source);
  plan_.push_back(column);
  return column;
}

/// Columns are centred (where an intercept or the thresholds take up the shift) and brought to a root mean square near
/// one.
std::vector<Model::Column> Model::plan_fixed(const std::vector<Source>& sources, int threads, bool centre,
                                             std::vector<double>& raw_norm) {
  bool intercept = centre;
  for (const auto& source : sources) intercept |= source.type == Source::Type::one;
  std::vector<Spread> spreads(sources.size());
  numeric::parallel_for(static_cast<int>(sources.size()), threads, [&](int k, int) {
    spreads[static_cast<std::size_t>(k)] = spread(sources[static_cast<std::size_t>(k)], n_rows_, intercept);
  });
  std::vector<Column> columns;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    const bool one = sources[k].type == Source::Type::one;
    const double scale = scale_for(spreads[k].root_mean_square);
    columns.push_back(one ? Column{ones_slot, 0.0, 1.0} : store(sources[k], spreads[k].mean, scale));
    raw_norm.push_back(spreads[k].norm * scale);
  }
  return columns;
}

/// Fixed columns that another one takes up shifts of are moved by the multiple of it that is nearest to them.
void Model::centre_columns(const Specification& s, std::vector<double>& raw_norm) {
  for (std::size_t k = 0; k < s.centres.size(); ++k) {
    const int at = s.centres[k];
    if (at < 0 || fixed_[k].slot == ones_slot) continue;
    const Column& centre = fixed_.at(static_cast<std::size_t>(at));
    if (centre.slot == ones_slot || (s.centres[static_cast<std::size_t>(at)] >= 0))
      throw std::invalid_argument("a column that takes up shifts is stored and not shifted itself");
    std::vector<double> x(static_cast<std::size_t>(n_rows_)), c(x);
    gather(s.fixed[k], order_.data(), static_cast<int>(n_rows_), 0.0, 1.0, x.data());
    gather(s.fixed[static_cast<std::size_t>(at)], order_.data(), static_cast<int>(n_rows_), 0.0, 1.0, c.data());
    double cross = 0.0, square = 0.0, left = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      cross += x[j] * c[j];
      square += c[j] * c[j];
    }
    const double shift = square > 0.0 ? cross / square : 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) left += (x[j] - shift * c[j]) * (x[j] - shift * c[j]);
    Column& own = fixed_[k];
    const double scale = scale_for(std::sqrt(left / static_cast<double>(n_rows_)));
    raw_norm[k] *= scale / own.scale;
    own = {own.slot, shift, scale, centre.slot};
    plan_[static_cast<std::size_t>(own.slot)].scale = scale;
  }
}

/// What all alternatives of a set share decides nothing.
void Model::take_out_set_means(const Panel& panel, double* x) const {
  for (int set = cluster_set(panel.first_cluster); set < cluster_set(panel.last_cluster); ++set) {
    const auto first = set_start(set) - panel.first_row, last = set_start(set + 1) - panel.first_row;
    double mean = 0.0;
    for (auto j = first; j < last; ++j) mean += x[j];
    mean /= static_cast<double>(last - first);
    for (auto j = first; j < last; ++j) x[j] -= mean;
  }
}

/// Adds the cross-products of columns over the rows of a panel, the lower triangle of them.
void Model::add_gram(const Panel& panel, const std::vector<Column>& columns, Eigen::MatrixXd& gram) const {
  const int p = static_cast<int>(columns.size());
  auto at = [&](int k) { return column(panel, columns[static_cast<std::size_t>(k)].slot); };
  if (p > wide || has_sets()) {
    Eigen::MatrixXd block(panel.n_rows, p);
    for (int a = 0; a < p; ++a) {
      block.col(a) = Eigen::Map<const Eigen::VectorXd>(at(a), panel.n_rows);
      if (has_sets()) take_out_set_means(panel, block.col(a).data());
    }
    linear_algebra::add_gram(block, gram);
    return;
  }
  for (int a = 0; a < p; ++a) {
    const double* x = at(a);
    for (int b = 0; b <= a; ++b) {
      const double* z = at(b);
      double sum = 0.0;
#pragma omp simd reduction(+ : sum)
      for (int j = 0; j < panel.n_rows; ++j) sum += x[j] * z[j];
      gram(a, b) += sum;
    }
  }
}

void Model::fill_columns(const Specification& s, int threads) {
  std::vector<double> raw_norm;
  thresholds_ = s.thresholds;
  lay_out_thresholds();
  fixed_ = plan_fixed(s.fixed, threads, threshold_level_.size() > 0, raw_norm);
  centre_columns(s, raw_norm);
  choose_basis(s);
  random_.resize(static_cast<std::size_t>(random_basis_.rows()));
  bool mixed = false;  // whether columns of a term are combined
  for (std::size_t t = 0; t < s.terms.size(); ++t) {
    const auto own = random_basis_.block(terms_[t].first, terms_[t].first, terms_[t].q, terms_[t].q);
    const bool combined = !own.isDiagonal(0.0);
    mixed |= combined;
    for (int a = 0; a < terms_[t].q; ++a) {
      const Source& source = s.terms[t].columns[static_cast<std::size_t>(a)];
      auto& column = random_[static_cast<std::size_t>(terms_[t].first + a)];
      if (source.type == Source::Type::one && !combined)
        column = {ones_slot, 0.0, 1.0};
      else
        column = store(source, 0.0, combined ? 1.0 : own(a, a));
    }
  }
  auto add_plain = [&](const double* data) { return data ? store(doubles(data), 0.0, 1.0).slot : no_slot; };
  offset_slot_ = add_plain(s.offset);
  second_slot_ = add_plain(s.second);
  weight_slot_ = add_plain(s.weights);
  std::vector<std::vector<Column>> phi_columns;
  std::vector<std::vector<double>> phi_norm(s.phi.size());
  for (std::size_t r = 0; r < s.phi.size(); ++r) {
    phi_columns.push_back(plan_fixed(s.phi[r].fixed, threads, false, phi_norm[r]));
    phi_offset_slot_.push_back(add_plain(s.phi[r].offset));
  }

  n_slots_ = static_cast<int>(stored_sources_.size());
  storage_.reset(new double[static_cast<std::size_t>(n_rows_ * n_slots_)]);
  const auto p = static_cast<Eigen::Index>(fixed_.size());
  std::vector<Eigen::MatrixXd> grams(chunks_.size(), Eigen::MatrixXd::Zero(p, p));
  numeric::parallel_for(static_cast<int>(chunks_.size()), threads, [&](int c, int) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    for (int i = chunk.first_panel; i < chunk.last_panel; ++i) {
      const Panel& panel = panels_[static_cast<std::size_t>(i)];
      for (std::size_t k = 0; k < plan_.size(); ++k)
        gather(stored_sources_[k], order_.data() + panel.first_row, panel.n_rows, plan_[k].shift, plan_[k].scale,
               stored(panel, plan_[k].slot));
      for (const Column& x : fixed_)
        if (x.centre_slot != no_slot)
          numeric::add_multiple(panel.n_rows, -x.shift * x.scale / plan_[static_cast<std::size_t>(x.centre_slot)].scale,
                                stored(panel, x.centre_slot), stored(panel, x.slot));
      if (mixed) combine_random_columns(panel);
      add_gram(panel, fixed_, grams[static_cast<std::size_t>(c)]);
    }
  });
  stored_sources_.clear();
  plan_.clear();
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(p, p);
  for (const auto& part : grams) gram += part;
  redundant_ = drop_redundant(fixed_, gram, raw_norm);
  for (std::size_t k = 0; k < fixed_.size(); ++k)
    if (fixed_[k].slot == ones_slot) intercept_ = static_cast<int>(k);
  std::vector<std::optional<double>> given;
  for (const auto& part : s.phi) given.push_back(part.value);
  lay_out_phi(phi_columns, phi_norm, given);
}

/// The family's parameters: a constant one is a coefficient without a column.
void Model::lay_out_phi(std::vector<std::vector<Column>>& columns, const std::vector<std::vector<double>>& raw_norm,
                        std::vector<std::optional<double>> given) {
  columns.resize(static_cast<std::size_t>(family_->n_phi()));
  given.resize(columns.size());
  phi_offset_slot_.resize(columns.size(), no_slot);
  for (std::size_t r = 0; r < columns.size(); ++r) {
    auto& own = columns[r];
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

family::Phi Model::phi_rows(const Panel& panel, const Response& response, int first, int n, const double* phi,
                            double* const* to) const {
  family::Phi result;
  for (std::size_t r = 0; r < phi_parts_.size(); ++r) {
    const PhiPart& part = phi_parts_[r];
    if (part.constant) {
      result.value[r] = phi + part.first;
      continue;
    }
    phi_part_rows(panel, response, static_cast<int>(r), first, n, phi, to[r]);
    result.value[r] = to[r];
    result.step[r] = 1;
  }
  return result;
}

void Model::phi_part_rows(const Panel& panel, const Response& response, int part, int first, int n, const double* phi,
                          double* to) const {
  const auto r = static_cast<std::size_t>(part);
  if (part < n_threshold_parts() && family_->all_thresholds()) {
    std::fill(to, to + n, 0.0);
    for (int g = 0; g < n_thresholds(); ++g)
      for (const auto& use : phi_uses(panel, response, g))
        if (use.part == part) numeric::add_multiple(n, phi[g], use.column + first, to);
    return;
  }
  if (part < n_threshold_parts()) {
    const double outside = r == 0 ? n_categories() : 1.0, infinity = std::numeric_limits<double>::infinity();
    const double* category = response.value.get() + panel.first_row + first;
    for (int j = 0; j < n; ++j) to[j] = category[j] == outside ? (r == 0 ? infinity : -infinity) : 0.0;
    for (int g = 0; g < n_thresholds(); ++g)
      numeric::add_multiple(n, phi[g], phi_uses(panel, response, g).use[r].column + first, to);
    return;
  }
  // A linear family's response is scaled inside, and its standard deviation with it.
  std::fill(to, to + n, phi_parts_[r].given + (r == 0 ? std::log(response.scale) : 0.0));
  if (phi_offset_slot_[r] != no_slot) numeric::add_multiple(n, 1.0, column(panel, phi_offset_slot_[r]) + first, to);
  for (int g = phi_parts_[r].first; g < phi_parts_[r].last; ++g)
    numeric::add_multiple(n, phi[g], phi_uses(panel, response, g).use[0].column + first, to);
}

Response Model::prepare(const double* y, int threads, double* row_constants) const {
  Response r;
  r.value.reset(new double[static_cast<std::size_t>(n_rows_)]);
  r.weight.reset(new double[static_cast<std::size_t>(n_rows_)]);
  if (family_->two_numbers()) r.second.reset(new double[static_cast<std::size_t>(n_rows_)]);
  const bool linear = family_->is_linear();
  if (linear) {
    const Spread s = spread(n_rows_, has_intercept(), [y](std::int64_t j) { return y[j]; });
    r.shift = s.mean;
    r.scale = scale_for(s.root_mean_square);
  }
  std::vector<numeric::CompensatedSum> constants(chunks_.size());
  numeric::parallel_for(static_cast<int>(chunks_.size()), threads, [&](int c, int) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    for (int i = chunk.first_panel; i < chunk.last_panel; ++i) {
      const Panel& panel = panels_[static_cast<std::size_t>(i)];
      const double* second = second_slot_ == no_slot ? ones_.data() : column(panel, second_slot_);
      const double* weight = weight_slot_ == no_slot ? ones_.data() : column(panel, weight_slot_);
      const double* off = linear && offset_slot_ != no_slot ? column(panel, offset_slot_) : nullptr;
      const double* kind = kinds(panel);
      for (int j = 0; j < panel.n_rows; ++j) {
        const auto row = static_cast<std::size_t>(panel.first_row + j);
        double value = y[order_[row]];
        if (!std::isfinite(value)) throw std::invalid_argument("the response must be finite");
        if (linear) value = (value - (off ? off[j] : 0.0) - r.shift) * r.scale;
        double constant = 0.0;
        const family::Family& of_row = kind ? family_->member(static_cast<int>(kind[j])) : *family_;
        const family::Observation own = of_row.prepare(value, second[j], weight[j], &constant);
        r.value[row] = own.response;
        r.weight[row] = own.weight;
        if (r.second) r.second[row] = own.second;
        constants[static_cast<std::size_t>(c)].add(constant);
        if (row_constants) row_constants[row] = constant + std::log(r.scale);
      }
    }
  });
  for (const auto& c : constants) r.constant.add(c);
  r.constant.add(static_cast<double>(n_rows_) * std::log(r.scale));
  if (n_thresholds() > 0) set_ends(y, r, threads);
  return r;
}

UserScale Model::user_scale(const Response& response) const {
  const int P = n_parameters();
  UserScale u{Eigen::MatrixXd::Identity(P, P), Eigen::VectorXd::Zero(P)};
  for (int k = 0; k < p(); ++k) {
    const Column& c = fixed_[static_cast<std::size_t>(k)];
    u.matrix(k, k) = c.scale / response.scale;
    for (int m = 0; m < p() && c.centre_slot != no_slot; ++m)
      if (fixed_[static_cast<std::size_t>(m)].slot == c.centre_slot) u.matrix(m, k) = -c.scale * c.shift;
    if (intercept_ >= 0 && k != intercept_) u.matrix(intercept_, k) = -c.scale * c.shift / response.scale;
  }
  if (intercept_ >= 0) u.shift[intercept_] = response.shift;
  int at = p();
  const Eigen::MatrixXd basis = random_basis(response);
  for (const auto& term : terms_) {
    const auto rows = term.structure->theta_rows(term.q);
    if (term.structure->kind() != covariance::Kind::full) {
      for (std::size_t k = 0; k < rows.size(); ++k)
        if (rows[k] >= 0)
          u.matrix(at + static_cast<int>(k), at + static_cast<int>(k)) =
              basis(term.first + rows[k], term.first + rows[k]);
    } else {  // Lambda = basis times the factor inside, column by column
      const auto entries = term.structure->entries(term.q);
      for (std::size_t k = 0; k < entries.size(); ++k)
        for (std::size_t m = 0; m < entries.size(); ++m)
          if (entries[k].column == entries[m].column && entries[m].row <= entries[k].row)
            u.matrix(at + static_cast<int>(k), at + static_cast<int>(m)) =
                basis(term.first + entries[k].row, term.first + entries[m].row);
    }
    at += static_cast<int>(rows.size());
  }
  const int phi = p() + n_theta(), m = static_cast<int>(thresholds_.cols());
  for (int k = 0; k < p() && threshold_level_.size() > 0; ++k) {
    const Column& c = fixed_[static_cast<std::size_t>(k)];
    u.matrix.col(k).segment(phi, m) = c.scale * c.shift * threshold_level_;
  }
  for (int g = 0; g < n_thresholds(); ++g) {
    const Column& c = phi_[static_cast<std::size_t>(g)];
    u.matrix(phi + g, phi + g) = c.scale;
    if (g >= m) u.matrix(phi + g % m, phi + g) = -c.scale * c.shift;
  }
  for (std::size_t r = static_cast<std::size_t>(n_threshold_parts()); r < phi_parts_.size(); ++r) {
    const PhiPart& part = phi_parts_[r];
    if (part.constant && r == 0) u.shift[phi + part.first] = -std::log(response.scale);
    for (int g = part.first; g < part.last && !part.constant; ++g) {
      const Column& c = phi_[static_cast<std::size_t>(g)];
      u.matrix(phi + g, phi + g) = c.scale;
      if (phi_intercept_[r] >= 0 && g != phi_intercept_[r])
        u.matrix(phi + phi_intercept_[r], phi + g) = -c.scale * c.shift;
    }
  }
  return u;
}

Eigen::MatrixXd Model::random_basis(const Response& response) const {
  Eigen::MatrixXd basis = random_basis_;
  for (const auto& term : terms_)
    if (term.variable == 0) basis.block(term.first, term.first, term.q, term.q) /= response.scale;
  return basis;
}

/// What a random column belongs to.
int Model::variable(int column) const {
  for (const auto& term : terms_)
    if (column >= term.first && column < term.first + term.q) return term.variable;
  return 0;
}

/// The modes of all levels and factors in the basis of the stored columns.
std::vector<double> Model::stored_modes(const double* modes) const {
  std::vector<double> inner(static_cast<std::size_t>(n_modes()));
  for (const auto& factor : factors_) {
    const Eigen::MatrixXd basis = random_basis_.block(factor.first, factor.first, factor.q, factor.q);
    const Eigen::Map<const Eigen::MatrixXd> own(modes + factor.offset, factor.q, factor.n_levels);
    Eigen::Map<Eigen::MatrixXd> to(inner.data() + factor.offset, factor.q, factor.n_levels);
    to = linear_algebra::solve_lower(basis, own);
  }
  return inner;
}

void Model::linear_predictor(const double* beta, const double* modes, double* eta, int threads) const {
  const std::vector<double> inner = modes ? stored_modes(modes) : std::vector<double>();
  numeric::parallel_for(static_cast<int>(chunks_.size()), threads, [&](int c, int) {
    std::vector<double> sum(ones_.size());
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    for (int i = chunk.first_panel; i < chunk.last_panel; ++i) {
      const Panel& panel = panels_[static_cast<std::size_t>(i)];
      const double* off = offset(panel);
      for (int j = 0; j < panel.n_rows; ++j) sum[static_cast<std::size_t>(j)] = off ? off[j] : 0.0;
      for (int k = 0; k < p(); ++k) {
        const Column& x = fixed_[static_cast<std::size_t>(k)];
        const double* from = column(panel, x.slot);
        for (int j = 0; j < panel.n_rows; ++j)
          sum[static_cast<std::size_t>(j)] +=
              beta[k] * (from[j] / x.scale + (x.centre_slot == no_slot ? x.shift : 0.0));
        if (x.centre_slot == no_slot) continue;
        const auto centre = std::find_if(fixed_.begin(), fixed_.end(),
                                         [&](const Column& other) { return other.slot == x.centre_slot; });
        numeric::add_multiple(panel.n_rows, beta[k] * x.shift / centre->scale, column(panel, x.centre_slot),
                              sum.data());
      }
      for (std::size_t f = 0; modes && f < factors_.size(); ++f)
        for (int a = 0; a < factors_[f].q; ++a) {
          const Factor& factor = factors_[f];
          if (variable(factor.first + a) != 0) continue;
          const double* z = random_column(panel, factor.first + a);
          const double* u = inner.data() + factor.offset + a;
          if (static_cast<int>(f) != leading_) {
            const std::int32_t* level = levels(static_cast<int>(f)) + panel.first_row;
            for (int j = 0; j < panel.n_rows; ++j)
              sum[static_cast<std::size_t>(j)] += u[std::int64_t{level[j]} * factor.q] * z[j];
            continue;
          }
          for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
            const double mode = u[std::int64_t{cluster_level(cluster)} * factor.q];
            for (auto j = cluster_start(cluster) - panel.first_row; j < cluster_start(cluster + 1) - panel.first_row;
                 ++j)
              sum[static_cast<std::size_t>(j)] += mode * z[j];
          }
        }
      for (int j = 0; j < panel.n_rows; ++j)
        eta[order_[static_cast<std::size_t>(panel.first_row + j)]] = sum[static_cast<std::size_t>(j)];
    }
  });
}

}  // namespace multilevel::model
