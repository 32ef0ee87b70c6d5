#include "estimate/layout.hpp"

#include <cmath>
#include <numeric>

namespace multilevel::estimate {

namespace {

constexpr double bad_pivot = 0.1;  // a pivot (a variance) this small beside a later one asks for another order

}  // namespace

Layout::Layout(const model::Model& model) : model_(model) {
  for (const auto& term : model.terms()) {
    std::vector<int> order(static_cast<std::size_t>(term.q));
    std::iota(order.begin(), order.end(), 0);
    order_.push_back(order);
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

Eigen::MatrixXd Layout::lambda(const double* theta) const {
  Eigen::MatrixXd result = Eigen::MatrixXd::Zero(model_.q(), model_.q());
  for (const auto& entry : entries_) result(entry.row, entry.column) = *theta++;
  return result;
}

Eigen::MatrixXd Layout::term_factor(int term, const double* theta) const {
  const auto& own = model_.terms()[static_cast<std::size_t>(term)];
  Eigen::MatrixXd factor = Eigen::MatrixXd::Zero(own.q, own.q);
  for (std::size_t e = 0; e < entries_.size(); ++e)
    if (entries_[e].term == term) factor(entries_[e].place, entries_[e].column - own.first) = theta[e];
  return factor;
}

void Layout::set_term_factor(int term, const Eigen::MatrixXd& factor, double* theta) const {
  const auto& own = model_.terms()[static_cast<std::size_t>(term)];
  for (std::size_t e = 0; e < entries_.size(); ++e)
    if (entries_[e].term == term) theta[e] = factor(entries_[e].place, entries_[e].column - own.first);
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
  set_term_factor(term, semidefinite_factor(moved * moved.transpose(), 0.0), theta);
}

bool Layout::improve_order(double* theta) {
  bool changed = false;
  for (std::size_t t = 0; t < model_.terms().size(); ++t) {
    const auto& term = model_.terms()[t];
    const int own = static_cast<int>(t);
    if (term.q < 2 || static_cast<int>(term.structure->entries(term.q).size()) == term.q) continue;
    // Conditional variances of what is left, pivot by pivot in the present order.
    const Eigen::MatrixXd factor = term_factor(own, theta);
    Eigen::MatrixXd left = factor * factor.transpose();
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

}  // namespace multilevel::estimate
