/* attention.h - what each row of a pass looks up in the earlier tokens of its sequence. */
#ifndef MODEL_ATTENTION_H
#define MODEL_ATTENTION_H

#include "model/forward.h"

/* Floats of scratch memory that one worker needs. */
size_t attention_scratch_floats(const gpt2_model *model);

/* Cuts the segments of a pass into query tiles; the same for every layer. */
void attention_prepare(pass *p);

/* p->attended (n_rows, n_embd) = softmax(causal(q . k / sqrt(d_head))) . v, head by head, from
 * p->qkv and the cache, which must hold the rows' own keys and values by now. */
void attention_run(pass *p, size_t layer);

#endif
