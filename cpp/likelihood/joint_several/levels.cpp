// Modes of single levels: the part of PredictorDensities that looks for them.
#include <cmath>

#include "likelihood/joint_several/predictors.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double tolerance = 1e-4;  // of a level's decrement: what is better is climbed from with all levels
constexpr double least_gain = 1e-6;
constexpr double same_mode = 1e-3;  // squared distance, relative to 1 + v'v

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

std::vector<int> of_factor(const model::Factor& factor, const std::vector<int>& main_of) {
  return {main_of.begin() + factor.first, main_of.begin() + factor.first + factor.q};
}

std::vector<std::int64_t> level_starts(const model::Model& model, int factor) {
  std::vector<std::int64_t> start(index(model.factors()[index(factor)].n_levels) + 1, 0);
  if (factor == model.leading())
    for (int i = 0; i < model.n_clusters(); ++i)
      start[index(model.cluster_level(i)) + 1] = model.cluster_start(i + 1) - model.cluster_start(i);
  else
    for (std::int64_t j = 0; j < model.n_rows(); ++j) ++start[index(model.levels(factor)[j]) + 1];
  for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
  return start;
}

int most_rows(const std::vector<std::int64_t>& start) {
  std::int64_t most = 0;
  for (std::size_t i = 1; i < start.size(); ++i) most = std::max(most, start[i] - start[i - 1]);
  return static_cast<int>(most);
}

}  // namespace

PredictorDensities::Levels::Levels(const model::Model& model, int factor, const std::vector<int>& main_of, int n_phi)
    : start(level_starts(model, factor)),
      row(index(model.n_rows())),
      search(model, of_factor(model.factors()[index(factor)], main_of), most_rows(start)),
      phi(index(n_phi)) {
  std::vector<std::int64_t> next(start.begin(), start.end() - 1);
  for (int i = 0; i < model.n_clusters(); ++i)
    for (auto j = model.cluster_start(i); j < model.cluster_start(i + 1); ++j)
      row[index(next[index(factor == model.leading() ? model.cluster_level(i) : model.levels(factor)[j])]++)] = j;
  const auto n = index(most_rows(start)) + 8;
  fixed.assign(index(search.n_main()), std::vector<double>(n));
  z.assign(index(search.q()), std::vector<double>(n));
  for (auto* own : {&response, &second, &weight}) own->resize(n);
  for (auto& own : phi) own.resize(n);
  for (const auto& own : fixed) fixed_at.push_back(own.data());
  for (const auto& own : z) z_at.push_back(own.data());
}

/// Whether the level has one of these rows.
bool PredictorDensities::Levels::holds(int level, const std::vector<char>& rows) const {
  for (auto k = start[index(level)]; k < start[index(level) + 1]; ++k)
    if (rows[index(row[index(k)])]) return true;
  return false;
}

/// The level's rows with its own random effects, u, taken out of the predictors.
void PredictorDensities::gather(Levels& levels, int factor, int level, const LevelRows::Vector& u) {
  const auto first = levels.start[index(level)];
  const int n = static_cast<int>(levels.start[index(level) + 1] - first);
  const std::int64_t* row = levels.row.data() + first;
  const int first_column = model_.factors()[index(factor)].first;
  family::Observations data{levels.response.data(), response_.second ? levels.second.data() : nullptr,
                            levels.weight.data(), phi_};
  for (std::size_t r = 0; r < levels.phi.size(); ++r) {
    if (phi_.step[r] == 0) continue;
    for (int j = 0; j < n; ++j) levels.phi[r][index(j)] = phi_.value[r][row[j]];
    data.phi.value[r] = levels.phi[r].data();
  }
  int i = 0;
  for (int j = 0; j < n; ++j) {
    // Rows of a level ascend.
    if (j == 0) i = 0;
    while (panel(i).first_row + panel(i).n_rows <= row[j]) ++i;
    levels.response[index(j)] = response_.value[index(row[j])];
    levels.weight[index(j)] = response_.weight[index(row[j])];
    if (response_.second) levels.second[index(j)] = response_.second[index(row[j])];
    for (std::size_t a = 0; a < levels.fixed.size(); ++a) levels.fixed[a][index(j)] = at(static_cast<int>(a))[row[j]];
    for (int c = 0; c < levels.search.q(); ++c)
      levels.z[index(c)][index(j)] = model_.random_column(panel(i), first_column + c)[row[j] - panel(i).first_row];
  }
  for (int c = 0; c < levels.search.q(); ++c)
    numeric::add_multiple(n, -u[c], levels.z[index(c)].data(), levels.fixed[index(levels.search.main_of(c))].data());
  levels.search.take(n, levels.fixed_at, levels.z_at, data);
}

int PredictorDensities::move_levels(int factor, const Eigen::MatrixXd& lambda, std::vector<double>& modes,
                                    long& several, const std::vector<char>* near) {
  const auto& own = model_.factors()[index(factor)];
  const int q = own.q;
  if (q > most_effects) return 0;
  if (levels_.empty()) levels_.resize(model_.factors().size());
  auto& levels = levels_[index(factor)];
  if (!levels) levels = std::make_unique<Levels>(model_, factor, main_of(), static_cast<int>(rows_.size()));
  LevelRows& search = levels->search;
  search.set_lambda(lambda);
  long steps = 0;
  int moved = 0;
  LevelRows::Vector v(q), best(q);
  for (int level = 0; level < own.n_levels; ++level) {
    if (near && !levels->holds(level, *near)) continue;
    Eigen::Map<Eigen::VectorXd> here(modes.data() + own.offset + std::int64_t{level} * q, q);
    const LevelRows::Vector from = here;
    gather(*levels, factor, level, lambda * from);
    search.place(from);
    const double start = search.value(from);
    double most = start;
    bool elsewhere = false;
    for (int a = 0; a < q; ++a)
      for (const LevelRows::Vector& beside : search.starts_beside(from, a)) {
        v = beside;
        const double f = search.climb(v, tolerance, steps, &from);
        if (!std::isfinite(f) || (v - from).squaredNorm() <= same_mode * (1.0 + from.squaredNorm())) continue;
        elsewhere = true;
        if (!(f > most + least_gain)) continue;
        most = f;
        best = v;
      }
    several += elsewhere;
    if (most == start) continue;
    here = best;
    ++moved;
  }
  return moved;
}

}  // namespace multilevel::likelihood
