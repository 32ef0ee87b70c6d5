#include "likelihood/joint/row_total.hpp"

#include "numeric/parallel.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

double row_total(const model::Model& model, int threads, const Monitor& monitor, const double* value,
                 std::vector<numeric::CompensatedSum>& partial, const std::function<void(int panel)>& evaluate) {
  const auto& chunks = model.chunks();
  const bool finished = numeric::parallel_for(
      static_cast<int>(chunks.size()), threads,
      [&](int c, int) {
        const auto& chunk = chunks[static_cast<std::size_t>(c)];
        auto& sum = partial[static_cast<std::size_t>(c)];
        sum = {};
        for (int i = chunk.first_panel; i < chunk.last_panel; ++i) {
          evaluate(i);
          const auto& panel = model.panels()[static_cast<std::size_t>(i)];
          for (int cluster = panel.first_cluster; cluster < panel.last_cluster; ++cluster) {
            const auto begin = model.cluster_start(cluster);
            sum.add(numeric::sum(static_cast<int>(model.cluster_start(cluster + 1) - begin), value + begin));
          }
        }
      },
      monitor.keep_going);
  if (!finished) throw Interrupted{};
  numeric::CompensatedSum total;
  for (const auto& part : partial) total.add(part);
  return total.total();
}

}  // namespace multilevel::likelihood
