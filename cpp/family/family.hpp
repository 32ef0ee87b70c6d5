// A family: the log density of one response given its linear predictor eta and the family's own parameters phi, and the
// derivatives of it. Everything works on arrays of rows; nothing here knows of random effects.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace multilevel::family {

/// The most parameters that a family may have of its own.
inline constexpr int max_phi = 2;
inline constexpr int max_phi_pairs = max_phi * (max_phi + 1) / 2;

/// Position of the pair (a, b), a >= b, among the second derivatives with respect to phi.
inline constexpr int phi_pair(int a, int b) { return a * (a + 1) / 2 + b; }

/// What a call evaluates.
enum class Order {
  step,  ///< value, d1, d2: a Newton step of a conditional mode
  node,  ///< those, and value and d1 by phi, value by phi twice: a quadrature node
  full,  ///< d1 .. d4 and all mixed derivatives: the conditional mode, where the Laplace formula needs them
};

struct Rows {
  int n;
  const double* eta;
  const double* response;  ///< as made by Family::prepare
  const double* weight;    ///< as made by Family::prepare
};

/// Output arrays of n rows each. Out of its domain (a probability above one, say) a row's value is NaN.
struct RowDerivatives {
  double* value = nullptr;                 ///< the log density, without Family::prepare's constant
  double* eta[4] = {};                     ///< eta[a-1] = d^a value / d eta^a
  double* phi[max_phi][4] = {};            ///< phi[r][a] = d^a/d eta^a d/d phi_r value
  double* phi_phi[max_phi_pairs][3] = {};  ///< phi_phi[pair][a] = d^a/d eta^a d2/(d phi_r d phi_s) value
};

/// What a response may be.
enum class Support {
  numbers,   ///< any
  positive,  ///< numbers above zero
  counts,    ///< 0, 1, 2, ...
  trials,    ///< successes out of a number of trials
};

/// A parameter of the family's own. The search moves its logarithm.
struct Parameter {
  std::string name;     ///< as results have it, on its natural scale
  std::string meaning;  ///< in a few words, with the variance it makes
  /// The logarithm from which on the density is that of another family for all purposes, and which family that is.
  double limit = std::numeric_limits<double>::infinity();
  std::string becomes = "";
};

class Family {
 public:
  virtual ~Family() = default;

  // What the family is. The layers above know of it what stands here, and no names.
  virtual std::string name() const = 0;
  virtual std::string link() const = 0;
  virtual Support support() const = 0;
  virtual std::vector<Parameter> parameters() const { return {}; }
  /// Where the density comes from.
  virtual std::string reference() const = 0;
  /// Whether its one parameter is the standard deviation of a residual, on the scale of eta if the link is the
  /// identity.
  virtual bool has_residual() const { return false; }
  int n_phi() const { return static_cast<int>(parameters().size()); }

  /// True where the Laplace approximation is exact: Gaussian with the identity link.
  virtual bool is_linear() const { return false; }

  /// From the user's response, trials and prior weight to what the derivatives take; returns the part of the log
  /// density that no parameter changes.
  virtual double prepare(double y, double size, double prior_weight, double* response, double* weight) const = 0;

  virtual void derivatives(Order order, const Rows& rows, const double* phi, const RowDerivatives& out) const = 0;

  /// E(-d2): never negative, and what a step uses where the observed curvature is not positive.
  virtual void expected_information(const Rows& rows, const double* phi, double* out) const = 0;

  /// A linear predictor to start from, for one row.
  virtual double start_eta(double response, double weight) const = 0;
  /// A starting value of phi from the mean squared Pearson residual at phi = 0.
  virtual void start_phi(double mean_square, double* phi) const {
    (void)mean_square;
    (void)phi;
  }

  /// Whether every row's density is log-concave in eta. Then a cluster has one conditional mode; otherwise it may have
  /// several, and the search needs the three that follow.
  virtual bool log_concave() const { return true; }
  /// Whether eta and -eta have the same density, log-concave on either side of zero.
  virtual bool is_even() const { return false; }
  /// Whether the density is zero at eta = 0, with modes on either side.
  virtual bool vanishes_at_zero(double response) const {
    (void)response;
    return false;
  }
  /// The least upper bound of the log density over eta, without prepare()'s constant.
  virtual double supremum(double response, double weight, const double* phi) const {
    (void)response;
    (void)weight;
    (void)phi;
    return 0.0;
  }

  /// Which way eta may go for ever without the density falling: +1, -1, or 0 for neither. The likelihood has no maximum
  /// when a direction in beta moves no row the wrong way (separation).
  virtual int recession(double response, double weight) const {
    (void)response;
    (void)weight;
    return 0;
  }

  // Scalars for the layers above. The variance of a response of unit weight is dispersion(phi) variance(mu, phi).
  virtual double mean(double eta) const = 0;
  virtual double link_of_mean(double mu) const = 0;
  virtual double variance(double mu, const double* phi) const = 0;
  virtual double dispersion(const double* phi) const {
    (void)phi;
    return 1.0;
  }
  /// Twice what the log density at mu lacks to that at its best mean, in units of the dispersion.
  virtual double unit_deviance(double y, double mu, const double* phi) const = 0;
};

}  // namespace multilevel::family
