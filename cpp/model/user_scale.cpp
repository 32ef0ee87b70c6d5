#include "model/user_scale.hpp"

#include <cmath>

#include "linear_algebra/dense.hpp"
#include "model/model.hpp"

namespace multilevel::model {

Eigen::VectorXd UserScale::outward(const Eigen::VectorXd& psi) const {
  return linear_algebra::apply(matrix, psi) + shift;
}

Eigen::VectorXd UserScale::inward(const Eigen::VectorXd& psi) const {
  return linear_algebra::solve_square(matrix, psi - shift);
}

std::pair<Eigen::VectorXd, Eigen::MatrixXd> UserScale::outward(const Eigen::VectorXd& gradient,
                                                               const Eigen::MatrixXd& hessian) const {
  const Eigen::MatrixXd back = linear_algebra::inverse(matrix);
  return {linear_algebra::apply_transposed(back, gradient), linear_algebra::sandwich(back, hessian)};
}

UserScale Model::user_scale(const Response& response) const {
  const int P = n_parameters();
  UserScale u{Eigen::MatrixXd::Identity(P, P), Eigen::VectorXd::Zero(P)};
  for (int k = 0; k < p(); ++k) {
    const Column& c = fixed_[static_cast<std::size_t>(k)];
    u.matrix(k, k) = c.scale / response.scale;
    for (int m = 0; m < p() && c.centre_slot != no_slot; ++m)
      if (fixed_[static_cast<std::size_t>(m)].slot == c.centre_slot) u.matrix(m, k) = -c.scale * c.shift;
    if (intercept_ >= 0 && k != intercept_) u.matrix(intercept_, k) = -c.scale * c.shift / response.scale;
  }
  if (intercept_ >= 0) u.shift[intercept_] = response.shift;
  int at = p();
  const Eigen::MatrixXd basis = random_basis(response);
  for (const auto& term : terms_) {
    const auto rows = term.structure->theta_rows(term.q);
    if (term.structure->kind() != covariance::Kind::full) {
      for (std::size_t k = 0; k < rows.size(); ++k)
        if (rows[k] >= 0)
          u.matrix(at + static_cast<int>(k), at + static_cast<int>(k)) =
              basis(term.first + rows[k], term.first + rows[k]);
    } else {  // Lambda = basis times the factor inside, column by column
      const auto entries = term.structure->entries(term.q);
      for (std::size_t k = 0; k < entries.size(); ++k)
        for (std::size_t m = 0; m < entries.size(); ++m)
          if (entries[k].column == entries[m].column && entries[m].row <= entries[k].row)
            u.matrix(at + static_cast<int>(k), at + static_cast<int>(m)) =
                basis(term.first + entries[k].row, term.first + entries[m].row);
    }
    at += static_cast<int>(rows.size());
  }
  const int phi = p() + n_theta(), m = static_cast<int>(thresholds_.cols());
  for (int k = 0; k < p() && threshold_level_.size() > 0; ++k) {
    const Column& c = fixed_[static_cast<std::size_t>(k)];
    u.matrix.col(k).segment(phi, m) = c.scale * c.shift * threshold_level_;
  }
  for (int g = 0; g < n_thresholds(); ++g) {
    const Column& c = phi_[static_cast<std::size_t>(g)];
    u.matrix(phi + g, phi + g) = c.scale;
    if (g >= m) u.matrix(phi + g % m, phi + g) = -c.scale * c.shift;
    if (c.centre_slot != no_slot) u.matrix(phi + g, phi + g % m) = -1.0;  // how far an item is from the first
  }
  for (std::size_t r = static_cast<std::size_t>(n_threshold_parts()); r < phi_parts_.size(); ++r) {
    const PhiPart& part = phi_parts_[r];
    if (part.constant && r == 0) u.shift[phi + part.first] = -std::log(response.scale);
    for (int g = part.first; g < part.last && !part.constant; ++g) {
      const Column& c = phi_[static_cast<std::size_t>(g)];
      u.matrix(phi + g, phi + g) = c.scale;
      if (phi_intercept_[r] >= 0 && g != phi_intercept_[r])
        u.matrix(phi + phi_intercept_[r], phi + g) = -c.scale * c.shift;
    }
  }
  return u;
}

Eigen::MatrixXd Model::random_basis(const Response& response) const {
  Eigen::MatrixXd basis = random_basis_;
  for (const auto& term : terms_)
    if (term.variable == 0) basis.block(term.first, term.first, term.q, term.q) /= response.scale;
  return basis;
}

}  // namespace multilevel::model
