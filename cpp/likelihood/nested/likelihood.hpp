// The marginal log-likelihood of clusters with nested units by adaptive quadrature over both levels, with its exact
// gradient.
//
// Row j of unit i in a cluster: eta_j = o_j + z_inner'Lambda_inner v_i + z_outer'Lambda_outer v_3, all v ~ N(0, I). The
// joint mode and the block-arrow Cholesky factor L there place the nodes; given the cluster's own v_3 the integrals
// over its units are separate, so K_outer x K_inner evaluations of a row serve for any number of units. Pinheiro and
// Chao (2006). Mode and L depend on the parameters; the gradient includes that, as with one factor (docs/theory.md),
// and needs only those blocks of its matrices where H has any.
#pragma once

#include "likelihood/nested/information.hpp"
#include "likelihood/nested/nodes.hpp"
#include "likelihood/panel_likelihood.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

class NestedLikelihood final : public PanelLikelihood {
 public:
  /// Throws std::invalid_argument when a factor has more random effects than there is room for.
  NestedLikelihood(const model::Model& model, const model::Response& response, const model::Layout& layout,
                   const numeric::QuadratureRule& inner, const numeric::QuadratureRule& outer);

  /// Adds value and gradient (beta, entries of Lambda, phi); where `sums` has room for a Hessian, an information to
  /// search with. `modes` and `mode_covariance` hold all
  /// factors, level by level (model::Factor says where).
  void add(const model::Panel& panel, const double* psi, double* modes, Sums& sums, double* mode_covariance) override;

 private:
  void read_modes(const double* modes);
  void write_modes(double* modes) const;
  void write_covariance(double* mode_covariance);
  /// A cluster of the outer factor, with the blocks of the outer one that its steps hand on.
  struct ClusterOfUnits {
    int cluster;
    Range units, rows;
    OuterMatrix A = {};  ///< the outer factor's block of it
    OuterVector h = {};
  };
  void add_cluster(int cluster, Sums& sums);
  void set_spread(ClusterOfUnits& of);
  void set_leverages(const ClusterOfUnits& of);
  void set_shifts(ClusterOfUnits& of);
  void set_score(const ClusterOfUnits& of);
  OuterMatrix inner_gradient(const ClusterOfUnits& of);
  OuterMatrix outer_gradient(const ClusterOfUnits& of);
  void add_contribution(int cluster, double value, Contributions& to);
  void add_information(Sums& sums);

  const model::Model& model_;
  const model::Response& response_;
  const model::Layout& layout_;
  const model::Factor &inner_, &outer_;
  int n_entries_, most_units_, most_clusters_;
  NestedRows rows_;
  NestedArrays arrays_;
  OuterMatrix lambda_inner_, lambda_outer_;
  NestedEffects v_;
  BlockArrow arrow_;
  NestedModes modes_;
  NestedNodes nodes_;
  NestedInformation information_;

  linear_algebra::MatrixBatch S_, S_cross_, A_, A_cross_, Az_, Az_cross_, zc_, kappa_, h_, hz_, b_, work_, work_cross_;
  Eigen::VectorXd score_;  ///< of a cluster
};

}  // namespace multilevel::likelihood
