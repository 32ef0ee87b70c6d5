// How much memory the machine has.
#pragma once

#include <unistd.h>

#include <limits>

namespace multilevel::numeric {

/// In bytes; infinity where the system does not say.
inline double physical_memory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  const double pages = static_cast<double>(sysconf(_SC_PHYS_PAGES)), size = static_cast<double>(sysconf(_SC_PAGESIZE));
  if (pages > 0.0 && size > 0.0) return pages * size;
#endif
  return std::numeric_limits<double>::infinity();
}

}  // namespace multilevel::numeric
