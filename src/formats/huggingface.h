/* huggingface.h - a Hugging Face GPT-2 folder: config.json, and model.safetensors or its shards. */
#ifndef FORMATS_HUGGINGFACE_H
#define FORMATS_HUGGINGFACE_H

#include "formats/config.h"
#include "formats/tensors.h"

/* Shards that one model may have: each is an open file. The largest published GPT-2 has one. */
enum { MAX_SHARDS = 256 };

/* Reads config.json and checks it (config_check). After a failure *out is as it was. */
gpt2_status huggingface_config(source *s, config *out, gpt2_error *error);

/* Opens the weights and lists their tensors. `weights_file` is the file to take, a .safetensors
 * file or the index of shards; NULL looks for model.safetensors, then
 * model.safetensors.index.json. After a failure *out is zeroed. */
gpt2_status huggingface_tensors(source *s, const char *weights_file, tensors *out,
                                gpt2_error *error);

#endif
