// Confirmatory factors: L = Loadings U, where each column loads on the factors that a pattern names and U is the lower
// Cholesky factor of the factors' correlation matrix. Row m of U is (c_m0, ..., c_m(m-1), 1) over its length, so that
// any numbers c make a correlation matrix, and every one without a correlation of +-1 comes from one c.
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "covariance/structure.hpp"

namespace multilevel::covariance {

namespace {

const std::string prefix = "confirmatory ";

/// "math=1100": the name of a factor, and which columns load on it.
struct Factor {
  std::string name, loads;
};

/// A row of U with its derivatives by its c, (entries, c) and (entries, c x c).
struct UnitRow {
  explicit UnitRow(int m, const double* c) : value(m + 1), slope(m + 1, m), bend(static_cast<std::size_t>(m + 1)) {
    Eigen::VectorXd v(m + 1);
    for (int k = 0; k < m; ++k) v[k] = c[k];
    v[m] = 1.0;
    const double length = v.norm();
    value = v / length;
    for (int k = 0; k <= m; ++k) {
      auto& own = bend[static_cast<std::size_t>(k)];
      own.setZero(m, m);
      for (int a = 0; a < m; ++a) {
        slope(k, a) = ((k == a ? 1.0 : 0.0) - value[k] * value[a]) / length;
        for (int b = 0; b < m; ++b)
          own(a, b) = (3.0 * value[k] * value[a] * value[b] - (k == a ? value[b] : 0.0) - (k == b ? value[a] : 0.0) -
                       (a == b ? value[k] : 0.0)) /
                      (length * length);
      }
    }
  }
  Eigen::VectorXd value;
  Eigen::MatrixXd slope;
  std::vector<Eigen::MatrixXd> bend;
};

class Confirmatory final : public Structure {
 public:
  Confirmatory(std::string name, std::vector<Factor> factors) : name_(std::move(name)), factors_(std::move(factors)) {
    for (int m = 0; m < n_factors(); ++m) {
      const auto& loads = factors_[static_cast<std::size_t>(m)].loads;
      first_c_.push_back(m == 0 ? 0 : first_c_.back() + m - 1);
      for (int row = 0; row < static_cast<int>(loads.size()); ++row)
        if (loads[static_cast<std::size_t>(row)] == '1') loadings_.push_back({row, m});
    }
  }

  std::string name() const override { return name_; }
  Kind kind() const override { return Kind::confirmatory; }
  void check(int q) const override {
    Structure::check(q);
    for (const auto& factor : factors_)
      if (static_cast<int>(factor.loads.size()) != q)
        throw std::invalid_argument("the covariance structure '" + name_ + "' is of " +
                                    std::to_string(factor.loads.size()) + " columns, not of " + std::to_string(q));
  }
  int n_theta(int) const override { return n_loadings() + n_factors() * (n_factors() - 1) / 2; }

  std::vector<Entry> entries(int q) const override {
    std::vector<Entry> free;
    for (int column = 0; column < n_factors(); ++column)
      for (int row = 0; row < q; ++row)
        for (const auto& loading : loadings_)
          if (loading.row == row && loading.column >= column) {
            free.push_back({row, column});
            break;
          }
    return free;
  }

  std::vector<std::string> labels(int) const override {
    std::vector<std::string> result;
    for (const auto& loading : loadings_)
      result.push_back("loading " + std::to_string(loading.row) + " " + std::to_string(loading.column));
    for (int m = 1; m < n_factors(); ++m)
      for (int k = 0; k < m; ++k) result.push_back("factors " + std::to_string(m) + " " + std::to_string(k));
    return result;
  }

  std::vector<int> theta_rows(int q) const override {
    std::vector<int> rows;
    for (const auto& loading : loadings_) rows.push_back(loading.row);
    rows.resize(static_cast<std::size_t>(n_theta(q)), -1);
    return rows;
  }

  void expand(int q, const double* theta, double* values, Eigen::MatrixXd* jacobian) const override {
    const auto U = unit_rows(theta);
    const auto free = entries(q);
    const Eigen::MatrixXi place = places(q, free);
    for (std::size_t e = 0; e < free.size(); ++e) values[e] = 0.0;
    if (jacobian) jacobian->setZero(static_cast<Eigen::Index>(free.size()), n_theta(q));
    for (int l = 0; l < n_loadings(); ++l) {
      const auto& loading = loadings_[static_cast<std::size_t>(l)];
      const int m = loading.column;
      const auto& own = U[static_cast<std::size_t>(m)];
      for (int j = 0; j <= m; ++j) {
        const int e = place(loading.row, j);
        values[e] += theta[l] * own.value[j];
        if (!jacobian) continue;
        (*jacobian)(e, l) += own.value[j];
        for (int a = 0; a < m; ++a) (*jacobian)(e, c_at(m) + a) += theta[l] * own.slope(j, a);
      }
    }
  }

  Eigen::MatrixXd curvature(int q, const double* theta, const double* weights) const override {
    const auto U = unit_rows(theta);
    const Eigen::MatrixXi place = places(q, entries(q));
    Eigen::MatrixXd result = Eigen::MatrixXd::Zero(n_theta(q), n_theta(q));
    for (int l = 0; l < n_loadings(); ++l) {
      const auto& loading = loadings_[static_cast<std::size_t>(l)];
      const int m = loading.column, c = c_at(m);
      const auto& own = U[static_cast<std::size_t>(m)];
      for (int j = 0; j <= m; ++j) {
        const double weight = weights[place(loading.row, j)];
        for (int a = 0; a < m; ++a) {
          result(l, c + a) += weight * own.slope(j, a);
          result(c + a, l) = result(l, c + a);
          for (int b = 0; b < m; ++b)
            result(c + a, c + b) += weight * theta[l] * own.bend[static_cast<std::size_t>(j)](a, b);
        }
      }
    }
    return result;
  }

  std::vector<int> turned_with(int, int column) const override {
    std::vector<int> found;
    if (column >= n_factors()) return found;
    for (int l = 0; l < n_loadings(); ++l)
      if (loadings_[static_cast<std::size_t>(l)].column == column) found.push_back(l);
    for (int k = 0; k < column; ++k) found.push_back(c_at(column) + k);
    for (int m = column + 1; m < n_factors(); ++m) found.push_back(c_at(m) + column);
    return found;
  }

  std::vector<double> start(int q, double scale) const override {
    std::vector<double> theta(static_cast<std::size_t>(n_theta(q)), 0.0);
    for (int l = 0; l < n_loadings(); ++l) theta[static_cast<std::size_t>(l)] = scale;
    for (int k = n_loadings(); k < n_theta(q); ++k) theta[static_cast<std::size_t>(k)] = start_c;
    return theta;
  }

 private:
  static constexpr double start_c = 0.3;  // a moderate correlation

  int n_factors() const { return static_cast<int>(factors_.size()); }
  int n_loadings() const { return static_cast<int>(loadings_.size()); }
  /// Where the c of a factor's row begin in theta.
  int c_at(int m) const { return n_loadings() + first_c_[static_cast<std::size_t>(m)]; }

  std::vector<UnitRow> unit_rows(const double* theta) const {
    std::vector<UnitRow> rows;
    for (int m = 0; m < n_factors(); ++m) rows.emplace_back(m, theta + c_at(m));
    return rows;
  }

  /// The number of the entry in each row and column, -1 where there is none.
  Eigen::MatrixXi places(int q, const std::vector<Entry>& free) const {
    Eigen::MatrixXi result = Eigen::MatrixXi::Constant(q, n_factors(), -1);
    for (std::size_t e = 0; e < free.size(); ++e) result(free[e].row, free[e].column) = static_cast<int>(e);
    return result;
  }

  std::string name_;
  std::vector<Factor> factors_;
  std::vector<Entry> loadings_;  ///< the column and the factor of each, factor by factor
  std::vector<int> first_c_;
};

/// Empty where the text is no pattern.
std::vector<Factor> read(const std::string& text) {
  std::vector<Factor> factors;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto at = word.rfind('=');
    if (at == std::string::npos || at == 0) return {};
    const std::string loads = word.substr(at + 1);
    if (loads.empty() || loads.find_first_not_of("01") != std::string::npos || loads.find('1') == std::string::npos)
      return {};
    factors.push_back({word.substr(0, at), loads});
    if (loads.size() != factors[0].loads.size()) return {};
  }
  // Lambda is square.
  if (!factors.empty() && factors.size() > factors[0].loads.size()) return {};
  return factors;
}

}  // namespace

const Structure* confirmatory(const std::string& name) {
  if (name.compare(0, prefix.size(), prefix) != 0) return nullptr;
  auto factors = read(name.substr(prefix.size()));
  if (factors.empty()) return nullptr;
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Confirmatory>> instances;
  const std::scoped_lock lock(mutex);
  auto& one = instances[name];
  if (!one) one = std::make_unique<Confirmatory>(name, std::move(factors));
  return one.get();
}

}  // namespace multilevel::covariance
