/* avx2.c - the kernels for processors with AVX2, FMA and F16C: 8 floats to a register.
 *
 * The scalar source, compiled for them. */
#define KERNELS_FILL kernels_avx2
#define KERNELS_NAME "avx2"

#include "kernels/scalar.c"
