/* tensors.c - named tensors in files, whatever the format. */
#include "formats/tensors.h"

#include <string.h>

#include "formats/sort.h"

/* ---- The list ---- */

gpt2_status tensors_add_file(tensors *t, file *f, gpt2_error *error)
{
  if (!grow_array(&t->allocator, (void **)&t->files, t->n_files, t->n_files + 1,
                  sizeof *t->files)) {
    file_close(f);
    return fail_memory(error, (t->n_files + 1) * sizeof *t->files);
  }
  t->files[t->n_files++] = f;
  return GPT2_OK;
}

gpt2_status tensors_add(tensors *t, const tensor *one, gpt2_error *error)
{
  if (t->n == t->capacity) {
    size_t capacity = t->capacity ? 2 * t->capacity : 64;
    if (!grow_array(&t->allocator, (void **)&t->tensor, t->n, capacity, sizeof *t->tensor))
      return fail_memory(error, capacity * sizeof *t->tensor);
    t->capacity = capacity;
  }
  size_t name_size = strlen(one->name);
  char *name = duplicate(&t->allocator, one->name, name_size);
  if (!name)
    return fail_memory(error, name_size + 1);
  t->tensor[t->n] = *one;
  t->tensor[t->n++].name = name;
  return GPT2_OK;
}

static bool before_by_name(const void *a, const void *b, const void *context)
{
  const tensor *list = context;
  return strcmp(list[*(const size_t *)a].name, list[*(const size_t *)b].name) < 0;
}

gpt2_status tensors_index(tensors *t, gpt2_error *error)
{
  t->by_name = allocate_array(&t->allocator, t->n, sizeof *t->by_name);
  if (!t->by_name)
    return fail_memory(error, t->n * sizeof *t->by_name);
  for (size_t i = 0; i < t->n; i++)
    t->by_name[i] = i;
  sort(t->by_name, t->n, sizeof *t->by_name, before_by_name, t->tensor);
  for (size_t i = 1; i < t->n; i++) {
    const tensor *a = &t->tensor[t->by_name[i - 1]], *b = &t->tensor[t->by_name[i]];
    if (strcmp(a->name, b->name) == 0)
      return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                  "%s: tensor \"%s\" is also in %s; expected it once", b->from->name, b->name,
                  a->from->name);
  }
  return GPT2_OK;
}

tensor *tensors_find(const tensors *t, const char *name)
{
  size_t low = 0, high = t->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    tensor *found = &t->tensor[t->by_name[middle]];
    int order = strcmp(name, found->name);
    if (order == 0)
      return found;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

void tensors_free(tensors *t)
{
  for (size_t i = 0; i < t->n; i++)
    release(&t->allocator, (void *)(uintptr_t)t->tensor[i].name);
  for (size_t i = 0; i < t->n_files; i++)
    file_close(t->files[i]);
  release(&t->allocator, t->files);
  release(&t->allocator, t->tensor);
  release(&t->allocator, t->by_name);
  *t = (tensors){.n = 0};
}

/* ---- The elements of one ---- */

gpt2_status tensor_check_type(const tensor *t, gpt2_error *error)
{
  if (element_size(t->type) > 0)
    return GPT2_OK;
  return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
              "%s: tensor \"%s\" has elements of type %s; expected F32, F16, BF16 or F64",
              t->from->name, t->name, t->type_name);
}

const uint8_t *tensor_bytes(const tensor *t)
{
  return t->from->view ? t->from->view + t->offset : NULL;
}

const void *tensor_view(const tensor *t)
{
  const uint8_t *elements = tensor_bytes(t);
  size_t alignment = element_size(t->type);
  return elements && alignment > 0 && (uintptr_t)elements % alignment == 0 ? elements : NULL;
}

static gpt2_status check_range(const tensor *t, uint64_t first, uint64_t n, gpt2_error *error)
{
  if (first <= t->n && n <= t->n - first)
    return GPT2_OK;
  return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET,
              "%s: tensor \"%s\" has %llu elements; %llu from %llu on were asked for",
              t->from->name, t->name, (unsigned long long)t->n, (unsigned long long)n,
              (unsigned long long)first);
}

/* Where an element is in the file. No product can wrap: the whole tensor is within the file. */
static uint64_t offset_of(const tensor *t, uint64_t element)
{
  return t->offset + element * element_size(t->type);
}

gpt2_status tensor_read(const tensor *t, uint64_t first, uint64_t n, void *to, gpt2_error *error)
{
  gpt2_status status = check_range(t, first, n, error);
  if (status != GPT2_OK)
    return status;
  return file_read(t->from, offset_of(t, first), to, (size_t)(n * element_size(t->type)), error);
}

/* Reads elements [first, first + n) of another type than f32 from a file without view. */
static gpt2_status read_widened(const tensor *t, uint64_t first, uint64_t n, float *to,
                                gpt2_error *error)
{
  uint8_t buffer[8192]; /* even a small thread stack has room for it */
  uint64_t most = sizeof buffer / element_size(t->type);
  for (uint64_t done = 0; done < n;) {
    uint64_t count = n - done < most ? n - done : most;
    gpt2_status status = tensor_read(t, first + done, count, buffer, error);
    if (status != GPT2_OK)
      return status;
    elements_to_f32(to + done, buffer, t->type, (size_t)count);
    done += count;
  }
  return GPT2_OK;
}

gpt2_status tensor_read_f32(const tensor *t, uint64_t first, uint64_t n, float *to,
                            gpt2_error *error)
{
  gpt2_status status = tensor_check_type(t, error);
  if (status == GPT2_OK)
    status = check_range(t, first, n, error);
  if (status != GPT2_OK || n == 0)
    return status;
  if (t->from->view)
    elements_to_f32(to, t->from->view + offset_of(t, first), t->type, (size_t)n);
  else if (t->type == ELEMENT_F32)
    return tensor_read(t, first, n, to, error);
  else
    return read_widened(t, first, n, to, error);
  return GPT2_OK;
}

void tensor_forget(const tensor *t, uint64_t first, uint64_t n)
{
  file_forget(t->from, offset_of(t, first), n * element_size(t->type));
}
