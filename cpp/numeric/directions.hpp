// Unit vectors of one to three dimensions that leave no direction far from all of them.
#pragma once

#include <cmath>

namespace multilevel::numeric {

inline constexpr int most_directions = 42;

/// Unit vectors, and the cosine of how far any other is from the nearest of them.
struct Directions {
  int n;
  double cosine;
  double at[most_directions][3];
};

inline Directions in_a_plane(int n) {
  const double angle = 6.28318530717958647693 / n;
  Directions all{n, std::cos(0.5 * angle), {}};
  for (int k = 0; k < n; ++k) {
    all.at[k][0] = std::cos(k * angle);
    all.at[k][1] = std::sin(k * angle);
  }
  return all;
}

/// The corners of an icosahedron, and the middles of its edges.
inline Directions in_space(bool middles) {
  constexpr double a = 0.52573111211913360603, b = 0.85065080835203993218;
  Directions all{12,
                 0.79465447229176612295,
                 {{0, a, b},
                  {0, a, -b},
                  {0, -a, b},
                  {0, -a, -b},
                  {a, b, 0},
                  {a, -b, 0},
                  {-a, b, 0},
                  {-a, -b, 0},
                  {b, 0, a},
                  {b, 0, -a},
                  {-b, 0, a},
                  {-b, 0, -a}}};
  if (!middles) return all;
  all.cosine = 0.93417235896271569645;
  for (int i = 0; i < 12; ++i)
    for (int j = 0; j < i; ++j) {
      const double *x = all.at[i], *y = all.at[j], cosine = x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
      if (!(cosine > 0.4)) continue;
      for (int k = 0; k < 3; ++k) all.at[all.n][k] = (x[k] + y[k]) / std::sqrt(2.0 + 2.0 * cosine);
      ++all.n;
    }
  return all;
}

inline const Directions& directions(int q, bool far) {
  static const Directions line{2, 1.0, {{1.0}, {-1.0}}}, few = in_a_plane(6), many = in_a_plane(16),
                                                         corners = in_space(false), all = in_space(true);
  if (q == 1) return line;
  if (q == 2) return far ? many : few;
  return far ? all : corners;
}

}  // namespace multilevel::numeric
