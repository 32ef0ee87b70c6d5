#include "likelihood/nested/likelihood.hpp"

#include <stdexcept>

#include "likelihood/contributions.hpp"

namespace multilevel::likelihood {

namespace {

const model::Factor& inner_factor(const model::Model& model) {
  return model.factors()[static_cast<std::size_t>(model.nesting()->inner)];
}
const model::Factor& outer_factor(const model::Model& model) {
  return model.factors()[static_cast<std::size_t>(model.nesting()->outer)];
}

int most_units_of(const model::Model& model) {
  int most = 1;
  for (const auto& panel : model.panels()) most = std::max(most, panel.last_cluster - panel.first_cluster);
  return most;
}

/// A panel holds no more clusters than units.
int most_clusters_of(const model::Model& model) {
  return std::min(most_units_of(model), static_cast<int>(model.nesting()->outer_level.size()));
}

int checked_q(const model::Factor& factor) {
  if (factor.q > most_nested_effects)
    throw std::invalid_argument("quadrature over nested levels takes at most 16 random effects per level");
  return factor.q;
}

}  // namespace

NestedLikelihood::NestedLikelihood(const model::Model& model, const model::Response& response,
                                   const model::Layout& layout, const numeric::QuadratureRule& inner,
                                   const numeric::QuadratureRule& outer)
    : model_(model),
      response_(response),
      layout_(layout),
      inner_(inner_factor(model)),
      outer_(outer_factor(model)),
      n_entries_(static_cast<int>(layout.entries().size())),
      most_units_(most_units_of(model)),
      most_clusters_(most_clusters_of(model)),
      arrays_(model.largest_panel(), checked_q(inner_), model),
      v_(most_units_, most_clusters_, inner_.q, checked_q(outer_)),
      arrow_(most_units_, most_clusters_, inner_.q, outer_.q),
      modes_(model.family(), model.largest_panel(), most_units_, most_clusters_, inner_.q, outer_.q),
      nodes_(model, inner, outer, most_units_, most_clusters_, inner_.q, outer_.q),
      information_(model, layout, most_units_, inner_.q, outer_.q),
      S_(inner_.q, inner_.q, most_units_),
      S_cross_(outer_.q, inner_.q, most_units_),
      A_(inner_.q, inner_.q, most_units_),
      A_cross_(outer_.q, inner_.q, most_units_),
      Az_(inner_.q, inner_.q, most_units_),
      Az_cross_(outer_.q, inner_.q, most_units_),
      zc_(inner_.q, 1, most_units_),
      kappa_(inner_.q, 1, most_units_),
      h_(inner_.q, 1, most_units_),
      hz_(inner_.q, 1, most_units_),
      b_(inner_.q, 1, most_units_),
      work_(inner_.q, inner_.q, most_units_),
      work_cross_(outer_.q, inner_.q, most_units_),
      score_(model.p() + n_entries_ + model.n_phi()) {}

void NestedLikelihood::add(const model::Panel& panel, const double* psi, double* modes, Sums& sums,
                           double* mode_covariance) {
  rows_.set(model_, response_, panel);
  const int p = model_.p(), n = rows_.n_rows;
  rows_.data.phi = model_.phi_rows(panel, response_, 0, n, psi + p + n_entries_, arrays_.phi_rows);
  lambda_inner_.setZero(inner_.q, inner_.q);
  lambda_outer_.setZero(outer_.q, outer_.q);
  for (int e = 0; e < n_entries_; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    const bool is_inner = entry.row >= inner_.first && entry.row < inner_.first + inner_.q;
    const int first = is_inner ? inner_.first : outer_.first;
    (is_inner ? lambda_inner_ : lambda_outer_)(entry.row - first, entry.column - first) = psi[p + e];
  }
  if (rows_.offset)
    std::copy(rows_.offset, rows_.offset + n, arrays_.fixed_eta);
  else
    std::fill(arrays_.fixed_eta, arrays_.fixed_eta + n, 0.0);
  for (int k = 0; k < p; ++k) numeric::add_multiple(n, psi[k], rows_.x[static_cast<std::size_t>(k)], arrays_.fixed_eta);

  read_modes(modes);
  const auto& family = model_.family();
  // Differences are taken at one and the same mode.
  const bool stay = sums.hessian.size() == 0;
  int failed = modes_.find({rows_, arrays_, family, lambda_inner_, lambda_outer_, arrow_}, v_, stay, sums);
  if (failed < 0) {
    modes_.linear_predictor(rows_, arrays_, lambda_inner_, lambda_outer_, v_, 0, rows_.n_clusters);
    family.derivatives(family::Order::full, rows_.family_rows({0, n}, arrays_.eta), arrays_.at_mode);
    for (int c = 0; c < rows_.n_clusters && failed < 0; ++c)
      if (!arrow_.factor(rows_, c, arrays_.at_mode.eta[1], -1.0, lambda_inner_, lambda_outer_)) failed = c;
  }
  if (failed >= 0) {
    sums.failed_cluster = rows_.first_unit + rows_.units(failed).first;
    return;
  }
  write_modes(modes);
  if (mode_covariance) write_covariance(mode_covariance);
  nodes_.set_moments(sums.contributions && sums.contributions->with_moments ? &sums.contributions->to_user : nullptr,
                     outer_.first);
  nodes_.integrate(rows_, arrays_, family, lambda_inner_, lambda_outer_, v_, arrow_);
  for (int c = 0; c < rows_.n_clusters; ++c) add_cluster(c, sums);
  if (sums.hessian.size() > 0) add_information(sums);
  for (int k = 0; k < p; ++k) sums.gradient[k] += numeric::dot(n, rows_.x[static_cast<std::size_t>(k)], arrays_.rho);
}

void NestedLikelihood::add_information(Sums& sums) {
  for (int c = 0; c < rows_.n_clusters; ++c)
    information_.add(rows_, c, arrow_, arrays_.at_mode.eta[1], lambda_inner_, lambda_outer_, inner_.first, outer_.first,
                     sums);
  const int first = model_.p() + n_entries_;
  for (std::size_t r = 0; r < model_.phi_parts().size(); ++r) {
    const auto& part = model_.phi_parts()[r];
    for (int g = part.first; g < part.last; ++g)
      for (int h = part.first; h <= g; ++h)
        for (const auto& x : rows_.phi[static_cast<std::size_t>(g)])
          for (const auto& y : rows_.phi[static_cast<std::size_t>(h)])
            sums.hessian(first + g, first + h) += NestedRows::column_sum(
                {0, rows_.n_rows},
                arrays_.at_mode.phi_phi[family::phi_pair(std::max(x.part, y.part), std::min(x.part, y.part))][0],
                x.column, y.column);
  }
}

void NestedLikelihood::read_modes(const double* modes) {
  for (int i = 0; i < rows_.n_units; ++i) {
    const double* own =
        modes + inner_.offset + static_cast<std::int64_t>(model_.cluster_level(rows_.first_unit + i)) * inner_.q;
    for (int a = 0; a < inner_.q; ++a) v_.inner.at(a)[i] = own[a];
  }
  for (int c = 0; c < rows_.n_clusters; ++c) {
    const auto level = model_.nesting()->outer_level[static_cast<std::size_t>(rows_.first_cluster + c)];
    const double* own = modes + outer_.offset + static_cast<std::int64_t>(level) * outer_.q;
    for (int a = 0; a < outer_.q; ++a) v_.outer.at(a)[c] = own[a];
  }
}

void NestedLikelihood::write_modes(double* modes) const {
  for (int i = 0; i < rows_.n_units; ++i) {
    double* own =
        modes + inner_.offset + static_cast<std::int64_t>(model_.cluster_level(rows_.first_unit + i)) * inner_.q;
    for (int a = 0; a < inner_.q; ++a) own[a] = v_.inner.at(a)[i];
  }
  for (int c = 0; c < rows_.n_clusters; ++c) {
    const auto level = model_.nesting()->outer_level[static_cast<std::size_t>(rows_.first_cluster + c)];
    double* own = modes + outer_.offset + static_cast<std::int64_t>(level) * outer_.q;
    for (int a = 0; a < outer_.q; ++a) own[a] = v_.outer.at(a)[c];
  }
}

/// The diagonal blocks of H^-1: P_i'P_i + R_i'R_i and P_3'P_3.
void NestedLikelihood::write_covariance(double* mode_covariance) {
  const Range all{0, rows_.n_units};
  work_.fill(all, 0.0);
  linear_algebra::add_product(all, 1.0, transposed(arrow_.P), arrow_.P, work_);
  linear_algebra::add_product(all, 1.0, transposed(arrow_.R), arrow_.R, work_);
  for (int i = 0; i < rows_.n_units; ++i) {
    double* own = mode_covariance + inner_.covariance_offset +
                  static_cast<std::int64_t>(model_.cluster_level(rows_.first_unit + i)) * inner_.q * inner_.q;
    for (int a = 0; a < inner_.q; ++a)
      for (int b = 0; b < inner_.q; ++b) own[a * inner_.q + b] = work_.at(a, b)[i];
  }
  for (int c = 0; c < rows_.n_clusters; ++c) {
    const auto level = model_.nesting()->outer_level[static_cast<std::size_t>(rows_.first_cluster + c)];
    const OuterMatrix P = arrow_.P_outer(c);
    Eigen::Map<Eigen::MatrixXd>(
        mode_covariance + outer_.covariance_offset + static_cast<std::int64_t>(level) * outer_.q * outer_.q, outer_.q,
        outer_.q) = OuterMatrix(P.transpose().lazyProduct(P));
  }
}

void NestedLikelihood::add_cluster(int c, Sums& sums) {
  ClusterOfUnits of{c, rows_.units(c), rows_.rows(rows_.units(c))};
  const double value = nodes_.log_integral(c) - arrow_.log_determinant(c);
  sums.log_likelihood.add(value);
  set_spread(of);
  set_leverages(of);
  set_shifts(of);
  set_score(of);
  const auto shared = score_.size() - model_.p();
  sums.gradient.tail(shared) += score_.tail(shared);
  if (sums.contributions) add_contribution(c, value, *sums.contributions);
}

/// The blocks of A = L^-T S L^-1 that meet in a row; S is I + the symmetric matrix with the lower triangle of
/// C = E(t gamma'), gamma = L^-1 g.
void NestedLikelihood::set_spread(ClusterOfUnits& of) {
  const auto& units = of.units;
  const auto& means = nodes_.outer(of.cluster);
  const OuterMatrix P = arrow_.P_outer(of.cluster);
  work_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, nodes_.t_g, transposed(arrow_.P), work_);
  S_.copy(units, work_);
  S_.make_symmetric(units);
  S_.add_identity(units);
  S_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, nodes_.outer_t_g, transposed(arrow_.P), S_cross_);
  OuterMatrix S = means.t_g.lazyProduct(P.transpose());
  linear_algebra::add_summed_product(units, 1.0, nodes_.outer_t_g, transposed(arrow_.R), S);
  S = OuterMatrix(S.selfadjointView<Eigen::Lower>());
  S.diagonal().array() += 1.0;

  const OuterMatrix PS = P.transpose().lazyProduct(S);
  of.A = PS.lazyProduct(P);
  work_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, S_cross_, arrow_.P, work_cross_);
  A_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, transposed(work_cross_), arrow_.R, A_);
  work_.copy(units, A_);
  for (int a = 0; a < inner_.q; ++a)
    for (int b = 0; b < inner_.q; ++b)
      for (int i = units.first; i < units.last; ++i) A_.at(a, b)[i] += work_.at(b, a)[i];
  linear_algebra::add_product(units, 1.0, S, arrow_.R, work_cross_);
  A_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, P.transpose(), work_cross_, A_cross_);
  work_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, S_, arrow_.P, work_);
  linear_algebra::add_product(units, 1.0, transposed(arrow_.P), work_, A_);
  work_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, S, arrow_.R, work_cross_);
  linear_algebra::add_product(units, 1.0, transposed(arrow_.R), work_cross_, A_);
}

/// Leverages s_j'A s_j, on the scale of u.
void NestedLikelihood::set_leverages(const ClusterOfUnits& of) {
  const auto &units = of.units, &own = of.rows;
  const OuterMatrix AL = of.A.lazyProduct(lambda_outer_.transpose());
  const OuterMatrix Az = lambda_outer_.lazyProduct(AL);
  work_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, A_, lambda_inner_.transpose(), work_);
  Az_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner_, work_, Az_);
  work_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, A_cross_, lambda_inner_.transpose(), work_cross_);
  Az_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_outer_, work_cross_, Az_cross_);
  double* leverage = arrays_.leverage;
  std::fill(leverage + own.first, leverage + own.last, 0.0);
  for (int a = 0; a < inner_.q; ++a)
    for (int b = 0; b <= a; ++b) {
      const double *x = rows_.z_inner[static_cast<std::size_t>(a)], *y = rows_.z_inner[static_cast<std::size_t>(b)],
                   *m = Az_.at(a, b), factor = a == b ? 1.0 : 2.0;
      for (int j = own.first; j < own.last; ++j) leverage[j] += factor * m[rows_.unit(j)] * x[j] * y[j];
    }
  for (int a = 0; a < outer_.q; ++a) {
    const double* x = rows_.z_outer[static_cast<std::size_t>(a)];
    for (int b = 0; b < inner_.q; ++b) {
      const double *y = rows_.z_inner[static_cast<std::size_t>(b)], *m = Az_cross_.at(a, b);
      for (int j = own.first; j < own.last; ++j) leverage[j] += 2.0 * m[rows_.unit(j)] * x[j] * y[j];
    }
    for (int b = 0; b <= a; ++b) {
      const double *y = rows_.z_outer[static_cast<std::size_t>(b)], m = a == b ? Az(a, b) : 2.0 * Az(a, b);
      for (int j = own.first; j < own.last; ++j) leverage[j] += m * x[j] * y[j];
    }
  }
}

/// c, kappa, h, and the rows' weights rho.
void NestedLikelihood::set_shifts(ClusterOfUnits& of) {
  const auto &units = of.units, &own = of.rows;
  const double* leverage = arrays_.leverage;
  double *shift = arrays_.shift, *rho = arrays_.rho, *weighted = arrays_.scratch;
  const double *d2 = arrays_.at_mode.eta[1], *d3 = arrays_.at_mode.eta[2];
  for (int j = own.first; j < own.last; ++j) weighted[j] = 0.5 * d3[j] * leverage[j];
  rows_.inner_sums(units, weighted, zc_);
  kappa_.copy(units, nodes_.g);
  linear_algebra::add_product(units, 1.0, lambda_inner_.transpose(), zc_, kappa_);
  const OuterVector zc = rows_.outer_sums(own, weighted);
  OuterVector kappa = nodes_.outer(of.cluster).g;
  kappa += lambda_outer_.transpose().lazyProduct(zc);
  of.h.resize(outer_.q);
  arrow_.solve(rows_, of.cluster, kappa_, kappa, h_, of.h);
  hz_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner_, h_, hz_);
  const OuterVector hz = lambda_outer_.lazyProduct(of.h);
  std::fill(shift + own.first, shift + own.last, 0.0);
  rows_.add_inner(own, hz_, shift);
  rows_.add_outer(own, hz, shift);
  for (int j = own.first; j < own.last; ++j) {
    weighted[j] += d2[j] * shift[j];  // c_j - w_j s_j'h
    rho[j] += weighted[j];
  }
}

/// Of Lambda's entries and of phi; that of beta comes from rho for the whole panel.
void NestedLikelihood::set_score(const ClusterOfUnits& of) {
  const OuterMatrix G_inner = inner_gradient(of), G_outer = outer_gradient(of);
  const int p = model_.p();
  for (int e = 0; e < n_entries_; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    const bool is_inner = entry.row >= inner_.first && entry.row < inner_.first + inner_.q;
    const int first = is_inner ? inner_.first : outer_.first;
    score_[p + e] = (is_inner ? G_inner : G_outer)(entry.row - first, entry.column - first);
  }
  for (std::size_t r = 0; r < model_.phi_parts().size(); ++r)
    for (int g = model_.phi_parts()[r].first; g < model_.phi_parts()[r].last; ++g)
      score_[p + n_entries_ + g] = nodes_.outer(of.cluster).phi[static_cast<std::size_t>(g)] +
                                   0.5 * rows_.phi_sum(of.rows, g, arrays_.at_mode.phi, 2, arrays_.leverage) +
                                   rows_.phi_sum(of.rows, g, arrays_.at_mode.phi, 1, arrays_.shift);
}

/// d/dLambda of the inner factor.
OuterMatrix NestedLikelihood::inner_gradient(const ClusterOfUnits& of) {
  const auto& units = of.units;
  rows_.inner_sums(units, arrays_.scratch, zc_);
  rows_.inner_sums(units, arrays_.at_mode.eta[0], b_);
  OuterMatrix G = OuterMatrix::Zero(inner_.q, inner_.q);
  for (int a = 0; a < inner_.q; ++a)
    for (int b = 0; b < inner_.q; ++b)
      G(a, b) += numeric::sum(units.last - units.first, nodes_.b_v.at(a, b) + units.first);
  linear_algebra::add_summed_product(units, 1.0, zc_, transposed(v_.inner), G);
  linear_algebra::add_summed_product(units, 1.0, b_, transposed(h_), G);
  work_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_inner_, A_, work_);
  linear_algebra::add_summed_product(units, -1.0, arrow_.B_inner, work_, G);
  work_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, lambda_outer_, A_cross_, work_cross_);
  linear_algebra::add_summed_product(units, -1.0, transposed(arrow_.B_cross), work_cross_, G);
  return G;
}

/// d/dLambda of the outer factor.
OuterMatrix NestedLikelihood::outer_gradient(const ClusterOfUnits& of) {
  const auto &units = of.units, &own = of.rows;
  OuterMatrix G = nodes_.outer(of.cluster).b_v;
  const OuterVector zw = rows_.outer_sums(own, arrays_.scratch), b1 = rows_.outer_sums(own, arrays_.at_mode.eta[0]),
                    v = v_.outer_of(of.cluster);
  G += zw.lazyProduct(v.transpose());
  G += b1.lazyProduct(of.h.transpose());
  const OuterMatrix LA = lambda_outer_.lazyProduct(of.A);
  G -= arrow_.B_outer(of.cluster).lazyProduct(LA);
  work_cross_.fill(units, 0.0);
  linear_algebra::add_product(units, 1.0, A_cross_, lambda_inner_.transpose(), work_cross_);
  linear_algebra::add_summed_product(units, -1.0, arrow_.B_cross, transposed(work_cross_), G);
  return G;
}

/// Value, score and moments of a cluster and its units.
void NestedLikelihood::add_contribution(int c, double value, Contributions& to) {
  const Range units = rows_.units(c), own = rows_.rows(units);
  const int part = to.of_cluster(rows_.first_unit + units.first);
  for (int k = 0; k < model_.p(); ++k)
    score_[k] =
        numeric::dot(own.last - own.first, rows_.x[static_cast<std::size_t>(k)] + own.first, arrays_.rho + own.first);
  to.value[part] = value;
  to.gradient.col(part) = score_;
  if (!to.with_moments) return;
  const auto& means = nodes_.outer(c);
  Moments& moments = to.moments;
  const int level = model_.nesting()->outer_level[static_cast<std::size_t>(rows_.first_cluster + c)];
  const OuterMatrix M_outer = to.to_user.block(outer_.first, outer_.first, outer_.q, outer_.q),
                    M_inner = to.to_user.block(inner_.first, inner_.first, inner_.q, inner_.q);
  const auto at = outer_.offset + std::int64_t{level} * outer_.q;
  Eigen::Map<Eigen::MatrixXd> outer(
      moments.covariance.data() + outer_.covariance_offset + std::int64_t{level} * outer_.q * outer_.q, outer_.q,
      outer_.q);
  OuterVector v = v_.outer_of(c);
  v += means.moments[0];
  const OuterVector u = M_outer.lazyProduct(v), shift = M_outer.lazyProduct(means.moments[0]);
  OuterMatrix second = means.second;
  second -= means.moments[0].lazyProduct(means.moments[0].transpose());
  const OuterMatrix half = M_outer.lazyProduct(second);
  outer = OuterMatrix(half.lazyProduct(M_outer.transpose()));
  for (int a = 0; a < outer_.q; ++a) {
    // from moments about the mode to central ones
    const double m = shift[a], m2 = outer(a, a) + m * m, m3 = means.moments[1][a], m4 = means.moments[2][a];
    moments.mean[static_cast<std::size_t>(at + a)] = u[a];
    moments.third[static_cast<std::size_t>(at + a)] = m3 - 3.0 * m * m2 + 2.0 * m * m * m;
    moments.fourth[static_cast<std::size_t>(at + a)] = m4 - 4.0 * m * m3 + 6.0 * m * m * m2 - 3.0 * m * m * m * m;
  }
  for (int i = units.first; i < units.last; ++i) {
    const auto inner_level = std::int64_t{model_.cluster_level(rows_.first_unit + i)};
    OuterVector d(inner_.q), mode(inner_.q);
    OuterMatrix s(inner_.q, inner_.q);
    for (int a = 0; a < inner_.q; ++a) {
      d[a] = nodes_.first.at(a)[i];
      mode[a] = v_.inner.at(a)[i] + d[a];
      for (int b = 0; b < inner_.q; ++b) s(a, b) = nodes_.second.at(a, b)[i];
    }
    s -= d.lazyProduct(d.transpose());
    const OuterMatrix Ms = M_inner.lazyProduct(s);
    Eigen::Map<Eigen::VectorXd>(moments.mean.data() + inner_.offset + inner_level * inner_.q, inner_.q) =
        OuterVector(M_inner.lazyProduct(mode));
    Eigen::Map<Eigen::MatrixXd>(
        moments.covariance.data() + inner_.covariance_offset + inner_level * inner_.q * inner_.q, inner_.q, inner_.q) =
        OuterMatrix(Ms.lazyProduct(M_inner.transpose()));
  }
}

}  // namespace multilevel::likelihood
