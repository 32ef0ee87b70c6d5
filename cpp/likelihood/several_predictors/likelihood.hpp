// Clusters in which several of a row's predictors carry random effects: the mean, and parameters of the family such as
// the dispersion or the probability of an extra zero. Laplace and adaptive quadrature with their exact gradient.
//
// Row j has variables s (tables.hpp), of which the main ones are o_js + z_js'u, u = Lambda v; every random effect
// belongs to one of them. With l_s, l_st, ... the derivatives of the log density,
//   B = -sum_j sum_st l_st z_js z_jt',  H = I + Lambda'B Lambda = L L',  nodes and A as with one predictor,
//   V_st = z_js' Lambda A Lambda' z_jt,  c_s = sum_tu l_stu V_tu / 2,  h = H^-1 kappa,
//   rho_s = sum_k p_k l_s(node k) + c_s + sum_t l_st z_jt'Lambda h
// is the derivative of the log-likelihood by o_js (docs/theory.md).
#pragma once

#include "likelihood/panel_likelihood.hpp"
#include "likelihood/several_predictors/level_rows.hpp"
#include "model/layout.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class SeveralLikelihood final : public PanelLikelihood {
 public:
  /// Throws std::invalid_argument when a level has more random effects than there is room for.
  SeveralLikelihood(const model::Model& model, const model::Response& response, const model::Layout& layout,
                    const numeric::QuadratureRule& rule);

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override;

 private:
  using Vector = LevelRows::Vector;
  using Matrix = LevelRows::Matrix;

  void set_fixed_part(const model::Panel& panel, const double* psi);
  void set_cluster(const model::Panel& panel, int cluster);
  bool find_mode(double* modes, bool stay, Sums& sums);
  bool add_cluster(const Vector& mode, Sums& sums, double* mode_covariance);
  void integrate(const Vector& mode, Sums& sums);
  void add_gradient(const Vector& mode, Sums& sums);
  void add_contribution(const Vector& mode, Contributions& to);
  void add_information(Sums& sums);

  int main_of(int effect) const { return rows_.main_of(effect); }
  const double* z(int effect) const { return rows_.z(effect); }
  /// The column of a coefficient of the fixed part or of the family's parameters; null: ones.
  const double* column(int coefficient) const { return columns_[static_cast<std::size_t>(coefficient)]; }
  int variable(int coefficient) const { return variable_[static_cast<std::size_t>(coefficient)]; }
  double sum(int coefficient, const double* d) const;

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  int p_, q_, n_entries_, n_phi_, n_main_;
  LevelRows rows_;  ///< of a cluster
  const Tables& tables_;
  Matrix lambda_;
  std::vector<int> variable_;  ///< of each coefficient, those of the family's parameters after beta

  // Of a panel.
  family::Phi phi_;
  std::vector<std::vector<double>> fixed_, phi_rows_;

  // Of a cluster.
  int cluster_ = 0, first_ = 0, n_ = 0;
  std::vector<const double*> fixed_here_, z_, columns_;
  std::vector<std::vector<double>> rho_, shift_, own_first_;
  std::vector<double> pair_, scratch_;
  Matrix Linv_, A_, B_;
  double log_determinant_ = 0.0, value_ = 0.0;
  Vector h_;               ///< where the mean lies from the mode, with one node
  Eigen::VectorXd score_;  ///< derivatives of the cluster's log-likelihood
  // Means over the nodes.
  Vector g_bar_;
  Matrix C_, b_v_;
  std::vector<double> node_value_;
  std::vector<Vector> node_v_, node_b_;
};

}  // namespace multilevel::likelihood
