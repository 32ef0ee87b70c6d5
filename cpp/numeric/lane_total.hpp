// The sum of lanes, by halves.
#pragma once

#include "numeric/lanes.hpp"

namespace multilevel::numeric {

inline double total(Lanes x) {
  for (int half = lane_count / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

}  // namespace multilevel::numeric
