/* products_stored.h - the products of every stored type, for the instruction set whose
 * vector_....h was included before. */
#define ELEMENT         float
#define OF(name)        name##_f32
#define LOAD(p)         vector_load_f32(p)
#define LOAD_PART(p, n) vector_load_f32_part(p, n)
#include "kernels/products_vectors.h"

#define ELEMENT         uint16_t
#define OF(name)        name##_f16
#define LOAD(p)         vector_load_f16(p)
#define LOAD_PART(p, n) vector_load_f16_part(p, n)
#include "kernels/products_vectors.h"

#define ELEMENT         uint16_t
#define OF(name)        name##_bf16
#define LOAD(p)         vector_load_bf16(p)
#define LOAD_PART(p, n) vector_load_bf16_part(p, n)
#include "kernels/products_vectors.h"

static void fill_stored_products(kernels *table)
{
  table->product_in_out[ELEMENT_F32] = in_out_f32;
  table->product_in_out[ELEMENT_F16] = in_out_f16;
  table->product_in_out[ELEMENT_BF16] = in_out_bf16;
  table->product_out_in[ELEMENT_F32] = out_in_f32;
  table->product_out_in[ELEMENT_F16] = out_in_f16;
  table->product_out_in[ELEMENT_BF16] = out_in_bf16;
}
