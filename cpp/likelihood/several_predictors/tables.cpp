#include "likelihood/several_predictors/tables.hpp"

#include <algorithm>
#include <utility>

namespace multilevel::likelihood {

namespace {

// Families have no third derivatives by phi alone: a difference of five points takes their place.
constexpr double step = 2e-3;
constexpr std::pair<double, double> stencil[] = {
    {-2.0, 1.0 / 12}, {-1.0, -8.0 / 12}, {1.0, 8.0 / 12}, {2.0, -1.0 / 12}};

}  // namespace

std::vector<int> main_variables(const model::Model& model) {
  std::vector<int> main{0};
  for (int s = 1; s <= model.family().n_phi(); ++s)
    for (const auto& term : model.terms())
      if (term.variable == s && main.back() != s) main.push_back(s);
  return main;
}

std::vector<int> main_positions(const model::Model& model) {
  const std::vector<int> main = main_variables(model);
  std::vector<int> positions(static_cast<std::size_t>(model.q()));
  for (const auto& term : model.terms())
    for (int a = 0; a < term.q; ++a)
      positions[static_cast<std::size_t>(term.first + a)] =
          static_cast<int>(std::find(main.begin(), main.end(), term.variable) - main.begin());
  return positions;
}

Tables::Tables(const model::Model& model, int most_rows)
    : family_(model.family()),
      n_phi_(model.family().n_phi()),
      n_pairs_(n_phi_ * (n_phi_ + 1) / 2),
      main_(main_variables(model)) {
  const auto n = static_cast<std::size_t>(most_rows) + 8;
  data_.resize(n * static_cast<std::size_t>(2 * (5 + 4 * n_phi_ + 3 * n_pairs_)));
  double* next = data_.data();
  for (auto* out : {&out_, &beside_}) {
    auto take = [&] {
      double* array = next;
      next += n;
      return array;
    };
    out->value = take();
    for (auto& d : out->eta) d = take();
    for (int r = 0; r < n_phi_; ++r)
      for (auto& d : out->phi[r]) d = take();
    for (int p = 0; p < n_pairs_; ++p)
      for (auto& d : out->phi_phi[p]) d = take();
  }
  by_phi_.assign(main_.size() * static_cast<std::size_t>(n_pairs_), std::vector<double>(n));
  moved_.resize(n);
}

void Tables::call(family::Order order, int n, const std::vector<double*>& at, family::Observations data,
                  const family::RowDerivatives& out) const {
  for (std::size_t a = 1; a < main_.size(); ++a) {
    data.phi.value[main_[a] - 1] = at[a];
    data.phi.step[main_[a] - 1] = 1;
  }
  family_.derivatives(order, {n, at[0], data}, out);
}

void Tables::evaluate(int n, const std::vector<double*>& at, family::Observations data) {
  call(family::Order::node, n, at, data, out_);
}

void Tables::evaluate_third(int n, const std::vector<double*>& at, family::Observations data) {
  call(family::Order::full, n, at, data, out_);
  std::vector<double*> beside = at;
  for (std::size_t a = 1; a < main_.size(); ++a) {
    auto own = [&](int p) {
      return by_phi_[a * static_cast<std::size_t>(n_pairs_) + static_cast<std::size_t>(p)].data();
    };
    for (int p = 0; p < n_pairs_; ++p) std::fill(own(p), own(p) + n, 0.0);
    for (const auto& [move, weight] : stencil) {
      for (int j = 0; j < n; ++j) moved_[static_cast<std::size_t>(j)] = at[a][j] + move * step;
      beside[a] = moved_.data();
      call(family::Order::node, n, beside, data, beside_);
      for (int p = 0; p < n_pairs_; ++p)
        for (int j = 0; j < n; ++j) own(p)[j] += weight / step * beside_.phi_phi[p][0][j];
    }
    beside[a] = at[a];
  }
}

const double* Tables::second(int s, int t) const {
  if (s == 0 && t == 0) return out_.eta[1];
  if (s == 0 || t == 0) return out_.phi[s + t - 1][1];
  return out_.phi_phi[pair(s, t)][0];
}

const double* Tables::third(int s, int t, int u) const {
  int sorted[3] = {s, t, u};
  std::sort(sorted, sorted + 3);
  if (sorted[2] == 0) return out_.eta[2];
  if (sorted[1] == 0) return out_.phi[sorted[2] - 1][2];
  if (sorted[0] == 0) return out_.phi_phi[pair(sorted[1], sorted[2])][1];
  for (int k = 0; k < 3; ++k) {
    const auto a = std::find(main_.begin(), main_.end(), sorted[k]) - main_.begin();
    if (a == static_cast<std::ptrdiff_t>(main_.size())) continue;
    const int other = sorted[k == 0 ? 1 : 0], last = sorted[k == 2 ? 1 : 2];
    return by_phi_[static_cast<std::size_t>(a) * static_cast<std::size_t>(n_pairs_) +
                   static_cast<std::size_t>(pair(other, last))]
        .data();
  }
  return nullptr;
}

}  // namespace multilevel::likelihood
