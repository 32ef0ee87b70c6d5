// The rows of one level of a grouping factor whose random effects stand in several predictors, everything else held:
// the density as a function of the level's spherical random effects, and its modes.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "likelihood/several_predictors/tables.hpp"

namespace multilevel::likelihood {

/// The most random effects per level where several predictors carry them.
inline constexpr int most_effects = 16;

class LevelRows {
 public:
  using Vector = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, most_effects, 1>;
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, most_effects, most_effects>;

  /// `main_of`: position among the main variables of each random effect's.
  LevelRows(const model::Model& model, std::vector<int> main_of, int most_rows);

  /// How random effects of all levels are scaled.
  void set_lambda(const Matrix& lambda) { lambda_ = lambda; }
  /// The rows of the level: o of each main variable, a column for each random effect.
  void take(int n, const std::vector<const double*>& fixed, const std::vector<const double*>& z,
            const family::Observations& data);

  int n() const { return n_; }
  int q() const { return static_cast<int>(main_of_.size()); }
  int n_main() const { return static_cast<int>(at_.size()); }
  const Matrix& lambda() const { return lambda_; }
  int main_of(int effect) const { return main_of_[static_cast<std::size_t>(effect)]; }
  const double* z(int effect) const { return z_[static_cast<std::size_t>(effect)]; }
  const Tables& tables() const { return tables_; }

  /// The rows at v, and their derivatives; the third ones, too.
  void place(const Vector& v);
  void place_third(const Vector& v);
  /// There:
  double value(const Vector& v) const;  ///< log density less v'v / 2
  Vector force() const;                 ///< Z'l'
  Matrix products() const;              ///< B

  /// Newton's method from v; returns f at the mode, or minus infinity. The last step is taken once its decrement is
  /// below `tolerance`. Where it comes close to a mode that is `known` it ends there, with the f it has got to.
  double climb(Vector& v, double tolerance, long& newton_steps, const Vector* known = nullptr);

  /// Where searches for another mode than this begin, along one axis: on either side of zero, and, where a unit of v
  /// moves rows far, at the peaks of f on a grid through the mode.
  const std::vector<Vector>& starts_beside(const Vector& mode, int axis);

 private:
  void set_variables(const Vector& v);
  double farthest_move(int axis) const;

  Tables tables_;
  std::vector<int> main_of_;
  Matrix lambda_;
  int n_ = 0;
  family::Observations data_{};
  std::vector<const double*> fixed_, z_;
  std::vector<std::vector<double>> at_;
  std::vector<double*> at_pointers_;
  std::vector<Vector> starts_;
};

}  // namespace multilevel::likelihood
