#!/usr/bin/env python3
"""Makes a Hugging Face folder with random weights, of any published GPT-2 size: for speed, not for
reading.

    random_model.py FOLDER [--size 124M] [--type f32] [--seed 0] [--vocabulary FOLDER]
                    [--outliers N]
                    [--n-layer N] [--n-embd N] [--n-head N] [--n-inner N] [--n-ctx N] [--n-vocab N]

--size        124M (gpt2), 355M (gpt2-medium), 774M (gpt2-large), 1558M (gpt2-xl) or distilgpt2
--type        f32, f16 or bf16
--outliers    so many channels, evenly spread, have activations 20 to 50 times the rest in front of
              every product of a block, as trained GPT-2s have: what int8 finds hard
--vocabulary  a folder whose tokenizer files are copied, so that the model can read and write text

The same arguments make the same bytes. The data begins at a multiple of 64 bytes, so that weights
can be used where they are mapped. Needs nothing but Python 3; the 124M take a few seconds.
"""

import argparse
import json
import random
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

# n_layer, n_embd, n_head
SIZES = {
    "distilgpt2": (6, 768, 12),
    "124M": (12, 768, 12),
    "355M": (24, 1024, 16),
    "774M": (36, 1280, 20),
    "1558M": (48, 1600, 25),
}
NAMES = {"gpt2": "124M", "gpt2-medium": "355M", "gpt2-large": "774M", "gpt2-xl": "1558M"}

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)

CHUNK = 1 << 20  # elements made at a time
ALIGNMENT = 64


def table(function):
    """For bytes.translate: what each byte becomes."""
    return bytes(function(byte) for byte in range(256))


@dataclass
class ElementType:
    """Makes random floating-point numbers from random bytes: the low bytes stay as they come,
    tables turn the highest ones into a sign, an exponent and the first bits of a mantissa."""

    name: str
    torch_name: str
    size: int
    weight: tuple  # tables of the last byte, or the last two
    norm: tuple

    def numbers(self, source, count, tables):
        """The bytes of `count` little-endian numbers."""
        data = bytearray(source.randbytes(count * self.size))
        for place, translation in zip(range(self.size - len(tables), self.size), tables):
            data[place :: self.size] = data[place :: self.size].translate(translation)
        return data


# Weights have an exponent of -7 or -6 and either sign: between 0.0078 and 0.031, with a deviation
# of 0.019, where trained ones have about 0.02. Weights of layer norms lie between 0.97 and 1.0625,
# in F16 between 1 and 1.125.
F32_WEIGHT = (table(lambda byte: byte & 0x80 | 0x3C),)
F32_NORM = (table(lambda byte: byte // 16 + 0x78), table(lambda byte: 0x3F))
F16_WEIGHT = (table(lambda byte: byte & 0x80 | 0x20 | byte & 0x07),)
F16_NORM = (table(lambda byte: byte // 2), table(lambda byte: 0x3C))

ELEMENT_TYPES = {
    "f32": ElementType("F32", "float32", 4, F32_WEIGHT, F32_NORM),
    "bf16": ElementType("BF16", "bfloat16", 2, F32_WEIGHT, F32_NORM),  # the upper half of an F32
    "f16": ElementType("F16", "float16", 2, F16_WEIGHT, F16_NORM),
}


def main():
    arguments = parse_arguments()
    config = make_config(arguments)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "config.json").write_text(
        json.dumps(config, indent=2) + "\n", encoding="utf-8"
    )
    write_weights(
        arguments.folder / "model.safetensors",
        config,
        ELEMENT_TYPES[arguments.type],
        arguments.seed,
        arguments.outliers,
    )
    if arguments.vocabulary:
        copy_tokenizer(arguments.vocabulary, arguments.folder)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=[*SIZES, *NAMES], default="124M", metavar="SIZE")
    parser.add_argument("--type", choices=ELEMENT_TYPES, default="f32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outliers", type=int, default=0, metavar="N")
    parser.add_argument("--vocabulary", type=Path, metavar="FOLDER")
    for name in ("n-layer", "n-embd", "n-head", "n-inner"):
        parser.add_argument(f"--{name}", type=int, metavar="N")
    parser.add_argument("--n-ctx", type=int, default=1024, metavar="N")
    parser.add_argument("--n-vocab", type=int, default=50257, metavar="N")
    arguments = parser.parse_args()
    sizes = make_config(arguments)
    if min(sizes[key] for key in ("n_layer", "n_embd", "n_head", "n_positions", "vocab_size")) < 1:
        parser.error("sizes are positive")
    if not 0 <= arguments.outliers <= sizes["n_embd"]:
        parser.error(f"--outliers is from 0 to n_embd, {sizes['n_embd']}")
    if sizes["n_embd"] % sizes["n_head"]:
        parser.error(f"--n-head {sizes['n_head']} does not divide --n-embd {sizes['n_embd']}")
    return arguments


def make_config(arguments):
    n_layer, n_embd, n_head = SIZES[NAMES.get(arguments.size, arguments.size)]
    end = arguments.n_vocab - 1
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "bos_token_id": end,
        "eos_token_id": end,
        "layer_norm_epsilon": 1e-05,
        "n_embd": arguments.n_embd or n_embd,
        "n_head": arguments.n_head or n_head,
        "n_inner": arguments.n_inner,
        "n_layer": arguments.n_layer or n_layer,
        "n_positions": arguments.n_ctx,
        "tie_word_embeddings": True,
        "torch_dtype": ELEMENT_TYPES[arguments.type].torch_name,
        "vocab_size": arguments.n_vocab,
    }


def tensors(config):
    """(name, shape) of every tensor, named as the published files name them."""
    n_embd, n_inner = config["n_embd"], config["n_inner"] or 4 * config["n_embd"]
    yield "wte.weight", (config["vocab_size"], n_embd)
    yield "wpe.weight", (config["n_positions"], n_embd)
    for layer in range(config["n_layer"]):
        block = f"h.{layer}."
        yield from norm(block + "ln_1", n_embd)
        yield from linear(block + "attn.c_attn", n_embd, 3 * n_embd)
        yield from linear(block + "attn.c_proj", n_embd, n_embd)
        yield from norm(block + "ln_2", n_embd)
        yield from linear(block + "mlp.c_fc", n_embd, n_inner)
        yield from linear(block + "mlp.c_proj", n_inner, n_embd)
    yield from norm("ln_f", n_embd)


def linear(name, n_in, n_out):
    yield name + ".weight", (n_in, n_out)
    yield name + ".bias", (n_out,)


def norm(name, n_embd):
    yield name + ".weight", (n_embd,)
    yield name + ".bias", (n_embd,)


def elements(shape):
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def amplify(data, element_type, outliers):
    """Makes `outliers` of the weights of a layer norm 20 to 50."""
    size = element_type.size
    for i in range(outliers):
        value = 20.0 + 30.0 * i / max(outliers - 1, 1)
        number = struct.pack("<e" if element_type.name == "F16" else "<f", value)
        at = (len(data) // size) * i // outliers * size
        data[at : at + size] = number[-size:]  # BF16 is the upper half of an F32


def write_weights(path, config, element_type, seed, outliers):
    header, position = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors(config):
        end = position + elements(shape) * element_type.size
        header[name] = {"dtype": element_type.name, "shape": shape, "data_offsets": (position, end)}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    source = random.Random(seed)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(config):
            is_norm = name.endswith((".ln_1.weight", ".ln_2.weight", "ln_f.weight"))
            tables = element_type.norm if is_norm else element_type.weight
            for begin in range(0, elements(shape), CHUNK):
                data = element_type.numbers(source, min(CHUNK, elements(shape) - begin), tables)
                if is_norm and "ln_f" not in name:
                    amplify(data, element_type, outliers)
                file.write(data)


def copy_tokenizer(vocabulary, folder):
    files = [vocabulary / name for name in TOKENIZER_FILES if (vocabulary / name).exists()]
    if not files:
        raise SystemExit(
            f"{vocabulary}: holds no tokenizer (tokenizer.json, or vocab.json and merges.txt)"
        )
    for file in files:
        shutil.copy(file, folder)


if __name__ == "__main__":
    main()
