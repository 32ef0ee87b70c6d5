// Dense pieces of a Cholesky factorization, in place and column-major: what one supernode needs. Matrices must be
// readable a little beyond their end, see dense_kernels.hpp.
#pragma once

#include <cstddef>

namespace multilevel::linear_algebra {

/// The lower triangle of the upper width x width block of A (height x width) is replaced by its Cholesky factor L, and
/// the rows below by A L^-T. False when a pivot is not positive or not finite. Above the diagonal: anything.
bool factor_trapezoid(double* a, int height, int width, std::ptrdiff_t leading);

/// A (m x width) <- A L^-1
void divide_by_factor(const double* factor, std::ptrdiff_t leading_factor, int width, double* a, int m,
                      std::ptrdiff_t leading);

/// Z = L^-T L^-1, both triangles. `work`: inverse_work(width) doubles.
void invert_from_factor(const double* factor, std::ptrdiff_t leading_factor, int width, double* inverse,
                        std::ptrdiff_t leading, double* work);
std::ptrdiff_t inverse_work(int width);

/// Copies rows begin .. end of the first `columns` columns of a lower triangle to above the diagonal.
void mirror(double* a, int begin, int end, int columns, std::ptrdiff_t leading);

/// L x = b and L' x = b, in place, for n columns.
void solve_lower(const double* factor, std::ptrdiff_t leading_factor, int width, double* x, int n,
                 std::ptrdiff_t leading);
void solve_lower_transposed(const double* factor, std::ptrdiff_t leading_factor, int width, double* x, int n,
                            std::ptrdiff_t leading);

}  // namespace multilevel::linear_algebra
