#include "model/layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "linear_algebra/dense.hpp"

namespace multilevel::model {

namespace {

constexpr double bad_pivot = 0.1;  // a pivot (a variance) this small beside a later one asks for another order

}  // namespace

Layout::Layout(const Model& model) : model_(model) {
  for (const auto& term : model.terms()) {
    std::vector<int> order(static_cast<std::size_t>(term.q));
    std::iota(order.begin(), order.end(), 0);
    order_.push_back(order);
    first_theta_.push_back(first_theta_.back() + term.structure->n_theta(term.q));
    first_entry_.push_back(first_entry_.back() + static_cast<int>(term.structure->entries(term.q).size()));
    linear_ &= term.structure->is_linear();
  }
  make_entries();
}

void Layout::make_entries() {
  entries_.clear();
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    const auto& term = model_.terms()[t];
    for (const auto& entry : term.structure->entries(term.q))
      entries_.push_back({term.first + order_[t][static_cast<std::size_t>(entry.row)], term.first + entry.column,
                          entry.row, static_cast<int>(t)});
  }
}

void Layout::entries_from_theta(const double* theta, double* entries) const {
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    const auto& term = model_.terms()[t];
    term.structure->expand(term.q, theta + first_theta_[t], entries + first_entry_[t], nullptr);
  }
}

Eigen::VectorXd Layout::entry_parameters(const Eigen::VectorXd& psi, int n_beta) const {
  if (linear_) return psi;
  const auto n_phi = psi.size() - n_beta - n_theta();
  Eigen::VectorXd result(n_beta + n_entries() + n_phi);
  result.head(n_beta) = psi.head(n_beta);
  entries_from_theta(psi.data() + n_beta, result.data() + n_beta);
  result.tail(n_phi) = psi.tail(n_phi);
  return result;
}

Eigen::MatrixXd Layout::jacobian(const double* theta) const {
  if (linear_) return Eigen::MatrixXd::Identity(n_entries(), n_theta());
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(n_entries(), n_theta()), own;
  std::vector<double> values(entries_.size());
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    const auto& term = model_.terms()[t];
    const int e = first_entry_[t], k = first_theta_[t];
    term.structure->expand(term.q, theta + k, values.data() + e, &own);
    result.block(e, k, own.rows(), own.cols()) = own;
  }
  return result;
}

std::vector<ThetaDirection> Layout::directions(const double* theta) const {
  const Eigen::MatrixXd own = jacobian(theta);
  auto note = [](std::vector<int>& seen, int i) {
    if (std::find(seen.begin(), seen.end(), i) == seen.end()) seen.push_back(i);
  };
  std::vector<ThetaDirection> result(static_cast<std::size_t>(n_theta()));
  for (int k = 0; k < n_theta(); ++k) {
    ThetaDirection& direction = result[static_cast<std::size_t>(k)];
    for (int e = 0; e < n_entries(); ++e) {
      if (own(e, k) == 0.0) continue;
      const ThetaEntry& entry = entries_[static_cast<std::size_t>(e)];
      direction.parts.push_back({entry.row, entry.column, own(e, k)});
      note(direction.rows, entry.row);
      note(direction.columns, entry.column);
    }
  }
  return result;
}

Eigen::MatrixXd Layout::curvature(const double* theta, const double* weights) const {
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(n_theta(), n_theta());
  for (std::size_t t = 0; t < model_.terms().size() && !linear_; ++t) {
    const auto& term = model_.terms()[t];
    const int k = first_theta_[t], n = first_theta_[t + 1] - k;
    result.block(k, k, n, n) = term.structure->curvature(term.q, theta + k, weights + first_entry_[t]);
  }
  return result;
}

Eigen::VectorXd Layout::units() const {
  Eigen::VectorXd result(n_theta());
  Eigen::Index at = 0;
  for (const auto& term : model_.terms())
    for (const int row : term.structure->theta_rows(term.q)) result[at++] = row >= 0 ? 1.0 : 0.0;
  return result;
}

void Layout::theta_derivatives(int n_beta, const double* theta, Eigen::VectorXd& gradient, Eigen::MatrixXd& hessian,
                               Eigen::MatrixXd& information) const {
  if (linear_) return;
  const auto n_phi = gradient.size() - n_beta - n_entries();
  const Eigen::MatrixXd own = jacobian(theta);
  const Eigen::MatrixXd second = curvature(theta, gradient.data() + n_beta);
  // J' from the left; what belongs to beta and phi stays as it is.
  auto pull = [&](const Eigen::MatrixXd& m) {
    Eigen::MatrixXd moved(n_beta + n_theta() + n_phi, m.cols());
    moved.topRows(n_beta) = m.topRows(n_beta);
    moved.middleRows(n_beta, n_theta()) = linear_algebra::transposed_times(own, m.middleRows(n_beta, n_entries()));
    moved.bottomRows(n_phi) = m.bottomRows(n_phi);
    return moved;
  };
  gradient = pull(gradient).col(0).eval();
  if (hessian.size() > 0) {
    hessian = pull(pull(hessian).transpose());
    hessian.block(n_beta, n_beta, n_theta(), n_theta()) += second;
    hessian = 0.5 * (hessian + hessian.transpose()).eval();
  }
  if (information.size() > 0) information = linear_algebra::sandwich(own, information);
}

Eigen::MatrixXd Layout::lambda(const double* theta) const {
  std::vector<double> values(entries_.size());
  entries_from_theta(theta, values.data());
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(model_.q(), model_.q());
  for (std::size_t e = 0; e < entries_.size(); ++e) result(entries_[e].row, entries_[e].column) = values[e];
  return result;
}

Eigen::MatrixXd Layout::term_factor(int term, const double* theta) const {
  const auto& own = model_.terms()[static_cast<std::size_t>(term)];
  const int first = first_entry(term);
  std::vector<double> values(static_cast<std::size_t>(first_entry(term + 1) - first));
  own.structure->expand(own.q, theta + first_theta(term), values.data(), nullptr);
  Eigen::MatrixXd factor = Eigen::MatrixXd::Zero(own.q, own.q);
  for (std::size_t e = 0; e < values.size(); ++e) {
    const auto& entry = entries_[static_cast<std::size_t>(first) + e];
    factor(entry.place, entry.column - own.first) = values[e];
  }
  return factor;
}

void Layout::set_term_factor(int term, const Eigen::MatrixXd& factor, double* theta) const {
  const auto& own = model_.terms()[static_cast<std::size_t>(term)];
  for (int e = first_entry(term), k = first_theta(term); e < first_entry(term + 1); ++e, ++k) {
    const auto& entry = entries_[static_cast<std::size_t>(e)];
    theta[k] = factor(entry.place, entry.column - own.first);
  }
}

void Layout::start(double scale, double* theta) const {
  // With deviations on a scale of their own there is a column for each time or level, and a row has one of q: its
  // effect is as large as the scatter. A normal response has a residual beside it, and searches are shorter from above.
  for (const auto& term : model_.terms()) {
    const bool one_of_many = term.structure->kind() == covariance::Kind::scaled && !model_.is_linear();
    const double own = one_of_many ? scale / std::sqrt(static_cast<double>(term.q)) : scale;
    for (const double value : term.structure->start(term.q, own)) *theta++ = value;
  }
}

void Layout::start(const Eigen::VectorXd& scales, double* theta) const {
  for (const auto& term : model_.terms()) {
    const auto rows = term.structure->theta_rows(term.q);
    const auto own = term.structure->start(term.q, 1.0);
    for (std::size_t k = 0; k < own.size(); ++k)
      *theta++ = rows[k] < 0 ? own[k] : own[k] * scales[term.first + rows[k]];
  }
}

void Layout::move_theta(int term, const std::vector<int>& order, double* theta) {
  const auto q = static_cast<Eigen::Index>(order.size());
  auto& now = order_[static_cast<std::size_t>(term)];
  const Eigen::MatrixXd factor = term_factor(term, theta);
  Eigen::MatrixXd rows(q, q);  // the rows of the factor by coefficient, then in the new order
  for (Eigen::Index i = 0; i < q; ++i) rows.row(now[static_cast<std::size_t>(i)]) = factor.row(i);
  Eigen::MatrixXd moved(q, q);
  for (Eigen::Index i = 0; i < q; ++i) moved.row(i) = rows.row(order[static_cast<std::size_t>(i)]);
  now = order;
  make_entries();
  set_term_factor(term, semidefinite_factor(linear_algebra::times_transposed(moved, moved), 0.0), theta);
}

bool Layout::improve_order(double* theta) {
  bool changed = false;
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    const auto& term = model_.terms()[t];
    const int own = static_cast<int>(t);
    if (term.q < 2 || term.structure->kind() != covariance::Kind::full) continue;
    // Conditional variances of what is left, pivot by pivot in the present order.
    const Eigen::MatrixXd factor = term_factor(own, theta);
    Eigen::MatrixXd left = linear_algebra::times_transposed(factor, factor);
    std::vector<int> places(static_cast<std::size_t>(term.q));
    std::iota(places.begin(), places.end(), 0);
    bool bad = false;
    for (int i = 0; i < term.q; ++i) {
      int largest = i;
      for (int j = i; j < term.q; ++j)
        if (left(places[static_cast<std::size_t>(j)], places[static_cast<std::size_t>(j)]) >
            left(places[static_cast<std::size_t>(largest)], places[static_cast<std::size_t>(largest)]))
          largest = j;
      const int present = places[static_cast<std::size_t>(i)], best = places[static_cast<std::size_t>(largest)];
      bad |= left(present, present) < bad_pivot * left(best, best);
      std::swap(places[static_cast<std::size_t>(i)], places[static_cast<std::size_t>(largest)]);
      const double pivot = left(best, best);
      if (!(pivot > 0.0)) break;
      const Eigen::VectorXd column = left.col(best) / std::sqrt(pivot);
      left -= column * column.transpose();
    }
    if (!bad) continue;
    std::vector<int> order;
    for (const int place : places) order.push_back(order_[t][static_cast<std::size_t>(place)]);
    move_theta(own, order, theta);
    changed = true;
  }
  return changed;
}

void Layout::reset_order() {
  for (auto& order : order_) std::iota(order.begin(), order.end(), 0);
  make_entries();
}

bool Layout::is_permuted() const {
  return std::any_of(order_.begin(), order_.end(),
                     [](const auto& own) { return !std::is_sorted(own.begin(), own.end()); });
}

void Layout::restore_order(double* theta) {
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    std::vector<int> order(order_[t].size());
    std::iota(order.begin(), order.end(), 0);
    if (order_[t] != order) move_theta(static_cast<int>(t), order, theta);
  }
}

Eigen::MatrixXd semidefinite_factor(const Eigen::MatrixXd& sigma, double least, const std::vector<bool>* zero) {
  const auto q = sigma.rows();
  Eigen::MatrixXd L = Eigen::MatrixXd::Zero(q, q);
  for (Eigen::Index c = 0; c < q; ++c) {
    const double pivot = sigma(c, c) - L.row(c).head(c).squaredNorm();
    // Below the rounding of the subtraction a pivot is zero.
    if (!(pivot > std::max(least * least, 1e-15 * sigma(c, c))) || (zero && (*zero)[static_cast<std::size_t>(c)]))
      continue;
    L(c, c) = std::sqrt(pivot);
    for (Eigen::Index r = c + 1; r < q; ++r) L(r, c) = (sigma(r, c) - L.row(r).head(c).dot(L.row(c).head(c))) / L(c, c);
  }
  return L;
}

}  // namespace multilevel::model
