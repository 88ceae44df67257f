/* safetensors.c - lists the tensors of a .safetensors file.
 *
 * The file is eight bytes that hold the header's size (little-endian), the header, which is
 * JSON, and the data:
 *
 *     {"__metadata__": {"format": "pt"},
 *      "wte.weight": {"dtype": "F16", "shape": [50257, 768], "data_offsets": [0, 77194752]}, ...}
 *
 * Offsets count from the start of the data. Every byte of the data belongs to exactly one
 * tensor. */
#include "formats/safetensors.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "formats/json.h"
#include "formats/sort.h"

enum { SIZE_FIELD = 8 };

/* Integers beyond 2^53 are not the same number to every reader of JSON, and no tensor needs one. */
#define LARGEST_INTEGER ((int64_t)1 << 53)

/* The header and where the data is, once the file's size has been compared with what it says. */
typedef struct layout {
  file *from;
  json_t *header;
  uint64_t data_offset, data_size;
} layout;

/* ---- One tensor of the header ---- */

typedef struct stored_type {
  const char *name;
  uint32_t bits;
  element_type type;
} stored_type;

/* The types of safetensors 0.8; those that we compute with first. */
static const stored_type stored_types[] = {
    {"F32", 32, ELEMENT_F32},
    {"F16", 16, ELEMENT_F16},
    {"BF16", 16, ELEMENT_BF16},
    {"F64", 64, ELEMENT_F64},
    {"BOOL", 8, N_ELEMENT_TYPES},
    {"U8", 8, N_ELEMENT_TYPES},
    {"I8", 8, N_ELEMENT_TYPES},
    {"U16", 16, N_ELEMENT_TYPES},
    {"I16", 16, N_ELEMENT_TYPES},
    {"U32", 32, N_ELEMENT_TYPES},
    {"I32", 32, N_ELEMENT_TYPES},
    {"U64", 64, N_ELEMENT_TYPES},
    {"I64", 64, N_ELEMENT_TYPES},
    {"C64", 64, N_ELEMENT_TYPES},
    {"F8_E4M3", 8, N_ELEMENT_TYPES},
    {"F8_E5M2", 8, N_ELEMENT_TYPES},
    {"F8_E8M0", 8, N_ELEMENT_TYPES},
    {"F8_E4M3FNUZ", 8, N_ELEMENT_TYPES},
    {"F8_E5M2FNUZ", 8, N_ELEMENT_TYPES},
    {"F6_E2M3", 6, N_ELEMENT_TYPES},
    {"F6_E3M2", 6, N_ELEMENT_TYPES},
    {"F4", 4, N_ELEMENT_TYPES},
};

/* As json_unexpected, of a part of the header. */
static gpt2_status unexpected_in(const file *from, const char *part, const json_t *found,
                                 const char *key, const char *expected, gpt2_error *error)
{
  char path[160], where[448];
  shorten(path, sizeof path, from->name);
  snprintf(where, sizeof where, "%s: %s", path, part);
  return json_unexpected(found, key, expected, where, error);
}

/* The same of a tensor's part. */
static gpt2_status unexpected(const tensor *t, const json_t *found, const char *key,
                              const char *expected, gpt2_error *error)
{
  char name[224], part[256];
  shorten(name, sizeof name, t->name);
  snprintf(part, sizeof part, "tensor \"%s\"", name);
  return unexpected_in(t->from, part, found, key, expected, error);
}

static gpt2_status read_type(tensor *t, const json_t *entry, uint32_t *bits, gpt2_error *error)
{
  const json_t *dtype = json_object_get(entry, "dtype");
  if (!json_is_string(dtype))
    return unexpected(t, dtype, "dtype", "the name of an element type", error);
  for (size_t i = 0; i < sizeof stored_types / sizeof *stored_types; i++)
    if (strcmp(json_string_value(dtype), stored_types[i].name) == 0) {
      t->type = stored_types[i].type;
      t->type_name = stored_types[i].name;
      *bits = stored_types[i].bits;
      return GPT2_OK;
    }
  return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
              "%s: tensor \"%s\": \"dtype\" is \"%s\", whose size this version does not know",
              t->from->name, t->name, json_string_value(dtype));
}

static bool is_count(const json_t *value)
{
  return json_is_integer(value) && json_integer_value(value) >= 0 &&
         json_integer_value(value) <= LARGEST_INTEGER;
}

/* The shape, and the sizes that follow from it. */
static gpt2_status read_shape(tensor *t, const json_t *entry, uint32_t bits, gpt2_error *error)
{
  const json_t *shape = json_object_get(entry, "shape");
  if (!json_is_array(shape))
    return unexpected(t, shape, "shape", "an array of integers", error);
  if (json_array_size(shape) > MAX_RANK)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "%s: tensor \"%s\" has %zu dimensions; at most %d are allowed", t->from->name,
                t->name, json_array_size(shape), MAX_RANK);
  t->rank = (int32_t)json_array_size(shape);
  t->n = 1;
  uint64_t n_bits;
  for (int32_t i = 0; i < t->rank; i++) {
    const json_t *length = json_array_get(shape, (size_t)i);
    if (!is_count(length))
      return unexpected(t, length, "shape[]", "an integer from 0 to 2^53", error);
    t->shape[i] = (uint64_t)json_integer_value(length);
    if (!mul_u64(&t->n, t->n, t->shape[i]))
      return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                  "%s: tensor \"%s\": the product of its shape does not fit 64 bits", t->from->name,
                  t->name);
  }
  if (!mul_u64(&n_bits, t->n, bits) || n_bits % 8 != 0)
    return fail(
        error, GPT2_ERR_FORMAT, NO_OFFSET,
        "%s: tensor \"%s\": %llu elements of type %s do not make whole bytes that fit 61 bits",
        t->from->name, t->name, (unsigned long long)t->n, t->type_name);
  t->size = n_bits / 8;
  return GPT2_OK;
}

static gpt2_status read_offsets(tensor *t, const json_t *entry, const layout *l, gpt2_error *error)
{
  const json_t *offsets = json_object_get(entry, "data_offsets");
  const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2)
    return unexpected(t, offsets, "data_offsets", "an array of two integers", error);
  if (!is_count(first) || !is_count(second))
    return unexpected(t, is_count(first) ? second : first, "data_offsets[]",
                      "an integer from 0 to 2^53", error);
  uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(second);
  if (begin > end || end > l->data_size)
    return fail(
        error, GPT2_ERR_FORMAT, NO_OFFSET,
        "%s: tensor \"%s\" spans bytes %llu to %llu of the data; expected a part of its %llu bytes",
        t->from->name, t->name, (unsigned long long)begin, (unsigned long long)end,
        (unsigned long long)l->data_size);
  if (end - begin != t->size)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: tensor \"%s\" has %llu bytes of data; its shape and type need %llu",
                t->from->name, t->name, (unsigned long long)(end - begin),
                (unsigned long long)t->size);
  t->offset = l->data_offset + begin; /* within the file, since end is within the data */
  return GPT2_OK;
}

static gpt2_status add_tensor(tensors *t, const layout *l, const char *name, const json_t *entry,
                              gpt2_error *error)
{
  tensor one = {.name = name, .from = l->from};
  uint32_t bits = 0;
  if (name[0] == '\0')
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: a tensor's name is empty", l->from->name);
  if (!json_is_object(entry))
    return json_unexpected(entry, name, "an object", l->from->name, error);
  gpt2_status status = read_type(&one, entry, &bits, error);
  if (status == GPT2_OK)
    status = read_shape(&one, entry, bits, error);
  if (status == GPT2_OK)
    status = read_offsets(&one, entry, l, error);
  return status == GPT2_OK ? tensors_add(t, &one, error) : status;
}

/* ---- All of them ---- */

static gpt2_status check_metadata(const layout *l, const json_t *metadata, gpt2_error *error)
{
  if (!json_is_object(metadata))
    return json_unexpected(metadata, "__metadata__", "an object", l->from->name, error);
  const char *key;
  json_t *value;
  json_object_foreach ((json_t *)(uintptr_t)metadata, key, value)
    if (!json_is_string(value))
      return unexpected_in(l->from, "\"__metadata__\"", value, key, "a string", error);
  return GPT2_OK;
}

/* Empty tensors stand before the one whose bytes begin where they are. */
static bool before_by_data(const void *a, const void *b, const void *context)
{
  (void)context;
  const tensor *first = a, *second = b;
  if (first->offset != second->offset)
    return first->offset < second->offset;
  if (first->size != second->size)
    return first->size < second->size;
  return strcmp(first->name, second->name) < 0;
}

/* No hole, no overlap, and nothing after the last: else some bytes are not what they seem. */
static gpt2_status check_contiguity(const layout *l, const tensor *list, size_t n,
                                    gpt2_error *error)
{
  uint64_t end = l->data_offset;
  for (size_t i = 0; i < n; i++) {
    if (list[i].offset != end)
      return fail(error, GPT2_ERR_FORMAT, (int64_t)list[i].offset,
                  "%s: tensor \"%s\" starts at byte %llu of the data; expected %llu, where the one "
                  "before ends",
                  l->from->name, list[i].name,
                  (unsigned long long)(list[i].offset - l->data_offset),
                  (unsigned long long)(end - l->data_offset));
    end += list[i].size; /* at most the file's size, as each tensor's end was checked */
  }
  if (end != l->from->size)
    return fail(error, GPT2_ERR_FORMAT, (int64_t)end,
                "%s: has %llu bytes of data; its tensors end at byte %llu", l->from->name,
                (unsigned long long)l->data_size, (unsigned long long)(end - l->data_offset));
  return GPT2_OK;
}

static gpt2_status add_tensors(tensors *t, const layout *l, gpt2_error *error)
{
  size_t first = t->n;
  const char *name;
  json_t *entry;
  json_object_foreach (l->header, name, entry) {
    gpt2_status status = strcmp(name, "__metadata__") == 0 ? check_metadata(l, entry, error)
                                                           : add_tensor(t, l, name, entry, error);
    if (status != GPT2_OK)
      return status;
  }
  if (t->n > first)
    sort(t->tensor + first, t->n - first, sizeof *t->tensor, before_by_data, NULL);
  return check_contiguity(l, t->n > first ? t->tensor + first : NULL, t->n - first, error);
}

/* ---- The header ---- */

static gpt2_status parse_header(layout *l, const uint8_t *text, size_t size, gpt2_error *error)
{
  gpt2_error inner = {.struct_size = sizeof inner};
  if (size == 0 || text[0] != '{')
    return fail(error, GPT2_ERR_FORMAT, SIZE_FIELD,
                "%s: the header does not start with \"{\"; this is not a safetensors file",
                l->from->name);
  const gpt2_allocator *allocator = source_allocator(l->from->from);
  gpt2_status status = json_parse(allocator, text, size, l->from->name, &l->header, &inner);
  if (status != GPT2_OK) /* positions in the header become positions in the file */
    return fail(error, status, inner.offset < 0 ? NO_OFFSET : inner.offset + SIZE_FIELD, "%s",
                inner.message);
  return GPT2_OK;
}

/* Reads the header's size and text. */
static gpt2_status read_header(layout *l, gpt2_error *error)
{
  uint8_t field[SIZE_FIELD];
  if (l->from->size < sizeof field)
    return fail(error, GPT2_ERR_FORMAT, (int64_t)l->from->size,
                "%s: has %llu bytes; expected at least the 8 that hold the header's size",
                l->from->name, (unsigned long long)l->from->size);
  gpt2_status status = file_read(l->from, 0, field, sizeof field, error);
  if (status != GPT2_OK)
    return status;
  cursor c = cursor_over(field, sizeof field);
  uint64_t size = cursor_u64(&c);
  if (size > l->from->size - sizeof field)
    return fail(error, GPT2_ERR_FORMAT, 0,
                "%s: has %llu bytes; its header needs %llu after the first 8", l->from->name,
                (unsigned long long)l->from->size, (unsigned long long)size);
  if (size > SAFETENSORS_HEADER_LIMIT)
    return fail(error, GPT2_ERR_LIMIT, 0, "%s: has a header of %llu bytes; at most %d are allowed",
                l->from->name, (unsigned long long)size, SAFETENSORS_HEADER_LIMIT);
  const gpt2_allocator *allocator = source_allocator(l->from->from);
  uint8_t *text = allocate(allocator, (size_t)size);
  if (!text)
    return fail_memory(error, (size_t)size);
  l->data_offset = sizeof field + size;
  l->data_size = l->from->size - l->data_offset;
  status = file_read(l->from, sizeof field, text, (size_t)size, error);
  if (status == GPT2_OK)
    status = parse_header(l, text, (size_t)size, error);
  release(allocator, text);
  return status;
}

gpt2_status safetensors_add(source *s, const char *name, tensors *t, gpt2_error *error)
{
  layout l = {.from = NULL};
  gpt2_status status = source_file(s, name, &l.from, error);
  if (status == GPT2_OK)
    status = tensors_add_file(t, l.from, error);
  if (status == GPT2_OK)
    status = read_header(&l, error);
  if (status == GPT2_OK)
    status = add_tensors(t, &l, error);
  json_decref(l.header);
  return status;
}
