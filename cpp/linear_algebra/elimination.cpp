#include "linear_algebra/elimination.hpp"

#include <Eigen/OrderingMethods>
#include <Eigen/SparseCore>
#include <algorithm>
#include <limits>
#include <numeric>

namespace multilevel::linear_algebra {

namespace {

using Count = std::int64_t;

std::size_t at(Count i) { return static_cast<std::size_t>(i); }

/// Elimination tree in postorder: a child stands before its parent, a subtree is a range.
struct EliminationTree {
  std::vector<int> order;   ///< order[k]: vertex at position k
  std::vector<int> parent;  ///< of positions; -1 at a root
  std::vector<int> count;   ///< entries of the column of the factor, the diagonal included
  double flops = 0.0;
};

std::vector<int> inverse_permutation(const std::vector<int>& order) {
  std::vector<int> position(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) position[at(order[k])] = static_cast<int>(k);
  return position;
}

std::vector<int> tree_parents(const Graph& graph, const std::vector<int>& order, const std::vector<int>& position) {
  std::vector<int> parent(order.size(), -1), shortcut(order.size(), -1);
  for (int i = 0; i < graph.n; ++i) {
    const int v = order[at(i)];
    for (Count p = graph.start[at(v)]; p < graph.start[at(v) + 1]; ++p) {
      // Climb from the neighbour to the root of what has been joined so far; everything on the way now hangs below i.
      for (int k = position[at(graph.neighbours[at(p)])]; k != -1 && k < i;) {
        const int above = shortcut[at(k)];
        shortcut[at(k)] = i;
        if (above == -1) parent[at(k)] = i;
        k = above;
      }
    }
  }
  return parent;
}

/// The children of every node as linked lists, in ascending order; the roots are the children of node n.
struct ChildLists {
  explicit ChildLists(const std::vector<int>& parent) : first(parent.size() + 1, -1), next(parent.size(), -1) {
    for (std::size_t k = parent.size(); k-- > 0;) {
      const std::size_t p = parent[k] < 0 ? parent.size() : at(parent[k]);
      next[k] = first[p];
      first[p] = static_cast<int>(k);
    }
  }
  std::vector<int> first, next;
};

/// Nodes of a forest, children before parents, subtrees together.
std::vector<int> postorder(const std::vector<int>& parent) {
  ChildLists children(parent);
  std::vector<int> post, stack;
  post.reserve(parent.size());
  for (int root = children.first[parent.size()]; root != -1; root = children.next[at(root)]) {
    stack.push_back(root);
    while (!stack.empty()) {
      const int node = stack.back();
      const int child = children.first[at(node)];
      if (child == -1) {
        post.push_back(node);
        stack.pop_back();
      } else {
        children.first[at(node)] = children.next[at(child)];
        stack.push_back(child);
      }
    }
  }
  return post;
}

/// Column j of the factor has an entry in row i when j lies in the subtree of the tree that the neighbours of i span.
/// Its leaves and the branching points between consecutive leaves tell the sizes of all columns.
std::vector<int> column_counts(const Graph& graph, const EliminationTree& tree, const std::vector<int>& position) {
  const std::size_t n = tree.parent.size();
  std::vector<int> first(n), count(n, 1), last_first(n, -1), last_leaf(n, -1), root(n);
  std::iota(first.begin(), first.end(), 0);
  std::iota(root.begin(), root.end(), 0);
  for (std::size_t j = 0; j < n; ++j)
    if (tree.parent[j] != -1) {
      const std::size_t p = at(tree.parent[j]);
      if (first[p] == static_cast<int>(p)) count[p] = 0;  // not a leaf
      first[p] = std::min(first[p], first[j]);
    }
  for (std::size_t j = 0; j < n; ++j) {
    if (tree.parent[j] != -1) --count[at(tree.parent[j])];
    const std::size_t v = at(tree.order[j]);
    for (Count p = graph.start[v]; p < graph.start[v + 1]; ++p) {
      const std::size_t i = at(position[at(graph.neighbours[at(p)])]);
      if (i <= j || first[j] <= last_first[i]) continue;
      ++count[j];
      if (const int previous = last_leaf[i]; previous != -1) {
        int branch = previous;
        while (branch != root[at(branch)]) branch = root[at(branch)];
        for (int k = previous; k != branch;) {
          const int above = root[at(k)];
          root[at(k)] = branch;
          k = above;
        }
        --count[at(branch)];
      }
      last_first[i] = first[j];
      last_leaf[i] = static_cast<int>(j);
    }
    if (tree.parent[j] != -1) root[j] = tree.parent[j];
  }
  for (std::size_t j = 0; j < n; ++j)
    if (tree.parent[j] != -1) count[at(tree.parent[j])] += count[j];
  return count;
}

EliminationTree elimination_tree(const Graph& graph, std::vector<int> order) {
  const std::vector<int> parent = tree_parents(graph, order, inverse_permutation(order));
  const std::vector<int> post = postorder(parent), position = inverse_permutation(post);
  EliminationTree tree;
  tree.order.resize(order.size());
  tree.parent.resize(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    tree.order[k] = order[at(post[k])];
    const int p = parent[at(post[k])];
    tree.parent[k] = p == -1 ? -1 : position[at(p)];
  }
  tree.count = column_counts(graph, tree, inverse_permutation(tree.order));
  for (const int c : tree.count) tree.flops += static_cast<double>(c) * static_cast<double>(c);
  return tree;
}

template <class Index>
std::vector<int> minimum_degree(const Graph& graph) {
  // Lower triangle with the diagonal: without its diagonal entry the ordering takes a vertex for a dense one.
  Eigen::SparseMatrix<char, Eigen::ColMajor, Index> pattern(graph.n, graph.n);
  pattern.resizeNonZeros(static_cast<Eigen::Index>(graph.neighbours.size() / 2 + at(graph.n)));
  Index end = 0;
  for (int v = 0; v < graph.n; ++v) {
    pattern.outerIndexPtr()[v] = end;
    pattern.innerIndexPtr()[end++] = static_cast<Index>(v);
    for (Count p = graph.start[at(v)]; p < graph.start[at(v) + 1]; ++p)
      if (graph.neighbours[at(p)] > v) pattern.innerIndexPtr()[end++] = static_cast<Index>(graph.neighbours[at(p)]);
  }
  pattern.outerIndexPtr()[graph.n] = end;
  std::fill(pattern.valuePtr(), pattern.valuePtr() + end, char{1});
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, Index> permutation;
  Eigen::AMDOrdering<Index>()(pattern.template selfadjointView<Eigen::Lower>(), permutation);
  std::vector<int> order(at(graph.n));
  for (int k = 0; k < graph.n; ++k) order[at(k)] = static_cast<int>(permutation.indices()[k]);
  return order;
}

std::vector<int> minimum_degree(const Graph& graph) {
  const double entries = static_cast<double>(graph.neighbours.size()) + static_cast<double>(graph.n);
  const bool fits = 1.2 * entries + 10.0 * graph.n + 100.0 < static_cast<double>(std::numeric_limits<int>::max());
  return fits ? minimum_degree<int>(graph) : minimum_degree<Count>(graph);
}

/// Nanoseconds that a supernode takes, roughly: a fixed part, its entries, those of its update, which are spread over
/// later supernodes, and the flops, which go slowly where it is narrow.
double supernode_cost(double width, double height) {
  const double below = height - width;
  return 20.0 + 4.0 * width * height + 0.3 * below * below + (0.05 + 0.2 / width) * factor_flops(width, height);
}

/// Supernodes as a forest. Columns are kept as linked lists, which join without copying.
class Supernodes {
 public:
  explicit Supernodes(const EliminationTree& tree) : next_column_(tree.parent.size(), -1) {
    std::vector<int> node_of(tree.parent.size());
    std::vector<int> extends(tree.parent.size(), -1);  // the child whose column continues in this one
    std::vector<int> top;
    for (std::size_t j = 0; j < tree.parent.size(); ++j) {
      const int child = extends[j];
      if (child == -1) {
        node_of[j] = static_cast<int>(nodes_.size());
        nodes_.push_back({1, tree.count[j], -1, static_cast<int>(j), static_cast<int>(j)});
        top.push_back(static_cast<int>(j));
      } else {
        node_of[j] = node_of[at(child)];
        Node& node = nodes_[at(node_of[j])];
        next_column_[at(node.last_column)] = static_cast<int>(j);
        node.last_column = static_cast<int>(j);
        ++node.width;
        top[at(node_of[j])] = static_cast<int>(j);
      }
      const int p = tree.parent[j];
      if (p != -1 && tree.count[j] == tree.count[at(p)] + 1 && extends[at(p)] == -1)
        extends[at(p)] = static_cast<int>(j);
    }
    for (std::size_t s = 0; s < nodes_.size(); ++s) {
      const int p = tree.parent[at(top[s])];
      nodes_[s].parent = p == -1 ? -1 : node_of[at(p)];
    }
    by_top_.resize(nodes_.size());
    std::iota(by_top_.begin(), by_top_.end(), 0);
    std::sort(by_top_.begin(), by_top_.end(), [&](int a, int b) { return top[at(a)] < top[at(b)]; });
  }

  /// Children join their parent where that is estimated to save time, the tallest first.
  void amalgamate() {
    std::vector<int> parent(nodes_.size());
    for (std::size_t s = 0; s < nodes_.size(); ++s) parent[s] = nodes_[s].parent;
    const ChildLists children(parent);
    std::vector<int> candidates;
    for (const int s : by_top_) {
      Node& node = nodes_[at(s)];
      candidates.clear();
      for (int c = children.first[at(s)]; c != -1; c = children.next[at(c)]) candidates.push_back(c);
      const auto below = [&](int c) { return nodes_[at(c)].height - nodes_[at(c)].width; };
      std::stable_sort(candidates.begin(), candidates.end(), [&](int a, int b) { return below(a) > below(b); });
      for (const int c : candidates) {
        Node& child = nodes_[at(c)];
        const double apart = supernode_cost(child.width, child.height) + supernode_cost(node.width, node.height);
        if (supernode_cost(child.width + node.width, child.width + node.height) > apart) continue;
        node.width += child.width;
        node.height += child.width;
        next_column_[at(child.last_column)] = node.first_column;
        node.first_column = child.first_column;
        child.merged_into = s;
      }
    }
  }

  double cost() const {
    double total = 0.0;
    for (const Node& node : nodes_)
      if (node.merged_into == -1) total += supernode_cost(node.width, node.height);
    return total;
  }

  EliminationPlan plan(const std::vector<int>& order) const {
    // A merged supernode is at the same time the one that it has become: fathers come later in by_top_.
    std::vector<int> final(nodes_.size()), parent(nodes_.size(), -1);
    for (std::size_t k = by_top_.size(); k-- > 0;) {
      const std::size_t s = at(by_top_[k]);
      const Node& node = nodes_[s];
      final[s] = node.merged_into == -1 ? static_cast<int>(s) : final[at(node.merged_into)];
      if (node.parent != -1) parent[s] = final[at(node.parent)];
    }
    EliminationPlan plan;
    plan.order.reserve(order.size());
    for (const int s : postorder(parent)) {
      const Node& node = nodes_[at(s)];
      if (node.merged_into != -1) continue;
      plan.first.push_back(static_cast<int>(plan.order.size()));
      plan.height.push_back(node.height);
      for (int j = node.first_column; j != -1; j = next_column_[at(j)]) {
        plan.order.push_back(order[at(j)]);
        if (j == node.last_column) break;
      }
    }
    plan.first.push_back(static_cast<int>(order.size()));
    return plan;
  }

 private:
  struct Node {
    int width, height, parent, first_column, last_column;
    int merged_into = -1;
  };
  std::vector<Node> nodes_;
  std::vector<int> next_column_, by_top_;
};

EliminationPlan dense_plan(int n) {
  EliminationPlan plan;
  plan.order.resize(at(n));
  std::iota(plan.order.begin(), plan.order.end(), 0);
  plan.first = n > 0 ? std::vector<int>{0, n} : std::vector<int>{0};
  if (n > 0) plan.height = {n};
  return plan;
}

}  // namespace

double factor_flops(double width, double height) {
  // Sum of k^2 for k = height - width + 1 .. height.
  const auto squares = [](double m) { return m * (m + 1.0) * (2.0 * m + 1.0) / 6.0; };
  return squares(height) - squares(height - width);
}

Graph symmetric_graph(int n, const std::vector<std::int64_t>& start, const std::vector<int>& rows) {
  Graph graph;
  graph.n = n;
  graph.start.assign(at(n) + 1, 0);
  std::vector<int> seen(at(n), -1);
  const auto each_entry = [&](const auto& body) {
    std::fill(seen.begin(), seen.end(), -1);
    for (int j = 0; j < n; ++j) {
      seen[at(j)] = j;
      for (Count p = start[at(j)]; p < start[at(j) + 1]; ++p) {
        const int i = rows[at(p)];
        if (seen[at(i)] == j) continue;
        seen[at(i)] = j;
        body(i, j);
      }
    }
  };
  each_entry([&](int i, int j) {
    ++graph.start[at(i) + 1];
    ++graph.start[at(j) + 1];
  });
  std::partial_sum(graph.start.begin(), graph.start.end(), graph.start.begin());
  graph.neighbours.resize(at(graph.start.back()));
  std::vector<Count> end(graph.start.begin(), graph.start.end() - 1);
  each_entry([&](int i, int j) {
    graph.neighbours[at(end[at(i)]++)] = j;
    graph.neighbours[at(end[at(j)]++)] = i;
  });
  // An entry may have come from both triangles.
  std::fill(seen.begin(), seen.end(), -1);
  Count kept = 0;
  for (int v = 0; v < n; ++v) {
    const Count from = graph.start[at(v)];
    graph.start[at(v)] = kept;
    for (Count p = from; p < graph.start[at(v) + 1]; ++p) {
      const int u = graph.neighbours[at(p)];
      if (seen[at(u)] == v) continue;
      seen[at(u)] = v;
      graph.neighbours[at(kept++)] = u;
    }
  }
  graph.start[at(n)] = kept;
  graph.neighbours.resize(at(kept));
  return graph;
}

EliminationPlan plan_elimination(const Graph& graph) {
  constexpr int always_dense = 4;
  const double n = graph.n, full = n * (n - 1.0);
  if (graph.n <= always_dense || static_cast<double>(graph.neighbours.size()) > 0.7 * full) return dense_plan(graph.n);
  std::vector<int> natural(at(graph.n));
  std::iota(natural.begin(), natural.end(), 0);
  EliminationTree tree = elimination_tree(graph, std::move(natural));
  if (EliminationTree other = elimination_tree(graph, minimum_degree(graph)); other.flops < tree.flops)
    tree = std::move(other);
  Supernodes supernodes(tree);
  supernodes.amalgamate();
  if (supernode_cost(n, n) < 1.1 * supernodes.cost()) return dense_plan(graph.n);
  return supernodes.plan(tree.order);
}

}  // namespace multilevel::linear_algebra
