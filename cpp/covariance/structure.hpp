// A covariance structure says how the parameters theta of a random-effects term with q columns make the lower factor L
// of its covariance L L'.
//
// Linear structures have the entries of L themselves as theta; L is signed and unconstrained, so a zero variance is an
// interior point. The user sees it with diag(L) >= 0. The other structures have standard deviations and a number tau
// that stands for a correlation; they give L with its first and second derivatives.
#pragma once

#include <Eigen/Core>
#include <string>
#include <vector>

namespace multilevel::covariance {

struct Entry {
  int row;
  int column;
};

enum class Kind {
  full,          ///< theta is the whole lower triangle: any covariance
  diagonal,      ///< theta is the diagonal of L
  loadings,      ///< theta is some columns of L
  scaled,        ///< theta is standard deviations and perhaps tau
  confirmatory,  ///< theta is loadings on factors, and what makes the factors' correlations
};

class Structure {
 public:
  virtual ~Structure() = default;
  virtual std::string name() const = 0;
  virtual Kind kind() const = 0;
  /// Entries of the q x q factor that may differ from zero, column by column. Only confirmatory factors may have some
  /// above the diagonal.
  virtual std::vector<Entry> entries(int q) const = 0;
  /// What each theta is: "entry 1 0", "sd 0", "sd", "correlation".
  virtual std::vector<std::string> labels(int q) const;
  /// Throws std::invalid_argument when the structure makes no sense for q columns.
  virtual void check(int q) const;

  /// Whether theta is the entries, in their order.
  bool is_linear() const { return kind() != Kind::scaled && kind() != Kind::confirmatory; }
  /// Whether theta is loadings on fewer dimensions than there are columns.
  bool has_loadings() const { return kind() == Kind::loadings || kind() == Kind::confirmatory; }
  virtual int n_theta(int q) const { return static_cast<int>(entries(q).size()); }

  /// The entries of L at theta; `jacobian` (n_entries x n_theta), if not null, gets their derivatives.
  virtual void expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const;
  /// sum_e weight_e d2 L_e / d theta d theta.
  virtual Eigen::MatrixXd curvature(int q, const double* theta, const double* weights) const;

  /// The row of L that each theta is proportional to: it takes the unit of that column. -1: it has no unit.
  virtual std::vector<int> theta_rows(int q) const;
  /// Whether a theta serves several columns, so that all columns of the term must be measured in one unit.
  virtual bool shares_scale() const { return false; }

  /// Positions of standard deviations in theta; none where theta is entries. A single one for several columns may have
  /// either sign, of several the signs matter: there they stay at or above zero.
  virtual std::vector<int> scale_parameters(int q) const;
  /// Position of tau in theta, or -1.
  virtual int correlation_parameter(int q) const;
  /// The correlation at tau, and its slope.
  struct Correlation {
    double value, slope;
  };
  virtual Correlation correlation(int q, double tau) const;

  /// Those theta that change their sign when spherical effect `column` does. The first of them is reported with a
  /// positive sign. Of linear structures, the column of L.
  virtual std::vector<int> turned_with(int q, int column) const;

  /// Where a search begins when random effects of this standard deviation are plausible.
  virtual std::vector<double> start(int q, double scale) const;
};

/// Throws std::invalid_argument that lists what there is.
const Structure& structure(const std::string& name);

// One file per structure.
const Structure& unstructured();
const Structure& diagonal();
const Structure& homogeneous_diagonal();
const Structure& compound_symmetry();
const Structure& homogeneous_compound_symmetry();
const Structure& ar1();
const Structure& heterogeneous_ar1();
/// "reduced rank D"; null for any other name.
const Structure* reduced_rank(const std::string& name);
/// "confirmatory NAME=1100 OTHER=0011": factors with the columns that load on each; null for any other name.
const Structure* confirmatory(const std::string& name);

}  // namespace multilevel::covariance
