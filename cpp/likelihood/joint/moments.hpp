// Sums that objectives over several grouping factors share: rows to levels and back, and what N = B Lambda H^-1 says
// about theta.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/joint/precision.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// u = Lambda v, for the random effects of all levels of all factors.
void scale_modes(const model::Model& model, const Eigen::MatrixXd& lambda, const double* v, double* u);
/// x = Lambda' x
void transpose_scale_modes(const model::Model& model, const Eigen::MatrixXd& lambda, double* x);

/// eta += Z u for the sorted rows of a panel.
void add_random_part(const model::Model& model, const model::Panel& panel, const double* u, double* eta);
/// The same where column a of Z belongs to eta[a].
void add_random_parts(const model::Model& model, const model::Panel& panel, const double* u, double* const* eta);
/// sums += Z' x, level by level, over the rows of a panel.
void add_level_sums(const model::Model& model, const model::Panel& panel, const double* x, double* sums);
/// The same where column a of Z belongs to x[a].
void add_level_sums_of_each(const model::Model& model, const model::Panel& panel, const double* const* x, double* sums);

/// G += sum over levels of x_b y_b', in the block of each factor.
void add_level_outer(const model::Model& model, double scale, const double* x, const double* y, Eigen::MatrixXd& G);
/// G -= sum over levels of N_b.
void subtract_level_products(const model::Model& model, const double* N, Eigen::MatrixXd& G);

/// Fisher information of theta in the working linear mixed model, level by level: what the levels of crossed factors
/// share is left out. `T` per level is B - N Lambda' B.
Eigen::MatrixXd theta_information(const JointPattern& pattern, const CrossProducts& products,
                                  const Eigen::MatrixXd& lambda, const double* N, const model::Layout& layout,
                                  const double* theta);

}  // namespace multilevel::likelihood
