// Clusters whose rows are alternatives, one of each set being chosen: Laplace and adaptive quadrature with their exact
// gradient, one grouping factor or none.
//
// The notation is that of several predictors (several_predictors/likelihood.hpp), whose variables are here the linear
// predictors of a set's rows; sets.hpp has the sums over them in closed form.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/choice/sets.hpp"
#include "likelihood/panel_likelihood.hpp"
#include "model/layout.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class ChoiceLikelihood final : public PanelLikelihood {
 public:
  ChoiceLikelihood(const model::Model& model, const model::Response& response, const model::Layout& layout,
                   const numeric::QuadratureRule& rule, bool with_random_effects);

  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override;

  /// Adds what the scatter of working residuals is made of, without random effects.
  void add_scatter(const model::Panel& panel, const double* beta, double& squares, double& weights);

 private:
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  void set_fixed_part(const model::Panel& panel, const double* beta);
  void set_cluster(const model::Panel& panel, int cluster);
  /// Newton's method from v; false when there is no mode.
  bool climb(Vector& v, Sums& sums);
  bool add_cluster(Vector& mode, Sums& sums, double* mode_covariance);
  void integrate(const Vector& mode, Sums& sums);
  void add_gradient(const Vector& mode, Sums& sums);
  void add_contribution(const Vector& mode, Contributions& to);
  void add_sets(Contributions& to);
  void add_information(Sums& sums);

  /// Probabilities and scores of the cluster's rows at v; returns the log density less v'v / 2.
  double place(const Vector& v);
  Vector force() const;  ///< Z'l'
  void set_products();   ///< B, and the centred columns of Z that make it

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const numeric::QuadratureRule& rule_;
  int p_, q_, n_entries_;
  Sets sets_;
  Matrix lambda_;
  std::vector<double> fixed_;  ///< of a panel

  // Of a cluster.
  int cluster_ = 0, n_ = 0;
  const double* fixed_here_ = nullptr;
  std::vector<const double*> z_, x_;
  std::vector<double> eta_, score_rows_, rho_, h_rows_, scratch_;
  std::vector<std::vector<double>> centred_;  ///< columns of Z at the mode
  Matrix B_, L_, Linv_, A_;
  double log_determinant_ = 0.0, f_ = 0.0, value_ = 0.0;
  Vector shift_;  ///< where the mean lies from the mode, with one node
  Vector score_;  ///< derivatives of the cluster's log-likelihood
  // Means over the nodes.
  Vector g_bar_;
  Matrix C_, b_v_;
  std::vector<double> node_value_;
  std::vector<Vector> node_v_;
  // Of the information.
  Matrix block_, information_, zx_;
  std::vector<const double*> block_columns_, centred_columns_;
};

}  // namespace multilevel::likelihood
