#include "likelihood/one_factor/trait_nodes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric/lane_total.hpp"
#include "numeric/lanes.hpp"

namespace multilevel::likelihood {

using numeric::lane_count;
using numeric::Lanes;
using numeric::load;
using numeric::store;

namespace {

int whole_lanes(int n) { return (n + 3) / 4 * 4; }  // of any build
int arrays(int parts, bool twice) { return 2 + parts + (twice ? parts + parts * (parts + 1) / 2 : 0); }

}  // namespace

int TraitNodes::numbers_per_row(const model::Model& model, const numeric::QuadratureRule& rule, bool twice) {
  const int parts = static_cast<int>(model.phi_parts().size());
  return whole_lanes(rule.size) * (arrays(parts, twice) + 5 + parts);
}

TraitNodes::TraitNodes(const model::Model& model, const numeric::QuadratureRule& rule, const std::vector<int>& trait,
                       int n_traits, int most_rows, bool twice)
    : twice_(twice),
      K_(rule.size),
      width_(whole_lanes(rule.size)),
      n_traits_(n_traits),
      R_(static_cast<int>(model.phi_parts().size())),
      n_arrays_(arrays(R_, twice)),
      most_(static_cast<std::size_t>(most_rows) * static_cast<std::size_t>(width_)) {
  const auto width = static_cast<std::size_t>(width_);
  t_.assign(width * static_cast<std::size_t>(n_traits), 0.0);
  constant_.assign(width, -std::numeric_limits<double>::infinity());
  for (std::size_t k = 0; k < static_cast<std::size_t>(K_); ++k) {
    double square = 0.0;
    for (std::size_t c = 0; c < trait.size(); ++c) {
      const double t = rule.node(static_cast<int>(k))[trait[c]];
      t_[c * width + k] = t;
      square += t * t;
    }
    constant_[k] = 0.5 * square + rule.log_weights[k];
  }
  if (K_ > 1) {
    derivatives_.resize(most_ * static_cast<std::size_t>(n_arrays_));
    value_.resize(most_);
    eta_.resize(most_);
    repeated_.resize(most_ * static_cast<std::size_t>(3 + R_));
  }
  v_.resize(width * static_cast<std::size_t>(n_traits));
  total_.resize(width);
}

family::RowDerivatives TraitNodes::outputs() {
  family::RowDerivatives out;
  out.value = value_.data();
  out.eta[0] = place_of(0);
  out.eta[1] = place_of(1);
  for (int r = 0; r < R_; ++r) {
    out.phi[r][0] = place_of(2 + r);
    if (twice_) out.phi[r][1] = place_of(2 + R_ + r);
  }
  for (int pair = 0; twice_ && pair < R_ * (R_ + 1) / 2; ++pair) out.phi_phi[pair][0] = place_of(2 + 2 * R_ + pair);
  return out;
}

void TraitNodes::evaluate(const model::Model& model, const TraitRows& own, const std::vector<TraitPlace>& place) {
  if (K_ == 1) return;
  set_eta(own, place);
  model.family().derivatives(R_ > 0 ? family::Order::node : family::Order::step,
                             {own.strip.n_rows * width_, eta_.data(), repeated(own.strip)}, outputs());
}

void TraitNodes::set_eta(const TraitRows& own, const std::vector<TraitPlace>& place) {
  for (std::size_t i = 0; i < place.size(); ++i) {
    for (int c = 0; c < n_traits_; ++c)
      for (int k = 0; k < width_; k += lane_count) {
        Lanes v = numeric::broadcast(place[i].mode[c]);
        for (int b = c; b < n_traits_; ++b) v += place[i].L[c * n_traits_ + b] * load(t(b) + k);
        store(v_.data() + c * width_ + k, v);
      }
    for (int j = own.strip.start[i]; j < own.strip.start[i + 1]; ++j) {
      double* to = eta_.data() + static_cast<std::size_t>(j) * static_cast<std::size_t>(width_);
      for (int k = 0; k < width_; k += lane_count) {
        Lanes eta = numeric::broadcast(own.rows.fixed_eta[j]);
        for (int c = 0; c < n_traits_; ++c)
          eta += own.w[static_cast<std::size_t>(c)][j] * load(v_.data() + c * width_ + k);
        store(to + k, eta);
      }
    }
  }
}

/// The strip's observations, each once for every node.
family::Observations TraitNodes::repeated(const Strip& strip) {
  const auto& data = strip.data;
  family::Observations all{repeat(data.response, strip.n_rows, 0),
                           data.second ? repeat(data.second, strip.n_rows, 2) : nullptr,
                           repeat(data.weight, strip.n_rows, 1),
                           {}};
  for (int r = 0; r < R_; ++r) {
    all.phi.step[r] = data.phi.step[r];
    all.phi.value[r] =
        data.phi.step[r] ? repeat(data.phi.value[r], strip.n_rows, static_cast<std::size_t>(3 + r)) : data.phi.value[r];
  }
  return all;
}

const double* TraitNodes::repeat(const double* from, int n, std::size_t slot) {
  double* const begin = repeated_.data() + slot * most_;
  double* to = begin;
  for (int j = 0; j < n; ++j, to += width_) {
    const Lanes x = numeric::broadcast(from[j]);
    for (int k = 0; k < width_; k += lane_count) store(to + k, x);
  }
  return begin;
}

double TraitNodes::shares(const TraitPlace& place, int first, int last, double* share) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double largest = -infinity;
  for (int k = 0; k < width_; k += lane_count) {
    Lanes f = load(constant_.data() + k);
    for (int c = 0; c < n_traits_; ++c) {
      Lanes v = numeric::broadcast(place.mode[c]);
      for (int b = c; b < n_traits_; ++b) v += place.L[c * n_traits_ + b] * load(t(b) + k);
      f -= 0.5 * v * v;
    }
    const double* value = value_.data() + static_cast<std::size_t>(first) * static_cast<std::size_t>(width_) + k;
    for (int j = first; j < last; ++j, value += width_) f += load(value);
    f = numeric::select(f != f, numeric::broadcast(-infinity), f);
    store(total_.data() + k, f);
    for (int lane = 0; lane < lane_count; ++lane) largest = std::max(largest, f[lane]);
  }
  Lanes sums{};
  for (int k = 0; k < width_; k += lane_count) {
    const Lanes own = numeric::exp(load(total_.data() + k) - largest);
    store(share + k, own);
    sums += own;
  }
  const double sum = numeric::total(sums), inverse = 1.0 / sum;
  for (int k = 0; k < width_; ++k) share[k] *= inverse;
  for (int k = 0; k < K_; ++k)
    if (!(share[k] > 0.0)) clear(k, first, last);
  return largest + std::log(sum);
}

void TraitNodes::clear(int node, int first, int last) {
  for (int number = 0; number < n_arrays_; ++number) {
    double* to = place_of(number) + node;
    for (int j = first; j < last; ++j) to[static_cast<std::size_t>(j) * static_cast<std::size_t>(width_)] = 0.0;
  }
}

}  // namespace multilevel::likelihood
