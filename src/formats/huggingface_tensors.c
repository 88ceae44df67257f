/* huggingface_tensors.c - the weights of a Hugging Face folder: one safetensors file, or shards
 * and their index.
 *
 * The index says which tensor is in which shard:
 *
 *     {"metadata": {...}, "weight_map": {"wte.weight": "model-00001-of-00002.safetensors", ...}} */
#include "formats/huggingface.h"

#include <string.h>

#include "formats/json.h"
#include "formats/safetensors.h"

static const char single_file[] = "model.safetensors";
static const char index_file[] = "model.safetensors.index.json";

static gpt2_status pass_on(const gpt2_error *from, gpt2_error *to)
{
  return fail(to, from->status, from->offset, "%s", from->message);
}

/* ---- Shards ---- */

/* The names of the shards, sorted, each once; they belong to the index. */
typedef struct shards {
  size_t n;
  const char *name[MAX_SHARDS];
} shards;

/* Where the name stands among the shards, or would. */
static size_t place_of(const shards *list, const char *name)
{
  size_t low = 0, high = list->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(list->name[middle], name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static gpt2_status note_shard(shards *list, const json_document *index, const char *tensor_name,
                              const json_t *value, gpt2_error *error)
{
  const char *name = json_string_value(value);
  if (!name || name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 ||
      strcmp(name, "..") == 0)
    return json_unexpected(value, tensor_name, "the name of a file beside the index", index->name,
                           error);
  size_t at = place_of(list, name);
  if (at < list->n && strcmp(list->name[at], name) == 0)
    return GPT2_OK;
  if (list->n == MAX_SHARDS)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: \"weight_map\" names more than %d files",
                index->name, MAX_SHARDS);
  memmove(list->name + at + 1, list->name + at, (list->n - at) * sizeof *list->name);
  list->name[at] = name;
  list->n++;
  return GPT2_OK;
}

static gpt2_status find_shards(shards *list, const json_document *index, json_t **map,
                               gpt2_error *error)
{
  *map = json_object_get(index->root, "weight_map");
  if (!json_is_object(*map) || json_object_size(*map) == 0)
    return json_unexpected(*map, "weight_map", "an object that names each tensor's file",
                           index->name, error);
  const char *tensor_name;
  json_t *value;
  json_object_foreach (*map, tensor_name, value) {
    gpt2_status status = note_shard(list, index, tensor_name, value, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}

static gpt2_status add_shard(source *s, const json_document *index, const char *name, tensors *out,
                             gpt2_error *error)
{
  gpt2_error inner = {.struct_size = sizeof inner};
  gpt2_status status = safetensors_add(s, name, out, &inner);
  if (status == GPT2_ERR_NOT_FOUND)
    return fail(error, status, NO_OFFSET, "%s; %s names it", inner.message, index->name);
  return status == GPT2_OK ? status : pass_on(&inner, error);
}

/* Each tensor of the index must be where that says. Tensors that it does not name are taken all
 * the same, as transformers does. */
static gpt2_status check_map(const shards *list, const json_document *index, json_t *map,
                             const tensors *t, gpt2_error *error)
{
  const char *tensor_name;
  json_t *value;
  json_object_foreach (map, tensor_name, value) {
    const tensor *found = tensors_find(t, tensor_name);
    const char *shard = json_string_value(value);
    if (!found || found->from != t->files[place_of(list, shard)])
      return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                  "%s: says that tensor \"%s\" is in %s; it is in %s", index->name, tensor_name,
                  shard, found ? found->from->name : "none of the shards");
  }
  return GPT2_OK;
}

static gpt2_status add_shards(source *s, const json_document *index, tensors *out,
                              gpt2_error *error)
{
  shards list = {.n = 0};
  json_t *map;
  gpt2_status status = find_shards(&list, index, &map, error);
  for (size_t i = 0; status == GPT2_OK && i < list.n; i++)
    status = add_shard(s, index, list.name[i], out, error); /* becomes out->files[i] */
  if (status == GPT2_OK)
    status = tensors_index(out, error);
  return status == GPT2_OK ? check_map(&list, index, map, out, error) : status;
}

/* ---- Which files? ---- */

static gpt2_status add_sharded(source *s, const char *name, tensors *out, gpt2_error *error)
{
  json_document index;
  gpt2_status status = json_open(s, name, &index, error);
  if (status != GPT2_OK)
    return status;
  status = add_shards(s, &index, out, error);
  json_close(&index);
  return status;
}

static gpt2_status add_single(source *s, const char *name, tensors *out, gpt2_error *error)
{
  gpt2_status status = safetensors_add(s, name, out, error);
  return status == GPT2_OK ? tensors_index(out, error) : status;
}

/* GPT2_OK when the source has the file. */
static gpt2_status look_for(source *s, const char *name, gpt2_error *error)
{
  file *f;
  gpt2_status status = source_file(s, name, &f, error);
  file_close(f);
  return status;
}

static gpt2_status fail_pickled(const file *f, gpt2_error *error)
{
  return fail(
      error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
      "%s: PyTorch's pickled weights are not read; write model.safetensors beside it, in "
      "Python: transformers.GPT2LMHeadModel.from_pretrained(FOLDER).save_pretrained(FOLDER)",
      f->name);
}

/* `missing` says where model.safetensors was looked for. */
static gpt2_status fail_no_weights(source *s, const gpt2_error *missing, gpt2_error *error)
{
  static const char *const pickled[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
  for (size_t i = 0; i < sizeof pickled / sizeof *pickled; i++) {
    file *f;
    gpt2_status status = source_file(s, pickled[i], &f, error);
    if (status == GPT2_OK)
      status = fail_pickled(f, error);
    file_close(f);
    if (status != GPT2_ERR_NOT_FOUND)
      return status;
  }
  return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET, "%s; nor is there a %s", missing->message,
              index_file);
}

static gpt2_status add_any(source *s, tensors *out, gpt2_error *error)
{
  gpt2_error missing = {.struct_size = sizeof missing}, other = missing;
  gpt2_status status = look_for(s, single_file, &missing);
  if (status == GPT2_OK)
    return add_single(s, single_file, out, error);
  if (status != GPT2_ERR_NOT_FOUND)
    return pass_on(&missing, error);
  status = look_for(s, index_file, &other);
  if (status == GPT2_OK)
    return add_sharded(s, index_file, out, error);
  return status == GPT2_ERR_NOT_FOUND ? fail_no_weights(s, &missing, error)
                                      : pass_on(&other, error);
}

static bool ends_with(const char *text, const char *end)
{
  size_t size = strlen(text), end_size = strlen(end);
  return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

gpt2_status huggingface_tensors(source *s, const char *weights_file, tensors *out,
                                gpt2_error *error)
{
  *out = (tensors){.allocator = *source_allocator(s), .format = "safetensors"};
  gpt2_status status;
  if (!weights_file)
    status = add_any(s, out, error);
  else if (ends_with(weights_file, ".index.json"))
    status = add_sharded(s, weights_file, out, error);
  else
    status = add_single(s, weights_file, out, error);
  if (status != GPT2_OK)
    tensors_free(out);
  return status;
}
