/* avx2.c - the kernels for processors with AVX2, FMA and F16C: 8 floats to a register.
 *
 * What the compiler makes vectors of is the scalar source, compiled for them. */
#define KERNELS_FILL       avx2_blocks
#define KERNELS_NAME       "avx2"
#define KERNELS_FILL_TYPES avx2_types

#include "kernels/scalar.c"
#include "kernels/scalar_types.c"

#include "kernels/vector_avx2.h"
#include "kernels/products_stored.h"
#include "kernels/packed_avx2.h"
#include "kernels/attention_kernels.h"
#include "kernels/blocks_vectors.h"
#include "kernels/logits_avx2.h"
#include "kernels/logits_vectors.h"

void kernels_avx2(kernels *table)
{
  avx2_blocks(table);
  avx2_types(table);
  fill_stored_products(table);
  fill_packed_products(table);
  fill_attention(table);
  fill_blocks(table);
  fill_logits(table);
}
