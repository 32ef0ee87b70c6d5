// In which order to eliminate the unknowns of a sparse symmetric system, and which of them to eliminate together.
//
// The order is the better one of the given order and approximate minimum degree. The elimination tree (Liu 1990) and
// the column counts of the factor (Gilbert, Ng and Peyton 1994) come without forming the factor. Columns of equal
// structure form supernodes; a small supernode joins its parent where a few zeros cost less than treating it on its
// own.
#pragma once

#include <cstdint>
#include <vector>

namespace multilevel::linear_algebra {

/// An undirected graph: the neighbours of every vertex, without loops and without duplicates.
struct Graph {
  int n = 0;
  std::vector<std::int64_t> start;
  std::vector<int> neighbours;
};

/// The graph of a symmetric matrix given by either triangle (or both), column by column, duplicates allowed.
Graph symmetric_graph(int n, const std::vector<std::int64_t>& start, const std::vector<int>& rows);

struct EliminationPlan {
  std::vector<int> order;   ///< order[k]: the vertex that is eliminated at position k
  std::vector<int> first;   ///< the position where every supernode begins, and n
  std::vector<int> height;  ///< rows of every supernode, its own columns included
};

EliminationPlan plan_elimination(const Graph& graph);

/// Flops of the factorization of `width` columns with `height` rows, updates of later columns included.
double factor_flops(double width, double height);

}  // namespace multilevel::linear_algebra
