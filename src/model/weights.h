/* weights.h - finds the weights of a GPT-2 among the tensors of its files. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/storage.h"

/* Lists the weights that s->model needs out of its tensors: each is there by its name, in the shape
 * that the config asks for, of a type that we compute with. Sets blocks, tied, n_parameters and the
 * names of what is ignored; the list is freed by the caller, also after a failure. */
gpt2_status weights_list(storage *s, gpt2_error *error);

#endif
