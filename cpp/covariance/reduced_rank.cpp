// Factor-analytic without specific variances: L has `rank` columns, so that the covariance has that rank. What stands
// above the diagonal is zero, which fixes the rotation of the factors.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "covariance/structure.hpp"

namespace multilevel::covariance {

namespace {

const std::string prefix = "reduced rank ";

class ReducedRank final : public Structure {
 public:
  explicit ReducedRank(int rank) : rank_(rank) {}

  std::string name() const override { return prefix + std::to_string(rank_); }
  Kind kind() const override { return Kind::loadings; }
  void check(int q) const override {
    Structure::check(q);
    if (rank_ < 1 || rank_ > q)
      throw std::invalid_argument("the covariance structure '" + name() + "' has " + std::to_string(q) +
                                  " columns: the rank must lie between 1 and their number");
  }
  std::vector<Entry> entries(int q) const override {
    std::vector<Entry> free;
    for (int column = 0; column < std::min(rank_, q); ++column)
      for (int row = column; row < q; ++row) free.push_back({row, column});
    return free;
  }
  std::vector<double> start(int q, double scale) const override {
    // A first factor that all columns share; the others tell apart the columns that they begin with.
    std::vector<double> theta;
    for (const auto& entry : entries(q))
      theta.push_back(entry.column == 0 ? scale : (entry.row == entry.column ? 0.5 * scale : 0.0));
    return theta;
  }

 private:
  int rank_;
};

}  // namespace

const Structure* reduced_rank(const std::string& name) {
  if (name.compare(0, prefix.size(), prefix) != 0) return nullptr;
  const std::string digits = name.substr(prefix.size());
  if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != std::string::npos)
    return nullptr;
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<ReducedRank>> instances;
  const std::scoped_lock lock(mutex);
  auto& one = instances[std::stoi(digits)];
  if (!one) one = std::make_unique<ReducedRank>(std::stoi(digits));
  return one.get();
}

}  // namespace multilevel::covariance
