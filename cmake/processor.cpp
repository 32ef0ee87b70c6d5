// Run while the build is configured: ends with 0 where this processor runs the v3 core, with 1 where it does not.
#include "cpu/processor.hpp"

int main() { return multilevel::cpu::supports_v3() ? 0 : 1; }
