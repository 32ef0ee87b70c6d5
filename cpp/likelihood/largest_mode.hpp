// Whether a conditional mode of a cluster is the largest, and which one is, with proof.
//
// f(v) = sum_j l_j(o_j + x_j'v) - v'v / 2. Where the rows' second derivatives have upper bounds c_j (Family::bounds),
// the value and the gradient at one point p limit f everywhere,
//   f(p + s) <= f(p) + f'(p)'s + s'(sum_j c_j x_j x_j' - I)s / 2,
// and the bounds of third derivatives keep f below a mode in a ball around it. A few points on shells around a mode
// show for most clusters that nothing else is as large. Where they do not, the space that could hold something larger
// is divided into boxes until all of them are excluded. See docs/theory.md, section 3.
//
// All of this is in coordinates that make sum_j c_j x_j x_j' diagonal. Where an entry is well below one, f is concave
// along that coordinate wherever the others are: the most it can be there follows from one point, and only the other
// coordinates are searched. A random slope without variance leaves such coordinates.
#pragma once

#include <array>
#include <vector>

#include "family/family.hpp"

namespace multilevel::likelihood {

class LargestMode {
 public:
  static constexpr int most_effects = 3;

  /// The rows of a cluster: where eta is without random effects, what a unit of each v moves it by, and bounds.
  struct Cluster {
    int n = 0;
    const double* fixed_eta = nullptr;
    std::array<const double*, most_effects> x = {};
    family::Observations data = {};
    family::Family::Bounds bounds = {};
  };

  LargestMode(const family::Family& family, int most_rows, int q);

  /// Takes a cluster up.
  void set(const Cluster& cluster);
  /// Whether the mode v, where f is `value` and the rows' second derivatives are d2, is proved to be the largest.
  bool is_largest(const double* v, double value, const double* d2);
  /// Looks for the largest mode everywhere. True where it is proved to be; otherwise v is the best one found, if
  /// `value` is finite.
  bool find(double* v, double& value);
  /// Whether find() has met a mode that is not the largest.
  bool met_another() const { return met_another_; }

 private:
  using Vector = std::array<double, most_effects>;
  using Matrix = std::array<double, most_effects * most_effects>;  ///< column-major, q x q
  struct Point {
    Vector at, gradient;
    double f, most;  ///< most: f cannot be larger with the same coordinates that are searched
    Vector to_most;  ///< how the concave coordinates would change, about, to come there
    // The same of f with the rows that may curve upwards at their suprema: it is larger, and curves downwards.
    double capped;
    Vector capped_gradient;
  };
  /// What is known around a mode: H = L L', and of the largest f with the coordinates w that are searched, where S S'
  /// is the last block of L L' and in the coordinates S'(w - mode): the most that the bounds let it curve upwards, and
  /// a radius within which it is below its value at the mode.
  struct Peak {
    Vector at;
    double f, curvature, radius, stretch;  ///< stretch: the largest eigenvalue of S S'
    Matrix L;
    bool proved;  ///< nothing else is as large
  };
  struct Box {
    Point centre;
    Vector half;
    double bound;
    bool operator<(const Box& other) const { return bound < other.bound; }
  };

  void copy_rows(int copies);
  void evaluate(Point* points, int m);
  void cap(Point& point, const double* value, const double* d1) const;
  int evaluate_settled(Point* points, int m);
  bool climb(Point& from);
  bool make_peak(const Vector& at, double f, const double* d2, Peak& peak);
  double ball(const Peak& peak, const double* third, double near) const;
  double reach(double f) const;
  bool within_shells(Peak& peak);
  void turn();
  double most_along(const Box& box, int a) const;
  double capped_along(const Box& box, int a) const;
  void limit(Box& box) const;
  Matrix searched(const Matrix& all) const;
  double distance(const Vector& v) const;
  bool can_hold_more(const Box& box, const Peak& peak, double best) const;
  void try_for_better(const Point& from, Peak& best);
  bool search_boxes(Peak& best);
  Matrix products(const double* weight, double diagonal, double sign) const;

  const family::Family& family_;
  int q_, batch_;
  Cluster cluster_;
  double highest_ = 0.0;           ///< of the sum of log densities
  std::vector<double> downwards_;  ///< one for rows that curve downwards everywhere, zero for others
  double highest_others_ = 0.0;    ///< of the sum of log densities of these others
  bool caps_ = false;              ///< there are both
  Matrix convex_ = {};             ///< sum_j c_j x_j x_j'
  Matrix axes_ = {};               ///< its eigenvectors, in the order of the eigenvalues: the coordinates
  Vector curves_ = {};             ///< its eigenvalues less one: the most that f curves along each
  int n_concave_ = 0;              ///< the first coordinates, along which f is concave enough; the others are searched
  std::vector<double> turned_[most_effects];
  Peak peak_ = {};
  bool known_ = false;  ///< peak_ is a mode of the cluster
  bool met_another_ = false;
  // Copies of the rows, so that several points are one call of the family.
  int copies_ = 0;
  std::vector<double> eta_, response_, second_, weight_, value_, d1_, d2_, third_;
  std::vector<double> phi_[family::max_phi];
  family::Observations data_ = {};
  // Boxes:
  std::vector<Box> boxes_;
};

}  // namespace multilevel::likelihood
