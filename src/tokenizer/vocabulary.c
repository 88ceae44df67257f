/* vocabulary.c - the tokens of a model, and the merges that make them from bytes. */
#include "tokenizer/vocabulary.h"

#include <string.h>

#include "formats/sort.h"
#include "tokenizer/byte_letters.h"
#include "tokenizer/early.h"
#include "tokenizer/joint.h"

/* ---- Tokens ---- */

static bool id_before(const void *a, const void *b, const void *context)
{
  (void)context;
  return ((const token_name *)a)->id < ((const token_name *)b)->id;
}

/* Most files are in order already. */
static bool in_order(const token_name *names, size_t n)
{
  for (size_t i = 1; i < n; i++)
    if (names[i - 1].id >= names[i].id)
      return false;
  return true;
}

static gpt2_status sort_names(token_name *names, size_t n, const char *file, gpt2_error *error)
{
  if (in_order(names, n))
    return GPT2_OK;
  sort(names, n, sizeof *names, id_before, NULL);
  for (size_t i = 1; i < n; i++)
    if (names[i - 1].id == names[i].id)
      return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: \"%s\" and \"%s\" have the same id %d",
                  file, names[i - 1].text, names[i].text, (int)names[i].id);
  return GPT2_OK;
}

static gpt2_status allocate_tokens(vocabulary *v, const token_name *names, size_t n,
                                   gpt2_error *error)
{
  size_t n_bytes = 0;
  for (size_t i = 0; i < n; i++)
    if (!add_size(&n_bytes, n_bytes, names[i].size) || n_bytes >= UINT32_MAX)
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "the vocabulary's tokens have over 4 GiB");
  v->ids = allocate_array(v->allocator, n, sizeof *v->ids);
  v->starts = allocate_array(v->allocator, n + 1, sizeof *v->starts);
  v->flags = allocate_array(v->allocator, n, sizeof *v->flags);
  v->bytes = allocate(v->allocator, n_bytes);
  if (!v->ids || !v->starts || !v->flags || !v->bytes)
    return fail_memory(error, n_bytes + n * (sizeof *v->ids + sizeof *v->starts + 1));
  return GPT2_OK;
}

/* Names take no more room as bytes than as letters: what was allocated for the names is enough. */
static gpt2_status store_token(vocabulary *v, size_t place, const token_name *name,
                               gpt2_error *error)
{
  char *bytes = v->bytes + v->starts[place];
  size_t size = name->size;
  bool written = false;
  if (name->is_text)
    memcpy(bytes, name->text, size);
  else
    size = letters_to_bytes(name->text, size, bytes, &written);
  v->ids[place] = name->id;
  v->starts[place + 1] = v->starts[place] + (uint32_t)size;
  v->flags[place] = (uint8_t)name->flags;
  if (size > v->longest)
    v->longest = size;
  if (written && size == 1)
    v->byte_token[(uint8_t)*bytes] = (uint32_t)place;
  return written && size > 0 ? trie_add(&v->names, bytes, size, (uint32_t)place, error) : GPT2_OK;
}

gpt2_status vocabulary_set_tokens(vocabulary *v, const gpt2_allocator *allocator, token_name *names,
                                  size_t n, const char *file, gpt2_error *error)
{
  v->allocator = allocator;
  gpt2_status status = sort_names(names, n, file, error);
  if (status == GPT2_OK)
    status = allocate_tokens(v, names, n, error);
  if (status == GPT2_OK)
    status = trie_init(&v->names, allocator, n, error);
  if (status != GPT2_OK)
    return status;
  for (int byte = 0; byte < 256; byte++)
    v->byte_token[byte] = NO_TOKEN;
  for (size_t place = 0; status == GPT2_OK && place < n; place++)
    status = store_token(v, place, &names[place], error);
  v->n_tokens = n;
  return status;
}

void vocabulary_set_unknown(vocabulary *v, uint32_t place, bool fuse)
{
  v->fuse_unknown = fuse && !vocabulary_has_all_bytes(v);
  for (int byte = 0; byte < 256; byte++)
    if (v->byte_token[byte] == NO_TOKEN) {
      v->byte_unknown[byte] = true;
      v->byte_token[byte] = place;
    }
}

uint32_t vocabulary_place(const vocabulary *v, gpt2_token id)
{
  if (id < 0 || v->n_tokens == 0)
    return NO_TOKEN;
  if ((size_t)id < v->n_tokens && v->ids[id] == id) /* no gap before it */
    return (uint32_t)id;
  size_t low = 0, high = v->n_tokens;
  while (low + 1 < high) {
    size_t middle = low + (high - low) / 2;
    if (v->ids[middle] <= id)
      low = middle;
    else
      high = middle;
  }
  return v->ids[low] == id ? (uint32_t)low : NO_TOKEN;
}

bool vocabulary_has_all_bytes(const vocabulary *v)
{
  for (int byte = 0; byte < 256; byte++)
    if (v->byte_token[byte] == NO_TOKEN || v->byte_unknown[byte])
      return false;
  return true;
}

const char *vocabulary_bytes(const vocabulary *v, uint32_t place, size_t *size)
{
  *size = v->starts[place + 1] - v->starts[place];
  return v->bytes + v->starts[place];
}

/* ---- Merges ---- */

gpt2_status vocabulary_set_merges(vocabulary *v, merge *merges, size_t n, gpt2_error *error)
{
  v->merges = merges;
  v->n_merges = n;
  gpt2_status status = pair_table_init(&v->pairs, v->allocator, merges, n, v->n_tokens, error);
  if (status != GPT2_OK)
    return status;
  v->made = allocate_array(v->allocator, n, sizeof *v->made);
  v->made_by = allocate_array(v->allocator, v->n_tokens, sizeof *v->made_by);
  if (!v->made || !v->made_by)
    return fail_memory(error, n * sizeof *v->made);
  for (size_t rank = 0; rank < n; rank++)
    v->made[rank] = merges[rank].made;
  find_joints(v);
  return find_early_pairs(v, error);
}

uint32_t vocabulary_word(const vocabulary *v, const char *bytes, size_t size)
{
  uint32_t node = trie_walk(&v->names, TRIE_ROOT, bytes, size);
  return node == TRIE_ROOT ? NO_TOKEN : v->names.tokens[node];
}

void vocabulary_free(vocabulary *v)
{
  if (!v->allocator)
    return;
  release(v->allocator, v->ids);
  release(v->allocator, v->starts);
  release(v->allocator, v->bytes);
  release(v->allocator, v->flags);
  release(v->allocator, v->merges);
  release(v->allocator, v->made);
  pair_table_free(&v->pairs, v->allocator);
  release(v->allocator, v->early);
  release(v->allocator, v->made_by);
  trie_free(&v->names);
}
