/* attention.h - what each row of a pass looks up in the earlier tokens of its sequence. */
#ifndef MODEL_ATTENTION_H
#define MODEL_ATTENTION_H

#include "model/forward.h"

/* Floats of scratch memory that one worker needs. */
size_t attention_scratch_floats(const gpt2_model *model);

/* Puts the queries of n rows, which are the first ones of p->qkv, into query tiles. Where in the
 * pass's segments they belong, `rows` tells (n, ascending); NULL: they are the pass's first n. */
void attention_prepare(pass *p, const size_t *rows, size_t n);

/* Puts the keys and values of the tiles' rows, which stand in qkv behind the queries, into the
 * cache. */
void attention_remember(const pass *p, size_t layer);

/* attended (of those rows, n_embd) = softmax(causal(q . k / sqrt(d_head))) . v, head by head, from
 * qkv and the cache. That must hold the rows' own keys and values by now; or, with `own`, each tile
 * puts its own there first, if no sequence has more than one. */
void attention_run(const pass *p, size_t layer, bool own);

#endif
