// Ordered categories that are reached one after the other, F being the distribution function that the link names.
// Upwards, "continuation": P(y = k | y >= k) = F(tau_k - eta), each category but the last a place to stop at.
// Downwards, "reverse_continuation": P(y < k | y <= k) = F(tau_(k - 1) - eta), from the last category on. A row's log
// density is a sum over thresholds, of log F where it stays below and log(1 - F) where it goes beyond; others have no
// part in it.
#include <algorithm>

#include "family/ordered_distributions.hpp"
#include "family/ordered_family.hpp"
#include "family/registry.hpp"

namespace multilevel::family {

namespace {

using namespace ordered;
using series_kernel::factorial;

enum class Way { up, down };

/// Where a row stays below a threshold, the k-th of all, and where it goes beyond it.
template <Way way>
numeric::LaneBits stays(Lanes category, double k) {
  return way == Way::up ? category == k : category <= k;
}
template <Way way>
numeric::LaneBits passes(Lanes category, double k) {
  return way == Way::up ? category > k : category == k + 1.0;
}

template <class Source, Way way, int D, bool ByPhi>
void evaluate(int n, const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  constexpr double by_eta = Source::mirrored ? 1.0 : -1.0;
  const Lanes zero = numeric::broadcast(0.0), far = numeric::broadcast(infinity);
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i, n);
    Lanes total[D + 1] = {};
    for (int r = 0; r < n; ++r) {
      const auto low = stays<way>(b.response, r + 1.0), high = passes<way>(b.response, r + 1.0);
      const Lanes x = b.phi[r] - b.eta;
      const Lanes above = numeric::select(high, far, x), below = numeric::select(high, x, -far);
      const Taylor<D, Lanes> value =
          Source::mirrored ? Source::template value<D>(-below, -above) : Source::template value<D>(above, below);
      double sign = 1.0;
      for (int a = 0; a <= D; ++a, sign *= by_eta) {
        const Lanes own = numeric::select(low | high, sign * factorial[a] * value.c[a], zero);
        total[a] += own;
        if constexpr (ByPhi) {  // a threshold moves against eta
          const Lanes weighed = weighted(b.weight, own);
          if (double* to = a > 0 ? out.phi[r][a - 1] : nullptr) put(to, i, b.n, -weighed);
          if (double* to = a > 1 ? out.phi_phi[phi_pair(r, r)][a - 2] : nullptr) put(to, i, b.n, weighed);
          for (int s = 0; s < r && a < D - 1; ++s)
            if (double* to = out.phi_phi[phi_pair(r, s)][a]) put(to, i, b.n, zero);
        }
      }
    }
    put(out.value, i, b.n, weighted(b.weight, total[0]));
    for (int a = 1; a <= D; ++a)
      if (out.eta[a - 1]) put(out.eta[a - 1], i, b.n, weighted(b.weight, total[a]));
  }
}

template <class Link, class Source, Way way>
class Continuation final : public ThresholdFamily<Link> {
 public:
  using ThresholdFamily<Link>::ThresholdFamily;
  std::string name() const override { return way == Way::up ? "continuation" : "reverse_continuation"; }
  std::string reference() const override { return "Tutz (1991), Comput. Statist. Data Anal. 11, 275-295"; }
  bool separate_thresholds() const override { return true; }
  std::unique_ptr<Family> of_categories(int n) const override { return std::make_unique<Continuation>(n); }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if (order == Order::full)
      evaluate<Source, way, 4, true>(this->n_, rows, out);
    else if (order == Order::node)
      evaluate<Source, way, 2, true>(this->n_, rows, out);
    else
      evaluate<Source, way, 2, false>(this->n_, rows, out);
  }

  // The tails of the Cauchy distribution are convex.
  bool log_concave() const override { return !std::is_same_v<Link, link::Cauchit>; }

  bool bounds(int n, const Observations& data, const Family::Bounds& out) const override {
    if (!std::is_same_v<Link, link::Cauchit>) return false;
    for (int j = 0; j < n; ++j) {
      const int category = static_cast<int>(data.response[j]);
      const bool last = way == Way::up ? category > this->n_ : category == 1;
      const int many = way == Way::up ? category - 1 : this->n_ + 1 - category;
      const int one = last ? 0 : 1;  // the term of the other kind
      out.value[j] = 0.0;
      out.second[j] = link::Cauchit::most_convex * data.weight[j] * (many + one);
      out.third[j] = link::Cauchit::most_bent * data.weight[j] * (many + one);
    }
    return true;
  }

  double frequency_threshold(const std::vector<double>& counts, std::size_t k) const override {
    double below = 0.0, beyond = 0.0;
    for (std::size_t m = 0; m < counts.size(); ++m) {
      if (m <= k && (way == Way::down || m == k)) below += counts[m];
      if (m > k && (way == Way::up || m == k + 1)) beyond += counts[m];
    }
    return Link::of_mean(below / (below + beyond));
  }
  void away(int category, double* moves) const override {
    for (int k = 1; k <= this->n_; ++k) {
      const bool low = way == Way::up ? category == k : category <= k;
      const bool high = way == Way::up ? category > k : category == k + 1;
      moves[k - 1] *= low ? 1.0 : high ? -1.0 : 0.0;
    }
  }
};

template <Way way, class Link, class Source>
Entry entry() {
  return {way == Way::up ? "continuation" : "reverse_continuation", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<Continuation<Link, Source, way>>(3); }};
}

template <Way way>
std::vector<Entry> entries() {
  return {entry<way, link::Logit, Logistic>(), entry<way, link::Probit, FromDensity<Normal>>(),
          entry<way, link::Cloglog, SmallestExtreme>(), entry<way, Loglog, LargestExtreme>(),
          entry<way, link::Cauchit, FromDensity<Cauchy>>()};
}

}  // namespace

std::vector<Entry> continuation_entries() { return entries<Way::up>(); }
std::vector<Entry> reverse_continuation_entries() { return entries<Way::down>(); }

}  // namespace multilevel::family
