"""Turn the raw data into arrays and text pools that train.py reads.

    python prepare.py DATA_DIR PREP_DIR

For each source S it writes `S.npy` (uint8 pictures, [n, height, width, channels]) and `S.json`
(one entry a picture: `texts` indexes into texts.json, `label` says which pictures share a
meaning, `part` is train, val or test). `texts.json` holds every training text once,
`ids.npy` its tokens and `teacher.npy` its embedding by the text teacher.

Held out, and never in a training entry: the vendors twemoji and openmoji, every concept of the
test and val splits together with any picture whose name is that of such a concept, the test and
val photos, and 1,000 products.
"""

import csv
import hashlib
import json
import random
import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image

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


class Texts:
    """Every training text once, by index."""

    def __init__(self):
        self.index = {}

    def add(self, texts):
        return [self.index.setdefault(" ".join(t.split()), len(self.index)) for t in texts]


def square(path, size, mode="RGB"):
    """One picture as uint8 [size, size, channels]: shorter side resized, centre crop."""
    image = Image.open(path).convert(mode)
    scale = size / min(image.size)
    image = image.resize([max(size, round(s * scale)) for s in image.size], Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def rgb128(path):
    return square(path, 128)


def rgb64(path):
    return square(path, 64)


def rgba96(path):
    return square(path, 96, "RGBA")


def write(out, name, pool, convert, paths, entries):
    first = convert(paths[0])
    array = np.lib.format.open_memmap(out / f"{name}.npy", "w+", np.uint8, (len(paths), *first.shape))
    for i, picture in enumerate(pool.imap(convert, paths, chunksize=64)):
        array[i] = picture
    array.flush()
    (out / f"{name}.json").write_text(json.dumps(entries))
    print(name, array.shape, sum(e["part"] == "train" for e in entries), "for training", flush=True)


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


def pictograms(data, out, pool, texts, rng):
    root = data / "pictograms"
    rows = [json.loads(line) for line in (root / "pictograms.jsonl").open()]
    held_names = {r["caption"].lower() for r in rows if r["concept_split"] != "train"}
    pools, entries, dropped = {}, [], 0
    for r in rows:
        part, label = r["split"], r["caption"].lower()
        if part == "train" and label in held_names:
            part, dropped = "unused", dropped + 1
        entry = {k: r[k] for k in ("vendor", "caption", "group", "concept_split")} | {"part": part, "label": label}
        if part == "train":
            key = (label, tuple(r["keywords"]))
            if key not in pools:
                pools[key] = texts.add(pictogram_texts(r, rng))
            entry["texts"] = pools[key]
        entries.append(entry)
    print("pictograms named as a held-out concept, left out:", dropped)
    write(out, "pictograms", pool, rgba96, [root / r["file"] for r in rows], entries)


def photos(data, out, pool, texts, rng):
    root = data / "photos-captioned"
    rows = [json.loads(line) for line in (root / "captions.jsonl").open()]
    entries = []
    for i, r in enumerate(rows):
        entry = {"part": r["split"], "label": f"photo {i}", "captions": r["captions"]}
        if r["split"] == "train":
            captions = [c.rstrip(" .") for c in r["captions"]]
            two = ["{}. {}".format(*rng.sample(captions, 2))]  # long texts: the last positions must be trained too
            entry["texts"] = texts.add(captions + two)
        entries.append(entry)
    write(out, "photos", pool, rgb128, [root / r["file"] for r in rows], entries)


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


def products(data, out, pool, texts, rng):
    test, train = product_rows(data)
    rows = test + train
    entries = []
    for i, (row, name) in enumerate(rows):
        entry = {"part": "test" if i < PRODUCTS_TEST else "train", "label": row["id"], "name": name, "id": row["id"]}
        if entry["part"] == "train":
            kind, words = kind_of(row)
            entry |= {"kind": kind, "texts": texts.add(product_texts(row, name, rng))}
            entry["kind_texts"] = texts.add(kind_texts(words))
        entries.append(entry)
    paths = [data / "products" / "images" / f"{row['id']}.jpg" for row, _ in rows]
    write(out, "products", pool, rgb128, paths, entries)


def tiny(data, out, pool, texts, rng):
    root = data / "tiny-imagenet-200"
    words = dict(line.rstrip("\n").split("\t") for line in (root / "words.txt").open())
    paths, entries = [], []
    for wnid in (root / "wnids.txt").read_text().split():
        names = words[wnid].split(", ")[:2]
        pool_ids = texts.add(t.format(n) for t in PHOTO_TEMPLATES for n in names)
        for path in sorted((root / "train" / wnid / "images").glob("*.JPEG")):
            paths.append(path)
            entries.append({"part": "train", "label": wnid, "texts": pool_ids})
    write(out, "tiny", pool, rgb64, paths, entries)


def main(data, out):
    out.mkdir(parents=True, exist_ok=True)
    rng, texts = random.Random(SEED), Texts()
    with Pool(2) as pool:
        pictograms(data, out, pool, texts, rng)
        photos(data, out, pool, texts, rng)
        if (data / "products").exists():
            products(data, out, pool, texts, rng)
        if (data / "tiny-imagenet-200").exists():
            tiny(data, out, pool, texts, rng)
    texts = list(texts.index)
    (out / "texts.json").write_text(json.dumps(texts))
    ids = np.full((len(texts), tokenizer.CONTEXT), tokenizer.EOS_ID, np.int16)
    for i, encoding in enumerate(tokenizer.build().encode_batch(texts)):
        ids[i, : len(encoding.ids)] = encoding.ids
    np.save(out / "ids.npy", ids)
    print(len(texts), "texts", flush=True)
    np.save(out / "teacher.npy", TextTeacher.load().encode(texts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
