/* avx512.c - the kernels for processors with AVX-512 F, BW, VL and DQ: 16 floats to a register.
 *
 * What the compiler makes vectors of is the scalar source, compiled for them. */
#define KERNELS_FILL       avx512_blocks
#define KERNELS_NAME       "avx512"
#define KERNELS_FILL_TYPES avx512_types

#include "kernels/scalar.c"
#include "kernels/scalar_types.c"

#include "kernels/vector_avx512.h"
#include "kernels/products_stored.h"
#include "kernels/attention_kernels.h"
#include "kernels/blocks_vectors.h"
#include "kernels/logits_avx512.h"
#include "kernels/logits_vectors.h"

void kernels_avx512(kernels *table)
{
  avx512_blocks(table);
  avx512_types(table);
  fill_stored_products(table);
  fill_attention(table);
  fill_blocks(table);
  fill_logits(table);
}
