/* read_files.c - vocab.json + merges.txt, the files of the published GPT-2, and the three that
 * transformers has written beside them over the years: added_tokens.json, special_tokens_map.json
 * and tokenizer_config.json. What they say together is what transformers' GPT2Tokenizer (5.x) makes
 * of them, but that a special token without an id in any file is none: transformers would give it
 * the next free id, for which the model has no row. */
#include <string.h>

#include "tokenizer/merges.h"
#include "tokenizer/reading.h"

/* The files beside vocab.json; a root is NULL where there is no such file. */
typedef struct side_files {
  json_document config;  /* tokenizer_config.json */
  json_document special; /* special_tokens_map.json */
  json_document added;   /* added_tokens.json */
} side_files;

/* What is collected from them; the texts stay theirs. */
typedef struct side_tokens {
  const json_pieces *vocab;
  json_t *special; /* text -> ADDED_... flags of the tokens that are called special */
  json_t *listed;  /* text -> true of the tokens in `list` */
  added_list list;
} side_tokens;

/* Opens a file that may be missing. */
static gpt2_status open_optional(source *s, const char *name, json_document *out, gpt2_error *error)
{
  gpt2_error ignored = {.struct_size = sizeof ignored};
  gpt2_status status = json_open(s, name, out, &ignored);
  if (status == GPT2_OK || status == GPT2_ERR_NOT_FOUND)
    return GPT2_OK;
  return fail(error, status, ignored.offset, "%s", ignored.message);
}

static void close_side_files(side_files *files)
{
  json_close(&files->config);
  json_close(&files->special);
  json_close(&files->added);
}

static gpt2_status fail_json_memory(gpt2_error *error)
{
  return fail(error, GPT2_ERR_MEMORY, NO_OFFSET,
              "out of memory while reading the tokenizer's files");
}

/* ---- Special tokens ---- */

/* Notes a special token: a string, or an object with "content" and flags. null is none. */
static gpt2_status note_special(side_tokens *tokens, const json_t *value, const char *key,
                                const char *where, gpt2_error *error)
{
  uint32_t flags = 0;
  const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
  if (json_is_null(value))
    return GPT2_OK;
  if (!json_is_string(content))
    return json_unexpected(value, key, "a token: a string, or an object with \"content\"", where,
                           error);
  gpt2_status status =
      json_is_object(value) ? read_added_flags(value, where, &flags, error) : GPT2_OK;
  if (status != GPT2_OK || json_object_get(tokens->special, json_string_value(content)))
    return status;
  json_t *number = json_integer(flags | ADDED_SPECIAL);
  if (json_object_set_new(tokens->special, json_string_value(content), number) != 0)
    return fail_json_memory(error);
  return GPT2_OK;
}

/* Notes the special tokens of a list, or of an object that names each. */
static gpt2_status note_specials(side_tokens *tokens, const json_t *values, const char *key,
                                 const char *where, gpt2_error *error)
{
  const char *name;
  json_t *value;
  gpt2_status status = GPT2_OK;
  if (json_is_object(values)) {
    json_object_foreach ((json_t *)(uintptr_t)values, name, value)
      if (status == GPT2_OK)
        status = note_special(tokens, value, name, where, error);
    return status;
  }
  if (!json_is_array(values) && !json_is_null(values))
    return json_unexpected(values, key, "a list of tokens", where, error);
  for (size_t i = 0; status == GPT2_OK && i < json_array_size(values); i++)
    status = note_special(tokens, json_array_get(values, i), key, where, error);
  return status;
}

static bool names_token(const char *key, const json_t *value)
{
  static const char suffix[] = "_token";
  size_t size = strlen(key), suffix_size = sizeof suffix - 1;
  return size > suffix_size && strcmp(key + size - suffix_size, suffix) == 0 &&
         !json_is_boolean(value);
}

/* Notes all special tokens of a file: keys such as "pad_token", and lists of more. A key that
 * `stronger` has, too, is read there. */
static gpt2_status note_file(side_tokens *tokens, const json_document *document,
                             const json_t *stronger, gpt2_error *error)
{
  const char *key;
  json_t *value;
  gpt2_status status = GPT2_OK;
  json_object_foreach (document->root, key, value) {
    if (status != GPT2_OK || json_object_get(stronger, key))
      continue;
    if (strcmp(key, "additional_special_tokens") == 0 || strcmp(key, "extra_special_tokens") == 0)
      status = note_specials(tokens, value, key, document->name, error);
    else if (names_token(key, value))
      status = note_special(tokens, value, key, document->name, error);
  }
  return status;
}

/* The default of three of them is <|endoftext|>. */
static gpt2_status note_defaults(side_tokens *tokens, const side_files *files, gpt2_error *error)
{
  static const char *const keys[] = {"unk_token", "bos_token", "eos_token"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (json_object_get(files->config.root, keys[i]) ||
        json_object_get(files->special.root, keys[i]) ||
        json_object_get(tokens->special, end_of_text))
      continue;
    if (json_object_set_new(tokens->special, end_of_text, json_integer(ADDED_SPECIAL)) != 0)
      return fail_json_memory(error);
  }
  return GPT2_OK;
}

/* ---- Added tokens ---- */

static gpt2_status list_token(side_tokens *tokens, const char *text, int64_t id, uint32_t flags,
                              gpt2_error *error)
{
  if (json_object_set_new(tokens->listed, text, json_true()) != 0)
    return fail_json_memory(error);
  return added_list_add(&tokens->list, text, (gpt2_token)id, flags, error);
}

/* added_tokens.json: texts and their ids. */
static gpt2_status list_added(side_tokens *tokens, const json_document *document, gpt2_error *error)
{
  const char *text;
  json_t *value;
  gpt2_status status = GPT2_OK;
  json_object_foreach (document->root, text, value) {
    int64_t id = 0;
    bool special = json_object_get(tokens->special, text) != NULL;
    if (status == GPT2_OK)
      status = json_get_integer(document->root, text, 0, INT32_MAX - 1, document->name, &id, error);
    if (status == GPT2_OK)
      status = list_token(tokens, text, id, special ? ADDED_SPECIAL : ADDED_NORMALIZED, error);
  }
  return status;
}

/* An id as the key of an object: decimal digits; -1: it is none. */
static int64_t id_of_key(const char *key)
{
  int64_t id = 0;
  const char *digit = key;
  for (; *digit >= '0' && *digit <= '9' && id < INT32_MAX; digit++)
    id = id * 10 + (*digit - '0');
  return digit > key && *digit == '\0' && id < INT32_MAX ? id : -1;
}

/* "added_tokens_decoder" of tokenizer_config.json: ids, and for each a token's text and flags. */
static gpt2_status list_decoder(side_tokens *tokens, const json_t *decoder, const char *where,
                                gpt2_error *error)
{
  const char *key;
  json_t *value;
  if (!json_is_object(decoder))
    return json_unexpected(decoder, "added_tokens_decoder", "an object", where, error);
  json_object_foreach ((json_t *)(uintptr_t)decoder, key, value) {
    uint32_t flags = 0;
    int64_t id = id_of_key(key);
    const char *text = json_string_value(json_object_get(value, "content"));
    if (id < 0 || !text)
      return json_unexpected(value, key, "an id as the key of an added token with \"content\"",
                             where, error);
    gpt2_status status = read_added_flags(value, where, &flags, error);
    if (json_object_get(tokens->special, text))
      flags |= ADDED_SPECIAL;
    if (status == GPT2_OK && json_object_get(tokens->listed, text))
      status = fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                    "%s: the added token \"%s\" stands there twice", where, text);
    if (status == GPT2_OK)
      status = list_token(tokens, text, id, flags, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}

/* Special tokens that the vocabulary has, and no list of added ones. */
static gpt2_status list_specials(side_tokens *tokens, gpt2_error *error)
{
  const char *text;
  json_t *flags;
  gpt2_status status = GPT2_OK;
  json_object_foreach (tokens->special, text, flags) {
    const json_t *id = json_pieces_get(tokens->vocab, text);
    if (status == GPT2_OK && json_is_integer(id) && !json_object_get(tokens->listed, text))
      status = added_list_add(&tokens->list, text, (gpt2_token)json_integer_value(id),
                              (uint32_t)json_integer_value(flags), error);
  }
  return status;
}

/* tokenizer_config.json came later than the other two, and with its "added_tokens_decoder" replaces
 * them. */
static gpt2_status collect_side_tokens(side_tokens *tokens, const side_files *files,
                                       gpt2_error *error)
{
  const json_t *decoder = json_object_get(files->config.root, "added_tokens_decoder");
  gpt2_status status =
      note_file(tokens, &files->config, decoder ? NULL : files->special.root, error);
  if (status == GPT2_OK && !decoder && files->special.root)
    status = note_file(tokens, &files->special, NULL, error);
  if (status == GPT2_OK)
    status = note_defaults(tokens, files, error);
  if (status == GPT2_OK && decoder)
    status = list_decoder(tokens, decoder, files->config.name, error);
  if (status == GPT2_OK && !decoder && files->added.root)
    status = list_added(tokens, &files->added, error);
  if (status == GPT2_OK)
    status = list_specials(tokens, error);
  return status;
}

/* ---- The whole ---- */

static gpt2_status read_config(tokenizer *t, const json_document *config, gpt2_error *error)
{
  static const char *const refused[] = {"add_bos_token", "add_eos_token"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (json_is_true(json_object_get(config->root, refused[i])))
      return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                  "%s: \"%s\" is true, which is not supported: encoding adds no tokens",
                  config->name, refused[i]);
  t->use_regex = true;
  return json_get_bool(config->root, "add_prefix_space", config->name, &t->add_prefix_space, error);
}

static gpt2_status read_side_files(tokenizer *t, source *s, const json_pieces *vocab,
                                   const char *where, gpt2_error *error)
{
  side_files files = {.config = {.root = NULL}};
  side_tokens tokens = {.vocab = vocab,
                        .special = json_object(),
                        .listed = json_object(),
                        .list = {.allocator = &t->allocator}};
  gpt2_status status = GPT2_OK;
  if (!tokens.special || !tokens.listed)
    status = fail_json_memory(error);
  if (status == GPT2_OK)
    status = open_optional(s, "tokenizer_config.json", &files.config, error);
  if (status == GPT2_OK)
    status = open_optional(s, "special_tokens_map.json", &files.special, error);
  if (status == GPT2_OK)
    status = open_optional(s, "added_tokens.json", &files.added, error);
  if (status == GPT2_OK)
    status = read_config(t, &files.config, error);
  if (status == GPT2_OK)
    status = collect_side_tokens(&tokens, &files, error);
  if (status == GPT2_OK)
    status = read_tokens(t, vocab, &tokens.list, where, error);
  added_list_free(&tokens.list);
  json_decref(tokens.special);
  json_decref(tokens.listed);
  close_side_files(&files);
  return status;
}

static gpt2_status read_merges_file(tokenizer *t, source *s, pool *p, const json_pieces *vocab,
                                    gpt2_error *error)
{
  file *text;
  merge_file merges = {.vocabulary = &t->vocabulary, .vocab = vocab};
  gpt2_status status = source_file(s, "merges.txt", &text, error);
  if (status != GPT2_OK)
    return status;
  merges.name = text->name;
  merges.size = (size_t)text->size;
  status = file_bytes(text, JSON_FILE_LIMIT, &merges.text, error);
  if (status == GPT2_OK)
    status = merges_read(&merges, p, error);
  file_close(text);
  return status;
}

gpt2_status read_vocabulary_files(tokenizer *t, source *s, pool *p, gpt2_error *error)
{
  json_document document;
  json_pieces vocab = {.outer = NULL};
  gpt2_status status = json_open_cut(s, p, "vocab.json", &document, &vocab, 1, error);
  if (status == GPT2_ERR_NOT_FOUND)
    return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET,
                "the model has neither a tokenizer.json nor a vocab.json");
  if (status != GPT2_OK)
    return status;
  t->origin = "vocab.json + merges.txt";
  status = read_side_files(t, s, &vocab, document.name, error);
  if (status == GPT2_OK)
    status = read_merges_file(t, s, p, &vocab, error);
  json_close_cut(p, &document, &vocab, 1);
  return status;
}
