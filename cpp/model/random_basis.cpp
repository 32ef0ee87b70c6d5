// The basis of the random columns. The columns of an unstructured term may be recombined without changing the model:
// u = T u~ with T lower triangular makes Lambda = T Lambda~, lower triangular again, so that zeros of its diagonal and
// quadrature rules stay what they are. A predictor far from zero, whose column nearly repeats the intercept's, is then
// as good as a centred one. Columns of other terms are scaled alone.
#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "model/model.hpp"

namespace multilevel::model {

namespace {

constexpr std::int64_t block_rows = 4096;
constexpr int most_columns = 24;     // of a factor whose columns are compared: beyond, they are scaled alone
constexpr double enough_left = 0.1;  // share of a column's square that the others leave: more needs no recombination
constexpr double least_left = 1e-15;

double power_of_two(double size) { return size > 0.0 ? std::exp2(-std::round(std::log2(size))) : 1.0; }

void read(const Source& source, std::int64_t first, std::int64_t last, double* to) {
  if (source.type == Source::Type::one) std::fill(to, to + (last - first), 1.0);
  visit_type(source.type, [&]<class T>() {
    for (std::int64_t j = first; j < last; ++j) to[j - first] = source.at<T>(j);
  });
}

/// Products of the columns divided by `size`; blocks are added in order.
Eigen::MatrixXd gram(const std::vector<Source>& columns, const std::vector<double>& size, std::int64_t n) {
  const auto q = static_cast<Eigen::Index>(columns.size());
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(q, q), block(std::min(n, block_rows), q);
  for (std::int64_t first = 0; first < n; first += block_rows) {
    const std::int64_t last = std::min(n, first + block_rows);
    for (Eigen::Index a = 0; a < q; ++a) {
      read(columns[static_cast<std::size_t>(a)], first, last, block.col(a).data());
      block.col(a) /= size[static_cast<std::size_t>(a)];
    }
    const auto rows = block.topRows(last - first);
    for (Eigen::Index a = 0; a < q; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) sum(a, b) += rows.col(a).dot(rows.col(b));
  }
  return Eigen::MatrixXd(sum.selfadjointView<Eigen::Lower>()) / static_cast<double>(n);
}

/// T of columns with these products (unit diagonal): each column less what the later ones explain of it, brought back
/// to a root mean square near one. Diagonal where little is to be gained.
Eigen::MatrixXd recombination(const Eigen::MatrixXd& products) {
  const auto q = products.rows();
  Eigen::MatrixXd T = Eigen::MatrixXd::Identity(q, q);
  double least = 1.0;
  for (Eigen::Index c = q - 2; c >= 0; --c) {
    const auto later = q - 1 - c;
    const Eigen::MatrixXd own = products.bottomRightCorner(later, later);
    const Eigen::VectorXd with = products.col(c).tail(later);
    const Eigen::VectorXd coefficients = linear_algebra::apply(linear_algebra::pseudo_inverse(own), with);
    const double left = std::max(products(c, c) - coefficients.dot(with), least_left);
    least = std::min(least, left);
    const double scale = power_of_two(std::sqrt(left));
    T(c, c) = scale;
    T.col(c).tail(later) = -scale * coefficients;
  }
  return least < enough_left ? T : Eigen::MatrixXd::Identity(q, q);
}

}  // namespace

void Model::choose_basis(const Specification& s) {
  const int q = factors_.empty() ? 0 : factors_.back().first + factors_.back().q;
  random_basis_ = Eigen::MatrixXd::Identity(q, q);
  random_left_ = Eigen::VectorXd::Ones(q);
  std::vector<double> sizes(static_cast<std::size_t>(q));
  for (std::size_t t = 0; t < s.terms.size(); ++t) {
    const auto& term = terms_[t];
    std::vector<double> size;
    for (const auto& source : s.terms[t].columns) size.push_back(column_size(source));
    std::copy(size.begin(), size.end(), sizes.begin() + term.first);
    // Where one parameter serves several columns they keep one unit: that of a typical column that is not empty.
    if (term.structure->shares_scale()) {
      double logarithms = 0.0, n = 0.0;
      for (const double one : size)
        if (one > 0.0) logarithms += std::log2(one), n += 1.0;
      std::fill(size.begin(), size.end(), n > 0.0 ? std::exp2(logarithms / n) : 0.0);
    }
    for (int a = 0; a < term.q; ++a)
      random_basis_(term.first + a, term.first + a) = power_of_two(size[static_cast<std::size_t>(a)]);
  }
  for (const auto& factor : factors_) {
    if (factor.q < 2 || factor.q > most_columns) continue;
    std::vector<Source> columns(static_cast<std::size_t>(factor.q));
    std::vector<int> term_of(columns.size());
    std::vector<double> size(sizes.begin() + factor.first, sizes.begin() + factor.first + factor.q);
    for (std::size_t t = 0; t < s.terms.size(); ++t)
      for (int a = 0; a < terms_[t].q && &factors_[static_cast<std::size_t>(terms_[t].factor)] == &factor; ++a) {
        const auto at = static_cast<std::size_t>(terms_[t].first - factor.first + a);
        columns[at] = s.terms[t].columns[static_cast<std::size_t>(a)];
        term_of[at] = static_cast<int>(t);
      }
    if (*std::min_element(size.begin(), size.end()) == 0.0) continue;
    const Eigen::MatrixXd products = gram(columns, size, n_rows_);
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      const auto& term = terms_[t];
      if (&factors_[static_cast<std::size_t>(term.factor)] != &factor || term.q < 2 ||
          term.structure->kind() != covariance::Kind::full)
        continue;
      const int at = term.first - factor.first;
      const Eigen::MatrixXd T = recombination(products.block(at, at, term.q, term.q));
      if (T.isDiagonal(0.0)) continue;
      for (int r = 0; r < term.q; ++r)
        for (int c = 0; c <= r; ++c)
          random_basis_(term.first + r, term.first + c) = T(r, c) / sizes[static_cast<std::size_t>(term.first + r)];
    }
    for (int a = 0; a < factor.q; ++a)
      for (int b = 0; b < a; ++b) {
        const int term = term_of[static_cast<std::size_t>(a)];
        if (term == term_of[static_cast<std::size_t>(b)] &&
            terms_[static_cast<std::size_t>(term)].structure->kind() == covariance::Kind::full)
          continue;
        if (terms_[static_cast<std::size_t>(term)].variable !=
            terms_[static_cast<std::size_t>(term_of[static_cast<std::size_t>(b)])].variable)
          continue;
        random_overlap_ = std::max(random_overlap_, products(a, b) * products(a, b));
      }
    const Eigen::MatrixXd inverse = linear_algebra::pseudo_inverse(products);
    for (int a = 0; a < factor.q; ++a)
      random_left_[factor.first + a] = std::clamp(1.0 / inverse(a, a), least_left, 1.0);
  }
}

/// Stored as they came; each column needs itself and later ones only.
void Model::combine_random_columns(const Panel& panel) {
  for (const auto& term : terms_) {
    const auto T = random_basis_.block(term.first, term.first, term.q, term.q);
    if (T.isDiagonal(0.0)) continue;
    for (int c = 0; c < term.q; ++c) {
      double* to = stored(panel, random_[static_cast<std::size_t>(term.first + c)].slot);
      for (int j = 0; j < panel.n_rows; ++j) to[j] *= T(c, c);
      for (int r = c + 1; r < term.q; ++r) {
        const double* from = stored(panel, random_[static_cast<std::size_t>(term.first + r)].slot);
        const double factor = T(r, c);
        for (int j = 0; j < panel.n_rows; ++j) to[j] += factor * from[j];
      }
    }
  }
}

}  // namespace multilevel::model
