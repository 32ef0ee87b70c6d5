// The marginal log-likelihood of clusters whose random effects are one trait times loadings, u = lambda v, with its
// exact gradient and Hessian: everything about a cluster is a number, and what its rows touch of beta, lambda and the
// coefficients of the family's parameters is sparse. Notation as in likelihood.hpp; docs/theory.md has the second
// derivatives.
#pragma once

#include <memory>

#include "likelihood/panel_likelihood.hpp"
#include "model/layout.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

/// Whether a model is of this kind: one term, in the mean, of rank one.
bool is_one_trait(const model::Model& model);

/// `with_trait`: without it, parameters are (beta, phi), and rows are independent.
std::unique_ptr<PanelLikelihood> make_one_trait(const model::Model& model, const model::Response& response,
                                                const model::Layout& layout, const numeric::QuadratureRule& rule,
                                                Derivatives derivatives, bool with_trait);

}  // namespace multilevel::likelihood
