// What a model says of its rows at given parameters: those of the family, responses as it takes them, linear
// predictors.
#include "model/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "linear_algebra/dense.hpp"
#include "model/spread.hpp"
#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::model {

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
