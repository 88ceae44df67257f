/* json_cut.c - a JSON file whose large objects and arrays are parsed in pieces, by several
 * threads. */
#include "formats/json_cut.h"

#include <string.h>

#include "formats/json_load.h"

/* ---- Where things are in a text; in one that is no JSON anywhere, but not beyond its end ---- */

static const uint8_t *after_space(const uint8_t *at, const uint8_t *end)
{
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    at++;
  return at;
}

static bool opens(uint8_t byte)
{
  return (byte | 0x20) == '{'; /* or [ */
}

static bool closes(uint8_t byte)
{
  return (byte | 0x20) == '}'; /* or ] */
}

/* The comma or the bracket behind a value. */
static const uint8_t *after_value(const uint8_t *at, const uint8_t *end)
{
  for (int depth = 0; at < end;) {
    uint8_t byte = *at;
    if (byte == '"') {
      at = json_after_string(at, end);
      continue;
    }
    if (depth == 0 && (byte == ',' || closes(byte)))
      break;
    depth += opens(byte) - closes(byte);
    at++;
  }
  return at;
}

/* The value of a member of the object whose bracket is at `at`; NULL when there is none. */
static const uint8_t *find_member(const uint8_t *at, const uint8_t *end, const char *key)
{
  size_t size = strlen(key);
  for (bool more = true; more; more = at < end && *at == ',') {
    const uint8_t *name = after_space(at + 1, end);
    if (name == end || *name != '"')
      return NULL;
    at = after_space(json_after_string(name, end), end);
    bool is_it = (size_t)(end - name) > size + 2 && memcmp(name + 1, key, size) == 0 &&
                 name[size + 1] == '"';
    if (at == end || *at != ':')
      return NULL;
    at = after_space(at + 1, end);
    if (is_it)
      return at;
    at = after_value(at, end);
  }
  return NULL;
}

/* ---- Cutting ---- */

/* An object or array that is cut: where its brackets are, and its pieces among all. */
typedef struct container {
  const uint8_t *open, *close;
  size_t first, n;
} container;

/* A text to be parsed for itself: a piece in its brackets, or what is left of the document. */
typedef struct part {
  const uint8_t *at;
  size_t size;
  uint8_t *text; /* the copy that is parsed */
  json_t *tree;
  uint64_t *hashes; /* (n_hashes) of an object's keys; NULL of an array's */
  size_t n_hashes;
} part;

typedef struct cutting {
  const gpt2_allocator *allocator;
  const uint8_t *start, *end; /* the whole text */
  container found[MAX_CUTS];  /* (n_found) in the order of the text */
  size_t n_found;
  part *parts; /* (n_parts) pieces, and last what is left */
  size_t n_parts, capacity;
  uint8_t *copies;
  uint64_t *hashes;
} cutting;

/* Only what is where its keys say: of two containers in one place all would be copied twice. */
static bool find_container(cutting *c, const json_pieces *cut)
{
  const char *const keys[] = {cut->outer, cut->inner};
  const uint8_t *at = after_space(c->start, c->end);
  for (size_t i = 0; i < sizeof keys / sizeof *keys && keys[i] && at; i++)
    at = at < c->end && *at == '{' ? find_member(at, c->end, keys[i]) : NULL;
  if (!at || at == c->end || !opens(*at))
    return false;
  c->found[c->n_found++] = (container){.open = at};
  return true;
}

/* Cuts at the first comma behind PIECE_SIZE bytes, again and again. An empty piece, which a comma
 * before the bracket would leave, is an error of the text. */
static bool cut_container(cutting *c, container *k)
{
  const uint8_t *at = k->open + 1, *start = at;
  k->first = c->n_parts;
  for (;;) {
    at = after_value(at, c->end);
    bool is_last = at < c->end && closes(*at);
    if (at == c->end || c->n_parts == c->capacity)
      return false;
    if (is_last || at - start >= PIECE_SIZE) {
      c->parts[c->n_parts++] = (part){.at = start, .size = (size_t)(at - start)};
      start = at + 1;
    }
    if (is_last)
      break;
    at++;
  }
  k->close = at;
  k->n = c->n_parts - k->first;
  const part *last = &c->parts[c->n_parts - 1];
  return k->n == 1 || after_space(last->at, at) < at;
}

/* Whether the text has what is to be cut, and enough of it. */
static bool cut_text(cutting *c, const json_pieces *cuts, size_t n_cuts)
{
  for (size_t i = 0; i < n_cuts; i++)
    if (!find_container(c, &cuts[i]) || !cut_container(c, &c->found[i]))
      return false;
  return c->n_parts > n_cuts;
}

/* Writes a piece between its brackets to `to`; returns where the next one goes. */
static uint8_t *copy_piece(const container *k, part *piece, uint8_t *to)
{
  piece->text = to;
  *to++ = *k->open;
  memcpy(to, piece->at, piece->size);
  to += piece->size;
  *to++ = *k->close;
  piece->size += 2;
  return to;
}

/* What is left: the text without what is inside the containers. */
static void copy_rest(cutting *c, uint8_t *to)
{
  part *rest = &c->parts[c->n_parts++];
  const uint8_t *from = c->start;
  *rest = (part){.text = to};
  for (size_t done = 0; done <= c->n_found; done++) {
    const container *next = NULL; /* the first that begins behind `from` */
    for (size_t i = 0; i < c->n_found; i++)
      if (c->found[i].open >= from && (!next || c->found[i].open < next->open))
        next = &c->found[i];
    size_t size = (size_t)((next ? next->open + 1 : c->end) - from);
    memcpy(to, from, size);
    to += size;
    from = next ? next->close : c->end;
  }
  rest->size = (size_t)(to - rest->text);
}

/* The shortest member is "":0 and a comma. */
static size_t most_keys(const part *piece)
{
  return piece->size / 5 + 1;
}

/* Gives every part its text, and room for the hashes of keys. */
static gpt2_status copy_parts(cutting *c, gpt2_error *error)
{
  size_t size = (size_t)(c->end - c->start) + 2 * c->n_parts, n_hashes = 0;
  for (size_t i = 0; i < c->n_parts; i++)
    n_hashes += most_keys(&c->parts[i]);
  uint8_t *to = c->copies = allocate(c->allocator, size);
  uint64_t *hashes = c->hashes = allocate(c->allocator, n_hashes * sizeof *hashes);
  if (!to || !hashes)
    return fail_memory(error, size + n_hashes * sizeof *hashes);
  for (size_t k = 0; k < c->n_found; k++)
    for (size_t i = c->found[k].first; i < c->found[k].first + c->found[k].n; i++) {
      part *piece = &c->parts[i];
      piece->hashes = *c->found[k].open == '{' ? hashes : NULL;
      hashes += most_keys(piece);
      to = copy_piece(&c->found[k], piece, to);
    }
  copy_rest(c, to);
  return GPT2_OK;
}

/* ---- Parsing ---- */

/* FNV-1a: Fowler, Noll and Vo. Its last step reaches few of the bits, so a multiplication spreads
 * them over the upper ones. */
static uint64_t hash_key(const char *key)
{
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *key; key++)
    hash = (hash ^ (uint8_t)*key) * 0x100000001b3u;
  return hash * 0x9e3779b97f4a7c15u | 1; /* 0 is an empty slot */
}

/* The keys are hashed while they are in the cache. */
static void parse_part(void *work, size_t tile, int worker)
{
  (void)worker;
  const cutting *c = work;
  part *p = &c->parts[tile];
  p->tree = json_parse_piece(p->text, p->size, JSON_DEPTH_LIMIT - MAX_CUTS);
  const char *key;
  json_t *value;
  if (p->hashes)
    json_object_foreach (p->tree, key, value)
      p->hashes[p->n_hashes++] = hash_key(key);
}

static void free_part(void *work, size_t tile, int worker)
{
  (void)worker;
  json_decref(((json_t **)work)[tile]);
}

/* Whether no key stands in two pieces. Two keys of one hash count as the same: the whole text will
 * tell. */
static gpt2_status check_keys(const cutting *c, const container *k, bool *differ, gpt2_error *error)
{
  size_t n_slots = 2, n = 0;
  for (size_t i = k->first; i < k->first + k->n; i++)
    n += c->parts[i].n_hashes;
  while (n_slots < 2 * n)
    n_slots *= 2;
  uint64_t *slots = allocate_array(c->allocator, n_slots, sizeof *slots);
  if (!slots)
    return fail_memory(error, n_slots * sizeof *slots);
  for (size_t i = k->first; i < k->first + k->n; i++)
    for (size_t key = 0; key < c->parts[i].n_hashes && *differ; key++) {
      uint64_t hash = c->parts[i].hashes[key];
      size_t at = (size_t)(hash >> 32) & (n_slots - 1); /* keys are fewer than 2^31 */
      while (slots[at] != 0 && slots[at] != hash)
        at = (at + 1) & (n_slots - 1);
      *differ = slots[at] == 0;
      slots[at] = hash;
    }
  release(c->allocator, slots);
  return GPT2_OK;
}

/* Whether all parts are sound, alone and together. */
static gpt2_status check_parts(const cutting *c, bool *sound, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  *sound = true;
  for (size_t i = 0; i < c->n_parts; i++)
    *sound = *sound && c->parts[i].tree;
  *sound = *sound && json_is_object(c->parts[c->n_parts - 1].tree);
  for (size_t k = 0; status == GPT2_OK && *sound && k < c->n_found; k++)
    if (*c->found[k].open == '{')
      status = check_keys(c, &c->found[k], sound, error);
  return status;
}

/* Gives the trees of n parts to a list of pieces. */
static gpt2_status take_pieces(const gpt2_allocator *allocator, part *parts, size_t n,
                               json_pieces *pieces, gpt2_error *error)
{
  pieces->piece = allocate_array(allocator, n, sizeof *pieces->piece);
  if (!pieces->piece)
    return fail_memory(error, n * sizeof *pieces->piece);
  pieces->n = n;
  for (size_t i = 0; i < n; i++) {
    pieces->piece[i] = parts[i].tree;
    parts[i].tree = NULL;
  }
  return GPT2_OK;
}

/* Parses in parts, if that can be done; *root is NULL when it cannot. */
static gpt2_status parse_in_parts(cutting *c, pool *p, json_pieces *cuts, size_t n_cuts,
                                  json_t **root, gpt2_error *error)
{
  bool sound = false;
  c->capacity = (size_t)(c->end - c->start) / PIECE_SIZE + MAX_CUTS;
  c->parts = allocate_array(c->allocator, c->capacity + 1, sizeof *c->parts);
  if (!c->parts)
    return fail_memory(error, c->capacity * sizeof *c->parts);
  if (!cut_text(c, cuts, n_cuts))
    return GPT2_OK;
  gpt2_status status = copy_parts(c, error);
  if (status != GPT2_OK)
    return status;
  pool_run(p, c->n_parts, pool_threads(p), parse_part, c);
  status = check_parts(c, &sound, error);
  for (size_t i = 0; status == GPT2_OK && sound && i < n_cuts; i++)
    status =
        take_pieces(c->allocator, &c->parts[c->found[i].first], c->found[i].n, &cuts[i], error);
  if (status != GPT2_OK || !sound)
    return status;
  *root = c->parts[c->n_parts - 1].tree;
  c->parts[c->n_parts - 1].tree = NULL;
  return GPT2_OK;
}

/* The members to be cut as single pieces of the whole document. */
static gpt2_status take_whole(const gpt2_allocator *allocator, json_t *root, json_pieces *cuts,
                              size_t n_cuts, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < n_cuts; i++) {
    part only = {.tree = root};
    if (cuts[i].outer)
      only.tree = json_object_get(json_object_get(root, cuts[i].outer), cuts[i].inner);
    if (json_is_object(only.tree) || json_is_array(only.tree))
      status = take_pieces(allocator, &only, 1, &cuts[i], error);
    if (cuts[i].n > 0)
      json_incref(cuts[i].piece[0]);
  }
  return status;
}

static gpt2_status parse(const gpt2_allocator *allocator, pool *p, const uint8_t *bytes,
                         json_document *document, json_pieces *cuts, size_t n_cuts,
                         gpt2_error *error)
{
  size_t size = (size_t)document->from->size;
  cutting c = {.allocator = allocator, .start = bytes, .end = bytes + size};
  gpt2_status status = GPT2_OK;
  if (size > PIECE_SIZE)
    status = parse_in_parts(&c, p, cuts, n_cuts, &document->root, error);
  for (size_t i = 0; i < c.n_parts; i++)
    json_decref(c.parts[i].tree);
  release(allocator, c.parts);
  release(allocator, c.copies);
  release(allocator, c.hashes);
  if (status != GPT2_OK || document->root)
    return status;
  status = json_parse(allocator, bytes, size, document->name, &document->root, error);
  return status == GPT2_OK ? take_whole(allocator, document->root, cuts, n_cuts, error) : status;
}

gpt2_status json_open_cut(source *s, pool *p, const char *name, json_document *document,
                          json_pieces *cuts, size_t n_cuts, gpt2_error *error)
{
  const uint8_t *bytes;
  *document = (json_document){.root = NULL};
  gpt2_status status = source_file(s, name, &document->from, error);
  if (status != GPT2_OK)
    return status;
  document->name = document->from->name;
  status = file_bytes(document->from, JSON_FILE_LIMIT, &bytes, error);
  if (status == GPT2_OK)
    status = parse(source_allocator(s), p, bytes, document, cuts, n_cuts, error);
  if (status != GPT2_OK)
    json_close_cut(p, document, cuts, n_cuts);
  return status;
}

/* ---- Reading ---- */

const json_t *json_pieces_get(const json_pieces *pieces, const char *key)
{
  const json_t *found = NULL;
  for (size_t i = 0; !found && i < pieces->n; i++)
    found = json_object_get(pieces->piece[i], key);
  return found;
}

size_t json_pieces_size(const json_pieces *pieces)
{
  size_t n = 0;
  for (size_t i = 0; i < pieces->n; i++)
    n += json_is_array(pieces->piece[i]) ? json_array_size(pieces->piece[i])
                                         : json_object_size(pieces->piece[i]);
  return n;
}

void json_close_cut(pool *p, json_document *document, json_pieces *cuts, size_t n_cuts)
{
  for (size_t i = 0; i < n_cuts; i++) {
    pool_run(p, cuts[i].n, pool_threads(p), free_part, cuts[i].piece);
    if (document->from)
      release(source_allocator(document->from->from), cuts[i].piece);
    cuts[i].n = 0;
    cuts[i].piece = NULL;
  }
  json_close(document);
}
