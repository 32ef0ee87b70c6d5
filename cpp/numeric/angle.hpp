// The angle of a point above the horizontal axis, several at a time.
#pragma once

#include "numeric/lanes.hpp"

namespace multilevel::numeric {

/// atan2(y, x) of y > 0, between zero and pi: one division to r = tan of an angle of at most pi/8 to the nearest of the
/// axes and the diagonals, then r + r z P(z), z = r^2, with P the Chebyshev fit of degree 10 (error 5e-18).
inline Lanes angle(Lanes y, Lanes x) {
  constexpr double tan_eighth = 0.41421356237309504880, quarter = 0.78539816339744830962;
  const Lanes side = abs(x), zero = broadcast(0.0);
  const LaneBits low = y <= tan_eighth * side, high = side <= tan_eighth * y;
  const Lanes over = select(low, y, select(high, -side, y - side));
  const Lanes under = select(low, side, select(high, y, y + side));
  const Lanes r = over / under, z = r * r;
  Lanes p = z * -0.0191754047111049337 + 0.0392304477847930952;
  p = p * z - 0.0508540783458948426;
  p = p * z + 0.0585814090486632828;
  p = p * z - 0.066645105255089366;
  p = p * z + 0.0769218312537689209;
  p = p * z - 0.0909090457530648908;
  p = p * z + 0.111111110151870187;
  p = p * z - 0.142857142846656808;
  p = p * z + 0.199999999999955165;
  p = p * z - 0.333333333333333302;
  const Lanes right = select(low, zero, select(high, broadcast(2.0 * quarter), broadcast(quarter))) + (r + r * z * p);
  return select(x < 0.0, 4.0 * quarter - right, right);
}

}  // namespace multilevel::numeric
