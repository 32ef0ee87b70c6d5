#include "likelihood/choice/likelihood.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/contributions.hpp"
#include "likelihood/mode_course.hpp"
#include "linear_algebra/dense.hpp"
#include "linear_algebra/small_factor.hpp"
#include "numeric/lanes.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int most_steps = 100;
constexpr int most_shortenings = 50;
constexpr int wide = 12;  // columns from which on matrix products beat our own loops

}  // namespace

ChoiceLikelihood::ChoiceLikelihood(const model::Model& model, const model::Response& response,
                                   const model::Layout& layout, const numeric::QuadratureRule& rule,
                                   bool with_random_effects)
    : model_(model),
      response_(response),
      layout_(layout),
      rule_(rule),
      p_(model.p()),
      q_(with_random_effects ? model.q() : 0),
      n_entries_(with_random_effects ? layout.n_entries() : 0),
      sets_(model.largest_cluster()),
      fixed_(static_cast<std::size_t>(model.largest_panel() + numeric::lane_count)),
      z_(static_cast<std::size_t>(q_)),
      x_(static_cast<std::size_t>(p_)),
      score_(p_ + n_entries_),
      node_value_(static_cast<std::size_t>(rule.size)),
      node_v_(static_cast<std::size_t>(rule.size), Vector::Zero(q_)),
      block_columns_(static_cast<std::size_t>(p_)),
      centred_columns_(static_cast<std::size_t>(q_)) {
  const auto rows = static_cast<std::size_t>(model.largest_cluster() + numeric::lane_count);
  for (auto* own : {&eta_, &score_rows_, &rho_, &h_rows_, &scratch_}) own->resize(rows);
  centred_.assign(static_cast<std::size_t>(q_), std::vector<double>(rows));
}

void ChoiceLikelihood::add(const model::Panel& panel, const double* psi, double* modes, Sums& sums,
                           double* mode_covariance) {
  lambda_ = Matrix::Zero(q_, q_);
  for (int e = 0; e < n_entries_; ++e) {
    const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
    lambda_(entry.row, entry.column) = psi[p_ + e];
  }
  set_fixed_part(panel, psi);
  if (sums.hessian.size() > 0) information_ = Matrix::Zero(p_, p_);
  Vector mode(q_);
  for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
    set_cluster(panel, cluster);
    double* own = modes + std::int64_t{cluster} * q_;
    std::copy_n(own, q_, mode.data());
    if (!add_cluster(mode, sums, mode_covariance ? mode_covariance + std::int64_t{cluster} * q_ * q_ : nullptr)) {
      sums.failed_cluster = cluster;
      return;
    }
    std::copy_n(mode.data(), q_, own);
  }
  if (sums.hessian.size() > 0)
    sums.hessian.topLeftCorner(p_, p_) -= Matrix(information_.selfadjointView<Eigen::Lower>());
}

void ChoiceLikelihood::set_fixed_part(const model::Panel& panel, const double* beta) {
  const double* offset = model_.offset(panel);
  for (int j = 0; j < panel.n_rows; ++j) fixed_[static_cast<std::size_t>(j)] = offset ? offset[j] : 0.0;
  for (int k = 0; k < p_; ++k)
    numeric::add_multiple(panel.n_rows, beta[k], model_.fixed_column(panel, k), fixed_.data());
}

void ChoiceLikelihood::set_cluster(const model::Panel& panel, int cluster) {
  cluster_ = cluster;
  const auto row = model_.cluster_start(cluster), first = row - panel.first_row;
  n_ = static_cast<int>(model_.cluster_start(cluster + 1) - row);
  fixed_here_ = fixed_.data() + first;
  sets_.take(model_.cluster_set(cluster + 1) - model_.cluster_set(cluster),
             model_.set_starts() + model_.cluster_set(cluster), row, response_.value.get() + row,
             response_.weight.get() + row);
  for (int c = 0; c < q_; ++c) z_[static_cast<std::size_t>(c)] = model_.random_column(panel, c) + first;
  for (int k = 0; k < p_; ++k) x_[static_cast<std::size_t>(k)] = model_.fixed_column(panel, k) + first;
}

double ChoiceLikelihood::place(const Vector& v) {
  const Vector u = lambda_.lazyProduct(v);
  std::copy_n(fixed_here_, n_, eta_.data());
  for (int c = 0; c < q_; ++c) numeric::add_multiple(n_, u[c], z_[static_cast<std::size_t>(c)], eta_.data());
  const double log_density = sets_.evaluate(eta_.data());
  sets_.scores(score_rows_.data());
  return log_density - 0.5 * v.squaredNorm();
}

ChoiceLikelihood::Vector ChoiceLikelihood::force() const {
  Vector b(q_);
  for (int c = 0; c < q_; ++c) b[c] = numeric::dot(n_, z_[static_cast<std::size_t>(c)], score_rows_.data());
  return b;
}

void ChoiceLikelihood::set_products() {
  B_.resize(q_, q_);
  for (int c = 0; c < q_; ++c) {
    auto& own = centred_[static_cast<std::size_t>(c)];
    sets_.centre(z_[static_cast<std::size_t>(c)], own.data());
    for (int d = 0; d <= c; ++d)
      B_(c, d) = B_(d, c) =
          numeric::dot(n_, own.data(), centred_[static_cast<std::size_t>(d)].data(), sets_.weighted());
  }
}

bool ChoiceLikelihood::climb(Vector& v, Sums& sums) {
  const double tolerance = tolerance_of(lambda_.squaredNorm());
  double f = place(v), last = std::numeric_limits<double>::infinity();
  if (!std::isfinite(f)) {
    v.setZero();
    f = place(v);
  }
  for (int iteration = 0; iteration < most_steps && std::isfinite(f); ++iteration) {
    Vector step = lambda_.transpose().lazyProduct(force());
    step -= v;
    const Vector gradient = step;
    set_products();
    const Matrix BL = B_.lazyProduct(lambda_);
    L_ = lambda_.transpose().lazyProduct(BL);
    L_ += Matrix::Identity(q_, q_);
    if (!gradient.allFinite() || !linear_algebra::small::cholesky(q_, L_.data())) return false;
    linear_algebra::small::forward(q_, L_.data(), step.data());
    linear_algebra::small::backward(q_, L_.data(), step.data());
    ++sums.newton_steps;
    const double decrement = gradient.dot(step);
    const bool stands = decrement < mode_tolerance && !(decrement < last);  // rounding may not let it fall any further
    last = decrement;
    if (decrement < tolerance || stands) {
      v += step;
      f_ = place(v);
      return std::isfinite(f_);
    }
    bool moved = false;
    double factor = 1.0;
    for (int k = 0; k < most_shortenings && !moved; ++k, factor *= 0.5) {
      const Vector trial = v + factor * step;
      const double there = place(trial);
      if (!(there >= f - 1e-9 * (1.0 + std::fabs(f)))) continue;
      v = trial;
      f = there;
      moved = true;
    }
    if (!moved) return false;
  }
  return false;
}

bool ChoiceLikelihood::add_cluster(Vector& mode, Sums& sums, double* mode_covariance) {
  if (q_ == 0) {
    f_ = place(mode);
    if (!std::isfinite(f_)) return false;
  } else if (!climb(mode, sums)) {
    return false;
  }
  set_products();
  const Matrix BL = B_.lazyProduct(lambda_);
  L_ = lambda_.transpose().lazyProduct(BL);
  L_ += Matrix::Identity(q_, q_);
  if (!L_.allFinite() || !linear_algebra::small::cholesky(q_, L_.data())) return false;
  log_determinant_ = 0.0;
  for (int a = 0; a < q_; ++a) log_determinant_ += std::log(L_(a, a));
  Linv_.resize(q_, q_);
  linear_algebra::small::inverse_of_lower(q_, L_.data(), Linv_.data());
  if (mode_covariance) Eigen::Map<Matrix>(mode_covariance, q_, q_) = Matrix(Linv_.transpose().lazyProduct(Linv_));
  integrate(mode, sums);
  add_gradient(mode, sums);
  if (sums.contributions && sums.contributions->row_part())
    add_sets(*sums.contributions);
  else if (sums.contributions)
    add_contribution(mode, *sums.contributions);
  if (sums.hessian.size() > 0) add_information(sums);
  return true;
}

/// The nodes: the log-likelihood, and the means that the gradient needs; rho starts as that of the scores. With one
/// node it is the mode, where the rows are.
void ChoiceLikelihood::integrate(const Vector& mode, Sums& sums) {
  const int K = rule_.size;
  g_bar_ = Vector::Zero(q_);
  C_ = b_v_ = Matrix::Zero(q_, q_);
  if (K == 1) {
    value_ = f_ + rule_.log_weights[0] - log_determinant_;
    sums.log_likelihood.add(value_);
    b_v_ = force().lazyProduct(mode.transpose());
    std::copy_n(score_rows_.data(), n_, rho_.data());
    return;
  }
  double largest = -std::numeric_limits<double>::infinity();
  for (int k = 0; k < K; ++k) {
    const Eigen::Map<const Vector> t(rule_.node(k), q_);
    Vector& v = node_v_[static_cast<std::size_t>(k)];
    v = mode;
    v += Linv_.transpose().lazyProduct(t);
    double& value = node_value_[static_cast<std::size_t>(k)];
    value = place(v) + 0.5 * t.squaredNorm() + rule_.log_weights[static_cast<std::size_t>(k)];
    largest = std::max(largest, value);
  }
  double total = 0.0;
  for (double& f : node_value_) {
    f = std::exp(f - largest);
    total += f;
  }
  value_ = largest + std::log(total) - log_determinant_;
  sums.log_likelihood.add(value_);
  std::fill_n(rho_.data(), n_, 0.0);
  for (int k = 0; k < K; ++k) {
    double& share = node_value_[static_cast<std::size_t>(k)];
    share /= total;
    if (share == 0.0) continue;
    const Vector& v = node_v_[static_cast<std::size_t>(k)];
    place(v);
    const Vector b = force();
    Vector g = lambda_.transpose().lazyProduct(b);
    g -= v;
    g_bar_ += share * g;
    const Vector gamma = Linv_.lazyProduct(g);
    const Eigen::Map<const Vector> t(rule_.node(k), q_);
    C_ += share * t.lazyProduct(gamma.transpose());
    b_v_ += share * b.lazyProduct(v.transpose());
    numeric::add_multiple(n_, share, score_rows_.data(), rho_.data());
  }
  place(mode);
}

void ChoiceLikelihood::add_gradient(const Vector& mode, Sums& sums) {
  if (q_ > 0) {
    const Vector b = force();
    const Matrix Cs = C_.selfadjointView<Eigen::Lower>();
    const Matrix half = (Matrix::Identity(q_, q_) + Cs).lazyProduct(Linv_);
    A_ = Linv_.transpose().lazyProduct(half);
    const Matrix LA = lambda_.lazyProduct(A_), Az = LA.lazyProduct(lambda_.transpose());

    // c = -(1/2) w p (h - hbar), into rho.
    std::fill_n(h_rows_.data(), n_, 0.0);
    for (int a = 0; a < q_; ++a) {
      std::fill_n(scratch_.data(), n_, 0.0);
      for (int d = 0; d < q_; ++d)
        numeric::add_multiple(n_, -0.5 * Az(a, d), centred_[static_cast<std::size_t>(d)].data(), scratch_.data());
      const double* own = centred_[static_cast<std::size_t>(a)].data();
      for (int j = 0; j < n_; ++j)
        h_rows_[static_cast<std::size_t>(j)] += own[j] * scratch_[static_cast<std::size_t>(j)];
    }
    sets_.curve(h_rows_.data(), h_rows_.data());
    numeric::add_multiple(n_, 1.0, h_rows_.data(), rho_.data());
    Vector zc(q_);
    for (int c = 0; c < q_; ++c) zc[c] = numeric::dot(n_, z_[static_cast<std::size_t>(c)], h_rows_.data());
    Vector kappa = lambda_.transpose().lazyProduct(zc);
    if (rule_.size > 1) kappa += g_bar_;  // with one node f'(mode) = 0
    const Vector Lk = Linv_.lazyProduct(kappa);
    shift_ = Linv_.transpose().lazyProduct(Lk);
    const Vector hz = lambda_.lazyProduct(shift_);

    std::fill_n(scratch_.data(), n_, 0.0);  // Z Lambda h
    for (int c = 0; c < q_; ++c) numeric::add_multiple(n_, hz[c], z_[static_cast<std::size_t>(c)], scratch_.data());
    sets_.curve(scratch_.data(), scratch_.data());
    numeric::add_multiple(n_, -1.0, scratch_.data(), rho_.data());

    const Vector Bh = B_.lazyProduct(hz);
    Matrix G = b_v_;
    G -= B_.lazyProduct(LA);
    G += (zc - Bh).lazyProduct(mode.transpose());
    G += b.lazyProduct(shift_.transpose());
    for (int e = 0; e < n_entries_; ++e) {
      const auto& entry = layout_.entries()[static_cast<std::size_t>(e)];
      score_[p_ + e] = G(entry.row, entry.column);
    }
  }
  for (int k = 0; k < p_; ++k) score_[k] = numeric::dot(n_, x_[static_cast<std::size_t>(k)], rho_.data());
  sums.gradient += score_;
}

/// Value, score and moments of the cluster; the latter as with one predictor.
void ChoiceLikelihood::add_contribution(const Vector& mode, Contributions& to) {
  to.value[to.of_cluster(cluster_)] = value_;
  to.gradient.col(to.of_cluster(cluster_)) = score_;
  if (!to.with_moments) return;
  const Matrix& M = to.to_user;
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
    const Vector v = mode + shift_;
    const Matrix half = Linv_.lazyProduct(M.transpose());
    mean = M.lazyProduct(v);
    covariance = half.transpose().lazyProduct(half);
    store();
    return;
  }
  third.setZero();
  fourth.setZero();
  for (std::size_t k = 0; k < node_v_.size(); ++k) mean += node_value_[k] * M.lazyProduct(node_v_[k]);
  for (std::size_t k = 0; k < node_v_.size(); ++k) {
    Vector u = M.lazyProduct(node_v_[k]);
    u -= mean;
    covariance += node_value_[k] * u.lazyProduct(u.transpose());
    third += node_value_[k] * u.cwiseAbs2().cwiseProduct(u);
    fourth += node_value_[k] * u.cwiseAbs2().cwiseAbs2();
  }
  store();
}

/// Without random effects: set by set, into the parts that the caller named.
void ChoiceLikelihood::add_sets(Contributions& to) {
  const auto origin = model_.cluster_start(cluster_);
  for (int s = 0; s < sets_.n_sets(); ++s) {
    const auto part = to.row_part()[model_.caller_row(origin + sets_.first(s))];
    to.value[part] += sets_.value(s);
    for (int j = sets_.first(s); j < sets_.first(s + 1); ++j)
      for (int k = 0; k < p_; ++k)
        to.gradient(k, part) += x_[static_cast<std::size_t>(k)][j] * rho_[static_cast<std::size_t>(j)];
  }
}

/// To search with: of beta the sets' own curvature less what the random effects take of it, of theta the Fisher
/// information of the working linear mixed model.
void ChoiceLikelihood::add_information(Sums& sums) {
  const double* weighted = sets_.weighted();
  for (int j = 0; j < n_; ++j) scratch_[static_cast<std::size_t>(j)] = std::sqrt(weighted[j]);
  block_.resize(n_, p_);
  for (int k = 0; k < p_; ++k) {
    double* own = block_.col(k).data();
    sets_.centre(x_[static_cast<std::size_t>(k)], own);
    for (int j = 0; j < n_; ++j) own[j] *= scratch_[static_cast<std::size_t>(j)];
    block_columns_[static_cast<std::size_t>(k)] = own;
  }
  if (p_ >= wide) {
    linear_algebra::add_gram(block_, information_);
  } else {
    for (int k = 0; k < p_; ++k)
      for (int m = 0; m <= k; ++m)
        information_(k, m) +=
            numeric::dot(n_, block_columns_[static_cast<std::size_t>(k)], block_columns_[static_cast<std::size_t>(m)]);
  }
  if (q_ == 0) return;
  for (int c = 0; c < q_; ++c) {
    auto& own = centred_[static_cast<std::size_t>(c)];
    for (int j = 0; j < n_; ++j) own[static_cast<std::size_t>(j)] *= scratch_[static_cast<std::size_t>(j)];
    centred_columns_[static_cast<std::size_t>(c)] = own.data();
  }
  zx_.resize(q_, p_);
  numeric::cross_products(n_, q_, centred_columns_.data(), p_, block_columns_.data(), zx_.data(), 1, q_);
  const Matrix inner = Linv_.lazyProduct(lambda_.transpose());
  const Matrix half = inner.lazyProduct(zx_);  // L^-1 Lambda' Z'W X
  for (int k = 0; k < p_; ++k)
    for (int m = 0; m <= k; ++m) information_(k, m) -= half.col(k).dot(half.col(m));

  const Matrix taken = inner.lazyProduct(B_);
  Matrix T = B_;  // (B^-1 + Lambda Lambda')^-1
  T -= taken.transpose().lazyProduct(taken);
  const Matrix TL = T.lazyProduct(lambda_), S = lambda_.transpose().lazyProduct(TL);
  const auto& entries = layout_.entries();
  for (int a = 0; a < n_entries_; ++a)
    for (int b = 0; b <= a; ++b) {
      const auto &x = entries[static_cast<std::size_t>(a)], &y = entries[static_cast<std::size_t>(b)];
      sums.theta_information(a, b) +=
          S(x.column, y.column) * T(x.row, y.row) + TL(y.row, x.column) * TL(x.row, y.column);
    }
}

void ChoiceLikelihood::add_scatter(const model::Panel& panel, const double* beta, double& squares, double& weights) {
  set_fixed_part(panel, beta);
  for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
    set_cluster(panel, cluster);
    sets_.evaluate(fixed_here_);
    sets_.add_scatter(squares, weights);
  }
}

}  // namespace multilevel::likelihood
