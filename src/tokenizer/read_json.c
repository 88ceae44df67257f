/* read_json.c - tokenizer.json, the file of the tokenizers library.
 *
 * It describes a whole pipeline. What a GPT-2 tokenizer may consist of is read, anything else that
 * would change a token is refused by its name. Ignored are "truncation" and "padding", which
 * concern batches (transformers switches them off unless a call asks for them), and what only moves
 * offsets. */
#include <stdio.h>
#include <string.h>

#include "tokenizer/merges.h"
#include "tokenizer/reading.h"

static const char split_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* The value of a key; NULL when it is null or not there, which mean the same in this file. */
static const json_t *value_of(const json_t *object, const char *key)
{
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

/* The "type" of a part of the pipeline; "" when it has none. */
static const char *type_of(const json_t *part)
{
  const char *type = json_string_value(json_object_get(part, "type"));
  return type ? type : "";
}

static bool is_type(const json_t *part, const char *type)
{
  return strcmp(type_of(part), type) == 0;
}

static bool is_true(const json_t *part, const char *key)
{
  return json_is_true(json_object_get(part, key));
}

static gpt2_status refuse(const json_t *part, const char *key, const char *supported,
                          const char *where, gpt2_error *error)
{
  const char *type = type_of(part);
  return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
              "%s: \"%s\" of type \"%s\" is not supported; %s", where, key, type, supported);
}

/* ---- The parts that must do nothing: post-processor, decoder, normalizer ---- */

/* A template that adds no tokens. */
static bool is_plain_template(const json_t *part)
{
  const json_t *single = json_object_get(part, "single");
  return is_type(part, "TemplateProcessing") && json_array_size(single) == 1 &&
         json_object_get(json_array_get(single, 0), "Sequence");
}

/* The first part of a component that is not as GPT-2's, or NULL. A sequence's are in `list`. */
static const json_t *find_foreign(const json_t *part, const char *list)
{
  if (!part || is_type(part, "ByteLevel") || is_plain_template(part))
    return NULL;
  const json_t *parts = json_object_get(part, list);
  if (!is_type(part, "Sequence") || !json_is_array(parts))
    return part;
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const json_t *foreign = find_foreign(json_array_get(parts, i), list);
    if (foreign)
      return foreign;
  }
  return NULL;
}

/* The decoder may be left out: what bytes a token stands for follows from the pre-tokenizer. */
static gpt2_status check_components(const json_t *root, const char *where, gpt2_error *error)
{
  const json_t *normalizer = value_of(root, "normalizer");
  if (normalizer && (!is_type(normalizer, "Sequence") || find_foreign(normalizer, "normalizers") ||
                     json_array_size(json_object_get(normalizer, "normalizers")) > 0))
    return refuse(normalizer, "normalizer", "only null is", where, error);
  const json_t *foreign = find_foreign(value_of(root, "post_processor"), "processors");
  if (foreign)
    return refuse(foreign, "post_processor", "only those that add no tokens are", where, error);
  foreign = find_foreign(value_of(root, "decoder"), "decoders");
  if (foreign)
    return refuse(foreign, "decoder", "only \"ByteLevel\" is", where, error);
  const char *version = "1.0";
  gpt2_status status = json_get_string(root, "version", where, &version, error);
  if (status == GPT2_OK && strcmp(version, "1.0") != 0)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"version\" is \"%s\"; only \"1.0\" is supported", where, version);
  return status;
}

/* ---- The pre-tokenizer ---- */

/* Split by GPT-2's own pattern, as files have it that were converted from tiktoken. */
static bool is_own_split(const json_t *part)
{
  const char *pattern =
      json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
  const char *behavior = json_string_value(json_object_get(part, "behavior"));
  return is_type(part, "Split") && pattern && strcmp(pattern, split_pattern) == 0 && behavior &&
         strcmp(behavior, "Isolated") == 0 && !is_true(part, "invert");
}

static gpt2_status read_byte_level(tokenizer *t, const json_t *part, const char *where,
                                   gpt2_error *error)
{
  static const char key[] = "add_prefix_space";
  if (!json_object_get(part, key))
    return json_unexpected(NULL, key, "true or false in \"pre_tokenizer\"", where, error);
  t->use_regex = true;
  gpt2_status status = json_get_bool(part, key, where, &t->add_prefix_space, error);
  if (status == GPT2_OK)
    status = json_get_bool(part, "use_regex", where, &t->use_regex, error);
  return status;
}

/* The part that a pre-tokenizer cannot be read for. */
static const json_t *find_foreign_splitter(const json_t *part)
{
  const json_t *parts = json_object_get(part, "pretokenizers");
  for (size_t i = 0; is_type(part, "Sequence") && i < json_array_size(parts); i++) {
    const json_t *inner = json_array_get(parts, i);
    if (!is_type(inner, "ByteLevel") && !is_own_split(inner))
      return inner;
  }
  return part;
}

static gpt2_status read_pre_tokenizer(tokenizer *t, const json_t *root, const char *where,
                                      gpt2_error *error)
{
  static const char key[] = "pre_tokenizer";
  static const char supported[] =
      "only \"ByteLevel\" is, alone or after a \"Split\" by GPT-2's pattern";
  const json_t *whole = value_of(root, key), *part = whole;
  if (!whole)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "%s: has no \"%s\"; %s supported", where,
                key, supported);
  const json_t *parts = json_object_get(whole, "pretokenizers");
  bool in_sequence = is_type(whole, "Sequence");
  size_t n = in_sequence ? json_array_size(parts) : 1;
  bool splits = in_sequence && n == 2 && is_own_split(json_array_get(parts, 0));
  if (in_sequence && (n == 1 || splits))
    part = json_array_get(parts, n - 1);
  if (!is_type(part, "ByteLevel"))
    return refuse(find_foreign_splitter(whole), key, supported, where, error);
  gpt2_status status = read_byte_level(t, part, where, error);
  if (status != GPT2_OK || !splits)
    return status;
  /* Each of these would work on the words that Split has made. */
  if (t->use_regex || t->add_prefix_space)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"%s\" is true in the \"ByteLevel\" after a \"Split\", which is not supported",
                where, t->use_regex ? "use_regex" : "add_prefix_space");
  t->use_regex = true;
  return GPT2_OK;
}

/* ---- Tokens ---- */

static gpt2_status read_added_token(const json_t *object, size_t index, const char *document,
                                    added_list *list, gpt2_error *error)
{
  char path[160], where[256];
  shorten(path, sizeof path, document);
  snprintf(where, sizeof where, "%s: added_tokens[%zu]", path, index);
  const char *content = NULL;
  int64_t id = -1;
  uint32_t flags = 0;
  if (!json_is_object(object))
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: is not an object", where);
  gpt2_status status = json_get_string(object, "content", where, &content, error);
  if (status == GPT2_OK)
    status = json_get_integer(object, "id", 0, INT32_MAX - 1, where, &id, error);
  if (status == GPT2_OK && (!content || id < 0))
    return json_unexpected(NULL, content ? "id" : "content", "one in every added token", where,
                           error);
  if (status == GPT2_OK)
    status = read_added_flags(object, where, &flags, error);
  if (status == GPT2_OK)
    status = added_list_add(list, content, (gpt2_token)id, flags, error);
  return status;
}

static gpt2_status read_added(const json_t *root, const json_pieces *vocab, const char *where,
                              added_list *list, gpt2_error *error)
{
  const json_t *tokens = json_object_get(root, "added_tokens");
  if (tokens && !json_is_array(tokens))
    return json_unexpected(tokens, "added_tokens", "an array", where, error);
  bool has_end = false;
  gpt2_status status = GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < json_array_size(tokens); i++) {
    status = read_added_token(json_array_get(tokens, i), i, where, list, error);
    const char *content = json_string_value(json_object_get(json_array_get(tokens, i), "content"));
    has_end |= content && strcmp(content, end_of_text) == 0;
  }
  const json_t *end = has_end ? NULL : json_pieces_get(vocab, end_of_text);
  if (status == GPT2_OK && json_is_integer(end))
    status = added_list_add(list, end_of_text, (gpt2_token)json_integer_value(end), ADDED_SPECIAL,
                            error);
  return status;
}

/* ---- The model ---- */

/* Its large parts, which are parsed in pieces. */
enum { VOCAB, MERGES, N_CUTS };

/* Options that must be off: GPT-2's own tokenizer has none of them. */
static gpt2_status check_options(const json_t *model, const char *where, gpt2_error *error)
{
  const json_t *type = value_of(model, "type"), *dropout = value_of(model, "dropout");
  if (type && !is_type(model, "BPE"))
    return refuse(model, "model", "only \"BPE\" is", where, error);
  if (dropout && !(json_is_number(dropout) && json_number_value(dropout) == 0))
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"dropout\" is set, which is not supported: it makes tokens random", where);
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++) {
    const json_t *affix = value_of(model, affixes[i]);
    if (affix && !(json_is_string(affix) && json_string_length(affix) == 0))
      return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                  "%s: \"%s\" is set, which is not supported; expected null or \"\"", where,
                  affixes[i]);
  }
  return GPT2_OK;
}

/* What stands for bytes without a token. Where every byte has one it does not matter. */
static gpt2_status read_unknown(tokenizer *t, const json_t *model, const json_pieces *vocab,
                                const char *where, gpt2_error *error)
{
  const char *name = NULL;
  bool fuse = false, fallback = false;
  gpt2_status status = GPT2_OK;
  if (value_of(model, "unk_token"))
    status = json_get_string(model, "unk_token", where, &name, error);
  if (status == GPT2_OK)
    status = json_get_bool(model, "fuse_unk", where, &fuse, error);
  if (status == GPT2_OK)
    status = json_get_bool(model, "byte_fallback", where, &fallback, error);
  if (status != GPT2_OK || vocabulary_has_all_bytes(&t->vocabulary))
    return status;
  if (fallback)
    return fail(
        error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
        "%s: \"byte_fallback\" is true and some bytes have no token, which is not supported",
        where);
  const json_t *id = name ? json_pieces_get(vocab, name) : NULL;
  if (name && !id)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: \"unk_token\" is \"%s\", which the vocabulary does not have", where, name);
  if (id)
    vocabulary_set_unknown(
        &t->vocabulary, vocabulary_place(&t->vocabulary, (gpt2_token)json_integer_value(id)), fuse);
  return GPT2_OK;
}

static gpt2_status read_merges(tokenizer *t, pool *p, const json_t *model, const json_pieces *cuts,
                               const char *where, gpt2_error *error)
{
  const json_t *array = json_object_get(model, "merges");
  if (!json_is_array(array))
    return json_unexpected(array, "merges", "an array", where, error);
  const merge_file merges = {
      .vocabulary = &t->vocabulary, .vocab = &cuts[VOCAB], .name = where, .array = &cuts[MERGES]};
  return merges_read(&merges, p, error);
}

static gpt2_status read_model(tokenizer *t, pool *p, const json_t *root, const json_pieces *cuts,
                              const char *where, gpt2_error *error)
{
  const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
  if (!json_is_object(model))
    return json_unexpected(model, "model", "an object", where, error);
  gpt2_status status = check_options(model, where, error);
  if (status != GPT2_OK)
    return status;
  if (!json_is_object(vocab))
    return json_unexpected(vocab, "vocab", "an object", where, error);
  added_list added = {.allocator = &t->allocator};
  status = read_added(root, &cuts[VOCAB], where, &added, error);
  if (status == GPT2_OK)
    status = read_tokens(t, &cuts[VOCAB], &added, where, error);
  added_list_free(&added);
  if (status == GPT2_OK)
    status = read_unknown(t, model, &cuts[VOCAB], where, error);
  if (status == GPT2_OK)
    status = read_merges(t, p, model, cuts, where, error);
  if (status == GPT2_OK)
    status = json_get_bool(model, "ignore_merges", where, &t->vocabulary.match_words, error);
  return status;
}

gpt2_status read_tokenizer_json(tokenizer *t, source *s, pool *p, gpt2_error *error)
{
  json_document document;
  json_pieces cuts[] = {[VOCAB] = {.outer = "model", .inner = "vocab"},
                        [MERGES] = {.outer = "model", .inner = "merges"}};
  gpt2_status status = json_open_cut(s, p, "tokenizer.json", &document, cuts, N_CUTS, error);
  if (status != GPT2_OK)
    return status;
  t->origin = "tokenizer.json";
  status = check_components(document.root, document.name, error);
  if (status == GPT2_OK)
    status = read_pre_tokenizer(t, document.root, document.name, error);
  if (status == GPT2_OK)
    status = read_model(t, p, document.root, cuts, document.name, error);
  json_close_cut(p, &document, cuts, N_CUTS);
  return status;
}
