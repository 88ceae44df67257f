/* reading.c - what the readers of tokenizer.json and of vocab.json + merges.txt have in common. */
#include "tokenizer/reading.h"

#include <string.h>

#include "tokenizer/byte_letters.h"

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

/* The names of all tokens: those of `vocab`, then the added ones that it lacks. */
static gpt2_status collect_names(const json_t *vocab, const added_list *added, const char *where,
                                 token_name *names, size_t *n, gpt2_error *error)
{
  const char *name;
  json_t *value;
  json_object_foreach ((json_t *)(uintptr_t)vocab, name, value) {
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    if (id < 0)
      return json_unexpected(value, name, "an id, an integer from 0 on", where, error);
    if (id >= INT32_MAX)
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                  "%s: \"%s\" has the id %lld, but they may go to %d only", where, name,
                  (long long)id, INT32_MAX - 1);
    names[(*n)++] = (token_name){.text = name, .size = strlen(name), .id = (gpt2_token)id};
  }
  for (size_t i = 0; i < added->n; i++) {
    const added_token *token = &added->tokens[i];
    const json_t *listed = json_object_get(vocab, token->text);
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

gpt2_status read_tokens(tokenizer *t, const json_t *vocab, const added_list *added,
                        const char *where, gpt2_error *error)
{
  size_t n = 0, most = json_object_size(vocab);
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

/* ---- Merges ---- */

/* The three names of a merge as the file writes them; the third is both together. */
typedef struct merge_names {
  const char *left, *right;
  size_t left_size, right_size;
} merge_names;

/* Finds the token of a part of the name buffer, which ends where a NUL can be put; NO_TOKEN: there
 * is none. */
static uint32_t find_listed(const merge_reader *r, char *name, size_t size)
{
  char behind = name[size];
  name[size] = '\0';
  const json_t *id = strlen(name) == size ? json_object_get(r->vocab, name) : NULL;
  name[size] = behind;
  return id ? vocabulary_place(&r->t->vocabulary, (gpt2_token)json_integer_value(id)) : NO_TOKEN;
}

/* Looks the names up in the JSON: those that byte letters do not write are nowhere else. No text is
 * ever merged to them, but they must be there. */
static void find_names_listed(merge_reader *r, const merge_names *names, merge *found)
{
  memcpy(r->name, names->left, names->left_size);
  memcpy(r->name + names->left_size, names->right, names->right_size);
  found->left = find_listed(r, r->name, names->left_size);
  found->right = find_listed(r, r->name + names->left_size, names->right_size);
  found->made = find_listed(r, r->name, names->left_size + names->right_size);
}

static uint32_t token_at(const trie *t, uint32_t node)
{
  return node == TRIE_ROOT ? NO_TOKEN : t->tokens[node];
}

static void find_names(merge_reader *r, const merge_names *names, merge *found)
{
  const trie *t = &r->t->vocabulary.names;
  bool left_written, right_written;
  size_t n_left = letters_to_bytes(names->left, names->left_size, r->name, &left_written);
  char *right = r->name + n_left;
  size_t n_right = letters_to_bytes(names->right, names->right_size, right, &right_written);
  if (!left_written || !right_written || n_left == 0 || n_right == 0) {
    find_names_listed(r, names, found);
    return;
  }
  uint32_t node = trie_walk(t, TRIE_ROOT, r->name, n_left);
  found->left = token_at(t, node);
  found->right = vocabulary_word(&r->t->vocabulary, right, n_right);
  found->made = node == TRIE_ROOT ? NO_TOKEN : token_at(t, trie_walk(t, node, right, n_right));
}

/* Fails with the name that was not found. */
static gpt2_status fail_name(const merge_reader *r, const merge_names *names, const merge *found,
                             gpt2_error *error)
{
  bool has_left =
      found->left == NO_TOKEN || found->right != NO_TOKEN; /* is in the name that lacks */
  bool has_right = found->left != NO_TOKEN;
  enum { SHOWN = 100 }; /* bytes of a name in the message */
  size_t left = !has_left ? 0 : names->left_size < SHOWN ? names->left_size : SHOWN;
  size_t right = !has_right ? 0 : names->right_size < SHOWN ? names->right_size : SHOWN;
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
              "%s: %s%zu%s names the token \"%.*s%.*s\", which the vocabulary does not have",
              r->file, r->prefix, r->number, r->suffix, (int)left, names->left, (int)right,
              names->right);
}

gpt2_status merge_reader_add(merge_reader *r, const char *left, size_t left_size, const char *right,
                             size_t right_size, gpt2_error *error)
{
  const merge_names names = {left, right, left_size, right_size};
  merge found;
  while (r->name_capacity <= left_size + right_size)
    if (!make_room(&r->t->allocator, (void **)&r->name, r->name_capacity, &r->name_capacity, 1))
      return fail_memory(error, left_size + right_size);
  find_names(r, &names, &found);
  if (found.left == NO_TOKEN || found.right == NO_TOKEN || found.made == NO_TOKEN)
    return fail_name(r, &names, &found, error);
  if (r->n == MAX_MERGES)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: has more than %d merges", r->file,
                MAX_MERGES);
  if (!make_room(&r->t->allocator, (void **)&r->merges, r->n, &r->capacity, sizeof *r->merges))
    return fail_memory(error, r->n * sizeof *r->merges);
  r->merges[r->n++] = found;
  return GPT2_OK;
}

gpt2_status merge_reader_add_line(merge_reader *r, const char *line, size_t size, gpt2_error *error)
{
  static const char version[] = "#version";
  if (size >= sizeof version - 1 && memcmp(line, version, sizeof version - 1) == 0)
    return GPT2_OK;
  const char *space = memchr(line, ' ', size);
  size_t left = space ? (size_t)(space - line) : size;
  if (!space || memchr(space + 1, ' ', size - left - 1))
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: %s%zu%s is not a merge: expected two tokens with a space between them",
                r->file, r->prefix, r->number, r->suffix);
  return merge_reader_add(r, line, left, space + 1, size - left - 1, error);
}

gpt2_status merge_reader_finish(merge_reader *r, gpt2_error *error)
{
  merge *merges = r->merges;
  r->merges = NULL;
  gpt2_status status = vocabulary_set_merges(&r->t->vocabulary, merges, r->n, error);
  merge_reader_free(r);
  return status;
}

void merge_reader_free(merge_reader *r)
{
  release(&r->t->allocator, r->merges);
  release(&r->t->allocator, r->name);
  r->merges = NULL;
  r->name = NULL;
}
