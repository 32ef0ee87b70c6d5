// The marginal log-likelihood of the clusters of one panel, with its exact gradient and Hessian.
//
// Notation, per cluster. Row j: eta_j = o_j + z_j'u, o_j = x_j'beta + offset_j, u = Lambda v, v ~ N(0, I_q).
//   f(v) = sum_j l_j(eta_j) - v'v/2, largest at the conditional mode; B = sum_j w_j z_j z_j', w = -l'';
//   H = -f'' = I + Lambda' B Lambda = L L'.
// Quadrature nodes t_k with weights omega_k for N(0, I), K of them; K = 1, t = 0 is the Laplace approximation:
//   v_k = mode + L^-T t_k,   log-likelihood = -log|L| + log sum_k omega_k exp(f(v_k) + t_k't_k/2).
// Mode and L depend on the parameters; the derivatives here include that, so they are the derivatives of the
// approximation itself, at every K. Pinheiro and Bates (1995) for the approximation; docs/theory.md for the
// derivatives.
#pragma once

#include <Eigen/Core>
#include <memory>

#include "likelihood/one_factor/sparse_rows.hpp"
#include "likelihood/panel_likelihood.hpp"
#include "model/layout.hpp"
#include "model/model.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

/// `with_random_effects` false: the random effects are zero, which makes it a generalized linear model. The layout may
/// change between evaluations. `rows` may be shared.
std::unique_ptr<PanelLikelihood> make_panel_likelihood(const model::Model& model, const model::Response& response,
                                                       const model::Layout& layout, const numeric::QuadratureRule& rule,
                                                       Derivatives derivatives, bool with_random_effects,
                                                       std::shared_ptr<SparseRows> rows);

}  // namespace multilevel::likelihood
