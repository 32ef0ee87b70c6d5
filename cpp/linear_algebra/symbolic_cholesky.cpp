#include <algorithm>
#include <array>

#include "linear_algebra/elimination.hpp"
#include "linear_algebra/sparse_cholesky.hpp"

namespace multilevel::linear_algebra {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Calls body(row chunk begin, row chunk end, relative rows, column begin, column end, supernode) for the pieces of a
/// clique: its columns in one supernode, and some hundred of its rows from the first of these columns on.
template <class Body>
void clique_pieces(const SymbolicCholesky& symbolic, const int* index, int r, const Body& body) {
  constexpr int chunk = 256;
  std::array<int, chunk> relative;
  for (int begin = 0; begin < r;) {
    const Supernode node = symbolic.supernode(symbolic.supernode_of(index[begin]));
    int end = begin + 1;
    while (end < r && index[end] < node.end()) ++end;
    const int *search = node.below, *const last = node.below + node.n_below;
    for (int from = begin; from < r; from += chunk) {
      const int to = std::min(r, from + chunk);
      for (int i = from; i < to; ++i) {
        if (index[i] < node.end()) {
          relative[at(i - from)] = index[i] - node.first;
          continue;
        }
        // Gallop: the rows wanted are often close together.
        std::ptrdiff_t step = 1;
        const int* low = search;
        while (last - low > step && low[step] <= index[i]) {
          low += step;
          step *= 2;
        }
        search = std::lower_bound(low, std::min(last, low + step + 1), index[i]);
        relative[at(i - from)] = node.width + static_cast<int>(search - node.below);
      }
      body(from, to, relative.data(), begin, end, node);
    }
    begin = end;
  }
}

}  // namespace

SymbolicCholesky::SymbolicCholesky(int n, const std::vector<std::int64_t>& start, const std::vector<int>& rows) {
  const Graph graph = symmetric_graph(n, start, rows);
  EliminationPlan plan = plan_elimination(graph);
  place_.resize(at(n));
  for (int k = 0; k < n; ++k) place_[at(plan.order[at(k)])] = k;
  first_ = std::move(plan.first);
  supernode_of_.resize(at(n));
  below_start_.push_back(0);
  bases_.push_back(0);
  for (int s = 0; s < n_supernodes(); ++s) {
    const int width = first_[at(s) + 1] - first_[at(s)], height = plan.height[at(s)];
    std::fill_n(supernode_of_.begin() + first_[at(s)], width, s);
    below_start_.push_back(below_start_.back() + height - width);
    bases_.push_back(bases_.back() + static_cast<std::int64_t>(width) * height);
    flops_ += factor_flops(width, height);
  }
  // Rows below a supernode: those of the matrix in its columns, and those below its children.
  below_.resize(at(below_start_.back()));
  std::vector<int> seen(at(n), -1), child(first_.size(), -1), sibling(first_.size(), -1);
  for (int s = 0; s < n_supernodes(); ++s) {
    const Supernode node = supernode(s);
    int* end = below_.data() + below_start_[at(s)];
    const auto add = [&](int row) {
      if (row < node.end() || seen[at(row)] == s) return;
      seen[at(row)] = s;
      *end++ = row;
    };
    if (node.n_below == 0) continue;
    for (int j = node.first; j < node.end(); ++j) {
      const std::size_t v = at(plan.order[at(j)]);
      for (std::int64_t p = graph.start[v]; p < graph.start[v + 1]; ++p) add(place_[at(graph.neighbours[at(p)])]);
    }
    for (int c = child[at(s)]; c != -1; c = sibling[at(c)]) {
      const Supernode from = supernode(c);
      for (int i = 0; i < from.n_below; ++i) add(from.below[i]);
    }
    int* begin = below_.data() + below_start_[at(s)];
    std::sort(begin, end);
    const int parent = supernode_of(*begin);
    sibling[at(s)] = child[at(parent)];
    child[at(parent)] = s;
  }
}

std::int64_t SymbolicCholesky::position(int i, int j) const {
  const Supernode node = supernode(supernode_of(j));
  const int row =
      i < node.end()
          ? i - node.first
          : node.width + static_cast<int>(std::lower_bound(node.below, node.below + node.n_below, i) - node.below);
  return node.base + row + static_cast<std::int64_t>(j - node.first) * node.height();
}

void SymbolicCholesky::subtract_clique(const int* index, int r, const double* block, double* values) const {
  clique_pieces(*this, index, r, [&](int from, int to, const int* relative, int begin, int end, const Supernode& node) {
    for (int j = begin; j < end; ++j) {
      double* column = values + node.base + static_cast<std::ptrdiff_t>(index[j] - node.first) * node.height();
      const double* source = block + static_cast<std::ptrdiff_t>(j) * r;
      const int i0 = std::max(from, j), n = to - i0;
      if (n <= 0) break;
      const int* place = relative + (i0 - from);
      if (place[n - 1] - place[0] == n - 1) {
        double* target = column + place[0];
#pragma omp simd
        for (int i = 0; i < n; ++i) target[i] -= source[i0 + i];
      } else {
        for (int i = 0; i < n; ++i) column[place[i]] -= source[i0 + i];
      }
    }
  });
}

void SymbolicCholesky::gather_clique(const int* index, int r, const double* values, double* block) const {
  clique_pieces(*this, index, r, [&](int from, int to, const int* relative, int begin, int end, const Supernode& node) {
    for (int j = begin; j < end; ++j) {
      const double* column = values + node.base + static_cast<std::ptrdiff_t>(index[j] - node.first) * node.height();
      const int i0 = std::max(from, j);
      for (int i = i0; i < to; ++i) {
        const double x = column[relative[i - from]];
        block[i + static_cast<std::ptrdiff_t>(j) * r] = x;
        block[j + static_cast<std::ptrdiff_t>(i) * r] = x;
      }
    }
  });
}

}  // namespace multilevel::linear_algebra
