// Rows that are alternatives, one of each set being chosen.
//
// With p the probabilities of a set and w its weight, -l'' = w (diag(p) - p p'): the weights w p with each column less
// its mean over the set (choice/sets.hpp). Where a set lies in one level of every grouping factor rows are as rows of
// other models then; where it crosses levels, crossed_sets.hpp.
#pragma once

#include "likelihood/choice/sets.hpp"
#include "likelihood/joint_several/densities.hpp"

namespace multilevel::likelihood {

class ChoiceDensities final : public JointDensities {
 public:
  ChoiceDensities(const model::Model& model, const model::Response& response, int threads, const Monitor& monitor);

  void set_parameters(const double* beta, const double* phi) override;
  const double* first(int i, int) const override { return score_.data() + panel(i).first_row; }
  void curve(int i, int s, const double* x, int t, double* to) const override;
  void add_third(int i, const double* const* V, double* const* to) const override;
  void set_weights(double share) override;
  void columns(const model::Panel& panel, PairedColumns& to) const override;
  void products(const JointPattern& pattern, CrossProducts& to) const override;
  ClusterVisit leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda,
                         std::vector<std::vector<double>>& leverage) const override;

 private:
  void evaluate_panel(int i, bool third) override;

  std::vector<Sets> sets_;  ///< of each panel
  std::vector<double> score_, weight_;
  std::vector<std::vector<double>> centred_;  ///< columns of Z
};

}  // namespace multilevel::likelihood
