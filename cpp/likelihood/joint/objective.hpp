// Several grouping factors: the Laplace approximation over the random effects of all of them at once, with its exact
// gradient.
//
//   f(v) = sum_j l_j(eta_j) - v'v/2,  eta = o + S v,  S = Z Lambda;   H = -f'' at the mode;
//   log-likelihood = f(mode) - log|H| / 2.
//
// The gradient needs H^-1 only between random effects that meet in a row (joint_precision.hpp).
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "likelihood/joint/moments.hpp"
#include "likelihood/mode_scan.hpp"
#include "likelihood/objective.hpp"

namespace multilevel::likelihood {

class JointObjective final : public Objective {
 public:
  JointObjective(const model::Model& model, const model::Response& response, int threads, const Monitor& monitor,
                 double most_bytes = 0.0);

  /// From now on beta is integrated out (REML), which is exact where the density is Gaussian around eta: adds
  /// -log|X'V^-1 X| / 2 and `constant` to the log-likelihood.
  void restrict(double constant) {
    restricted_ = true;
    restriction_constant_ = constant;
  }

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) override;
  bool has_exact_hessian() const override { return false; }
  double work() const override { return 10.0 * static_cast<double>(model_.n_rows() + 10 * model_.n_modes()); }

 private:
  /// What it takes to look for the largest of several modes.
  struct Several {
    explicit Several(const model::Model& model);
    ModeScan scan;
    std::vector<double> slope, effect, peaks;
    std::vector<int> level;
    std::vector<char> near, skip;                   ///< rows of one level; levels that have none of them
    std::vector<double> sign;                       ///< of the rows' eta
    std::vector<std::vector<double>> turned;        ///< modes at which all signs have been changed
    std::vector<double> part_phi[family::max_phi];  ///< the family's parameters with one part alone in some rows
    std::array<std::vector<double>, 3> bounds;      ///< of Family::bounds
    std::vector<double> best_v;
    double best_f = 0.0;
    bool found = false;
  };

  bool find_modes(std::vector<double>& modes, Sums& sums, bool beside);
  enum class Aim {
    mode,
    beside,   ///< a mode close to one whose factor is at hand
    start,    ///< where another climb starts: few digits are enough
    another,  ///< a mode that is not the best one: given up where it comes close to that
  };
  bool climb(std::vector<double>& modes, Sums& sums, double& f, Aim aim = Aim::mode);
  bool find_largest(std::vector<double>& modes, Sums& sums);
  bool is_concave();
  bool moves_far() const;
  void set_slopes(const model::Factor& factor, int a) const;
  bool enter_domain(std::vector<double>& modes);
  double newton_step(double share);
  double factor_uphill(bool& concave);
  double factor_share();
  bool from_responses(std::vector<double>& modes);
  bool to_part(int k, std::vector<double>& modes, Sums& sums);
  bool keep_best(double f, const std::vector<double>& modes, Sums& sums);
  bool try_levels(std::vector<double>& modes, Sums& sums, bool on_both_sides);
  bool tries_one_by_one() const;
  bool try_parts(std::vector<double>& modes, Sums& sums);
  std::vector<double> pulls_to(const family::Phi& part, int n_levels);
  void try_signs(std::vector<double>& modes, Sums& sums);
  void change_signs(double f, std::vector<double>& modes, Sums& sums);
  void turn_levels(const std::vector<double>& own, std::vector<double>& modes, const std::function<void()>& climb_on);
  void turn_rows(const std::vector<double>& own, std::vector<double>& modes, const std::function<void()>& climb_on);
  std::vector<double> moves_across(const std::vector<double>& modes);
  void set_levels(int factor);
  bool settle(std::vector<double>& modes, int first, int step, const std::vector<char>* near = nullptr);
  ModeScan::Line scan_along(int factor, int a, const std::vector<double>& modes,
                            const std::vector<char>* near = nullptr);
  double evaluate_rows(family::Order order, const std::vector<double>& modes);
  void set_weights(bool observed);
  void penalized_gradient(const std::vector<double>& modes);
  void set_fixed_part(const double* beta);
  void set_phi(const double* phi);
  double phi_sum(const model::Panel& panel, int g, int order, const double* factor) const;
  double phi_sum(const model::Panel& panel, int first, int n, int g, int order, const double* factor) const;
  double pair_sum(const model::Panel& panel, int g, int h) const;
  void contribute_rows(const model::Panel& panel, const double* shift, Contributions& to) const;
  bool set_value(const std::vector<double>& modes, Sums& sums);
  void set_gradient(const std::vector<double>& modes, Sums& sums);
  bool add_restriction(Sums& sums);
  void approximate_hessian(Sums& sums);

  const model::Response& response_;
  int threads_;
  JointPattern pattern_;
  CrossProducts products_;
  JointPrecision precision_;
  bool factored_ = false;  ///< whether precision_ is that of the last evaluation
  Eigen::MatrixXd lambda_;
  bool restricted_ = false;
  double restriction_constant_ = 0.0;
  // Rows:
  std::vector<double> fixed_eta_, eta_, value_, weight_, leverage_, shift_;
  std::vector<double> rows_;  ///< storage of what `at_mode_` points to
  family::RowDerivatives at_mode_;
  double* phi_rows_[family::max_phi] = {};  ///< parameters of the family that differ from row to row
  family::Observations data_;               ///< of all rows
  // Random effects of all factors:
  std::vector<double> u_, gradient_, step_, old_;
  std::vector<double> products_by_level_;
  std::vector<numeric::CompensatedSum> partial_;
  std::unique_ptr<Several> several_;  ///< null where the density is log-concave
};

}  // namespace multilevel::likelihood
