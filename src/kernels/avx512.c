/* avx512.c - the kernels for processors with AVX-512 F, BW, VL and DQ: 16 floats to a register.
 *
 * The scalar source, compiled for them. */
#define KERNELS_FILL kernels_avx512
#define KERNELS_NAME "avx512"

#include "kernels/scalar.c"
