#include "likelihood/joint_several/predictors.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"

namespace multilevel::likelihood {

namespace {

std::size_t at_index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The symmetric matrix [a b; b d] with its negative eigenvalues times a share.
void shrink(double& a, double& b, double& d, double share) {
  const double middle = 0.5 * (a + d), radius = std::hypot(0.5 * (a - d), b);
  if (middle >= radius) return;
  double slope = share, level = 0.0;
  if (middle > -radius) {  // a linear function of the matrix
    slope = 0.5 * ((1.0 + share) + (1.0 - share) * middle / radius);
    level = 0.5 * (1.0 - share) * (radius - middle * (middle / radius));
  }
  a = level + slope * a;
  b = slope * b;
  d = level + slope * d;
}

}  // namespace

PredictorDensities::PredictorDensities(const model::Model& model, const model::Response& response, int threads,
                                       const Monitor& monitor)
    : JointDensities(model, response, main_variables(model), main_positions(model), 1 + model.family().n_phi(), threads,
                     monitor),
      rows_(static_cast<std::size_t>(model.family().n_phi())) {
  const auto n = value_.size();
  for (const auto& own : model.panels()) tables_.emplace_back(model, own.n_rows);
  for (int a = 0; a < n_main(); ++a)
    if (std::find(main_of().begin(), main_of().end(), a) != main_of().end()) carrying_.push_back(a);
  for (std::size_t r = 0; r < rows_.size(); ++r)
    if (!model.phi_parts()[r].constant) rows_[r].resize(n);
  weight_.assign(static_cast<std::size_t>(n_pairs()), std::vector<double>(n));
}

void PredictorDensities::set_parameters(const double* beta, const double* phi) {
  set_fixed_part(beta);
  double* to[family::max_phi] = {};
  for (std::size_t r = 0; r < rows_.size(); ++r)
    if (!rows_[r].empty()) to[r] = rows_[r].data();
  phi_ = model_.phi_rows(model_.panels().front(), response_, 0, 0, phi, to);
  for (const auto& own : model_.panels()) {
    double* here[family::max_phi] = {};
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (to[r]) here[r] = to[r] + own.first_row;
    model_.phi_rows(own, response_, 0, own.n_rows, phi, here);
  }
  for (int a = 1; a < n_main(); ++a)
    for (std::int64_t j = 0; j < model_.n_rows(); ++j)
      fixed_[at_index(a)][at_index(j)] = phi_.at(main(a) - 1, static_cast<std::ptrdiff_t>(j));
}

void PredictorDensities::evaluate_panel(int i, bool third) {
  const auto& own = panel(i);
  std::vector<double*> where;
  for (int a = 0; a < n_main(); ++a) where.push_back(at(a) + own.first_row);
  const auto data = response_.from(own.first_row, phi_.from(static_cast<std::ptrdiff_t>(own.first_row)));
  auto& tables = tables_[at_index(i)];
  if (third)
    tables.evaluate_third(own.n_rows, where, data);
  else
    tables.evaluate(own.n_rows, where, data);
  std::copy_n(tables.value(), own.n_rows, value_.data() + own.first_row);
}

void PredictorDensities::curve(int i, int s, const double* x, int t, double* to) const {
  const double* second = tables(i).second(s, t);
  for (int j = 0; j < panel(i).n_rows; ++j) to[j] = -second[j] * x[j];
}

void PredictorDensities::add_third(int i, const double* const* V, double* const* to) const {
  for (const int a : carrying_)
    for (const int b : carrying_) {
      if (b > a) continue;
      const double* own = V[pair(a, b)];
      const double half = a == b ? 0.5 : 1.0;
      for (int s = 0; s < n_variables(); ++s) {
        const double* third = tables(i).third(s, main(a), main(b));
        for (int j = 0; j < panel(i).n_rows; ++j) to[s][j] += half * third[j] * own[j];
      }
    }
}

void PredictorDensities::set_weights(double share) {
  for (int i = 0; i < static_cast<int>(model_.panels().size()); ++i) {
    const auto first = panel(i).first_row;
    for (int a = 0; a < n_main(); ++a)
      for (int b = 0; b <= a; ++b) {
        const double* second = tables(i).second(main(a), main(b));
        double* to = weight_[at_index(pair(a, b))].data() + first;
        for (int j = 0; j < panel(i).n_rows; ++j) to[j] = -second[j];
      }
  }
  if (share < 1.0)
    for (std::int64_t j = 0; j < model_.n_rows(); ++j) shrink_negative(at_index(j), share);
}

/// Of the variables that carry random effects: the others have no part in B.
void PredictorDensities::shrink_negative(std::size_t row, double share) {
  auto w = [&](int a, int b) -> double& { return weight_[at_index(pair(a, b))][row]; };
  if (carrying_.size() == 1) {
    double& own = w(carrying_[0], carrying_[0]);
    if (own < 0.0) own *= share;
    return;
  }
  if (carrying_.size() == 2) {
    shrink(w(carrying_[0], carrying_[0]), w(carrying_[1], carrying_[0]), w(carrying_[1], carrying_[1]), share);
    return;
  }
  const auto m = static_cast<Eigen::Index>(carrying_.size());
  Eigen::MatrixXd block(m, m);
  for (Eigen::Index a = 0; a < m; ++a)
    for (Eigen::Index b = 0; b <= a; ++b) block(a, b) = block(b, a) = w(carrying_[at_index(a)], carrying_[at_index(b)]);
  if (!block.allFinite()) return;
  const linear_algebra::SymmetricEigen spectrum(block);
  Eigen::MatrixXd scaled = spectrum.vectors;
  for (Eigen::Index k = 0; k < m; ++k)
    scaled.col(k) *= spectrum.values[k] < 0.0 ? share * spectrum.values[k] : spectrum.values[k];
  block = linear_algebra::times_transposed(scaled, spectrum.vectors);
  for (Eigen::Index a = 0; a < m; ++a)
    for (Eigen::Index b = 0; b <= a; ++b) w(carrying_[at_index(a)], carrying_[at_index(b)]) = block(a, b);
}

void PredictorDensities::columns(const model::Panel& own, PairedColumns& to) const {
  const int q = model_.q();
  for (int a = 0; a < q; ++a) {
    to.z[at_index(a)] = model_.random_column(own, a) - own.first_row;
    for (int b = 0; b < q; ++b)
      to.weight[at_index(a * q + b)] = weight_[at_index(pair(main_of()[at_index(a)], main_of()[at_index(b)]))].data();
  }
}

}  // namespace multilevel::likelihood
