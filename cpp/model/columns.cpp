// The fixed and random columns of a model: scaled, centred, gathered in the order of the rows.
#include "model/model.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "linear_algebra/dense.hpp"
#include "model/spread.hpp"
#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::model {

namespace {

constexpr int wide = 16;  // columns from which on matrix products beat our own loops

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

/// Root mean square.
double Model::column_size(const Source& source) const { return spread(source, n_rows_, false).root_mean_square; }

Model::Column Model::store(const Source& source, double shift, double scale) {
  const Column column{static_cast<int>(stored_sources_.size()), shift, scale};
  stored_sources_.push_back(source);
  plan_.push_back(column);
  return column;
}

/// Columns are centred (where an intercept or the thresholds take up the shift) and brought to a root mean square near
/// one. With loadings those that are zero in most rows, as columns of items are, stay so: rows touch few of them.
std::vector<Model::Column> Model::plan_fixed(const std::vector<Source>& sources, int threads, bool centre,
                                             std::vector<double>& raw_norm) {
  bool intercept = centre;
  for (const auto& source : sources) intercept |= source.type == Source::Type::one;
  bool sparse = false;
  for (const auto& term : terms_) sparse |= term.structure->has_loadings();
  std::vector<Spread> spreads(sources.size());
  numeric::parallel_for(static_cast<int>(sources.size()), threads, [&](int k, int) {
    const Source& source = sources[static_cast<std::size_t>(k)];
    const bool centred = intercept && !(sparse && mostly_zero(source, n_rows_));
    spreads[static_cast<std::size_t>(k)] = spread(source, n_rows_, centred);
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
    const bool items =
        r == 0 && thresholds_.size() > 0 &&
        std::any_of(terms_.begin(), terms_.end(), [](const auto& term) { return term.structure->has_loadings(); });
    for (auto& own : phi_columns.back())  // a constant that may become the column of an item
      if (items && own.slot == ones_slot) own = store({}, 0.0, 1.0);
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

}  // namespace multilevel::model
