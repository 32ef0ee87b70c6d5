#include "numeric/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace multilevel::numeric {

int usable_threads(int requested) {
  if (requested > 0) return requested;
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

bool parallel_for(int chunks, int threads, const std::function<void(int, int)>& body,
                  const std::function<bool()>& between) {
  using Clock = std::chrono::steady_clock;
  std::atomic<int> next{0};
  std::atomic<bool> stop{false};
  std::exception_ptr failure;
  std::mutex failure_lock;
  auto work = [&](int worker) {
    auto last = Clock::now();
    while (!stop.load(std::memory_order_relaxed)) {
      const int chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      try {
        body(chunk, worker);
        if (worker == 0 && between && Clock::now() - last > std::chrono::milliseconds(100)) {
          last = Clock::now();
          if (!between()) stop = true;
        }
      } catch (...) {
        const std::lock_guard<std::mutex> guard(failure_lock);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < std::min(threads, chunks); ++t) others.emplace_back(work, t);
  work(0);
  for (auto& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
  return !stop;
}

}  // namespace multilevel::numeric
