// A sum that keeps the digits that its additions lose (Neumaier 1974): log-likelihoods are small differences of large
// terms when counts are large.
#pragma once

#include <cmath>

namespace multilevel::numeric {

class CompensatedSum {
 public:
  void add(double x) {
    const double t = sum_ + x;
    lost_ += std::fabs(sum_) >= std::fabs(x) ? (sum_ - t) + x : (x - t) + sum_;
    sum_ = t;
    magnitude_ += std::fabs(x);
  }
  void add(const CompensatedSum& other) {
    const double magnitude = magnitude_ + other.magnitude_;
    add(other.sum_);
    lost_ += other.lost_;
    magnitude_ = magnitude;
  }
  double total() const { return sum_ + lost_; }
  /// Sum of the absolute values of the terms: what rounding is measured by.
  double magnitude() const { return magnitude_; }

 private:
  double sum_ = 0.0, lost_ = 0.0, magnitude_ = 0.0;
};

}  // namespace multilevel::numeric
