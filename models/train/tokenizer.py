"""CLIP's byte-level BPE tokenizer, cut to its first 8,192 entries, as one self-contained tokenizer.json.

The merges of CLIP are in order of frequency, so the cut keeps the commonest pieces; rarer words
become a few more tokens. Text goes through the same steps as in CLIP: NFC, whitespace to one
space, lower case, split into words, bytes, merges.

The two special tokens have the two largest ids and no entry in `added_tokens`: a user who types
"<|endoftext|>" gets the tokens of that text, never the special token.
"""

import gzip
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

VOCAB_SIZE = 8192
CONTEXT = 32
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
BOS_ID, EOS_ID = VOCAB_SIZE - 2, VOCAB_SIZE - 1  # EOS is the largest id: CLIP pools at argmax(ids)


def byte_symbols():
    """The 256 printable stand-ins for bytes, in CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def clip_merges_path():
    """The merges file that the package openai-clip carries."""
    import importlib.util

    package = Path(importlib.util.find_spec("clip").origin).parent
    return package / "bpe_simple_vocab_16e6.txt.gz"


def build(merges_path=None):
    """Build the tokenizer; truncates to CONTEXT tokens and keeps the end token last."""
    lines = gzip.open(merges_path or clip_merges_path()).read().decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 1 + VOCAB_SIZE - 2 * 256 - 2]]
    symbols = byte_symbols()
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [BOS, EOS]
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) == VOCAB_SIZE and vocab[EOS] == EOS_ID

    tok = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=EOS)
    )
    tok.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(BOS, BOS_ID), (EOS, EOS_ID)]
    )
    tok.enable_truncation(CONTEXT)
    return tok
