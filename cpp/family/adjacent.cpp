// Ordered categories, each against the next: log P(k + 1) / P(k) = eta - tau_k. With T_m the sum of the first m
// thresholds a row of category m + 1 has the density exp(m eta - T_m) / sum_i exp(i eta - T_i).
#include <stdexcept>

#include "family/ordered_distributions.hpp"
#include "family/ordered_family.hpp"
#include "family/registry.hpp"

namespace multilevel::family {

namespace {

using series_kernel::Block;
using series_kernel::factorial;

/// The categories' probabilities around eta, as series. Each is multiplied by exp(-t times the number of the
/// likeliest), which no ratio of them knows of: then all that is left of a certain outcome keeps its digits.
template <int D>
struct Probabilities {
  Probabilities(const Block& b, int n) : n_categories(n + 1) {
    log_weight[0] = numeric::broadcast(0.0);
    Lanes largest = log_weight[0], likeliest = log_weight[0];
    for (int m = 1; m <= n; ++m) {
      log_weight[m] = log_weight[m - 1] + (b.eta - b.phi[m - 1]);
      const auto more = log_weight[m] > largest;
      largest = numeric::select(more, log_weight[m], largest);
      likeliest = numeric::select(more, numeric::broadcast(m), likeliest);
    }
    log_total = numeric::broadcast(0.0);
    for (int m = 0; m <= n; ++m) {
      log_weight[m] -= largest;
      const Lanes weight = numeric::exp(log_weight[m]), shift = static_cast<double>(m) - likeliest;
      Taylor<D, Lanes>& own = series[m];
      own.c[0] = weight;
      for (int k = 1; k <= D; ++k) own.c[k] = own.c[k - 1] * shift * (1.0 / k);
      total = m == 0 ? own : total + own;
      log_total += numeric::select(likeliest == static_cast<double>(m), numeric::broadcast(0.0), weight);
    }
    log_total = numeric::log1p(log_total);
    for (int m = 0; m <= n; ++m) series[m] = series[m] / total;
  }
  int n_categories;
  Lanes log_weight[max_phi + 1], log_total;
  Taylor<D, Lanes> series[max_phi + 1], total;
};

template <int D, bool ByPhi>
void evaluate(int n, const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i, n);
    const Probabilities<D> p(b, n);
    const Lanes own = b.response - 1.0;
    Lanes value = p.log_weight[0];
    Taylor<D, Lanes> above[max_phi], below[max_phi];  // P(y > k) and P(y <= k)
    Taylor<D, Lanes> slope{};
    for (int m = 0; m <= n; ++m) {
      value = numeric::select(own == static_cast<double>(m), p.log_weight[m], value);
      slope = slope + (own - static_cast<double>(m)) * p.series[m];
      if (m < n) below[m] = m == 0 ? p.series[0] : below[m - 1] + p.series[m];
    }
    auto give = [&](double* to, Lanes x) {
      if (to) put(to, i, b.n, weighted(b.weight, x));
    };
    put(out.value, i, b.n, weighted(b.weight, value - p.log_total));
    for (int a = 0; a < D; ++a) give(out.eta[a], factorial[a] * slope.c[a]);
    if constexpr (ByPhi) {
      for (int r = n - 1; r >= 0; --r) above[r] = r == n - 1 ? p.series[n] : above[r + 1] + p.series[r + 1];
      for (int r = 0; r < n; ++r) {
        for (int a = 0; a < D; ++a)
          give(out.phi[r][a], a == 0 ? numeric::select(own > static_cast<double>(r), -below[r].c[0], above[r].c[0])
                                     : factorial[a] * above[r].c[a]);
        for (int s = 0; s <= r; ++s) {
          const Taylor<D, Lanes> both = above[r] * below[s];
          for (int a = 0; a <= D - 2; ++a) give(out.phi_phi[phi_pair(r, s)][a], -factorial[a] * both.c[a]);
        }
      }
    }
  }
}

class Adjacent final : public ThresholdFamily<link::Logit> {
 public:
  using ThresholdFamily::ThresholdFamily;
  std::string name() const override { return "adjacent"; }
  std::string reference() const override { return "Agresti (2010), Analysis of Ordinal Categorical Data, 4.1"; }
  std::unique_ptr<Family> of_categories(int n) const override { return std::make_unique<Adjacent>(n); }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if (order == Order::full)
      evaluate<4, true>(n_, rows, out);
    else if (order == Order::node)
      evaluate<2, true>(n_, rows, out);
    else
      evaluate<2, false>(n_, rows, out);
  }

  double frequency_threshold(const std::vector<double>& counts, std::size_t k) const override {
    return std::log(counts[k] / counts[k + 1]);
  }
  /// Each other category, further below or above, loses to the row's own.
  void away(int category, double* moves) const override {
    double sum = 0.0;
    for (int k = category - 1; k < n_; ++k) moves[k] = sum += moves[k];
    sum = 0.0;
    for (int k = category - 2; k >= 0; --k) moves[k] = sum -= moves[k];
  }
};

}  // namespace

std::vector<Entry> adjacent_entries() {
  return {{"adjacent", link::Logit::name, []() -> std::unique_ptr<Family> { return std::make_unique<Adjacent>(3); }}};
}

}  // namespace multilevel::family
