// Log densities of the rows of a strip at the quadrature nodes of their clusters, with derivatives: of each row all
// nodes side by side, filled up to whole lanes by nodes of no weight.
#pragma once

#include <vector>

#include "likelihood/one_factor/strip.hpp"
#include "numeric/gauss_hermite.hpp"

namespace multilevel::likelihood {

/// What the rows of a strip are as functions of their cluster's traits: eta = o + w'v.
struct TraitRows {
  const Strip& strip;
  const RowArrays& rows;                ///< o, and the derivatives at the modes
  const std::vector<const double*>& w;  ///< a column for each trait
};

/// Where a cluster's nodes are: at mode + L t, L the upper triangle of n_traits rows with L L' = H^-1.
struct TraitPlace {
  const double* mode;
  const double* L;  ///< row by row
};

class TraitNodes {
 public:
  /// `trait`: which dimensions of the rule are the traits'; empty without any. `twice`: whether for the Hessian, which
  /// takes second derivatives.
  TraitNodes(const model::Model& model, const numeric::QuadratureRule& rule, const std::vector<int>& trait,
             int n_traits, int most_rows, bool twice);

  /// How many numbers a row needs.
  static int numbers_per_row(const model::Model& model, const numeric::QuadratureRule& rule, bool twice);

  int size() const { return K_; }
  int width() const { return width_; }  ///< with what fills the lanes
  /// A coordinate of the standard nodes.
  const double* t(int trait) const { return t_.data() + static_cast<std::size_t>(trait * width_); }

  /// `place` of each cluster. A single node is the mode, whose derivatives the rows have: then there is nothing to do,
  /// and no derivatives are here.
  void evaluate(const model::Model& model, const TraitRows& own, const std::vector<TraitPlace>& place);

  /// Posterior shares of the nodes of rows [first, last), a cluster; returns the logarithm of the integral less that of
  /// |L|. The derivatives at nodes that have no share, far out or outside of a link's domain, become zero.
  double shares(const TraitPlace& place, int first, int last, double* share);

  /// Derivatives of a row: by eta once and twice, by the family's parameters alone; for the Hessian by these and eta,
  /// and by pairs of them.
  const double* by_eta(int order, int row) const { return array(order - 1, row); }
  const double* by_phi(int part, int row) const { return array(2 + part, row); }
  const double* by_phi_eta(int part, int row) const { return array(2 + R_ + part, row); }
  const double* by_pair(int pair, int row) const { return array(2 + 2 * R_ + pair, row); }

 private:
  const double* array(int number, int row) const {
    return derivatives_.data() + static_cast<std::size_t>(number) * most_ + static_cast<std::size_t>(row * width_);
  }
  double* place_of(int number) { return derivatives_.data() + static_cast<std::size_t>(number) * most_; }
  family::RowDerivatives outputs();
  void set_eta(const TraitRows& own, const std::vector<TraitPlace>& place);
  family::Observations repeated(const Strip& strip);
  const double* repeat(const double* from, int n, std::size_t slot);
  void clear(int node, int first, int last);

  bool twice_;
  int K_, width_, n_traits_, R_, n_arrays_;
  std::size_t most_;                             ///< rows times width
  std::vector<double> t_, constant_;             ///< nodes; t't / 2 and the logarithm of the weight
  std::vector<double> eta_, value_, repeated_;   ///< row by row, node by node
  std::vector<double> derivatives_, v_, total_;  ///< total_: of a cluster
};

}  // namespace multilevel::likelihood
