// What families of ordered categories 1, 2, ... share. Of a mean nothing is said, for categories are no numbers: F, the
// distribution function that the link names, stands in its place. The prior weight multiplies the log density.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "family/family.hpp"

namespace multilevel::family {

template <class Link>
class OrderedFamily : public Family {
 public:
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::categories; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y, 1.0, prior_weight};
  }

  /// The observed one where it is positive, else the squared score.
  void expected_information(const Rows& rows, double* out) const override {
    std::vector<double> arrays(static_cast<std::size_t>(2 * rows.n));
    RowDerivatives at;
    at.value = out;
    at.eta[0] = arrays.data();
    at.eta[1] = arrays.data() + rows.n;
    derivatives(Order::step, rows, at);
    for (int j = 0; j < rows.n; ++j) {
      const double information = -at.eta[1][j], score = at.eta[0][j], weight = rows.data.weight[j];
      out[j] = information > 0.0 || weight == 0.0 ? information : score * score / weight;
    }
  }

  double start_eta(const Observation&) const override { return 0.0; }
  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double, const double*) const override { return 1.0; }
  double unit_deviance(double, double, const double*) const override {
    return std::numeric_limits<double>::quiet_NaN();
  }
};

/// Those whose densities depend on all thresholds: these are the parameters, one fewer than categories.
template <class Link>
class ThresholdFamily : public OrderedFamily<Link> {
 public:
  explicit ThresholdFamily(int n_categories) : n_(n_categories - 1) {}
  bool all_thresholds() const override { return true; }
  /// No probability is above one.
  void suprema(int n, const Observations&, double* out) const override { std::fill(out, out + n, 0.0); }

  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> all;
    for (int r = 0; r < n_; ++r) {
      const std::string number = std::to_string(r + 1);
      Parameter own{"threshold_" + number, "the threshold above category " + number};
      own.scale = Scale::plain;
      own.part = "thresholds";
      all.push_back(own);
    }
    return all;
  }

 protected:
  int n_;
};

}  // namespace multilevel::family
