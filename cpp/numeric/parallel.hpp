// Parallel loops whose results do not depend on the number of threads.
//
// The work is cut into chunks by the data alone; a chunk writes only its own partial result, and the caller adds the
// partials in chunk order. Threads live for one call: nothing is left behind for a fork to inherit.
#pragma once

#include <functional>

namespace multilevel::numeric {

/// Number of threads to use when the caller asked for `requested` (0: all that this process may run on).
int usable_threads(int requested);

/// Calls body(chunk, worker) for every chunk once, worker in [0, threads). The calling thread is worker 0, and runs
/// `between` now and then; when that returns false, no further chunk is started and the call returns false.
/// The first exception that a body throws is thrown again here.
bool parallel_for(int chunks, int threads, const std::function<void(int chunk, int worker)>& body,
                  const std::function<bool()>& between = nullptr);

}  // namespace multilevel::numeric
