"""The text teacher's WordPiece tokenizer, cut to its most useful entries, as one self-contained tokenizer.json.

Text goes through the teacher's own steps: clean, lower case, accents off, split at spaces and punctuation,
longest pieces first. A word whose entry was cut becomes a few shorter pieces.

The special tokens have no entry in `added_tokens`: a user who types "[SEP]" gets the tokens of that text,
never the special token.
"""

import json
import string
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

VOCAB_SIZE = 7936
CONTEXT = 48
PAD, UNK, CLS, SEP = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
PAD_ID, UNK_ID, CLS_ID, SEP_ID = range(4)


def build(vocabulary):
    """The tokenizer of a list of pieces; truncates to CONTEXT tokens and keeps [SEP] last."""
    assert vocabulary[:4] == [PAD, UNK, CLS, SEP]
    tok = Tokenizer(
        models.WordPiece(vocab={piece: i for i, piece in enumerate(vocabulary)}, unk_token=UNK, max_input_chars_per_word=100)
    )
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", special_tokens=[(CLS, CLS_ID), (SEP, SEP_ID)]
    )
    tok.enable_truncation(CONTEXT)
    return tok


def choose_vocabulary(whole, weighted_texts):
    """VOCAB_SIZE pieces of the tokenizer `whole`: all ASCII characters, then the most used.

    `weighted_texts` yields (text, weight). Pieces of words that were cut are counted in a second pass over
    what the first choice leaves, so that the pieces they fall into are chosen by use as well.
    """
    letters = string.ascii_lowercase + string.digits
    always = [PAD, UNK, CLS, SEP, *string.punctuation, *letters, *("##" + c for c in letters)]
    words = Counter()
    normalise, split = whole.normalizer.normalize_str, whole.pre_tokenizer.pre_tokenize_str
    for text, weight in weighted_texts:
        for word, _ in split(normalise(text)):
            words[word] += weight
    entries = set(whole.get_vocab())
    chosen = [piece for piece in always if piece in entries]
    for size in (VOCAB_SIZE * 9 // 10, VOCAB_SIZE):
        allowed = entries if size < VOCAB_SIZE else entries - dropped_words
        model = models.WordPiece(vocab={p: i for i, p in enumerate(sorted(allowed | {UNK}))}, unk_token=UNK)
        counts = Counter()
        for word, weight in words.items():
            for token in model.tokenize(word):
                counts[token.value] += weight
        taken = set(chosen)
        for piece, _ in counts.most_common():
            if len(chosen) == size:
                break
            if piece not in taken and piece != UNK:
                chosen.append(piece)
        # a whole word that was not chosen falls into pieces in the second pass
        dropped_words = {p for p in entries if not p.startswith("##") and len(p) > 1} - set(chosen)
    assert len(chosen) == VOCAB_SIZE
    return chosen


def save(vocabulary, path):
    build(vocabulary).save(str(path))


def load(path):
    return Tokenizer.from_file(str(path))
