// Product rules for the standard normal density with fewer nodes.
//
// A product rule's nodes fall into orbits: nodes that differ by the order and the signs of their coordinates, and so
// have the same weight. Take W_o, the weight of orbit o in the product rule, and the orthonormal Hermite polynomials of
// even degree in each coordinate, made symmetric: h_p(o) for the partitions p = (p_1 >= p_2 >= ...), of degree 2 |p|.
// There are as many of them as orbits, and sqrt(W_o) h_p(o) is an orthogonal matrix: Gauss rules preserve
// orthogonality. Hence weights W_o (1 + sum over |p| > D of a_p h_p(o)) leave every moment of degree up to 2 D as it
// is, whatever a. They are moved along, towards fewer nodes, until one orbit after the other has no weight left and a
// is used up.
//
// With D = points the moments that remain are those that the product rule gets right (degree 2 * points - 1) and the
// first that it gets wrong: the leading term of its error stays the same. Dropping the nodes of small weight instead
// (and rescaling) loses far more accuracy than rules of fewer points do: even the moments of degree four are then
// wrong.
#pragma once

#include <cstdint>
#include <vector>

namespace multilevel::numeric {

struct Orbit {
  std::vector<int> places;  ///< per coordinate, which of the rule's absolute values; ascending
  std::int64_t size;        ///< number of nodes
  double weight;            ///< of all of them together; zero: left out
};

/// `value`: the nodes of the one-dimensional rule that are not negative, ascending; `weight`: what those have together
/// with their mirror images.
std::vector<Orbit> reduced_product(const std::vector<double>& value, const std::vector<double>& weight, int points,
                                   int dimension);

}  // namespace multilevel::numeric
