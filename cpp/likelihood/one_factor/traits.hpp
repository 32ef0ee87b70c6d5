// The marginal log-likelihood of clusters whose rows touch few of the parameters each, with its exact gradient and
// Hessian. Of items and persons random effects are a few traits times loadings, u = Lambda v with one to three columns
// that are not zero; of ordered categories a row has two thresholds, however many there are. The linear predictor of a
// row is o + w'v with w = Lambda' z, what a cluster needs of its traits are small matrices, and what its rows touch of
// beta, Lambda and the coefficients of the family's parameters is sparse. docs/theory.md derives the second
// derivatives; its notation is that of likelihood.hpp.
#pragma once

#include <memory>

#include "likelihood/one_factor/sparse_rows.hpp"
#include "likelihood/panel_likelihood.hpp"
#include "likelihood/sums.hpp"
#include "model/layout.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

/// Whether a model is of this kind. Either its one term, in the mean, has loadings of a rank from one to three that is
/// less than the number of its columns; or it has thresholds of which many are zero in a row, and at most three random
/// effects.
bool has_sparse_rows(const model::Model& model);

/// `with_traits`: without them, parameters are (beta, phi), and rows are independent. `rows` may be shared.
std::unique_ptr<PanelLikelihood> make_traits(const model::Model& model, const model::Response& response,
                                             const model::Layout& layout, const numeric::QuadratureRule& rule,
                                             Derivatives derivatives, bool with_traits,
                                             std::shared_ptr<SparseRows> rows);

}  // namespace multilevel::likelihood
