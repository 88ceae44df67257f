/* gpt2.c - the GPT-2 forward pass in double precision, as plainly as it can be written.
 *
 *     residual = wte[token] + wpe[position]
 *     for each block:
 *       residual += attn_proj(attention(attn_qkv(ln_1(residual))))
 *       residual += mlp_proj(activation(mlp_fc(ln_2(residual))))
 *     hidden = ln_f(residual)
 *     logits = hidden . unembedding^T
 *
 * Radford et al., "Language Models are Unsupervised Multitask Learners", 2019. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* out = (x - mean) / sqrt(variance + epsilon) * weight + bias, for each row of x (n, n_embd). */
static void layer_norm(const reference_model *model, reference_linear norm, const double *x, int n,
                       double *out)
{
  int n_embd = model->config.n_embd;
  for (int row = 0; row < n; row++, x += n_embd, out += n_embd) {
    double mean = 0, variance = 0;
    for (int i = 0; i < n_embd; i++)
      mean += x[i] / n_embd;
    for (int i = 0; i < n_embd; i++)
      variance += (x[i] - mean) * (x[i] - mean) / n_embd;
    double scale = 1 / sqrt(variance + model->config.layer_norm_epsilon);
    for (int i = 0; i < n_embd; i++)
      out[i] = (x[i] - mean) * scale * norm.weight[i] + norm.bias[i];
  }
}

/* out (n, n_out) = x (n, n_in) . weight (n_in, n_out) + bias (n_out). */
static void linear(reference_linear layer, const double *x, int n, int n_in, int n_out, double *out)
{
  for (int row = 0; row < n; row++, x += n_in, out += n_out) {
    memcpy(out, layer.bias, (size_t)n_out * sizeof *out);
    for (int i = 0; i < n_in; i++) {
      const double *weight = layer.weight + (size_t)i * n_out;
      for (int j = 0; j < n_out; j++)
        out[j] += x[i] * weight[j];
    }
  }
}

static double activation(reference_activation kind, double x)
{
  switch (kind) {
  case REFERENCE_GELU_TANH:
    return 0.5 * x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x)));
  case REFERENCE_GELU_ERF:
    return 0.5 * x * (1 + erf(x / sqrt(2)));
  case REFERENCE_RELU:
    return x > 0 ? x : 0;
  }
  return NAN;
}

/* scores (n) become positive and add up to one. */
static void softmax(double *scores, int n)
{
  double maximum = scores[0], sum = 0;
  for (int i = 1; i < n; i++)
    maximum = fmax(maximum, scores[i]);
  for (int i = 0; i < n; i++)
    sum += scores[i] = exp(scores[i] - maximum);
  for (int i = 0; i < n; i++)
    scores[i] /= sum;
}

/* What attention scores are multiplied with in a layer, counted from 0. */
static double attention_scale(const reference_config *config, int layer)
{
  double scale = 1;
  if (config->scale_attn_weights)
    scale /= sqrt((double)(config->n_embd / config->n_head));
  if (config->scale_attn_by_inverse_layer_idx)
    scale /= layer + 1;
  return scale;
}

/* One head of one row: query (d_head) looks at the keys and values of the rows 0 to row, which lie
 * 3 * n_embd apart; out (d_head). scores (row + 1) is scratch. */
static void attend(const double *query, const double *keys, const double *values, int row,
                   int d_head, int stride, double scale, double *scores, double *out)
{
  for (int t = 0; t <= row; t++) {
    scores[t] = 0;
    for (int i = 0; i < d_head; i++)
      scores[t] += query[i] * keys[(size_t)t * stride + i];
    scores[t] *= scale;
  }
  softmax(scores, row + 1);
  memset(out, 0, (size_t)d_head * sizeof *out);
  for (int t = 0; t <= row; t++)
    for (int i = 0; i < d_head; i++)
      out[i] += scores[t] * values[(size_t)t * stride + i];
}

/* Causal attention of all heads: qkv (n, 3 * n_embd) holds each row's query, key and value; out (n,
 * n_embd). */
static void attention(const reference_config *config, int layer, const double *qkv, int n,
                      double *out)
{
  int n_embd = config->n_embd, d_head = n_embd / config->n_head;
  double scale = attention_scale(config, layer);
  double *scores = reference_doubles((size_t)n);
  for (int row = 0; row < n; row++) {
    for (int head = 0; head < config->n_head; head++) {
      const double *first = qkv + head * d_head; /* this head's query of row 0 */
      attend(first + (size_t)row * 3 * n_embd, first + n_embd, first + 2 * n_embd, row, d_head,
             3 * n_embd, scale, scores, out + (size_t)row * n_embd + head * d_head);
    }
  }
  free(scores);
}

static void add(double *residual, const double *x, size_t count)
{
  for (size_t i = 0; i < count; i++)
    residual[i] += x[i];
}

/* Passes the residual (n, n_embd) through one block. */
static void block_forward(const reference_model *model, int layer, double *residual, int n)
{
  const reference_config *config = &model->config;
  const reference_block *block = &model->block[layer];
  int n_embd = config->n_embd, n_inner = config->n_inner;
  size_t rows = (size_t)n;
  double *normed = reference_doubles(rows * n_embd), *out = reference_doubles(rows * n_embd);
  double *qkv = reference_doubles(rows * 3 * n_embd), *inner = reference_doubles(rows * n_inner);

  layer_norm(model, block->ln_1, residual, n, normed);
  linear(block->attn_qkv, normed, n, n_embd, 3 * n_embd, qkv);
  attention(config, layer, qkv, n, normed);
  linear(block->attn_proj, normed, n, n_embd, n_embd, out);
  add(residual, out, rows * n_embd);

  layer_norm(model, block->ln_2, residual, n, normed);
  linear(block->mlp_fc, normed, n, n_embd, n_inner, inner);
  for (size_t i = 0; i < rows * n_inner; i++)
    inner[i] = activation(config->activation, inner[i]);
  linear(block->mlp_proj, inner, n, n_inner, n_embd, out);
  add(residual, out, rows * n_embd);

  free(normed), free(out), free(qkv), free(inner);
}

void reference_hidden(const reference_model *model, const int32_t *tokens, int n, double *hidden)
{
  int n_embd = model->config.n_embd;
  double *residual = reference_doubles((size_t)n * n_embd);
  for (int row = 0; row < n; row++)
    for (int i = 0; i < n_embd; i++)
      residual[(size_t)row * n_embd + i] =
          model->wte[(size_t)tokens[row] * n_embd + i] + model->wpe[(size_t)row * n_embd + i];
  for (int layer = 0; layer < model->config.n_layer; layer++)
    block_forward(model, layer, residual, n);
  layer_norm(model, model->ln_f, residual, n, hidden);
  free(residual);
}

void reference_unembed(const reference_model *model, const double *hidden, double *logits)
{
  int n_embd = model->config.n_embd;
  for (int token = 0; token < model->config.n_vocab; token++) {
    const double *row = model->unembedding + (size_t)token * n_embd;
    logits[token] = 0;
    for (int i = 0; i < n_embd; i++)
      logits[token] += hidden[i] * row[i];
  }
}

void reference_logits(const reference_model *model, const int32_t *tokens, int n, double *logits)
{
  size_t n_embd = (size_t)model->config.n_embd, n_vocab = (size_t)model->config.n_vocab;
  double *hidden = reference_doubles((size_t)n * n_embd);
  reference_hidden(model, tokens, n, hidden);
  for (int row = 0; row < n; row++)
    reference_unembed(model, hidden + row * n_embd, logits + row * n_vocab);
  free(hidden);
}
