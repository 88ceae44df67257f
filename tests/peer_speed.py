#!/usr/bin/env python3
"""Measures PyTorch or CTranslate2 on a Hugging Face folder, to compare gpt2-bench with.

    peer_speed.py torch f32|bf16 MODEL THREADS
    peer_speed.py ctranslate2 float32|int8 MODEL THREADS

Prints, in milliseconds: a token after 1 and after 512 others, prompts of 128 and 512 tokens with
the logits of the last one, and a step of 8 sequences. Needs torch and transformers as
tests/fixtures/requirements.txt has them, or ctranslate2 (tried: 4.8.5) besides.
"""
import json
import statistics
import sys
import tempfile
import time

N_VOCAB = 50257


def tokens(n):
    """The same n tokens every time."""
    return [i * 7919 % N_VOCAB for i in range(n)]


def milliseconds(work, repeat):
    """The median of so many calls, after one that warms up."""
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


class Torch:
    """transformers' model, told to work out only the logits that are asked for."""

    def __init__(self, kind, folder, threads):
        import torch
        import transformers

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
        self.torch, self.cache = torch, transformers.DynamicCache
        self.model = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=kinds[kind]).eval()

    def prompt(self, n):
        rows = self.torch.tensor([tokens(n)])
        return lambda: self.model(rows, use_cache=True, logits_to_keep=1)

    def step(self, n_sequences, context):
        """One token each for sequences that are `context` long, which then forget it."""
        cache = self.cache()
        rows = self.torch.tensor([tokens(context)] * n_sequences)
        self.model(rows, past_key_values=cache, logits_to_keep=1)
        last = rows[:, :1]

        def work():
            self.model(last, past_key_values=cache, logits_to_keep=1)
            cache.crop(-1)

        return work, 1


class CTranslate2:
    """Its generator, made from the folder in a temporary one. A step is the difference between
    generations of two lengths, as it has no other way to continue."""

    N_STEPS = 32

    def __init__(self, kind, folder, threads):
        import ctranslate2

        self.made = tempfile.TemporaryDirectory()
        converter = ctranslate2.converters.TransformersConverter(folder)
        converter.convert(self.made.name, force=True)
        self.generator = ctranslate2.Generator(
            self.made.name, compute_type=kind, inter_threads=1, intra_threads=threads)
        with open(f"{self.made.name}/vocabulary.json", encoding="utf-8") as file:
            self.names = json.load(file)

    def generate(self, n_sequences, context, n):
        prompts = [[self.names[token] for token in tokens(context)]] * n_sequences
        self.generator.generate_batch(prompts, max_length=n, min_length=n, beam_size=1,
                                      include_prompt_in_result=False)

    def prompt(self, n):
        return lambda: self.generate(1, n, 1)

    def step(self, n_sequences, context):
        return lambda: self.generate(n_sequences, context, 1 + self.N_STEPS), self.N_STEPS


def measure_step(peer, n_sequences, context):
    work, n_steps = peer.step(n_sequences, context)
    whole = milliseconds(work, 40 if n_steps == 1 else 9)
    if n_steps == 1:
        return whole
    first = milliseconds(lambda: peer.generate(n_sequences, context, 1), 9)
    return (whole - first) / n_steps


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in ("torch", "ctranslate2"):
        sys.exit(__doc__)
    peers = {"torch": Torch, "ctranslate2": CTranslate2}
    peer = peers[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]))
    print(f"{sys.argv[1]} {sys.argv[2]}, {sys.argv[4]} threads", flush=True)
    for context in (1, 512):
        print(f"decode after {context:4}: {measure_step(peer, 1, context):8.2f} ms", flush=True)
    for n in (128, 512):
        print(f"prompt of {n:4}   : {milliseconds(peer.prompt(n), 7):8.1f} ms", flush=True)
    step = measure_step(peer, 8, 1)
    print(f"8 sequences      : {step:8.2f} ms, {8e3 / step:.0f} tokens/s", flush=True)


main()
