// Rows that have random effects in the mean and in the family's parameters.
#pragma once

#include <memory>

#include "likelihood/joint_several/densities.hpp"
#include "likelihood/several_predictors/level_rows.hpp"

namespace multilevel::likelihood {

class PredictorDensities final : public JointDensities {
 public:
  PredictorDensities(const model::Model& model, const model::Response& response, int threads, const Monitor& monitor);

  void set_parameters(const double* beta, const double* phi) override;
  const double* first(int panel, int s) const override { return tables(panel).first(s); }
  void curve(int panel, int s, const double* x, int t, double* to) const override;
  void add_third(int panel, const double* const* V, double* const* to) const override;
  void set_weights(double share) override;
  void columns(const model::Panel& panel, PairedColumns& to) const override;
  int move_levels(int factor, const Eigen::MatrixXd& lambda, std::vector<double>& modes, long& several,
                  const std::vector<char>* near) override;

 private:
  /// The rows of each level of a factor, and those of one level as LevelRows takes them.
  struct Levels {
    Levels(const model::Model& model, int factor, const std::vector<int>& main_of, int n_phi);
    bool holds(int level, const std::vector<char>& rows) const;

    std::vector<std::int64_t> start, row;
    LevelRows search;
    std::vector<std::vector<double>> fixed, z, phi;
    std::vector<double> response, second, weight;
    std::vector<const double*> fixed_at, z_at;
  };

  void gather(Levels& levels, int factor, int level, const LevelRows::Vector& u);
  void evaluate_panel(int panel, bool third) override;
  void shrink_negative(std::size_t row, double share);
  const Tables& tables(int panel) const { return tables_[static_cast<std::size_t>(panel)]; }

  std::vector<Tables> tables_;                   ///< of each panel
  std::vector<std::unique_ptr<Levels>> levels_;  ///< of each factor
  std::vector<int> carrying_;                    ///< main variables that some random effect belongs to
  family::Phi phi_;                              ///< of all rows
  std::vector<std::vector<double>> rows_;        ///< parameters of the family that differ from row to row
  std::vector<std::vector<double>> weight_;
};

}  // namespace multilevel::likelihood
