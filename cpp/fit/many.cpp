#include "fit/many.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>

#include "numeric/parallel.hpp"

namespace multilevel::fit {

namespace {

constexpr std::chrono::milliseconds between_questions{50};

}  // namespace

ManyRecords fit_many(const model::Model& model, const double* responses, int m, const FitOptions& options,
                     bool keep_modes, const std::function<bool()>& keep_going) {
  ManyRecords many;
  many.records.resize(static_cast<std::size_t>(m));
  many.refused.resize(static_cast<std::size_t>(m));
  FitOptions each = options;
  each.threads = 1;
  std::atomic<bool> stopped{false};
  auto last = std::chrono::steady_clock::now();  // of the calling thread alone, as is the question
  numeric::parallel_for(m, options.threads, [&](int j, int worker) {
    likelihood::Monitor monitor;
    monitor.keep_going = [&stopped, &last, &keep_going, worker] {
      if (worker == 0 && keep_going && std::chrono::steady_clock::now() - last > between_questions) {
        last = std::chrono::steady_clock::now();
        if (!keep_going()) stopped = true;
      }
      return !stopped.load(std::memory_order_relaxed);
    };
    if (!monitor.keep_going()) throw likelihood::Interrupted{};
    FitRecord& record = many.records[static_cast<std::size_t>(j)];
    model::Response response;
    try {
      response = model.prepare(responses + static_cast<std::int64_t>(j) * model.n_rows(), 1);
    } catch (const std::invalid_argument& error) {
      many.refused[static_cast<std::size_t>(j)] = error.what();
      record = empty_record(model);
      return;
    }
    record = fit(model, response, each, monitor);
    if (!keep_modes) record.modes = {};
    record.mode_covariance = {};
    record.projection = {};
  });
  return many;
}

}  // namespace multilevel::fit
