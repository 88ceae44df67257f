/* merges.c - reads the merges of a vocabulary file.
 *
 * A merge is read by looking up three tokens: nothing that one has to do with another. So pieces of
 * the file are read ahead by several threads, each as far as all is as it should be; then the
 * calling thread goes through them in order, and reads what was left itself, with words for what is
 * wrong. */
#include "tokenizer/merges.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "tokenizer/byte_letters.h"

/* ---- One merge as the file has it ---- */

/* The two names; both together are the third. */
typedef struct merge_names {
  const char *left, *right;
  size_t left_size, right_size;
} merge_names;

typedef enum finding { FOUND, NOTHING, MALFORMED, THE_END } finding;

/* A part of the file, and how far it has been read. */
typedef struct piece {
  const json_t *array; /* or NULL: */
  cursor lines;
  size_t n_read; /* elements, or lines */
  merge *merges; /* (n) those found, with room for as many as there can be */
  size_t n, capacity;
} piece;

static finding split(const char *text, size_t size, merge_names *names)
{
  static const char version[] = "#version";
  if (size >= sizeof version - 1 && memcmp(text, version, sizeof version - 1) == 0)
    return NOTHING;
  const char *space = memchr(text, ' ', size);
  if (!space)
    return MALFORMED;
  size_t left = (size_t)(space - text);
  *names = (merge_names){text, space + 1, left, size - left - 1};
  return memchr(names->right, ' ', names->right_size) ? MALFORMED : FOUND;
}

static finding next_element(piece *p, merge_names *names)
{
  if (p->n_read == json_array_size(p->array))
    return THE_END;
  const json_t *value = json_array_get(p->array, p->n_read++);
  if (json_is_string(value))
    return split(json_string_value(value), json_string_length(value), names);
  const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
  if (json_array_size(value) != 2 || !json_is_string(left) || !json_is_string(right))
    return MALFORMED;
  *names = (merge_names){json_string_value(left), json_string_value(right),
                         json_string_length(left), json_string_length(right)};
  return FOUND;
}

static finding next_line(piece *p, merge_names *names)
{
  size_t size;
  const uint8_t *line = cursor_line(&p->lines, &size);
  if (!line)
    return THE_END;
  p->n_read++;
  return size == 0 ? NOTHING : split((const char *)line, size, names);
}

static finding next_names(piece *p, merge_names *names)
{
  return p->array ? next_element(p, names) : next_line(p, names);
}

/* ---- Its tokens ---- */

static uint32_t token_at(const trie *t, uint32_t node)
{
  return node == TRIE_ROOT ? NO_TOKEN : t->tokens[node];
}

/* Looks up names that byte letters write; false for others. `bytes` has room for both. */
static bool find_written(const vocabulary *v, const merge_names *names, char *bytes, merge *found)
{
  bool left_written, right_written;
  size_t n_left = letters_to_bytes(names->left, names->left_size, bytes, &left_written);
  char *right = bytes + n_left;
  size_t n_right = letters_to_bytes(names->right, names->right_size, right, &right_written);
  if (!left_written || !right_written || n_left == 0 || n_right == 0)
    return false;
  uint32_t node = trie_walk(&v->names, TRIE_ROOT, bytes, n_left);
  found->left = token_at(&v->names, node);
  found->right = vocabulary_word(v, right, n_right);
  found->made = node == TRIE_ROOT ? NO_TOKEN
                                  : token_at(&v->names, trie_walk(&v->names, node, right, n_right));
  return true;
}

static bool is_complete(const merge *m)
{
  return m->left != NO_TOKEN && m->right != NO_TOKEN && m->made != NO_TOKEN;
}

/* The token that the file lists by this name. */
static uint32_t find_listed(const merge_file *f, const char *name, size_t size)
{
  const json_t *id = strlen(name) == size ? json_pieces_get(f->vocab, name) : NULL;
  return id ? vocabulary_place(f->vocabulary, (gpt2_token)json_integer_value(id)) : NO_TOKEN;
}

/* Looks the names up in the JSON: those that byte letters do not write are nowhere else. No text is
 * ever merged to them, but they must be there. `room` is for both and a NUL. */
static void find_in_file(const merge_file *f, const merge_names *names, char *room, merge *found)
{
  size_t left = names->left_size, right = names->right_size;
  memcpy(room, names->left, left);
  room[left] = '\0';
  found->left = find_listed(f, room, left);
  memcpy(room + left, names->right, right);
  room[left + right] = '\0';
  found->right = find_listed(f, room + left, right);
  found->made = find_listed(f, room, left + right);
}

/* ---- Reading ahead ---- */

typedef struct reading {
  const merge_file *file;
  piece *pieces; /* (n_pieces) */
  size_t n_pieces;
  merge *merges; /* (n) from the start; the pieces have their room in it, in order */
  size_t n;
} reading;

/* Reads as far as all is as it should be; what comes then is left unread. */
static void read_ahead(void *work, size_t tile, int worker)
{
  (void)worker;
  enum { LONGEST = 512 }; /* names together; longer ones are left */
  const reading *r = work;
  piece *p = &r->pieces[tile];
  for (;;) {
    char bytes[LONGEST];
    merge_names names;
    merge found;
    piece before = *p;
    finding next = next_names(p, &names);
    if (next == THE_END)
      return;
    if (next == NOTHING)
      continue;
    if (next == MALFORMED || names.left_size + names.right_size > LONGEST ||
        !find_written(r->file->vocabulary, &names, bytes, &found) || !is_complete(&found)) {
      *p = before;
      return;
    }
    p->merges[p->n++] = found;
  }
}

/* ---- Reading on ---- */

enum { PLACE_SIZE = 48 };

/* Where a piece stands: "line 3", or "merges[2]". */
static const char *place_of(const piece *p, size_t n_before, char text[PLACE_SIZE])
{
  if (p->array)
    snprintf(text, PLACE_SIZE, "merges[%zu]", n_before + p->n_read - 1);
  else
    snprintf(text, PLACE_SIZE, "line %zu", n_before + p->n_read);
  return text;
}

static gpt2_status fail_malformed(const merge_file *f, const piece *p, size_t n_before,
                                  gpt2_error *error)
{
  char place[PLACE_SIZE];
  bool is_text = !p->array || json_is_string(json_array_get(p->array, p->n_read - 1));
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: %s is not a merge: expected two tokens%s",
              f->name, place_of(p, n_before, place),
              is_text ? " with a space between them" : ", as \"a b\" or [\"a\", \"b\"]");
}

/* Fails with the name that was not found. */
static gpt2_status fail_name(const merge_file *f, const piece *p, size_t n_before,
                             const merge_names *names, const merge *found, gpt2_error *error)
{
  enum { SHOWN = 100 }; /* bytes of a name in the message */
  char place[PLACE_SIZE];
  bool has_left = found->left == NO_TOKEN || found->right != NO_TOKEN;
  bool has_right = found->left != NO_TOKEN;
  size_t left = !has_left ? 0 : names->left_size < SHOWN ? names->left_size : SHOWN;
  size_t right = !has_right ? 0 : names->right_size < SHOWN ? names->right_size : SHOWN;
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
              "%s: %s names the token \"%.*s%.*s\", which the vocabulary does not have", f->name,
              place_of(p, n_before, place), (int)left, names->left, (int)right, names->right);
}

/* Reads one merge that was not read ahead, with its names in memory of their own. */
static gpt2_status read_names(const merge_file *f, piece *p, size_t n_before,
                              const merge_names *names, gpt2_error *error)
{
  const gpt2_allocator *allocator = f->vocabulary->allocator;
  merge found;
  size_t size = names->left_size + names->right_size + 1; /* both are in one file */
  char *room = allocate(allocator, size);
  if (!room)
    return fail_memory(error, size);
  if (!find_written(f->vocabulary, names, room, &found))
    find_in_file(f, names, room, &found);
  release(allocator, room);
  if (!is_complete(&found))
    return fail_name(f, p, n_before, names, &found, error);
  p->merges[p->n++] = found;
  return GPT2_OK;
}

/* Reads what was left of a piece; `n_before` lines or elements are in those before it. */
static gpt2_status read_on(const merge_file *f, piece *p, size_t n_before, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  while (status == GPT2_OK) {
    merge_names names;
    finding next = next_names(p, &names);
    if (next == THE_END)
      break;
    if (next == MALFORMED)
      status = fail_malformed(f, p, n_before, error);
    else if (next == FOUND)
      status = read_names(f, p, n_before, &names, error);
  }
  return status;
}

/* ---- The whole file ---- */

/* Lines of a text from one break of them to another. */
static void cut_text(reading *r)
{
  const uint8_t *at = r->file->text, *end = at + r->file->size;
  while (at < end) {
    const uint8_t *stop = end;
    if (end - at > PIECE_SIZE)
      stop = memchr(at + PIECE_SIZE, '\n', (size_t)(end - at) - PIECE_SIZE);
    stop = stop && stop < end ? stop + 1 : end;
    r->pieces[r->n_pieces++] = (piece){
        .lines = cursor_over(at, (size_t)(stop - at)),
        .capacity = (size_t)(stop - at) / 2 + 1, /* names may be empty, the last line not ended */
    };
    at = stop;
  }
}

static void cut_arrays(reading *r)
{
  for (size_t i = 0; i < r->file->array->n; i++) {
    const json_t *array = r->file->array->piece[i];
    r->pieces[r->n_pieces++] = (piece){.array = array, .capacity = json_array_size(array)};
  }
}

static gpt2_status prepare(reading *r, gpt2_error *error)
{
  const merge_file *f = r->file;
  const gpt2_allocator *allocator = f->vocabulary->allocator;
  size_t most = f->text ? f->size / PIECE_SIZE + 1 : f->array->n, capacity = 0;
  r->pieces = allocate_array(allocator, most, sizeof *r->pieces);
  if (!r->pieces)
    return fail_memory(error, most * sizeof *r->pieces);
  if (f->text)
    cut_text(r);
  else
    cut_arrays(r);
  for (size_t i = 0; i < r->n_pieces; i++)
    capacity += r->pieces[i].capacity;
  r->merges = allocate(allocator, capacity * sizeof *r->merges);
  if (!r->merges)
    return fail_memory(error, capacity * sizeof *r->merges);
  for (size_t i = 0, first = 0; i < r->n_pieces; first += r->pieces[i++].capacity)
    r->pieces[i].merges = r->merges + first;
  return GPT2_OK;
}

/* Closes the gaps between the pieces' merges. */
static gpt2_status collect(reading *r, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  size_t n_before = 0;
  for (size_t i = 0; status == GPT2_OK && i < r->n_pieces; i++) {
    piece *p = &r->pieces[i];
    status = read_on(r->file, p, n_before, error);
    n_before += p->n_read;
    memmove(r->merges + r->n, p->merges, p->n * sizeof *p->merges);
    r->n += p->n;
  }
  if (status == GPT2_OK && r->n > MAX_MERGES)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: has more than %d merges", r->file->name,
                MAX_MERGES);
  return status;
}

/* Gives the vocabulary the merges, in memory that fits them. */
static gpt2_status hand_over(const reading *r, gpt2_error *error)
{
  vocabulary *v = r->file->vocabulary;
  size_t size = r->n * sizeof *r->merges;
  merge *merges = allocate(v->allocator, size);
  if (!merges)
    return fail_memory(error, size);
  memcpy(merges, r->merges, size);
  return vocabulary_set_merges(v, merges, r->n, error);
}

gpt2_status merges_read(const merge_file *f, pool *p, gpt2_error *error)
{
  const gpt2_allocator *allocator = f->vocabulary->allocator;
  reading r = {.file = f};
  gpt2_status status = prepare(&r, error);
  if (status == GPT2_OK) {
    pool_run(p, r.n_pieces, pool_threads(p), read_ahead, &r);
    status = collect(&r, error);
  }
  if (status == GPT2_OK)
    status = hand_over(&r, error);
  release(allocator, r.pieces);
  release(allocator, r.merges);
  return status;
}
