// What this processor can run.
#pragma once

namespace multilevel::cpu {

/// x86-64-v3: AVX2, FMA and what came with them.
inline bool supports_v3() {
#if !defined(__x86_64__)
  return false;
#elif defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
  return __builtin_cpu_supports("x86-64-v3");
#else
  // Every processor with these three has the rest of the level (LZCNT, MOVBE, F16C) too.
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#endif
}

}  // namespace multilevel::cpu
