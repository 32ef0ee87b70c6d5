// What the optimizer maximizes: a log-likelihood as a function of psi, whichever way it is computed.
//
//   PanelObjective      one grouping factor, or none: a sum over independent clusters (Laplace, quadrature)
//   NestedObjective     two nested grouping factors: quadrature on both levels
//   JointObjective      several grouping factors: Laplace over all random effects at once
//   LinearObjective     linear mixed models: the profiled log-likelihood, by ML or REML, of theta alone
//
// All give the same bits for any number of threads.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "likelihood/sums.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// Thrown out of a fit when the caller asks it to stop (Ctrl-C).
struct Interrupted {};

struct Monitor {
  std::function<bool()> keep_going;                                      ///< asked now and then; false stops the fit
  std::function<void(int iteration, double value, double gain)> report;  ///< told after every iteration
};

class Objective {
  static constexpr double too_sharp = 1e10;  // of Sums::sharpest

 public:
  Objective(const model::Model& model, int n_beta, int n_theta, int n_phi, const Monitor& monitor)
      : model_(model), layout_(model), n_beta_(n_beta), n_theta_(n_theta), n_phi_(n_phi), monitor_(monitor) {}
  virtual ~Objective() = default;
  Objective(const Objective&) = delete;
  Objective& operator=(const Objective&) = delete;

  /// `modes` (Model::n_modes): where to start, and the conditional modes of v found; `mode_covariance`, if not null,
  /// gets the blocks of their covariance, level by level. False when there is no mode, or the value is not finite.
  /// With `wanted` the gradient, psi lies beside the point that was last evaluated with more, and differences of the
  /// two are taken: the modes are those that continue the other's.
  virtual bool evaluate(const Eigen::VectorXd& psi, std::vector<double>& modes, Sums& sums,
                        double* mode_covariance = nullptr, Derivatives wanted = Derivatives::hessian) = 0;

  /// Whether evaluate() gives the Hessian itself, or only something like it to search with (Fisher information).
  virtual bool has_exact_hessian() const { return true; }

  /// Whether an evaluation has given the Hessian itself, and its digits: what clusters add are differences of numbers
  /// as large as the information of their random effects, and one row that tells as much as a billion others leaves
  /// rounding alone.
  bool hessian_has_digits(const Sums& sums) const { return has_exact_hessian() && sums.sharpest < too_sharp; }

  /// Whether the value is the same for any order of a term's coefficients in its Cholesky factor: not where a product
  /// of quadrature rules follows it.
  virtual bool any_order() const { return true; }

  /// Whether the Hessian costs no more than an evaluation, so that it may be had at one more point.
  virtual bool cheap_hessian() const { return has_exact_hessian(); }

  /// Predicted gain below which differentiate() is asked: the point is then the one that is reported. Where an
  /// evaluation is cheap a little more of the search costs nothing.
  double near_enough() const { return model_.n_modes() > 1000 ? 5e-10 : 1e-12; }

  /// The Hessian at a point that has been evaluated: central differences of the exact gradient. `sums` is of that
  /// point, its hessian is replaced. False when a neighbouring point cannot be evaluated.
  virtual bool differentiate(const Eigen::VectorXd& psi, const std::vector<double>& modes, Sums& sums);
  /// Neighbours that differentiate() will want, before the point itself is evaluated: where the last evaluation is to
  /// be of the point.
  virtual void differentiate_ahead(const Eigen::VectorXd& /*psi*/) {}
  /// The same as differentiate(), taken again where steps along single parameters do not tell the standard errors of
  /// those that are `free`.
  bool differentiate_carefully(const Eigen::VectorXd& psi, const std::vector<double>& modes,
                               const std::vector<bool>& free, Sums& sums);
  /// Whether they give the same numbers at a point whatever led there, to the last bit.
  virtual bool same_differences() const { return false; }

  /// Evaluations look for larger conditional modes at leisure, or no longer do; returns whether they did. See
  /// AtLeisure.
  bool look_at_leisure(bool leisure) { return std::exchange(at_leisure_, leisure); }

  /// Evaluations write what each part of the data adds into this, too; null: they do not.
  void contribute_to(Contributions* contributions) { contributions_ = contributions; }

  /// What an evaluation costs, in rows times nodes, and random effects that are solved for together.
  virtual double work() const { return static_cast<double>(model_.n_rows()); }

  int n_beta() const { return n_beta_; }
  int n_theta() const { return n_theta_; }
  int n_phi() const { return n_phi_; }
  int n_parameters() const { return n_beta_ + n_theta_ + n_phi_; }
  int evaluations() const { return evaluations_; }
  const model::Model& model() const { return model_; }
  const model::Layout& layout() const { return layout_; }
  model::Layout& layout() { return layout_; }

 protected:
  /// The block of the family's parameters in a Hessian to search with: `second`, the rows' own second derivatives,
  /// where it is negative definite, else what of its diagonal is negative.
  void set_phi_information(const Eigen::MatrixXd& second, Eigen::MatrixXd& hessian) const;
  void check_interrupt() const {
    if (monitor_.keep_going && !monitor_.keep_going()) throw Interrupted{};
  }

  const model::Model& model_;
  model::Layout layout_;
  int n_beta_, n_theta_, n_phi_;
  const Monitor& monitor_;
  bool at_leisure_ = false;
  Contributions* contributions_ = nullptr;
  int evaluations_ = 0;
};

/// For as long as it lives, evaluations look for larger conditional modes at leisure: those that are reported, and a
/// search that is known to have missed some.
class AtLeisure {
 public:
  explicit AtLeisure(Objective& objective, bool leisure = true)
      : objective_(objective), before_(objective.look_at_leisure(leisure)) {}
  ~AtLeisure() { objective_.look_at_leisure(before_); }
  AtLeisure(const AtLeisure&) = delete;
  AtLeisure& operator=(const AtLeisure&) = delete;
  /// From here on.
  void begin() { objective_.look_at_leisure(true); }

 private:
  Objective& objective_;
  bool before_;
};

}  // namespace multilevel::likelihood
