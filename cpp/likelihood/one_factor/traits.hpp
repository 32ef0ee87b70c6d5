// The marginal log-likelihood of clusters whose random effects are a few traits times loadings, u = Lambda v with one
// to three columns that are not zero: with its exact gradient and Hessian. The linear predictor of a row is o + w'v
// with w = Lambda' z, what a cluster needs of its traits are small matrices, and what its rows touch of beta, Lambda
// and the coefficients of the family's parameters is sparse, however many items there are. docs/theory.md derives the
// second derivatives; its notation is that of likelihood.hpp.
#pragma once

#include <memory>

#include "likelihood/panel_likelihood.hpp"
#include "likelihood/sums.hpp"
#include "model/layout.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

/// The number of traits of a model of this kind: one term, in the mean, whose loadings are of a rank from one to three
/// that is less than the number of its columns. Zero for any other.
int n_traits(const model::Model& model);

/// `with_traits`: without them, parameters are (beta, phi), and rows are independent.
std::unique_ptr<PanelLikelihood> make_traits(const model::Model& model, const model::Response& response,
                                             const model::Layout& layout, const numeric::QuadratureRule& rule,
                                             Derivatives derivatives, bool with_traits);

}  // namespace multilevel::likelihood
