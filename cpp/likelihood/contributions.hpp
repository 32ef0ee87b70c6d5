// What each independent part of the data adds to the log-likelihood and to its gradient, and the moments of its random
// effects given the data. Parts are the levels of the only grouping factor; of several, the sets of levels that rows
// connect, as the levels of the outermost of nested factors are; without random effects whatever the caller says.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "model/model.hpp"

namespace multilevel::likelihood {

/// Moments of random effects on the user's scale, laid out as the modes and their covariances are.
struct Moments {
  std::vector<double> mean, covariance;
  std::vector<double> third, fourth;  ///< central, of each effect alone; NaN where they are not known
};

/// An evaluation that is given one of these writes into it; every part is written by one thread.
class Contributions {
 public:
  /// Parts as the model's grouping factors make them, or, for a model without random effects, `row_part`: of each row
  /// in the caller's order, from 0 to n_parts - 1.
  Contributions(const model::Model& model, const std::int32_t* row_part, int n_parts);

  int n_parts() const { return n_parts_; }
  int of_cluster(int cluster) const { return of_cluster_[static_cast<std::size_t>(cluster)]; }
  int of_level(int factor, int level) const {
    return of_level_[static_cast<std::size_t>(factor)][static_cast<std::size_t>(level)];
  }
  /// Null where clusters make the parts.
  const std::int32_t* row_part() const { return row_part_; }

  /// Room for derivatives by (beta, entries of Lambda, phi).
  void start(int n_parameters);

  Eigen::VectorXd value;     ///< without the response's constant
  Eigen::MatrixXd gradient;  ///< n_parameters x n_parts, inside
  bool with_moments = false;
  Eigen::MatrixXd to_user;  ///< u on the user's scale is this times v: a lower triangle per factor
  Moments moments;

 private:
  int n_parts_;
  const std::int32_t* row_part_;
  std::vector<int> of_cluster_;
  std::vector<std::vector<int>> of_level_;
};

}  // namespace multilevel::likelihood
