/* random_folder.c - writes Hugging Face folders with random weights. */
#include "support/random_folder.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PATH_SIZE = 4096, HEADER_SIZE = 1 << 16 };

/* A tensor to be written: values of this mean and deviation. */
typedef struct random_tensor {
  char name[64];
  int n_rows, n_columns; /* n_rows 0: a vector */
  double mean, deviation;
} random_tensor;

typedef struct tensor_list {
  random_tensor *tensors;
  size_t n;
} tensor_list;

static void add_tensor(tensor_list *list, int layer, const char *name, int n_rows, int n_columns,
                       double mean, double deviation)
{
  random_tensor *tensor = &list->tensors[list->n++];
  if (layer < 0)
    snprintf(tensor->name, sizeof tensor->name, "transformer.%s", name);
  else
    snprintf(tensor->name, sizeof tensor->name, "transformer.h.%d.%s", layer, name);
  tensor->n_rows = n_rows;
  tensor->n_columns = n_columns;
  tensor->mean = mean;
  tensor->deviation = deviation;
}

/* A block whose products keep a variance of about one. */
static void add_block(tensor_list *list, int layer, int n_embd, int n_inner)
{
  add_tensor(list, layer, "ln_1.weight", 0, n_embd, 1, 0.2);
  add_tensor(list, layer, "ln_1.bias", 0, n_embd, 0, 0.2);
  add_tensor(list, layer, "attn.c_attn.weight", n_embd, 3 * n_embd, 0, 1.3 / sqrt(n_embd));
  add_tensor(list, layer, "attn.c_attn.bias", 0, 3 * n_embd, 0, 0.2);
  add_tensor(list, layer, "attn.c_proj.weight", n_embd, n_embd, 0, 1.2 / sqrt(n_embd));
  add_tensor(list, layer, "attn.c_proj.bias", 0, n_embd, 0, 0.2);
  add_tensor(list, layer, "ln_2.weight", 0, n_embd, 1, 0.2);
  add_tensor(list, layer, "ln_2.bias", 0, n_embd, 0, 0.2);
  add_tensor(list, layer, "mlp.c_fc.weight", n_embd, n_inner, 0, 1.6 / sqrt(n_embd));
  add_tensor(list, layer, "mlp.c_fc.bias", 0, n_inner, 0, 0.2);
  add_tensor(list, layer, "mlp.c_proj.weight", n_inner, n_embd, 0, 1.0 / sqrt(n_inner));
  add_tensor(list, layer, "mlp.c_proj.bias", 0, n_embd, 0, 0.2);
}

static tensor_list tensors_of(const random_sizes *sizes)
{
  tensor_list list = {calloc(4 + 12 * (size_t)sizes->n_layer, sizeof *list.tensors), 0};
  assert_non_null(list.tensors);
  add_tensor(&list, -1, "wte.weight", sizes->n_vocab, sizes->n_embd, 0, 0.1);
  add_tensor(&list, -1, "wpe.weight", sizes->n_ctx, sizes->n_embd, 0, 0.1);
  for (int layer = 0; layer < sizes->n_layer; layer++)
    add_block(&list, layer, sizes->n_embd, sizes->n_inner);
  add_tensor(&list, -1, "ln_f.weight", 0, sizes->n_embd, 1, 0.2);
  add_tensor(&list, -1, "ln_f.bias", 0, sizes->n_embd, 0, 0.2);
  return list;
}

static size_t count_of(const random_tensor *tensor)
{
  return (size_t)(tensor->n_rows ? tensor->n_rows : 1) * (size_t)tensor->n_columns;
}

static FILE *create(const char *folder, const char *name)
{
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file)
    fail_msg("%s cannot be written", path);
  return file;
}

/* The length of the header, the header with spaces after it up to a multiple of 64, so that the
 * data is aligned. */
static void write_header(FILE *file, const tensor_list *list)
{
  char *header = malloc(HEADER_SIZE);
  assert_non_null(header);
  size_t used = 0, offset = 0;
  for (size_t i = 0; i < list->n; i++) {
    const random_tensor *tensor = &list->tensors[i];
    size_t end = offset + count_of(tensor) * sizeof(float);
    char rows[16] = "";
    if (tensor->n_rows)
      snprintf(rows, sizeof rows, "%d,", tensor->n_rows);
    used +=
        (size_t)snprintf(header + used, HEADER_SIZE - used,
                         "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%s%d],\"data_offsets\":[%zu,%zu]}",
                         i ? ',' : '{', tensor->name, rows, tensor->n_columns, offset, end);
    assert_true(used + 64 < HEADER_SIZE);
    offset = end;
  }
  header[used++] = '}';
  while ((used + 8) % 64 != 0)
    header[used++] = ' ';
  for (int i = 0; i < 8; i++)
    fputc((int)(used >> (8 * i) & 0xff), file);
  assert_int_equal(fwrite(header, 1, used, file), used);
  free(header);
}

static void write_tensors(FILE *file, const tensor_list *list, uint64_t seed)
{
  random_numbers random = {seed};
  for (size_t i = 0; i < list->n; i++) {
    const random_tensor *tensor = &list->tensors[i];
    size_t count = count_of(tensor);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t k = 0; k < count; k++)
      values[k] = (float)(tensor->mean + tensor->deviation * random_normal(&random));
    assert_int_equal(fwrite(values, sizeof *values, count, file), count);
    free(values);
  }
}

char *make_random_folder(const random_sizes *sizes)
{
  char *folder = new_temporary_folder();
  FILE *config = create(folder, "config.json");
  fprintf(config,
          "{\"model_type\": \"gpt2\", \"vocab_size\": %d, \"n_positions\": %d, \"n_embd\": %d, "
          "\"n_head\": %d,"
          " \"n_layer\": %d, \"n_inner\": %d, \"bos_token_id\": 0, \"eos_token_id\": 0}\n",
          sizes->n_vocab, sizes->n_ctx, sizes->n_embd, sizes->n_head, sizes->n_layer,
          sizes->n_inner);
  assert_int_equal(fclose(config), 0);

  tensor_list list = tensors_of(sizes);
  FILE *weights = create(folder, "model.safetensors");
  write_header(weights, &list);
  write_tensors(weights, &list, sizes->seed);
  assert_int_equal(fclose(weights), 0);
  free(list.tensors);
  return folder;
}
