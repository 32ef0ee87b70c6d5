// Rows that have random effects in the mean and in the family's parameters.
#pragma once

#include "likelihood/joint_several/densities.hpp"
#include "likelihood/several_predictors/tables.hpp"

namespace multilevel::likelihood {

class PredictorDensities final : public JointDensities {
 public:
  PredictorDensities(const model::Model& model, const model::Response& response, int threads, const Monitor& monitor);

  void set_parameters(const double* beta, const double* phi) override;
  const double* first(int panel, int s) const override { return tables(panel).first(s); }
  void curve(int panel, int s, const double* x, int t, double* to) const override;
  void add_third(int panel, const double* const* V, double* const* to) const override;
  void set_weights(bool positive) override;
  void columns(const model::Panel& panel, PairedColumns& to) const override;

 private:
  void evaluate_panel(int panel, bool third) override;
  void make_positive(std::size_t row);
  const Tables& tables(int panel) const { return tables_[static_cast<std::size_t>(panel)]; }

  std::vector<Tables> tables_;             ///< of each panel
  std::vector<int> carrying_;              ///< main variables that some random effect belongs to
  family::Phi phi_;                        ///< of all rows
  std::vector<std::vector<double>> rows_;  ///< parameters of the family that differ from row to row
  std::vector<std::vector<double>> weight_;
};

}  // namespace multilevel::likelihood
