"""Measure an exported model on held-out pictures and print the model card's table.

    python evaluate.py MODEL_DIR DATA_DIR [--zero-shot-only]

Everything goes the way a user's data goes: the f16 files are loaded by transformers' VisionTextDualEncoderModel,
texts pass through the saved tokenizer.json, pictures are read from their files, laid over white,
and prepared by Pillow as preprocessor_config.json says.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from tokenizers import Tokenizer
from transformers import VisionTextDualEncoderModel

from prepare import product_rows
from tokenizer import PAD_ID

LABELS = {
    "dress": "dress", "hat": "hat", "longsleeve": "long sleeve shirt", "outwear": "jacket", "pants": "pants",
    "shirt": "shirt", "shoes": "shoes", "shorts": "shorts", "skirt": "skirt", "t-shirt": "t-shirt",
}  # fmt: skip
TEMPLATE = "a photo of a {}"


class Embedder:
    """The exported model, used as any user would."""

    def __init__(self, directory):
        directory = Path(directory)
        self.model = VisionTextDualEncoderModel.from_pretrained(directory, dtype=torch.float32).eval()
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        config = json.loads((directory / "preprocessor_config.json").read_text())
        self.side = config["size"]["shortest_edge"]
        self.crop = config["crop_size"]["height"]
        self.mean, self.std = np.float32(config["image_mean"]), np.float32(config["image_std"])
        self.resample = Image.Resampling(config["resample"])

    def pixels(self, path):
        """A file as the tower's input, f32 [3, S, S]."""
        image = ImageOps.exif_transpose(Image.open(path))
        if image.mode in ("RGBA", "LA", "P", "PA"):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        width, height = image.size
        short = min(width, height)
        image = image.resize((self.side * width // short, self.side * height // short), self.resample)
        left, top = (image.width - self.crop) // 2, (image.height - self.crop) // 2
        image = image.crop((left, top, left + self.crop, top + self.crop))
        return ((np.asarray(image, np.float32) / 255 - self.mean) / self.std).transpose(2, 0, 1)

    @torch.no_grad()
    def images(self, paths, batch=100):
        """Unit-length embeddings, f32 [n, 256]."""
        out = []
        for start in range(0, len(paths), batch):
            pixels = np.stack([self.pixels(path) for path in paths[start : start + batch]])
            out.append(self.model.get_image_features(pixel_values=torch.from_numpy(pixels)))
        return F.normalize(torch.cat(out), dim=-1)

    @torch.no_grad()
    def texts(self, texts, batch=500):
        """Unit-length embeddings, f32 [n, 256]."""
        out = []
        for start in range(0, len(texts), batch):
            ids = [e.ids for e in self.tokenizer.encode_batch(texts[start : start + batch])]
            longest = max(map(len, ids))
            padded = torch.tensor([i + [PAD_ID] * (longest - len(i)) for i in ids])
            out.append(self.model.get_text_features(input_ids=padded, attention_mask=(padded != PAD_ID).long()))
        return F.normalize(torch.cat(out), dim=-1)


def recall(scores, correct, ks=(1, 5, 10)):
    """Percent of queries (rows) with a correct picture among the first k; `correct` is a bool matrix."""
    top = scores.topk(max(ks)).indices
    hits = correct.gather(1, top)
    return [100 * hits[:, :k].any(1).float().mean().item() for k in ks]


def chance(correct, ks=(1, 5, 10)):
    """What a random order would reach, in percent."""
    n = correct.shape[1]
    right = correct.sum(1).double()
    miss, result = torch.ones_like(right), []
    for k in range(max(ks)):
        miss = miss * (n - right - k).clamp(min=0) / (n - k)
        if k + 1 in ks:
            result.append(100 * (1 - miss).mean().item())
    return result


def retrieval_sets(data):
    """(name, gallery paths, query texts, bool [queries, gallery]) of each held-out set."""
    rows = [json.loads(line) for line in (data / "pictograms" / "pictograms.jsonl").open()]
    for vendor in ("twemoji", "openmoji"):
        for split, words in (("train", "concepts seen from other vendors"), ("test", "concepts never seen")):
            chosen = [r for r in rows if r["vendor"] == vendor and r["concept_split"] == split]
            names = [r["caption"] for r in chosen]
            paths = [data / "pictograms" / r["file"] for r in chosen]
            yield f"{vendor}, {words}", paths, names, same(names, names)
    rows = [json.loads(line) for line in (data / "photos-captioned" / "captions.jsonl").open()]
    rows = [r for r in rows if r["split"] == "test"]
    captions = [c for r in rows for c in r["captions"]]
    owner = torch.arange(len(rows)).repeat_interleave(5)
    paths = [data / "photos-captioned" / r["file"] for r in rows]
    yield "photos, 5 captions each", paths, captions, owner[:, None] == torch.arange(len(rows))[None]
    if (data / "products").exists():
        held_out, _ = product_rows(data)
        names = [name for _, name in held_out]
        paths = [data / "products" / "images" / f"{row['id']}.jpg" for row, _ in held_out]
        yield "products, by full name", paths, names, same(names, names)


def same(queries, names):
    number = {name: i for i, name in enumerate(names)}
    q, n = (torch.tensor([number[t] for t in texts]) for texts in (queries, names))
    return q[:, None] == n[None]


def clothing(embedder, data):
    """Zero-shot top-1 in percent over all photos, mean over classes, and chance."""
    rows = [json.loads(line) for line in (data / "photos-clothing-cc0" / "captions.jsonl").open()]
    labels = list(LABELS)
    truth = torch.tensor([labels.index(r["label"]) for r in rows])
    images = embedder.images([data / "photos-clothing-cc0" / r["file"] for r in rows])
    texts = embedder.texts([TEMPLATE.format(word) for word in LABELS.values()])
    right = (images @ texts.T).argmax(1) == truth
    per_class = [right[truth == i].float().mean().item() * 100 for i in range(len(labels))]
    return 100 * right.float().mean().item(), sum(per_class) / len(labels), dict(zip(labels, map(round, per_class)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--zero-shot-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    embedder = Embedder(args.model)
    if not args.zero_shot_only:
        print("| text to image, held out | queries | gallery | R@1 | R@5 | R@10 | chance R@1 / 5 / 10 |")
        print("|---|---|---|---|---|---|---|")
        for name, paths, texts, correct in retrieval_sets(args.data):
            scores = embedder.texts(texts) @ embedder.images(paths).T
            measured = " | ".join(f"{v:.1f}" for v in recall(scores, correct))
            random = " / ".join(f"{v:.1f}" for v in chance(correct))
            print(f"| {name} | {len(texts)} | {len(paths)} | {measured} | {random} |", flush=True)
        print()
    top1, balanced, per_class = clothing(embedder, args.data)
    print("| zero-shot, held out | pictures | classes | top-1 | mean over classes | chance |")
    print("|---|---|---|---|---|---|")
    print(f'| CC0 clothing, "{TEMPLATE}" | 245 | 10 | {top1:.1f} | {balanced:.1f} | 10.0 |\n')
    print("Per class:", ", ".join(f"{name} {value}" for name, value in per_class.items()))


if __name__ == "__main__":
    main()
