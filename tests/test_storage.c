/* test_storage.c - what weights are kept in: every type that can be asked for, of every type that
 * files have, through every door, to the bit what the stored numbers must give. */
#include "gpt2.h"
#include "kernels/packed.h"
#include "model/model.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/temporary_folder.h"
#include "support/typed_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- What must come out ---- */

typedef struct expected {
  matrix as; /* its data is ours; NULL where it may stay in the file */
  const built_tensor *stored;
  size_t size;
} expected;

typedef struct expectations {
  const typed_model *typed;
  int32_t weights;
  bool tied;
  expected matrices[TYPED_MATRICES]; /* (n) wte, wpe, those of the blocks, lm_head if untied */
  size_t n;
} expectations;

static element_type kept_as(element_type stored, int32_t wanted, bool is_table, bool is_unembed)
{
  static const element_type types[] = {
      0, ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16, ELEMENT_Q8_0, ELEMENT_Q4_0};
  if (is_table || wanted == GPT2_TYPE_DEFAULT)
    return stored == ELEMENT_F64 ? ELEMENT_F32 : stored;
  return is_unembed && wanted == GPT2_TYPE_Q4_0 ? ELEMENT_Q8_0 : types[wanted];
}

static void *convert(const float *values, size_t n, element_type type, size_t *size)
{
  *size = n * element_size(type);
  uint8_t *bytes = malloc(*size);
  assert_non_null(bytes);
  for (size_t i = 0; i < n; i++) {
    uint16_t half = type == ELEMENT_F16 ? f16_from_f32(values[i]) : bf16_from_f32(values[i]);
    const void *from = type == ELEMENT_F32 ? (const void *)&values[i] : (const void *)&half;
    memcpy(bytes + i * element_size(type), from, element_size(type));
  }
  return bytes;
}

/* Packs the matrix block by block with the specification; beyond its edges are zeros. */
static void *pack(const float *values, bool rows_are_inputs, const matrix *m, size_t *size)
{
  size_t n_blocks = packed_blocks(m->n_in), n_columns = rows_are_inputs ? m->n_out : m->n_in;
  kernels scalar;
  kernels_for(0, &scalar);
  assert_true(packed_size(m->type, m->n_in, m->n_out, size));
  uint8_t *bytes = aligned_alloc(64, *size);
  assert_non_null(bytes);
  memset(bytes, 0, *size);
  for (size_t group = 0; group * 16 < m->n_out; group++)
    for (size_t at = 0; at < n_blocks; at++) {
      float tile[32][16] = {{0}};
      for (size_t i = 0; i < 32 && at * 32 + i < m->n_in; i++)
        for (size_t c = 0; c < 16 && group * 16 + c < m->n_out; c++) {
          size_t in = at * 32 + i, out = group * 16 + c;
          tile[i][c] = values[rows_are_inputs ? in * n_columns + out : out * n_columns + in];
        }
      scalar.pack_block[m->type](tile[0], bytes + group * packed_group_size(m->type, n_blocks),
                                 n_blocks, at);
    }
  return bytes;
}

static float *values_of(const built_tensor *stored)
{
  size_t n = typed_count(stored);
  float *values = malloc(n * sizeof *values);
  assert_non_null(values);
  elements_to_f32(values, stored->data, typed_type(stored), n);
  return values;
}

static void expect_one(expectations *e, const char *name, bool is_table, bool is_unembed)
{
  const built_tensor *stored = typed_tensor(e->typed, name);
  bool rows_are_inputs = !is_table && !is_unembed;
  element_type type = kept_as(typed_type(stored), e->weights, is_table, is_unembed);
  layout rows = rows_are_inputs ? LAYOUT_IN_OUT : LAYOUT_OUT_IN;
  float *values = values_of(stored);
  expected *one = &e->matrices[e->n++];
  one->stored = stored;
  one->as = (matrix){.type = type,
                     .layout = type > ELEMENT_F64 ? LAYOUT_PACKED : rows,
                     .n_in = (size_t)stored->shape[rows_are_inputs ? 0 : 1],
                     .n_out = (size_t)stored->shape[rows_are_inputs ? 1 : 0]};
  one->as.data = one->as.layout == LAYOUT_PACKED
                     ? pack(values, rows_are_inputs, &one->as, &one->size)
                     : convert(values, typed_count(stored), type, &one->size);
  free(values);
}

static const char *const block_matrices[] = {"attn.c_attn.weight", "attn.c_proj.weight",
                                             "mlp.c_fc.weight", "mlp.c_proj.weight"};

static expectations expect_all(const typed_model *typed, int32_t weights, bool tied)
{
  expectations e = {.typed = typed, .weights = weights, .tied = tied};
  expect_one(&e, "wte.weight", !tied, tied);
  expect_one(&e, "wpe.weight", true, false);
  for (int layer = 0; layer < TYPED_LAYERS; layer++)
    for (size_t i = 0; i < 4; i++) {
      char name[64];
      snprintf(name, sizeof name, "h.%d.%s", layer, block_matrices[i]);
      expect_one(&e, name, false, false);
    }
  if (!tied)
    expect_one(&e, "lm_head.weight", false, true);
  return e;
}

static void free_expectations(expectations *e)
{
  for (size_t i = 0; i < e->n; i++)
    free((void *)(uintptr_t)e->matrices[i].as.data);
}

/* ---- What did come out ---- */

/* The model's, in the order of the expectations. */
static const matrix *matrix_of(const gpt2_model *model, const expectations *e, size_t index)
{
  if (index < 2)
    return index == 0 ? &model->wte : &model->wpe;
  if (!e->tied && index + 1 == e->n)
    return &model->unembed;
  const block *b = &model->blocks[(index - 2) / 4];
  const matrix *all[] = {&b->attn_qkv.weight, &b->attn_proj.weight, &b->mlp_fc.weight,
                         &b->mlp_proj.weight};
  return all[(index - 2) % 4];
}

static void expect_matrix(const matrix *found, const expected *one)
{
  assert_int_equal(found->type, one->as.type);
  assert_int_equal(found->layout, one->as.layout);
  assert_int_equal(found->n_in, one->as.n_in);
  assert_int_equal(found->n_out, one->as.n_out);
  if (memcmp(found->data, one->as.data, one->size) != 0)
    fail_msg("%s: %s to %s differs", one->stored->name, one->stored->dtype,
             element_name(found->type));
}

static void expect_vector(const typed_model *typed, const char *name, const float *found)
{
  const built_tensor *stored = typed_tensor(typed, name);
  float *values = values_of(stored);
  assert_memory_equal(found, values, typed_count(stored) * sizeof *values);
  free(values);
}

static void expect_vectors(const typed_model *typed, const gpt2_model *model)
{
  expect_vector(typed, "ln_f.weight", model->ln_f.weight);
  expect_vector(typed, "ln_f.bias", model->ln_f.bias);
  expect_vector(typed, "h.0.ln_1.bias", model->blocks[0].ln_1.bias);
  expect_vector(typed, "h.1.ln_2.weight", model->blocks[1].ln_2.weight);
  expect_vector(typed, "h.1.attn.c_attn.bias", model->blocks[1].attn_qkv.bias);
  expect_vector(typed, "h.0.attn.c_proj.bias", model->blocks[0].attn_proj.bias);
  expect_vector(typed, "h.1.mlp.c_fc.bias", model->blocks[1].mlp_fc.bias);
  expect_vector(typed, "h.0.mlp.c_proj.bias", model->blocks[0].mlp_proj.bias);
}

/* What stays in the file is what has its type already, if it is aligned; vectors stay only with all
 * of the matrices. */
static void expect_sizes(const gpt2_model *model, const expectations *e, bool in_place)
{
  uint64_t mapped = 0, own = 0, read = 0;
  bool all_stay = in_place;
  for (size_t i = 0; i < e->n; i++) {
    const expected *one = &e->matrices[i];
    bool stays = in_place && one->as.type == typed_type(one->stored);
    *(stays ? &mapped : &own) += one->size;
    all_stay = all_stay && stays;
    read += i == 1 || (i == 0 && !e->tied) ? one->size / one->as.n_out : one->size;
  }
  for (size_t i = 0; i < e->typed->n_tensors; i++) {
    const built_tensor *stored = &e->typed->tensors[i];
    uint64_t size = stored->rank == 1 ? typed_count(stored) * sizeof(float) : 0;
    *(all_stay && typed_type(stored) == ELEMENT_F32 ? &mapped : &own) += size;
    read += size;
  }
  gpt2_info info = info_of(model);
  assert_int_equal(info.mapped_size, mapped);
  assert_int_equal(info.allocated_size, own);
  assert_int_equal(info.weights_size, read);
}

static void expect_model(const gpt2_model *model, const expectations *e, bool in_place)
{
  for (size_t i = 0; i < e->n; i++)
    expect_matrix(matrix_of(model, e, i), &e->matrices[i]);
  if (e->tied)
    assert_memory_equal(&model->unembed, &model->wte, sizeof model->wte);
  expect_vectors(e->typed, model);
  expect_sizes(model, e, in_place);
}

/* ---- Every door ---- */

typedef struct door {
  const char *name;
  bool in_place; /* what is aligned may stay where it is */
  gpt2_status (*load)(const typed_model *typed, const char *folder, gpt2_load_options *options,
                      gpt2_model **model, gpt2_error *error);
} door;

static gpt2_status load_mapped(const typed_model *typed, const char *folder,
                               gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)typed;
  return gpt2_load(folder, options, model, error);
}

static gpt2_status load_copied(const typed_model *typed, const char *folder,
                               gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)typed;
  options->flags |= GPT2_LOAD_COPY;
  return gpt2_load(folder, options, model, error);
}

static gpt2_status load_blobs(const typed_model *typed, const char *folder,
                              gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)folder;
  gpt2_blob blobs[2];
  typed_blobs(typed, blobs);
  return gpt2_load_memory(blobs, 2, options, model, error);
}

/* Blobs at an odd address, which nobody needs when the model is converted or copied. */
static gpt2_status load_unaligned(const typed_model *typed, const char *folder,
                                  gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)folder;
  gpt2_blob blobs[2];
  static uint8_t *moved;
  typed_blobs(typed, blobs);
  free(moved);
  moved = malloc(typed->size + 1);
  assert_non_null(moved);
  blobs[1].bytes = memcpy(moved + 1, typed->file, typed->size);
  return gpt2_load_memory(blobs, 2, options, model, error);
}

static gpt2_status load_host(const typed_model *typed, bool has_view, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  static gpt2_blob blobs[2];
  static host_source host;
  typed_blobs(typed, blobs);
  host = (host_source){.blobs = blobs, .n_blobs = 2, .has_view = has_view};
  gpt2_source callbacks = host_callbacks(&host);
  return gpt2_load_source(&callbacks, options, model, error);
}

static gpt2_status load_viewed(const typed_model *typed, const char *folder,
                               gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)folder;
  return load_host(typed, true, options, model, error);
}

static gpt2_status load_read(const typed_model *typed, const char *folder,
                             gpt2_load_options *options, gpt2_model **model, gpt2_error *error)
{
  (void)folder;
  return load_host(typed, false, options, model, error);
}

static const door doors[] = {
    {"mapped", true, load_mapped},        {"copied", false, load_copied},
    {"in memory", true, load_blobs},      {"unaligned", false, load_unaligned},
    {"host's memory", true, load_viewed}, {"host's reading", false, load_read},
};
enum { N_DOORS = sizeof doors / sizeof *doors };

static const int stored_types[] = {ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16, ELEMENT_F64,
                                   TYPED_MIXED};
enum { N_STORED = sizeof stored_types / sizeof *stored_types };

static void check_doors(const typed_model *typed, const expectations *e)
{
  char *folder = typed_folder(typed);
  for (size_t d = 0; d < N_DOORS; d++) {
    gpt2_load_options options = {
        .struct_size = sizeof options, .weights = e->weights, .n_threads = (int32_t)d % 3 + 1};
    gpt2_model *model = NULL;
    gpt2_error error = NO_ERROR_YET;
    must_have_succeeded(doors[d].load(typed, folder, &options, &model, &error), &error);
    expect_model(model, e, doors[d].in_place);
    gpt2_model_free(model);
  }
  remove_temporary_folder(folder);
}

static void check_stored(int type, bool tied)
{
  typed_model *typed = typed_new(type, tied);
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++) {
    expectations e = expect_all(typed, weights, tied);
    check_doors(typed, &e);
    free_expectations(&e);
  }
  typed_free(typed);
}

static void tied_weights_are_to_the_bit_what_the_stored_ones_must_give(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_STORED; i++)
    check_stored(stored_types[i], true);
}

static void untied_weights_are_to_the_bit_what_the_stored_ones_must_give(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_STORED; i++)
    check_stored(stored_types[i], false);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tied_weights_are_to_the_bit_what_the_stored_ones_must_give),
      cmocka_unit_test(untied_weights_are_to_the_bit_what_the_stored_ones_must_give),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
