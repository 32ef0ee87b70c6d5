// t(y | location mu, scale sigma / sqrt(weight), df n), phi = (log sigma, log n). With the residual
// r = sqrt(weight) (y - mu) / sigma the log density is -(n + 1)/2 log(1 + r^2 / n) - log sigma + log(weight)/2 + c(n),
// c(n) = (n/2) log(1 + 1/n) - 1/2 + s((n + 1)/2) - s(n/2) - log(2 pi)/2, where s is the remainder of Stirling's
// formula: it becomes the Gaussian's as n grows, without a digit lost. As there the prior weight is a precision.
#include <algorithm>
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "family/student_t_density.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double gaussian_from = 30.0;  // of log df: differences from the Gaussian are below 1e-13 r^4

template <class Link>
class StudentT final : public Family {
 public:
  std::string name() const override { return "student_t"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::numbers; }
  std::vector<Parameter> parameters() const override {
    Parameter sigma{"sigma", "scale: the variance is sigma^2 df / (df - 2), infinite up to df = 2"};
    Parameter df{"df", "degrees of freedom", gaussian_from, "gaussian"};
    df.part = "df";
    return {sigma, df};
  }
  std::string reference() const override { return "Lange, Little and Taylor (1989), JASA 84, 881-896"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -student_t::half_log_two_pi + (prior_weight == 1.0 ? 0.0 : 0.5 * std::log(prior_weight));
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<student_t::Density<Link>>(order, rows, out);
  }

  bool has_tails() const override { return true; }
  bool shifts() const override { return std::is_same_v<Link, link::Identity>; }
  void log_tail(Order order, const Rows& rows, const RowDerivatives& out) const override {
    student_t::log_tail<Link>(order, rows, out);
  }

  /// The weights of iteratively reweighted least squares, whose steps always ascend, rather than the expectation.
  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<2>(rows, i);
      const auto mu = Link::mean(variable<1>(b.eta, Lanes{}));
      const Lanes precision = b.weight * numeric::exp(-2.0 * b.phi[0]), inverse = numeric::exp(-b.phi[1]);
      const Lanes residual = mu.c[0] - b.response;
      const Lanes share = (1.0 + inverse) / (1.0 + precision * residual * residual * inverse);
      put(out, i, b.n, share * precision * mu.c[1] * mu.c[1]);
    }
  }

  double start_eta(const Observation& row) const override {
    const double response = row.response;
    // A log link cannot take a response that is not positive; any mean of about that size will do.
    if constexpr (std::is_same_v<Link, link::Log>)
      return std::log(std::fmax(response, 1e-3 * std::fmax(1.0, std::fabs(response))));
    else
      return Link::of_mean(response);
  }
  void start_phi(double mean_square, double* phi) const override {
    // At sigma = df = 1 the squared scores over the weights are 2 r^2 / (1 + r^2).
    if (mean_square > 0.0) phi[0] = 0.5 * std::log(mean_square / std::fmax(2.0 - mean_square, 1e-14));
    phi[1] = 1.5;
  }

  bool log_concave() const override { return false; }
  double supremum(const Observation& row, const double* phi) const override {
    // no mean below zero with a log link
    const double least = std::is_same_v<Link, link::Identity> || row.response > 0.0 ? 0.0 : row.response;
    const double n = std::exp(phi[1]), half = 0.5 * n;
    const double constant = half * std::log1p(1.0 / n) - 0.5 + remainder(half + 0.5) - remainder(half) - phi[0];
    return constant - (half + 0.5) * std::log1p(row.weight * least * least * std::exp(-2.0 * phi[0]) / n);
  }

  /// With s = r / sqrt(n), -log(1 + s^2) has the second derivative 1/4 at s = sqrt(3), and nowhere more; the third is
  /// largest at s = sqrt(2) - 1.
  bool bounds(int n, const Observations& data, const Bounds& out) const override {
    if (!std::is_same_v<Link, link::Identity>) return false;
    double last[2] = {}, log_scale = 0.0, inverse = 0.0;
    for (int j = 0; j < n; ++j) {
      const double own[2] = {data.phi.at(0, j), data.phi.at(1, j)};
      if (j == 0 || own[0] != last[0] || own[1] != last[1]) {
        log_scale = supremum({0.0, 1.0, 1.0}, own);
        inverse = std::exp(-own[1]);
        std::copy_n(own, 2, last);
      }
      const double square = data.weight[j] * std::exp(-2.0 * own[0]) * inverse, half = 0.5 / inverse + 0.5;
      out.value[j] = log_scale;
      out.second[j] = 0.25 * half * square;
      out.third[j] = 2.91421357 * half * square * std::sqrt(square);
    }
    return true;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double, const double* phi) const override {
    const double n = std::exp(phi[1]);
    return n > 2.0 ? n / (n - 2.0) : std::numeric_limits<double>::infinity();
  }
  double dispersion(const double* phi) const override { return std::exp(2.0 * phi[0]); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double n = std::exp(phi[1]), r = (y - mu) * std::exp(-phi[0]);
    return (n + 1.0) * std::log1p(r * r / n) * dispersion(phi);
  }

 private:
  static double remainder(double x) { return numeric::stirling_remainder(numeric::broadcast(x))[0]; }
};

template <class Link>
Entry entry() {
  return {"student_t", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<StudentT<Link>>(); }};
}

}  // namespace

std::vector<Entry> student_t_entries() { return {entry<link::Identity>(), entry<link::Log>()}; }

}  // namespace multilevel::family
