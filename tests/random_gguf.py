#!/usr/bin/env python3
"""Makes a GGUF file of GPT-2 124M with random weights, to measure llama.cpp beside the library.

    random_gguf.py FILE F32|F16|Q8_0|Q4_0

It has no tokenizer: llama-bench and llama-batched-bench need none. As in our own models, Q4_0 keeps
the unembedding in Q8_0. Needs gguf (tried: 0.19.0) and numpy from PyPI.
"""
import sys

import gguf
import numpy as np

N_VOCAB, N_CTX, N_EMBD, N_INNER, N_HEAD, N_LAYER = 50257, 1024, 768, 3072, 12, 12


def add_matrix(writer, random, name, n_out, n_in, kind):
    """A matrix (n_out, n_in) of the kind."""
    weights = random.standard_normal((n_out, n_in), dtype=np.float32) * 0.02
    if kind in ("F32", "F16"):
        writer.add_tensor(name, weights.astype(np.float32 if kind == "F32" else np.float16))
    else:
        quantised = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(weights, quantised), raw_dtype=quantised)


def add_linear(writer, random, name, n_out, n_in, kind):
    """A matrix and its bias."""
    add_matrix(writer, random, f"{name}.weight", n_out, n_in, kind)
    writer.add_tensor(f"{name}.bias", np.zeros(n_out, dtype=np.float32))


def add_norm(writer, name):
    """A layer norm's weight and bias."""
    writer.add_tensor(f"{name}.weight", np.ones(N_EMBD, dtype=np.float32))
    writer.add_tensor(f"{name}.bias", np.zeros(N_EMBD, dtype=np.float32))


def add_config(writer):
    """What llama.cpp must know of the model."""
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(N_INNER)
    writer.add_block_count(N_LAYER)
    writer.add_head_count(N_HEAD)
    writer.add_layer_norm_eps(1e-5)
    writer.add_vocab_size(N_VOCAB)
    writer.add_string("tokenizer.ggml.model", "no_vocab")


def main(path, kind):
    """Writes the file."""
    writer, random = gguf.GGUFWriter(path, "gpt2"), np.random.default_rng(0)
    add_config(writer)
    unembedding = "Q8_0" if kind == "Q4_0" else kind
    add_matrix(writer, random, "token_embd.weight", N_VOCAB, N_EMBD, unembedding)
    add_matrix(writer, random, "position_embd.weight", N_CTX, N_EMBD, "F32")
    add_norm(writer, "output_norm")
    for layer in range(N_LAYER):
        block = f"blk.{layer}."
        add_norm(writer, block + "attn_norm")
        add_linear(writer, random, block + "attn_qkv", 3 * N_EMBD, N_EMBD, kind)
        add_linear(writer, random, block + "attn_output", N_EMBD, N_EMBD, kind)
        add_norm(writer, block + "ffn_norm")
        add_linear(writer, random, block + "ffn_up", N_INNER, N_EMBD, kind)
        add_linear(writer, random, block + "ffn_down", N_EMBD, N_INNER, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in ("F32", "F16", "Q8_0", "Q4_0"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
