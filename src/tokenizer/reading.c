/* reading.c - what the readers of tokenizer.json and of vocab.json + merges.txt have in common. */
#include "tokenizer/reading.h"

#include <string.h>

const char end_of_text[] = "<|endoftext|>";

/* Makes room for n + 1 elements of `size` bytes in an array that grows. */
static bool make_room(const gpt2_allocator *allocator, void **array, size_t n, size_t *capacity,
                      size_t size)
{
  enum { LEAST = 16 };
  if (n < *capacity)
    return true;
  size_t grown;
  if (!mul_size(&grown, n, 2) ||
      !grow_array(allocator, array, n, grown < LEAST ? LEAST : grown, size))
    return false;
  *capacity = grown < LEAST ? LEAST : grown;
  return true;
}

/* ---- Added tokens ---- */

gpt2_status added_list_add(added_list *list, const char *text, gpt2_token id, uint32_t flags,
                           gpt2_error *error)
{
  if (*text == '\0')
    return GPT2_OK;
  if (!make_room(list->allocator, (void **)&list->tokens, list->n, &list->capacity,
                 sizeof *list->tokens))
    return fail_memory(error, list->n * sizeof *list->tokens);
  list->tokens[list->n++] =
      (added_token){.text = text, .size = strlen(text), .id = id, .flags = flags};
  return GPT2_OK;
}

void added_list_free(added_list *list)
{
  release(list->allocator, list->tokens);
  *list = (added_list){.allocator = list->allocator};
}

gpt2_status read_added_flags(const json_t *object, const char *where, uint32_t *flags,
                             gpt2_error *error)
{
  static const struct {
    const char *key;
    uint32_t flag;
  } known[] = {
      {"special", ADDED_SPECIAL}, {"single_word", ADDED_SINGLE_WORD}, {"lstrip", ADDED_LSTRIP},
      {"rstrip", ADDED_RSTRIP},   {"normalized", ADDED_NORMALIZED},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    bool set = (*flags & known[i].flag) != 0;
    gpt2_status status = json_get_bool(object, known[i].key, where, &set, error);
    if (status != GPT2_OK)
      return status;
    *flags = set ? *flags | known[i].flag : *flags & ~known[i].flag;
  }
  return GPT2_OK;
}

/* ---- Tokens ---- */

static gpt2_status collect_piece(const json_t *piece, const char *where, token_name *names,
                                 size_t *n, gpt2_error *error)
{
  const char *name;
  json_t *value;
  json_object_foreach ((json_t *)(uintptr_t)piece, name, value) {
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    if (id < 0)
      return json_unexpected(value, name, "an id, an integer from 0 on", where, error);
    if (id >= INT32_MAX)
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                  "%s: \"%s\" has the id %lld, but they may go to %d only", where, name,
                  (long long)id, INT32_MAX - 1);
    names[(*n)++] = (token_name){.text = name, .size = strlen(name), .id = (gpt2_token)id};
  }
  return GPT2_OK;
}

/* The names of all tokens: those of `vocab`, then the added ones that it lacks. */
static gpt2_status collect_names(const json_pieces *vocab, const added_list *added,
                                 const char *where, token_name *names, size_t *n, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < vocab->n; i++)
    status = collect_piece(vocab->piece[i], where, names, n, error);
  if (status != GPT2_OK)
    return status;
  for (size_t i = 0; i < added->n; i++) {
    const added_token *token = &added->tokens[i];
    const json_t *listed = json_pieces_get(vocab, token->text);
    if (listed && json_integer_value(listed) != token->id)
      return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                  "%s: the added token \"%s\" has the id %d, but %lld in the vocabulary", where,
                  token->text, (int)token->id, (long long)json_integer_value(listed));
    if (!listed)
      names[(*n)++] =
          (token_name){.text = token->text, .size = token->size, .id = token->id, .is_text = true};
  }
  return GPT2_OK;
}

/* Added tokens are marked when all are in their places. */
static void mark_added(vocabulary *v, const added_tokens *added)
{
  for (size_t i = 0; i < added->n; i++) {
    const added_token *token = &added->tokens[i];
    bool special = (token->flags & ADDED_SPECIAL) != 0;
    v->flags[vocabulary_place(v, token->id)] |=
        (uint8_t)(GPT2_TOKEN_ADDED | (special ? GPT2_TOKEN_SPECIAL : 0));
  }
}

gpt2_status read_tokens(tokenizer *t, const json_pieces *vocab, const added_list *added,
                        const char *where, gpt2_error *error)
{
  size_t n = 0, most = json_pieces_size(vocab);
  if (most == 0)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: the vocabulary is empty", where);
  gpt2_status status =
      added_tokens_init(&t->added, &t->allocator, added->tokens, added->n, where, error);
  if (status != GPT2_OK)
    return status;
  most += added->n;
  token_name *names = allocate_array(&t->allocator, most, sizeof *names);
  if (!names)
    return fail_memory(error, most * sizeof *names);
  status = collect_names(vocab, added, where, names, &n, error);
  if (status == GPT2_OK)
    status = vocabulary_set_tokens(&t->vocabulary, &t->allocator, names, n, where, error);
  if (status == GPT2_OK)
    mark_added(&t->vocabulary, &t->added);
  release(&t->allocator, names);
  return status;
}
