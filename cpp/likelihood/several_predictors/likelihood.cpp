#include "likelihood/several_predictors/likelihood.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "likelihood/contributions.hpp"
#include "linear_algebra/dense.hpp"
#include "linear_algebra/small_factor.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

SeveralLikelihood::SeveralLikelihood(const model::Model& model, const model::Response& response,
                                     const model::Layout& layout, const numeric::QuadratureRule& rule)
    : model_(model),
      response_(response),
      layout_(layout),
      rule_(rule),
      p_(model.p()),
      q_(model.q()),
      n_entries_(layout.n_entries()),
      n_phi_(model.n_phi()),
      rows_(model, main_positions(model), model.largest_cluster()),
      tables_(rows_.tables()) {
  if (q_ > most_effects) throw std::invalid_argument("too many random effects where several predictors have them");
  const auto& main = tables_.main();
  n_main_ = static_cast<int>(main.size());
  variable_.assign(static_cast<std::size_t>(p_), 0);
  for (std::size_t r = 0; r < model.phi_parts().size(); ++r)
    for (int g = model.phi_parts()[r].first; g < model.phi_parts()[r].last; ++g)
      variable_.push_back(static_cast<int>(r) + 1);
  const auto panel = static_cast<std::size_t>(model.largest_panel()),
             rows = static_cast<std::size_t>(model.largest_cluster()) + 8, n_main = main.size(),
             K = static_cast<std::size_t>(rule.size);
  fixed_.assign(n_main, std::vector<double>(panel));
  phi_rows_.assign(family::max_phi, std::vector<double>(panel));
  rho_.assign(static_cast<std::size_t>(tables_.n_variables()), std::vector<double>(rows));
  own_first_ = rho_;
  shift_.assign(n_main, std::vector<double>(rows));
  pair_.resize(rows);
  scratch_.resize(rows);
  score_.resize(static_cast<Eigen::Index>(p_ + n_entries_ + n_phi_));
  fixed_here_.resize(n_main);
  z_.resize(static_cast<std::size_t>(q_));
  columns_.resize(variable_.size());
  node_value_.resize(K);
  node_v_.assign(K, Vector::Zero(q_));
  node_b_.assign(K, Vector::Zero(q_));
}

void SeveralLikelihood::add(const model::Panel& panel, const double* psi, double* modes, Sums& sums,
                            double* mode_covariance) {
  lambda_ = Matrix::Zero(q_, q_);
  for (int e = 0; e < n_entries_; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    lambda_(entry.row, entry.column) = psi[p_ + e];
  }
  rows_.set_lambda(lambda_);
  set_fixed_part(panel, psi);
  const bool stay = sums.hessian.size() == 0;  // differences are taken at one and the same mode
  for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
    set_cluster(panel, cluster);
    cluster_ = cluster;
    double* own = modes + std::int64_t{cluster} * q_;
    double* covariance = mode_covariance ? mode_covariance + std::int64_t{cluster} * q_ * q_ : nullptr;
    if (!find_mode(own, stay, sums) || !add_cluster(Eigen::Map<const Eigen::VectorXd>(own, q_), sums, covariance)) {
      sums.failed_cluster = cluster;
      return;
    }
  }
}

/// o of the main variables, and the family's other parameters.
void SeveralLikelihood::set_fixed_part(const model::Panel& panel, const double* psi) {
  const int n = panel.n_rows;
  double* eta = fixed_[0].data();
  const double* offset = model_.family().is_linear() ? nullptr : model_.offset(panel);
  for (int j = 0; j < n; ++j) eta[j] = offset ? offset[j] : 0.0;
  for (int k = 0; k < p_; ++k) numeric::add_multiple(n, psi[k], model_.fixed_column(panel, k), eta);
  double* to[family::max_phi];
  for (std::size_t r = 0; r < family::max_phi; ++r) to[r] = phi_rows_[r].data();
  phi_ = model_.phi_rows(panel, response_, 0, n, psi + p_ + n_entries_, to);
  for (int a = 1; a < n_main_; ++a) {
    const int r = tables_.main()[static_cast<std::size_t>(a)] - 1;
    for (int j = 0; j < n; ++j) fixed_[static_cast<std::size_t>(a)][static_cast<std::size_t>(j)] = phi_.at(r, j);
  }
}

void SeveralLikelihood::set_cluster(const model::Panel& panel, int cluster) {
  first_ = static_cast<int>(model_.cluster_start(cluster) - panel.first_row);
  n_ = static_cast<int>(model_.cluster_start(cluster + 1) - model_.cluster_start(cluster));
  for (int c = 0; c < q_; ++c) z_[static_cast<std::size_t>(c)] = model_.random_column(panel, c) + first_;
  for (std::size_t a = 0; a < fixed_.size(); ++a) fixed_here_[a] = fixed_[a].data() + first_;
  rows_.take(n_, fixed_here_, z_, response_.from(panel.first_row + first_, phi_.from(first_)));
  for (int k = 0; k < p_; ++k) columns_[static_cast<std::size_t>(k)] = model_.fixed_column(panel, k) + first_;
  for (int g = 0; g < n_phi_; ++g) {
    const double* own = model_.phi_uses(panel, response_, g).use[0].column;
    columns_[static_cast<std::size_t>(p_ + g)] = own ? own + first_ : nullptr;
  }
}

double SeveralLikelihood::sum(int coefficient, const double* d) const {
  const double* x = column(coefficient);
  return x ? numeric::dot(n_, d, x) : numeric::sum(n_, d);
}

bool SeveralLikelihood::add_cluster(const Vector& mode, Sums& sums, double* mode_covariance) {
  rows_.place(mode);
  B_ = rows_.products();
  const Matrix BL = B_.lazyProduct(lambda_);
  Matrix L = lambda_.transpose().lazyProduct(BL);
  L += Matrix::Identity(q_, q_);
  if (!L.allFinite() || !linear_algebra::small::cholesky(q_, L.data())) return false;
  log_determinant_ = 0.0;
  for (int a = 0; a < q_; ++a) log_determinant_ += std::log(L(a, a));
  Linv_.resize(q_, q_);
  linear_algebra::small::inverse_of_lower(q_, L.data(), Linv_.data());
  if (mode_covariance)
    Eigen::Map<Eigen::MatrixXd>(mode_covariance, q_, q_) = Matrix(Linv_.transpose().lazyProduct(Linv_));
  integrate(mode, sums);
  add_gradient(mode, sums);
  if (sums.contributions) add_contribution(mode, *sums.contributions);
  if (sums.hessian.size() > 0) add_information(sums);
  return true;
}

/// The nodes: the log-likelihood, and the means that the gradient needs; rho starts as those of the first derivatives.
/// With one node it is the mode itself. A node is evaluated once: sums are relative to the largest value so far, of
/// which the mode's is a good guess.
void SeveralLikelihood::integrate(const Vector& mode, Sums& sums) {
  const int K = rule_.size;
  g_bar_ = Vector::Zero(q_);
  C_ = b_v_ = Matrix::Zero(q_, q_);
  for (auto& rho : rho_) std::fill_n(rho.data(), n_, 0.0);
  auto scale_sums = [&](double factor) {
    g_bar_ *= factor;
    C_ *= factor;
    b_v_ *= factor;
    for (auto& rho : rho_)
      for (int j = 0; j < n_; ++j) rho[static_cast<std::size_t>(j)] *= factor;
  };
  double largest = rows_.value(mode), total = 0.0;
  for (int k = 0; k < K; ++k) {
    const Eigen::Map<const Eigen::VectorXd> t(rule_.node(k), q_);
    Vector& v = node_v_[static_cast<std::size_t>(k)];
    v = mode;
    v += Linv_.transpose().lazyProduct(t);
    if (K > 1) rows_.place(v);
    const double f = rows_.value(v) + 0.5 * t.squaredNorm() + rule_.log_weights[static_cast<std::size_t>(k)];
    node_value_[static_cast<std::size_t>(k)] = f;
    if (f > largest) {
      const double factor = std::exp(largest - f);
      scale_sums(factor);
      total *= factor;
      largest = f;
    }
    const double share = std::isnan(f) ? 0.0 : std::exp(f - largest);
    if (share == 0.0) continue;  // far out, or outside the domain, where derivatives are no numbers
    total += share;
    const Vector b = rows_.force();
    Vector g = lambda_.transpose().lazyProduct(b);
    g -= v;
    g_bar_ += share * g;
    const Vector gamma = Linv_.lazyProduct(g);
    C_ += share * t.lazyProduct(gamma.transpose());
    b_v_ += share * b.lazyProduct(v.transpose());
    for (std::size_t s = 0; s < rho_.size(); ++s)
      numeric::add_multiple(n_, share, tables_.first(static_cast<int>(s)), rho_[s].data());
  }
  scale_sums(1.0 / total);
  value_ = largest + std::log(total) - log_determinant_;
  for (double& f : node_value_) f = std::isnan(f) ? 0.0 : std::exp(f - largest);
  sums.log_likelihood.add(value_);
}

void SeveralLikelihood::add_gradient(const Vector& mode, Sums& sums) {
  rows_.place_third(mode);
  const auto& main = tables_.main();
  const Vector b = rows_.force();

  const Matrix Cs = C_.selfadjointView<Eigen::Lower>();
  const Matrix half = (Matrix::Identity(q_, q_) + Cs).lazyProduct(Linv_);
  A_ = Linv_.transpose().lazyProduct(half);
  const Matrix LA = lambda_.lazyProduct(A_), Az = LA.lazyProduct(lambda_.transpose());

  // c_s into rho_s: V_tu takes the pairs of random effects that belong to t and u.
  for (auto& shift : shift_) std::fill_n(shift.data(), n_, 0.0);  // c of the main variables, for a while
  for (int a = 0; a < n_main_; ++a)
    for (int e = 0; e <= a; ++e) {
      std::fill_n(pair_.data(), n_, 0.0);
      bool any = false;
      for (int c = 0; c < q_; ++c)
        for (int d = 0; d < q_; ++d) {
          if (main_of(c) != a || main_of(d) != e) continue;
          any = true;
          const double weight = (a == e ? 0.5 : 1.0) * Az(c, d);
          for (int j = 0; j < n_; ++j) pair_[static_cast<std::size_t>(j)] += weight * z(c)[j] * z(d)[j];
        }
      if (!any) continue;
      for (int s = 0; s < tables_.n_variables(); ++s) {
        const double* third = tables_.third(s, main[static_cast<std::size_t>(a)], main[static_cast<std::size_t>(e)]);
        double* rho = rho_[static_cast<std::size_t>(s)].data();
        const auto at = std::find(main.begin(), main.end(), s) - main.begin();
        double* own = at < n_main_ ? shift_[static_cast<std::size_t>(at)].data() : nullptr;
        for (int j = 0; j < n_; ++j) {
          const double c = third[j] * pair_[static_cast<std::size_t>(j)];
          rho[j] += c;
          if (own) own[j] += c;
        }
      }
    }
  Vector zc(q_);
  for (int c = 0; c < q_; ++c) zc[c] = numeric::dot(n_, z(c), shift_[static_cast<std::size_t>(main_of(c))].data());
  Vector kappa = lambda_.transpose().lazyProduct(zc);
  if (rule_.size > 1) kappa += g_bar_;  // with one node f'(mode) = 0
  const Vector Lk = Linv_.lazyProduct(kappa);
  const Vector h = Linv_.transpose().lazyProduct(Lk), hz = lambda_.lazyProduct(h);
  h_ = h;

  for (auto& shift : shift_) std::fill_n(shift.data(), n_, 0.0);  // z_s'Lambda h
  for (int c = 0; c < q_; ++c)
    numeric::add_multiple(n_, hz[c], z(c), shift_[static_cast<std::size_t>(main_of(c))].data());
  for (int s = 0; s < tables_.n_variables(); ++s)
    for (int a = 0; a < n_main_; ++a) {
      const double *second = tables_.second(s, main[static_cast<std::size_t>(a)]),
                   *shift = shift_[static_cast<std::size_t>(a)].data();
      double* rho = rho_[static_cast<std::size_t>(s)].data();
      for (int j = 0; j < n_; ++j) rho[j] += second[j] * shift[j];
    }

  const Vector Bh = B_.lazyProduct(hz);
  const Matrix BLA = B_.lazyProduct(LA);
  Matrix G = b_v_ - BLA;
  G += (zc - Bh).lazyProduct(mode.transpose());
  G += b.lazyProduct(h.transpose());
  for (int e = 0; e < n_entries_; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    score_[p_ + e] = G(entry.row, entry.column);
  }
  for (int k = 0; k < p_ + n_phi_; ++k)
    score_[k < p_ ? k : k + n_entries_] = sum(k, rho_[static_cast<std::size_t>(variable(k))].data());
  sums.gradient += score_;
}

/// Value, score and moments of the cluster; the latter as with one predictor.
void SeveralLikelihood::add_contribution(const Vector& mode, Contributions& to) {
  to.value[to.of_cluster(cluster_)] = value_;
  to.gradient.col(to.of_cluster(cluster_)) = score_;
  if (!to.with_moments) return;
  const Matrix M = to.to_user;
  const auto at = std::int64_t{cluster_} * q_;
  // Made here and then copied: how Eigen rounds a product depends on where its result lies.
  Vector mean = Vector::Zero(q_), third = Vector::Constant(q_, std::numeric_limits<double>::quiet_NaN()),
         fourth = third;
  Matrix covariance = Matrix::Zero(q_, q_);
  auto store = [&] {
    std::copy_n(mean.data(), q_, to.moments.mean.data() + at);
    std::copy_n(third.data(), q_, to.moments.third.data() + at);
    std::copy_n(fourth.data(), q_, to.moments.fourth.data() + at);
    std::copy_n(covariance.data(), q_ * q_, to.moments.covariance.data() + at * q_);
  };
  if (rule_.size == 1) {
    const Vector v = mode + h_;
    const Matrix half = Linv_.lazyProduct(M.transpose());
    mean = M.lazyProduct(v);
    covariance = half.transpose().lazyProduct(half);
    store();
    return;
  }
  third.setZero();
  fourth.setZero();
  double total = 0.0;
  for (const double share : node_value_) total += share;
  for (std::size_t k = 0; k < node_v_.size(); ++k) mean += node_value_[k] / total * M.lazyProduct(node_v_[k]);
  for (std::size_t k = 0; k < node_v_.size(); ++k) {
    Vector u = M.lazyProduct(node_v_[k]);
    u -= mean;
    const double share = node_value_[k] / total;
    covariance += share * u.lazyProduct(u.transpose());
    for (int a = 0; a < q_; ++a) {
      third[a] += share * u[a] * u[a] * u[a];
      fourth[a] += share * u[a] * u[a] * u[a] * u[a];
    }
  }
  store();
}

/// To search with: of beta and phi the rows' own curvature less what the random effects take of it, of theta the Fisher
/// information of the working linear mixed model.
void SeveralLikelihood::add_information(Sums& sums) {
  const int size = p_ + n_phi_;
  Eigen::MatrixXd half(q_, size);  // L^-1 Lambda' Z'W x
  for (int k = 0; k < size; ++k) {
    Vector zx(q_);
    for (int c = 0; c < q_; ++c) {
      const double* second = tables_.second(variable(k), tables_.main()[static_cast<std::size_t>(main_of(c))]);
      zx[c] = column(k) ? -numeric::dot(n_, z(c), second, column(k)) : -numeric::dot(n_, z(c), second);
    }
    const Vector lx = lambda_.transpose().lazyProduct(zx);
    half.col(k) = Linv_.lazyProduct(lx);
  }
  for (int k = 0; k < size; ++k)
    for (int m = 0; m <= k; ++m) {
      const double* second = tables_.second(variable(k), variable(m));
      const double *x = column(k), *y = column(m);
      const double own = x && y   ? numeric::dot(n_, second, x, y)
                         : x || y ? numeric::dot(n_, second, x ? x : y)
                                  : numeric::sum(n_, second);
      const double both = own + half.col(k).dot(half.col(m));
      const int row = k < p_ ? k : k + n_entries_, other = m < p_ ? m : m + n_entries_;
      sums.hessian(row, other) += both;
      if (row != other) sums.hessian(other, row) += both;
    }
  // Only what is positive of B can be had by a variance.
  const linear_algebra::SymmetricEigen spectrum(B_);
  Matrix root = spectrum.vectors;
  for (int a = 0; a < q_; ++a) root.col(a) *= std::sqrt(std::max(0.0, spectrum.values[a]));
  const Matrix RL = root.transpose().lazyProduct(lambda_);
  Matrix inner = RL.lazyProduct(RL.transpose());
  inner += Matrix::Identity(q_, q_);
  linear_algebra::small::cholesky(q_, inner.data());
  Matrix inverse(q_, q_);
  linear_algebra::small::inverse_of_lower(q_, inner.data(), inverse.data());
  const Matrix scaled = inverse.lazyProduct(root.transpose());
  Matrix T = Matrix::Zero(q_, q_);  // (B^-1 + Lambda Lambda')^-1
  T += scaled.transpose().lazyProduct(scaled);
  const Matrix TL = T.lazyProduct(lambda_), S = lambda_.transpose().lazyProduct(TL);
  const auto& entries = layout_.entries();
  for (int a = 0; a < n_entries_; ++a)
    for (int b = 0; b <= a; ++b) {
      const auto &x = entries[static_cast<std::size_t>(a)], &y = entries[static_cast<std::size_t>(b)];
      sums.theta_information(a, b) +=
          S(x.column, y.column) * T(x.row, y.row) + TL(y.row, x.column) * TL(x.row, y.column);
    }
}

}  // namespace multilevel::likelihood
