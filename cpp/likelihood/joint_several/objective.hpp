// Several grouping factors where a row has several predictors with random effects, or the rows of a set share one
// density: the Laplace approximation over the random effects of all factors at once, with its exact gradient.
//
// f, H and their precision are those of one predictor (joint/objective.hpp), B as in densities.hpp. With
// V_ab = s_a'H^-1 s_b of the main variables of a row,
//   c_s = sum_ab l_sab V_ab / 2,  h = H^-1 S'c,  rho_s = l_s + c_s + sum_a l_sa s_a'h
// is the derivative of the log-likelihood by variable s of the row (docs/theory.md).
#pragma once

#include <memory>
#include <vector>

#include "likelihood/joint/precision.hpp"
#include "likelihood/joint_several/densities.hpp"

namespace multilevel::likelihood {

class JointSeveralObjective final : public Objective {
 public:
  JointSeveralObjective(const model::Model& model, const model::Response& response, int threads, const Monitor& monitor,
                        double most_bytes = 0.0);

  bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums, double* mode_covariance = nullptr,
                Derivatives wanted = Derivatives::hessian) override;
  bool has_exact_hessian() const override { return false; }
  double work() const override { return 10.0 * static_cast<double>(model_.n_rows() + 10 * model_.n_modes()); }

 private:
  /// A coefficient of the fixed part or of the family's parameters in a panel: a variable, and a column (null: ones).
  struct Use {
    int variable;
    const double* column;
  };

  bool find_modes(std::vector<double>& modes, Sums& sums, bool beside);
  bool climb(std::vector<double>& modes, Sums& sums, double& f, double error);
  void set_products(double share);
  bool factor(double share);
  double evaluate_at(const std::vector<double>& modes, bool third);
  void penalized_gradient(const std::vector<double>& modes);
  bool settle(std::vector<double>& modes, Sums& sums);
  bool move_levels(int factor, std::vector<double>& modes, Sums& sums, const std::vector<char>* near = nullptr);
  bool try_levels(std::vector<double>& best, double& f, Sums& sums);
  bool set_value(const std::vector<double>& modes, Sums& sums);
  void set_gradient(const std::vector<double>& modes, Sums& sums);
  void contribute_rows(int panel, Contributions& to) const;
  void set_information(const Eigen::MatrixXd& fixed, Sums& sums) const;
  Eigen::MatrixXd information_of(const double* theta);
  Eigen::MatrixXd fixed_information();
  std::vector<Use> uses(const model::Panel& panel, int coefficient) const;

  const model::Response& response_;
  JointPattern pattern_;
  CrossProducts products_;
  JointPrecision precision_;
  std::unique_ptr<JointDensities> densities_;
  bool concave_;  ///< whether there is one mode only
  Eigen::MatrixXd lambda_;
  std::vector<std::vector<double>> leverage_;  ///< of each pair of main variables, by row
  std::vector<std::vector<double>> rho_;       ///< of each variable, by row
  // Random effects of all factors:
  std::vector<double> u_, gradient_, step_, old_;
  std::vector<double> products_by_level_;
};

}  // namespace multilevel::likelihood
