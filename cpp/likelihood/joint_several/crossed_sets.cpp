#include "likelihood/joint_several/crossed_sets.hpp"

#include <algorithm>

namespace multilevel::likelihood {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

void SetEffects::take(const model::Panel& panel, int set, const double* p) {
  const auto& model = pattern_.model();
  set_ = set;
  n_rows_ = static_cast<int>(model.set_start(set + 1) - model.set_start(set));
  column_.clear();
  x_.clear();
  first_.assign(1, 0);
  add(model.leading(), panel, p, -1);
  for (int k = 0; k < pattern_.n_set_levels(set); ++k) {
    const auto& own = pattern_.set_levels(set)[k];
    add(pattern_.others()[at(own.factor)], panel, p, own.level);
  }
}

/// The columns of a factor; with a level, where rows have it.
void SetEffects::add(int f, const model::Panel& panel, const double* p, int level) {
  const auto& model = pattern_.model();
  const auto& factor = model.factors()[at(f)];
  const auto row = model.set_start(set_), start = row - panel.first_row;
  for (int a = 0; a < factor.q; ++a) {
    const double* z = model.random_column(panel, factor.first + a) + start;
    const auto begin = x_.size();
    double mean = 0.0;
    for (int j = 0; j < n_rows_; ++j) {
      const double own = level < 0 || model.levels(f)[row + j] == level ? z[j] : 0.0;
      mean += p[start + j] * own;
      x_.push_back(own);
    }
    for (auto j = begin; j < x_.size(); ++j) x_[j] -= mean;
    column_.push_back(factor.first + a);
  }
  first_.push_back(n_effects());
}

int SetEffects::clique_place(int level) const {
  const auto& own = pattern_.set_levels(set_)[level];
  return pattern_.row_places(own.row)[own.factor];
}

void set_products(const JointPattern& pattern, const std::vector<Sets>& sets, CrossProducts& to) {
  const auto& model = pattern.model();
  const int q = pattern.q();
  std::fill(to.leading.begin(), to.leading.end(), 0.0);
  std::fill(to.border.begin(), to.border.end(), 0.0);
  std::fill(to.blocks.begin(), to.blocks.end(), 0.0);
  SetEffects effects(pattern);
  std::vector<double> weighted;
  // to += X_a' diag(w p) X_b for two blocks of effects, the second one's weighted already
  auto add = [&](int a, int b, const double* heavy, double* into) {
    for (int d = 0; d < effects.width(b); ++d, heavy += effects.n_rows())
      for (int c = 0; c < effects.width(a); ++c, ++into) {
        const double* x = effects.x(effects.first(a) + c);
        for (int j = 0; j < effects.n_rows(); ++j) *into += x[j] * heavy[j];
      }
  };
  for (std::size_t i = 0; i < model.panels().size(); ++i) {
    const auto& panel = model.panels()[i];
    for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
      double* D = to.leading.data() + std::int64_t{cluster} * q * q;
      double* E = to.border.data() + pattern.clique_start(cluster) * q;
      for (int set = model.cluster_set(cluster); set < model.cluster_set(cluster + 1); ++set) {
        effects.take(panel, set, sets[i].probabilities());
        const double* weight = sets[i].weighted() + (model.set_start(set) - panel.first_row);
        const std::int32_t* blocks = pattern.set_blocks(set);
        for (int b = 0; b < effects.n_blocks(); ++b) {
          weighted.resize(at(effects.width(b)) * at(effects.n_rows()));
          for (int d = 0; d < effects.width(b); ++d)
            for (int j = 0; j < effects.n_rows(); ++j)
              weighted[at(d) * at(effects.n_rows()) + at(j)] = weight[j] * effects.x(effects.first(b) + d)[j];
          add(0, b, weighted.data(), b == 0 ? D : E + effects.clique_place(b - 1) * q);
          for (int a = 1; a <= b; ++a)
            add(a, b, weighted.data(), to.blocks.data() + pattern.blocks()[at(*blocks++)].first);
        }
      }
    }
  }
}

/// h_j = s_j' H^-1 s_j with s_j the row of X Lambda.
void CrossedLeverages::operator()(int cluster, const double* inverse) {
  const auto& model = pattern_.model();
  while (model.panels()[at(panel_)].last_cluster <= cluster) ++panel_;
  const auto& panel = model.panels()[at(panel_)];
  const int q = pattern_.q(), size = q + pattern_.clique_size(cluster);
  for (int set = model.cluster_set(cluster); set < model.cluster_set(cluster + 1); ++set) {
    effects_.take(panel, set, sets_[at(panel_)].probabilities());
    const int k = effects_.n_effects(), n = effects_.n_rows();
    place_.clear();
    for (int block = 0; block < effects_.n_blocks(); ++block)
      for (int a = 0; a < effects_.width(block); ++a)
        place_.push_back(a + (block == 0 ? 0 : q + effects_.clique_place(block - 1)));
    s_.assign(at(k) * at(n), 0.0);  // row after row
    for (int block = 0; block < effects_.n_blocks(); ++block)
      for (int a = effects_.first(block); a < effects_.first(block + 1); ++a)
        for (int b = effects_.first(block); b < effects_.first(block + 1); ++b) {
          const double scale = lambda_(effects_.column(b), effects_.column(a));
          const double* x = effects_.x(b);
          for (int j = 0; scale != 0.0 && j < n; ++j) s_[at(j) * at(k) + at(a)] += scale * x[j];
        }
    for (int j = 0; j < n; ++j) {
      const double* s = s_.data() + at(j) * at(k);
      double sum = 0.0;
      for (int a = 0; a < k; ++a) {
        const double* column = inverse + std::int64_t{place_[at(a)]} * size;
        double own = 0.0;
        for (int b = 0; b < k; ++b) own += column[place_[at(b)]] * s[b];
        sum += s[a] * own;
      }
      leverage_[at(model.set_start(set) + j)] = sum;
    }
  }
}

}  // namespace multilevel::likelihood
