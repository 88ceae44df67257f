/* config.c - the numbers that say which GPT-2 it is. */
#include "formats/config.h"

#include <float.h>

/* With sizes within the limits, the bytes of all weights - of any one tensor all the more - fit
 * in 63 bits even as doubles. A block has four n_embd x n_embd and two n_embd x n_inner
 * products, and biases, for which 16 more rows are plenty; beside the blocks stand wte, lm_head
 * and wpe. */
#define BLOCK_ROWS (4 * (uint64_t)MAX_EMBD + 2 * (uint64_t)MAX_INNER + 16)
#define OTHER_ROWS (2 * (uint64_t)MAX_VOCAB + MAX_CTX + 16)
_Static_assert((uint64_t)INT64_MAX / sizeof(double) / MAX_EMBD >=
                   BLOCK_ROWS * MAX_LAYERS + OTHER_ROWS,
               "the limits let the size of a model wrap");
_Static_assert(INT32_MAX / 3 >= MAX_EMBD, "the width of attn_qkv does not fit an int32_t");

static gpt2_status check_size(const char *file, const char *name, int32_t size, int32_t most,
                              gpt2_error *error)
{
  if (size < 1)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: %s is %d; expected at least 1", file, name,
                (int)size);
  if (size > most)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: %s is %d; at most %d is allowed", file, name,
                (int)size, (int)most);
  return GPT2_OK;
}

gpt2_status config_check(const config *c, const char *file, gpt2_error *error)
{
  const struct {
    const char *name;
    int32_t size, most;
  } sizes[] = {
      {"n_vocab", c->n_vocab, MAX_VOCAB},  {"n_ctx", c->n_ctx, MAX_CTX},
      {"n_embd", c->n_embd, MAX_EMBD},     {"n_head", c->n_head, MAX_EMBD},
      {"n_layer", c->n_layer, MAX_LAYERS}, {"n_inner", c->n_inner, MAX_INNER},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    gpt2_status status = check_size(file, sizes[i].name, sizes[i].size, sizes[i].most, error);
    if (status != GPT2_OK)
      return status;
  }
  if (c->n_embd % c->n_head != 0)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: n_embd is %d, which n_head, %d, does not divide", file, (int)c->n_embd,
                (int)c->n_head);
  if (!(c->layer_norm_epsilon >= 0 && c->layer_norm_epsilon <= FLT_MAX))
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: layer_norm_epsilon is negative or not finite; expected a number of at least 0",
                file);
  return GPT2_OK;
}
