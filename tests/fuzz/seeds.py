#!/usr/bin/env python3
"""seeds.py - makes the seeds of the fuzzers from tests/fixtures, from which their corpora grow.

    seeds.py FOLDER

writes FOLDER/FUZZER/NAME. What the seeds look like is in the opening comment of each fuzzer; the sizes are those of
tests/fuzz/fuzz.h.
"""
import json
import math
import pathlib
import struct
import sys

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / 'fixtures'
MODELS = sorted((FIXTURES / 'models').glob('*/'))
VOCAB, CTX, EMBD, INNER = 5, 4, 4, 3
BETWEEN_FILES = b'\n====\n'
SIZES = {'BOOL': 1, 'F16': 2, 'BF16': 2, 'F32': 4, 'F64': 8}


def read_safetensors(path):
    """The entries of its header, and the bytes of its data."""
    content = path.read_bytes()
    n = struct.unpack('<Q', content[:8])[0]
    return json.loads(content[8:8 + n]), content[8 + n:]


def tiny_shape(name, shape):
    """The shape that a tensor of this name has in a tiny model."""
    if name.startswith('wte') or name == 'lm_head.weight':
        return [VOCAB, EMBD]
    if name.startswith('wpe'):
        return [CTX, EMBD]
    if name.endswith(('.attn.bias', '.masked_bias')):
        return [min(n, CTX) for n in shape]
    wide = {'attn.c_attn': 3 * EMBD, 'mlp.c_fc': INNER}
    width = next((n for part, n in wide.items() if part in name), EMBD)
    rows = INNER if 'mlp.c_proj' in name else EMBD
    return [rows, width][-len(shape):] if len(shape) <= 2 else shape


def tiny_safetensors(header, data):
    """The first block's tensors, their beginnings only."""
    entries, parts, end = {}, [], 0
    for name, entry in header.items():
        if name == '__metadata__':
            entries[name] = entry
            continue
        if '.h.' in '.' + name and '.h.0.' not in '.' + name:
            continue
        shape = tiny_shape(name.removeprefix('transformer.'), entry['shape'])
        size = math.prod(shape) * SIZES[entry['dtype']]
        start = entry['data_offsets'][0]
        parts.append(data[start:start + size].ljust(size, b'\0'))
        entries[name] = {'dtype': entry['dtype'], 'shape': shape, 'data_offsets': [end, end + size]}
        end += size
    text = json.dumps(entries, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + b''.join(parts)


def safetensors_seeds():
    for folder in MODELS:
        path = folder / 'model.safetensors'
        if path.exists():
            yield folder.name, tiny_safetensors(*read_safetensors(path))
    for i in (1, 2, 3):
        path = FIXTURES / f'models/sharded/model-0000{i}-of-00003.safetensors'
        yield f'shard{i}', tiny_safetensors(*read_safetensors(path))


def tiny_config(folder):
    config = json.loads((folder / 'config.json').read_text())
    config.update(vocab_size=VOCAB, n_positions=CTX, n_embd=EMBD, n_head=2, n_layer=1)
    if config.get('n_inner', 0) is not None:
        config['n_inner'] = INNER
    for key in ('bos_token_id', 'eos_token_id'):
        if isinstance(config.get(key), int):
            config[key] = min(config[key], VOCAB - 1)
    return config


def config_seeds():
    index = json.loads((FIXTURES / 'models/sharded/model.safetensors.index.json').read_text())
    in_first = 8  # tensors of tiny.c in its first shard
    names = [name for name in tiny_names()]
    index['weight_map'] = {name: '1.safetensors' if i < in_first else '2.safetensors' for i, name in enumerate(names)}
    for folder in MODELS:
        config = tiny_config(folder)
        config['n_inner'] = INNER  # as the weights have it
        text = json.dumps(config).encode()
        yield folder.name, text
        yield folder.name + '_sharded', text + BETWEEN_FILES + json.dumps(index).encode()
        yield folder.name + '_default_inner', json.dumps(tiny_config(folder)).encode()


    for n in (16, 17):
        yield f'{n}_eos_tokens', json.dumps({'model_type': 'gpt2', 'eos_token_id': list(range(n))}).encode()


def tiny_names():
    """The tensors of tiny.c in their order."""
    source = (pathlib.Path(__file__).resolve().parent / 'tiny.c').read_text()
    for line in source.splitlines():
        if line.strip().startswith(('MATRIX("', 'VECTOR("')):
            yield line.split('"')[1]


# ---- Tokenizers ----


def used_letters(tokenizer):
    """The letters of a tokenizer's merges and of its shorter tokens: what a smaller one can do with."""
    names = {name for merge in tokenizer['model']['merges'] for name in merge}
    return {letter for name in names for letter in name} | set('abcdets')


def smaller(tokenizer):
    """The same tokenizer without most of its bytes and with other ids, so that changes meet what matters."""
    letters = used_letters(tokenizer)
    vocab = tokenizer['model']['vocab']
    kept = [name for name in vocab if len(name) > 1 or name in letters]
    tokenizer['model']['vocab'] = {name: i for i, name in enumerate(kept)}
    for token in tokenizer['added_tokens']:
        token['id'] = tokenizer['model']['vocab'].get(token['content'], len(kept) + token['id'])
    return tokenizer


def tokenizer_sets():
    for path in sorted((FIXTURES / 'tokenizer/sets').glob('*.json')):
        yield path.stem, json.loads(path.read_text())


def tokenizer_json_seeds():
    for name, tokenizer in tokenizer_sets():
        yield name, json.dumps(smaller(tokenizer), separators=(',', ':'), ensure_ascii=False).encode()
    for name in ('unknown', 'split', 'added00'):
        yield name + '_pieces', in_pieces(smaller(json.loads((FIXTURES / f'tokenizer/sets/{name}.json').read_text())))
    # Arrays where objects should be, and a token that stands in two pieces.
    yield 'array_pieces', b'[\n1,\n2]\n'
    yield 'model_array_pieces', b'{"model":[\n1,\n2]}\n'
    twice = in_pieces(smaller(json.loads((FIXTURES / 'tokenizer/sets/split.json').read_text())))
    twice = twice.replace(b'"vocab":{\n', b'"vocab":{\n"twice":77,')
    yield 'twice', twice.replace(b'},"merges"', b',"twice":77},"merges"')


def in_pieces(tokenizer):
    """With a line break in the vocabulary and in the merges, of which load_tokenizer.c makes many, and at the end."""
    text = dump(tokenizer)
    for place in (b'"vocab":{', b'"merges":['):
        text = text.replace(place, place + b'\n')
    return text + b'\n'


def vocabulary_seeds():
    """A vocabulary with merges, the files beside it in turns, and one with every byte."""
    base = FIXTURES / 'models/base'
    vocab = json.loads((base / 'vocab.json').read_text())
    merges = (base / 'merges.txt').read_bytes()
    letters = set(merges.decode())
    small = {name: i for i, name in enumerate(name for name in vocab if len(name) > 1 or name in letters)}
    end = '<|endoftext|>'
    decoder = {str(small[end]): {'content': end, 'special': True, 'lstrip': False},
               '90': {'content': '<s>', 'rstrip': True, 'normalized': True, 'single_word': True}}
    far = {str(id): {'content': f'<{id}>'} for id in (2**31 - 2, 2**31 - 1)}
    beside = {
        'far': [{'added_tokens_decoder': far}],
        'alone': [],
        'config': [{'add_prefix_space': True, 'bos_token': end, 'model_max_length': 1000000000000000019884624838656}],
        'decoder': [{'added_tokens_decoder': decoder, 'unk_token': {'content': end, '__type': 'AddedToken'}}],
        'map': [None, {'bos_token': end, 'eos_token': {'content': end, 'lstrip': True},
                       'additional_special_tokens': ['th']}],
        'added': [None, None, {'<pad>': 91, 'in g': 92}],
        'all': [{'add_bos_token': False}, {'pad_token': '<pad>'}, {'<pad>': 91}],
    }
    for name, files in beside.items():
        parts = [dump(small), merges] + [dump(file) if file is not None else b'' for file in files]
        yield name, BETWEEN_FILES.join(parts)
    yield 'every_byte', BETWEEN_FILES.join([dump(vocab), merges])
    yield 'broken', BETWEEN_FILES.join([json.dumps(small, indent=0, ensure_ascii=False).encode() + b'\n', merges])


def texts_of(path, most):
    """The shorter texts of a fixture, evenly chosen."""
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    texts = [line['text'].encode() if 'text' in line else bytes.fromhex(line['hex']) for line in lines]
    texts = [text for text in texts if 4 <= len(text) <= 120]
    return texts[::max(1, len(texts) // most)]


def text_seeds():
    """Texts for each of the tokenizers in the order of text.c, and pairs of bytes for tokens."""
    source = (pathlib.Path(__file__).resolve().parent / 'text.c').read_text()
    table = source[source.index('tokenizers[] = {'):source.index('};')]
    for i, name in enumerate(table.split('"')[1::2]):
        path = FIXTURES / f'tokenizer/sets/{name}.jsonl'
        texts = texts_of(path, 8) if path.exists() else texts_of(FIXTURES / 'tokenizer/texts.jsonl', 60)
        if i == 1:
            texts += texts_of(FIXTURES / 'tokenizer/invalid.jsonl', 60)
        for j, text in enumerate(texts):
            yield f'{i:02}_{j:02}', bytes([i, j * 2 % 256]) + text
        for j in range(4):
            yield f'{i:02}_ids{j}', bytes([i, 1 + 2 * j]) + bytes((k * k * 7 + j) % 251 for k in range(60))


def call_seeds():
    """Bytes of a linear congruential generator: what they mean, the fuzzer finds out."""
    number = 1
    for i in range(60):
        content = []
        for _ in range(20 + 3 * i):
            number = (number * 1103515245 + 12345) % 2**31
            content.append(number >> 16 & 255)
        yield f'{i:02}', bytes(content)


def dump(value):
    return json.dumps(value, separators=(',', ':'), ensure_ascii=False).encode()


SEEDS = {'safetensors': safetensors_seeds, 'config': config_seeds, 'tokenizer_json': tokenizer_json_seeds,
         'vocabulary': vocabulary_seeds, 'text': text_seeds, 'calls': call_seeds}


def main(folder):
    for fuzzer, seeds in SEEDS.items():
        to = pathlib.Path(folder) / fuzzer
        to.mkdir(parents=True, exist_ok=True)
        for name, content in seeds():
            (to / name).write_bytes(content)


if __name__ == '__main__':
    main(sys.argv[1])
