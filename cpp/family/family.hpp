// A family: the log density of one response given its linear predictor eta and the family's own parameters phi, and the
// derivatives of it. Everything works on arrays of rows; nothing here knows of random effects.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace multilevel::family {

/// The most parameters that a family may have of its own: twelve ordered categories have eleven thresholds.
inline constexpr int max_phi = 11;
/// The most of families that others modify or hold, and of the user's own.
inline constexpr int few_phi = 8;
inline constexpr int max_phi_pairs = max_phi * (max_phi + 1) / 2;

/// Position of the pair (a, b), a >= b, among the second derivatives with respect to phi.
inline constexpr int phi_pair(int a, int b) { return a * (a + 1) / 2 + b; }

/// What a call evaluates.
enum class Order {
  step,  ///< value, d1, d2: a Newton step of a conditional mode
  node,  ///< those, and value and d1 by phi, value by phi twice: a quadrature node
  full,  ///< d1 .. d4 and all mixed derivatives: the conditional mode, where the Laplace formula needs them
};

/// The parameters phi of the family's own: one value for all rows, or one for each.
struct Phi {
  const double* value[max_phi] = {};
  int step[max_phi] = {};  ///< 0: one for all; 1: one each

  static Phi constant(const double* phi, int n_phi) {
    Phi all;
    for (int r = 0; r < n_phi; ++r) all.value[r] = phi + r;
    return all;
  }
  double at(int r, std::ptrdiff_t row) const { return value[r][row * step[r]]; }
  Phi from(std::ptrdiff_t row) const {
    Phi rest = *this;
    for (int r = 0; r < max_phi; ++r)
      if (step[r]) rest.value[r] += row;
    return rest;
  }
};

/// One row's response as a family takes it; Family::prepare makes it.
struct Observation {
  double response;
  double second;  ///< what else the response consists of, of families with two_numbers()
  double weight;
};

struct Observations {
  const double* response;
  const double* second;  ///< null where the family takes one number
  const double* weight;
  Phi phi;

  Observations from(std::ptrdiff_t row) const {
    return {response + row, second ? second + row : nullptr, weight + row, phi.from(row)};
  }
  Observation operator[](std::ptrdiff_t row) const { return {response[row], second ? second[row] : 1.0, weight[row]}; }
};

struct Rows {
  int n;
  const double* eta;
  Observations data;
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
  numbers,          ///< any
  positive,         ///< numbers above zero
  nonnegative,      ///< zero and numbers above
  counts,           ///< 0, 1, 2, ...
  positive_counts,  ///< 1, 2, 3, ...
  trials,           ///< successes out of a number of trials
  open_unit,        ///< numbers between zero and one
  closed_unit,      ///< those, zero and one
  categories,       ///< ordered ones, 1, 2, 3, ...: the first two parameters are the ends of a row's category
  by_row,           ///< that of the row's own family: the first parameter is the number of its kind
  choices,          ///< one of the rows of a set is one, the others are zero
};

/// What a zero is among such responses.
enum class Zero {
  probable,    ///< it has a probability of its own
  impossible,  ///< it lies outside
  ordinary,    ///< it is a number like others, or already has a part of its own
};
inline Zero zero_among(Support support) {
  switch (support) {
    case Support::nonnegative:
    case Support::counts:
    case Support::trials:
      return Zero::probable;
    case Support::positive:
    case Support::positive_counts:
    case Support::open_unit:
      return Zero::impossible;
    case Support::closed_unit:
    case Support::categories:
    case Support::by_row:
    case Support::choices:
    case Support::numbers:
      return Zero::ordinary;
  }
  return Zero::ordinary;
}

/// How a parameter on its natural scale follows from phi, which has no bounds.
enum class Scale {
  log,         ///< exp(phi)
  reciprocal,  ///< exp(-phi), for a parameter whose limit is zero
  logit,       ///< 1 / (1 + exp(-phi))
  power,       ///< 1 + 1 / (1 + exp(-phi)): between one and two
  plain,       ///< phi
  slant,       ///< alpha with 1.02 alpha - alpha / (1 + alpha^2) = phi
};

/// Of a row whose density does not depend on eta, see Family::recession.
inline constexpr int either_way = 2;

/// A parameter of the family's own.
struct Parameter {
  std::string name;     ///< as results have it, on its natural scale
  std::string meaning;  ///< in a few words, with the variance it makes
  /// The phi from which on the density is that of another family for all purposes, and which family that is.
  double limit = std::numeric_limits<double>::infinity();
  std::string becomes = "";
  Scale scale = Scale::log;
  std::string part = "dispersion";  ///< what a formula for it is called
  /// The same as `limit` at the other end: the phi up to which the density is that of the family it `becomes`.
  double lower_limit = -std::numeric_limits<double>::infinity();
  /// The phi up to which, on either side of zero, every likelihood is so level that a search could end there.
  double level = 0.0;
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
  /// Whether a zero has a probability of its own, as counts have.
  virtual bool mass_at_zero() const { return zero_among(support()) == Zero::probable; }
  /// Empty, or what the last parameter makes more zeros by: "inflation", "hurdle".
  virtual std::string zero_part() const { return ""; }
  /// Whether eta is the canonical parameter of an exponential family.
  virtual bool canonical() const { return false; }

  /// True where the Laplace approximation is exact: Gaussian with the identity link.
  virtual bool is_linear() const { return false; }

  /// Whether a prepared row needs its second number.
  virtual bool two_numbers() const { return false; }
  /// From the user's response, second number (trials, say; 1 without one) and prior weight to what the derivatives
  /// take. `constant` gets the part of the log density that no parameter changes.
  virtual Observation prepare(double y, double second, double prior_weight, double* constant) const = 0;

  virtual void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const = 0;

  /// Whether log_tail() is there, and whether eta shifts the response or its logarithm and nothing else.
  virtual bool has_tails() const { return false; }
  virtual bool shifts() const { return false; }
  /// As derivatives(), of the log probability of what lies below the response, where a row's second number is 1, or
  /// above it, where it is -1. Rows are not prepared, and their weights are one.
  virtual void log_tail(Order order, const Rows& rows, const RowDerivatives& out) const;

  /// E(-d2), or where that has no closed form what is never above it, the squared derivative of the mean over the
  /// variance: never negative, and what a step uses where the observed curvature is not positive.
  virtual void expected_information(const Rows& rows, double* out) const = 0;

  /// A linear predictor to start from, for one row.
  virtual double start_eta(const Observation& row) const = 0;
  /// A starting value of phi from the mean squared Pearson residual at phi = 0.
  virtual void start_phi(double mean_square, double* phi) const {
    (void)mean_square;
    (void)phi;
  }

  /// Where in phi, its first parameters, the likelihood may have another maximum when it has one at this phi: to be
  /// looked at always, however little the fit looks odd.
  virtual std::vector<std::vector<double>> other_places(const double* phi) const {
    (void)phi;
    return {};
  }

  /// Whether near this phi, its first parameters, a row may lose its density at once where eta or phi move: then an
  /// integral over eta has steps, which its derivatives do not show.
  virtual bool has_cliffs(const double* phi) const {
    (void)phi;
    return false;
  }

  /// What to know of a fit that found no maximum and stopped at this phi; empty where the family says nothing of it.
  virtual std::string trouble(const double* phi) const {
    (void)phi;
    return "";
  }

  /// Whether every row's density is log-concave in eta. Then a cluster has one conditional mode; otherwise it may have
  /// several, and the search needs the three that follow.
  virtual bool log_concave() const { return true; }
  /// Whether clusters may have modes far apart, so that a search scans for them. Not where a row's density has one peak
  /// and falls off on either side about as fast as a log-concave one: there two starts are enough.
  virtual bool far_modes() const { return !log_concave(); }
  /// Whether beside its peak a row's density keeps a level as eta falls for ever: then a cluster with large effects may
  /// have modes far apart, too.
  virtual bool levels_off() const { return false; }
  /// The same of counts without their zeros: those whose chances of one, two, three keep their proportions as the mean
  /// goes to zero.
  virtual bool levels_off_without_zeros() const { return false; }
  /// Where the density is a mixture: how many of its parts have modes from which a search begins, and the parameters
  /// that leave such a part alone for all purposes.
  virtual int n_parts() const { return 0; }
  virtual void leave_part(int k, Phi& phi) const {
    (void)k;
    (void)phi;
  }
  /// Whether eta and -eta have the same density, log-concave on either side of zero.
  virtual bool is_even() const { return false; }
  /// Whether the density is zero at eta = 0, with modes on either side.
  virtual bool vanishes_at_zero(const Observation& row) const {
    (void)row;
    return false;
  }
  /// The least upper bound of the log density over eta, without prepare()'s constant.
  virtual double supremum(const Observation& row, const double* phi) const {
    (void)row;
    (void)phi;
    return 0.0;
  }
  /// The same of many rows.
  virtual void suprema(int n, const Observations& data, double* out) const;
  /// Upper bounds of rows, wherever eta is: of the log density without prepare()'s constant, of its second derivative,
  /// and of the size of its third, infinite where that has none. A search can then prove that it has found the largest
  /// mode.
  struct Bounds {
    double *value, *second, *third;
  };
  /// False where there are none.
  virtual bool bounds(int n, const Observations& data, const Bounds& out) const {
    (void)n;
    (void)data;
    (void)out;
    return false;
  }
  /// Of the size of third derivatives no further than `near` from where eta is. False where only bounds() are known.
  virtual bool third_near(const Rows& rows, double near, double* out) const {
    (void)rows;
    (void)near;
    (void)out;
    return false;
  }
  /// Where the log density is y log P + m log(1 - P) with P logistic in eta, shifted or not: m of each row, infinite in
  /// the limit y eta - e^eta. False of others.
  virtual bool failures(int n, const Observations& data, double* out) const {
    (void)n;
    (void)data;
    (void)out;
    return false;
  }
  /// The logarithm of k where the response is a count of mean e^eta that is zero with probability (1 + mu / k)^-k; NaN
  /// of others.
  virtual double log_size(const Phi& phi, std::ptrdiff_t row) const {
    (void)phi;
    (void)row;
    return std::numeric_limits<double>::quiet_NaN();
  }
  /// Whether a call costs as much as hundreds of rows, so that rows between those that are wanted come along.
  virtual bool costs_per_call() const { return false; }

  /// Which way eta may go for ever without the density falling: +1, -1, `either_way`, or 0 for neither. The likelihood
  /// has no maximum when a direction in beta moves no row the wrong way (separation).
  virtual int recession(const Observation& row) const {
    (void)row;
    return 0;
  }

  /// The same family with one more parameter, what divides the distances of eta from the thresholds; null where there
  /// is none.
  virtual std::unique_ptr<Family> with_scale() const { return nullptr; }

  // Of ordered categories whose densities depend on all thresholds: these are the parameters then, in place of the two
  // ends of a row's category.
  virtual bool all_thresholds() const { return false; }
  /// The same family for so many categories.
  virtual std::unique_ptr<Family> of_categories(int n) const {
    (void)n;
    return nullptr;
  }
  /// Whether second derivatives by two thresholds are zero.
  virtual bool separate_thresholds() const { return false; }
  /// Threshold k + 1 where categories, one more than thresholds, have these frequencies and nothing moves eta.
  virtual double frequency_threshold(const std::vector<double>& counts, std::size_t k) const;
  /// From how far each threshold moves away from eta to what must not be negative for the density of a row of this
  /// category not to fall, however far the move goes on.
  virtual void away(int category, double* moves) const {
    (void)category;
    (void)moves;
  }

  // Rows of several kinds, each with a family of its own (Support::by_row): a member for each kind. The first parameter
  // is the number of a row's kind, which is given, and those of the members follow, one member after the other. What
  // takes no parameters (prepare, start_eta, recession, mean, link_of_mean) is asked of the row's member.
  virtual int n_members() const { return 1; }
  virtual const Family& member(int kind) const {
    (void)kind;
    return *this;
  }
  /// Where the parameters of a member begin among all.
  virtual int first_phi(int kind) const {
    (void)kind;
    return 0;
  }

  // Scalars for the layers above. The variance of a response of unit weight is dispersion(phi) variance(mu, phi).
  virtual double mean(double eta) const = 0;
  virtual double link_of_mean(double mu) const = 0;
  virtual double variance(double mu, const double* phi) const = 0;
  /// What the variance of a proportion of so many trials is times that of as many that are independent.
  virtual double variance_ratio(double trials, const double* phi) const {
    (void)trials;
    (void)phi;
    return 1.0;
  }
  virtual double dispersion(const double* phi) const {
    (void)phi;
    return 1.0;
  }
  /// Mean and variance of the response itself, of trials those of the proportion, given its second number. They differ
  /// from those of the density that eta is the predictor of where that is modified.
  virtual double response_mean(double eta, const double* phi, double second) const {
    (void)phi;
    (void)second;
    return mean(eta);
  }
  virtual double response_variance(double eta, const double* phi, double second) const;
  /// Twice what the log density at mu lacks to that at its best mean, in units of the dispersion.
  virtual double unit_deviance(double y, double mu, const double* phi) const = 0;
};

}  // namespace multilevel::family
