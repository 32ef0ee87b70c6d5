// The quadrature nodes of a panel with nested units. Per cluster, with t_3 a node of the outer rule and t_i one of the
// inner rule for unit i,
//   v_3 = mode_3 + P_3't_3,   v_i = mode_i + R_i't_3 + P_i't_i   (P, R: see block_arrow.hpp),
// so that given t_3 the integrals over the units are separate and the sum over all combinations is
//   sum_k3 w_k3 exp(t_3't_3/2 - v_3'v_3/2) prod_i sum_k2 w_k2 exp(l_i(v_3, v_i) - v_i'v_i/2 + t_i't_i/2).
// Means under the nodes' shares p(k3) p_i(k2 | k3) are added up as the outer nodes go by.
#pragma once

#include "likelihood/nested/modes.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

class NestedNodes {
 public:
  NestedNodes(const model::Model& model, const numeric::QuadratureRule& inner, const numeric::QuadratureRule& outer,
              int most_units, int most_clusters, int q_inner, int q_outer);

  /// Whether moments of the random effects are wanted: what makes those of the user's scale, all columns of both
  /// factors, and the first column of the outer factor; null: they are not.
  void set_moments(const Eigen::MatrixXd* to_user, int outer_first) {
    to_user_ = to_user;
    outer_first_ = outer_first;
  }

  /// Also fills arrays.rho with E(l').
  void integrate(const NestedRows& rows, NestedArrays& arrays, const family::Family& family,
                 const OuterMatrix& lambda_inner, const OuterMatrix& lambda_outer, const NestedEffects& mode,
                 const BlockArrow& arrow);

  /// What the nodes of a cluster say of its own effects.
  struct OuterMeans {
    double largest = 0.0, total = 0.0;  ///< shares are relative to exp(largest)
    OuterVector g;                      ///< E(g_3), g = f'(v)
    OuterMatrix t_g, b_v;               ///< E(t_3 g_3'), E(Z'l' v_3')
    std::vector<double> phi;            ///< E(dl/dphi), by coefficient
    // With moments: E(d), d = v_3 - mode_3; third and fourth powers of d on the user's scale; E(dd').
    OuterVector moments[3];
    OuterMatrix second;
  };
  const OuterMeans& outer(int cluster) const { return outer_[static_cast<std::size_t>(cluster)]; }
  double log_integral(int cluster) const { return outer(cluster).largest + std::log(outer(cluster).total); }

  linear_algebra::MatrixBatch g, t_g, b_v;    ///< of the units: E(g_i), E(t_i g_i'), E(Z'l' v_i')
  linear_algebra::MatrixBatch outer_t_g;      ///< E(t_3 g_i')
  linear_algebra::MatrixBatch first, second;  ///< with moments: E(d_i) and E(d_i d_i'), d_i = v_i - mode_i

 private:
  void start(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner, const BlockArrow& arrow);
  void place(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
             const OuterMatrix& lambda_outer, const NestedEffects& mode, const BlockArrow& arrow,
             const OuterVector& t_outer);
  void evaluate(const NestedRows& rows, NestedArrays& arrays, const family::Family& family, const BlockArrow& arrow,
                Range units);
  void average(const NestedRows& rows, Range units);
  void combine(const NestedRows& rows, NestedArrays& arrays, const OuterMatrix& lambda_inner,
               const OuterMatrix& lambda_outer, const BlockArrow& arrow, int outer_node, int cluster);
  void scale(const NestedRows& rows, NestedArrays& arrays, int cluster, double factor);

  void add_moments(const NestedRows& rows, const BlockArrow& arrow, const OuterVector& t, double weight, int cluster);

  double* node(std::vector<double>& of, std::size_t stride, int k) const {
    return of.data() + stride * static_cast<std::size_t>(k);
  }

  const numeric::QuadratureRule &inner_rule_, &outer_rule_;
  const std::vector<model::PhiPart>& phi_parts_;
  int q_inner_, q_outer_, n_phi_;
  std::size_t block_rows_, block_units_;  ///< strides of the arrays of a block of units
  std::vector<OuterMeans> outer_;
  const Eigen::MatrixXd* to_user_ = nullptr;
  int outer_first_ = 0;

  // At one outer node, for all units of the panel.
  NestedEffects centre_;                        ///< v_3, and mode_i + R_i't_3
  std::vector<double> centre_eta_;              ///< eta at the centre
  std::vector<double> mean_d1_;                 ///< E(l' | k3)
  std::vector<std::vector<double>> mean_d1_t_;  ///< E(l' t_i | k3)
  std::vector<double> log_inner_;               ///< log of the unit's integral
  linear_algebra::MatrixBatch mean_t_, mean_tt_, mean_phi_, scaled_lambda_, shift_;
  linear_algebra::MatrixBatch mean_b_, mean_bt_, mean_g_, work_;

  // At all inner nodes, for a block of units.
  std::vector<double> node_d1_, node_f_, node_phi_, largest_, scratch_;
};

}  // namespace multilevel::likelihood
