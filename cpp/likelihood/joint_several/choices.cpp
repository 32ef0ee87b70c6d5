#include "likelihood/joint_several/choices.hpp"

#include <algorithm>

#include "likelihood/joint_several/crossed_sets.hpp"

namespace multilevel::likelihood {

ChoiceDensities::ChoiceDensities(const model::Model& model, const model::Response& response, int threads,
                                 const Monitor& monitor)
    : JointDensities(model, response, {0}, std::vector<int>(static_cast<std::size_t>(model.q()), 0), 1, threads,
                     monitor),
      score_(value_.size()),
      weight_(value_.size()) {
  centred_.assign(static_cast<std::size_t>(model.q()), std::vector<double>(value_.size()));
  for (const auto& own : model.panels()) {
    const int first_set = model.cluster_set(own.first_cluster);
    sets_.emplace_back(own.n_rows)
        .take(model.cluster_set(own.last_cluster) - first_set, model.set_starts() + first_set, own.first_row,
              response.value.get() + own.first_row, response.weight.get() + own.first_row);
  }
}

void ChoiceDensities::set_parameters(const double* beta, const double*) { set_fixed_part(beta); }

void ChoiceDensities::evaluate_panel(int i, bool) {
  const auto& own = panel(i);
  auto& sets = sets_[static_cast<std::size_t>(i)];
  sets.evaluate(at(0) + own.first_row);
  sets.scores(score_.data() + own.first_row);
  double* value = value_.data() + own.first_row;
  std::fill_n(value, own.n_rows, 0.0);
  for (int s = 0; s < sets.n_sets(); ++s) value[sets.first(s)] = sets.value(s);
}

void ChoiceDensities::curve(int i, int, const double* x, int, double* to) const {
  sets_[static_cast<std::size_t>(i)].curve(x, to);
}

/// sum_kl l_jkl V_kl = -w p_j (h_j - hbar), h the leverages of the centred columns.
void ChoiceDensities::add_third(int i, const double* const* V, double* const* to) const {
  std::vector<double> curved(static_cast<std::size_t>(panel(i).n_rows));
  sets_[static_cast<std::size_t>(i)].curve(V[0], curved.data());
  for (std::size_t j = 0; j < curved.size(); ++j) to[0][j] -= 0.5 * curved[j];
}

/// The weights are never negative.
void ChoiceDensities::set_weights(double) {
  for (int i = 0; i < static_cast<int>(sets_.size()); ++i) {
    const auto& own = panel(i);
    const auto& sets = sets_[static_cast<std::size_t>(i)];
    std::copy_n(sets.weighted(), own.n_rows, weight_.data() + own.first_row);
    for (int a = 0; a < model_.q(); ++a)
      sets.centre(model_.random_column(own, a), centred_[static_cast<std::size_t>(a)].data() + own.first_row);
  }
}

void ChoiceDensities::products(const JointPattern& pattern, CrossProducts& to) const {
  if (!model_.sets_cross()) return JointDensities::products(pattern, to);
  set_products(pattern, sets_, to);
}

JointDensities::ClusterVisit ChoiceDensities::leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda,
                                                        std::vector<std::vector<double>>& leverage) const {
  if (!model_.sets_cross()) return JointDensities::leverages(pattern, lambda, leverage);
  return CrossedLeverages(pattern, sets_, lambda, leverage[0]);
}

void ChoiceDensities::columns(const model::Panel&, PairedColumns& to) const {
  for (std::size_t a = 0; a < to.z.size(); ++a) to.z[a] = centred_[a].data();
  std::fill(to.weight.begin(), to.weight.end(), weight_.data());
}

}  // namespace multilevel::likelihood
