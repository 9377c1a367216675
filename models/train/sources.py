"""Training batches: one source a batch, pictures augmented, several pictures of one meaning together."""

import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from model import IMAGE_SIZE

NAME_TEXTS = 6  # prepare.py puts the forms of a pictogram's name before its keywords
CHUNK = 48  # pictures augmented at a time: they stay in the cache


def uniform(n, low, high):
    return torch.empty(n).uniform_(low, high)


def warp(x, scale, stretch=0.2, rotate=0.05, flip=False):
    """Random view of IMAGE_SIZE pixels.

    `scale` is the range of the side of the view relative to the picture: below 1 a crop at a random
    place, above 1 the picture on a wider ground (its border is continued).
    """
    n = len(x)
    side, aspect = uniform(n, *scale), torch.exp(uniform(n, -stretch, stretch))
    sx, sy = side * aspect, side / aspect
    if scale[1] <= 1:
        sx, sy = sx.clamp(max=1), sy.clamp(max=1)
    tx, ty = uniform(n, -1, 1) * (1 - sx).abs(), uniform(n, -1, 1) * (1 - sy).abs()
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if flip else torch.ones(n)
    angle = uniform(n, -rotate, rotate)
    rows = [
        torch.stack([sx * mirror * angle.cos(), -sy * angle.sin(), tx], 1),
        torch.stack([sx * mirror * angle.sin(), sy * angle.cos(), ty], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), (n, 3, IMAGE_SIZE, IMAGE_SIZE), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recolour(x, amount, grey=0.05):
    """Random brightness, contrast, mixing of channels, some pictures grey, some batches blurred."""
    n = len(x)
    mixing = torch.eye(3) + (amount / 3) * torch.randn(n, 3, 3)
    mixing = mixing / mixing.sum(2, keepdim=True).clamp(min=0.5)  # white stays white
    mixing[torch.rand(n) < grey] = 1 / 3
    x = torch.einsum("nij,njhw->nihw", mixing, x)
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast, brightness = (uniform((n, 1, 1, 1), 1 - amount, 1 + amount) for _ in range(2))
    x = (x - mean) * contrast + mean * brightness
    if random.random() < 0.15:
        small = F.interpolate(x, size=random.choice([48, 64, 80]), mode="bilinear", antialias=True)
        x = F.interpolate(small, size=IMAGE_SIZE, mode="bilinear")
    return x.clamp(0, 1)


def floats(array):
    """uint8 [n, h, w, c] to f32 [n, c, h, w] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2).float() / 255


def over(rgba, ground):
    """Lay RGBA over a ground colour [n or 1, 3, 1, 1]."""
    return rgba[:, :3] * rgba[:, 3:] + ground * (1 - rgba[:, 3:])


class Source:
    """The training pictures of one source and the texts that go with each."""

    def __init__(self, prep, name, keep=lambda entry: True):
        self.entries = json.loads((prep / f"{name}.json").read_text())
        self.pictures = np.load(prep / f"{name}.npy", mmap_mode="r")
        self.train = [i for i, e in enumerate(self.entries) if e["part"] == "train" and keep(e)]
        self.by_label = defaultdict(list)
        for i in self.train:
            self.by_label[self.entries[i]["label"]].append(i)
        self.labels = list(self.by_label)
        self.number = {label: i for i, label in enumerate(self.labels)}

    def choose(self, n):
        return random.sample(self.train, n)

    def choose_text(self, texts):
        return random.choice(texts)

    def batch(self, n):
        """(pixels f32 [n, 3, S, S] in 0..1, text indices [n], label numbers [n])."""
        chosen = sorted(self.choose(n))
        texts = [self.choose_text(self.entries[i]["texts"]) for i in chosen]
        labels = torch.tensor([self.number[self.entries[i]["label"]] for i in chosen])
        return self.augmented(chosen), texts, labels

    def augmented(self, chosen):
        chunks = [chosen[i : i + CHUNK] for i in range(0, len(chosen), CHUNK)]
        return torch.cat([self.augment(self.pictures[chunk], chunk) for chunk in chunks])


class Photos(Source):
    """Photographs: crops, mirror, colours."""

    def augment(self, array, chosen):
        return recolour(warp(floats(array), (0.6, 1.0), flip=True), 0.25)


class Products(Source):
    """Catalogue photos, half of the batches by description, half by kind ("shoes") with kinds balanced.

    They stand on white; half of the pictures get another ground, as photos at home have.
    """

    def __init__(self, prep, name, grounds):
        super().__init__(prep, name)
        self.grounds = grounds
        self.by_kind = defaultdict(list)
        for i in self.train:
            self.by_kind[self.entries[i]["kind"]].append(i)
        self.kinds = list(self.by_kind)
        self.shares = [len(members) ** 0.4 if len(members) >= 20 else 0 for members in self.by_kind.values()]

    def batch(self, n):
        if random.random() < 0.5:
            return super().batch(n)
        picked = random.choices(range(len(self.kinds)), self.shares, k=n)
        chosen = [random.choice(self.by_kind[self.kinds[k]]) for k in picked]
        texts = [random.choice(self.entries[i]["kind_texts"]) for i in chosen]
        return self.augmented(chosen), texts, torch.tensor(picked)

    def augment(self, array, chosen):
        x = floats(array)
        n = len(x)
        ground = torch.rand(n, 3, 1, 1).expand(-1, -1, *x.shape[2:]).clone()
        textured = torch.rand(n) < 0.5
        places = sorted(random.sample(self.grounds.train, int(textured.sum())))
        if places:
            picture = F.interpolate(floats(self.grounds.pictures[places]), size=32, mode="area")
            ground[textured] = F.interpolate(picture[:, :, :16, :16], size=x.shape[2:], mode="bilinear")
        is_object = ((0.97 - x.amin(1, keepdim=True)) / 0.06).clamp(0, 1)
        mixed = x * is_object + ground * (1 - is_object)
        swap = (torch.rand(n) < 0.5).view(-1, 1, 1, 1)
        return recolour(warp(torch.where(swap, mixed, x), (0.65, 1.2), rotate=0.2, flip=True), 0.2)


class Pictograms(Source):
    """Emoji or icons. Up to `views` vendors' pictures of a name stand in one batch as each other's positives."""

    def __init__(self, prep, name, keep, views):
        super().__init__(prep, name, keep)
        self.views = views
        self.by_group = defaultdict(list)
        for label, members in self.by_label.items():
            self.by_group[self.entries[members[0]]["group"]].append(label)

    def choose(self, n):
        labels = self.labels
        if len(self.by_group) > 1 and random.random() < 0.4:  # near meanings in one batch are the hard negatives
            labels = sum((self.by_group[g] for g in random.sample(list(self.by_group), 2)), [])
        chosen = []
        for label in random.sample(labels, len(labels)):
            members = self.by_label[label]
            chosen += random.sample(members, min(self.views, len(members)))
            if len(chosen) >= n:
                return chosen[:n]
        return chosen + self.choose(n - len(chosen))

    def choose_text(self, texts):
        """Mostly the name in one of its forms, which stand first; else names and keywords."""
        return random.choice(texts[:NAME_TEXTS] if random.random() < 0.55 else texts)

    def augment(self, array, chosen):
        n = len(array)
        ground = torch.ones(n, 3, 1, 1)
        r = torch.rand(n)
        light, any_colour = r < 0.35, r < 0.08
        ground[light] = uniform((int(light.sum()), 3, 1, 1), 0.5, 1.0)
        ground[any_colour] = torch.rand(int(any_colour.sum()), 3, 1, 1)
        x = over(floats(array), ground)
        x = recolour(warp(x, (0.8, 1.35), rotate=0.15), 0.25, grey=0.07)
        negative = torch.tensor([self.entries[i]["group"] == "icon" and random.random() < 0.2 for i in chosen])
        return torch.where(negative.view(-1, 1, 1, 1), 1 - x, x)


def load_sources(prep):
    """Sources by name; products and tiny-imagenet are optional."""
    prep = Path(prep)
    sources = {
        "emoji": Pictograms(prep, "pictograms", lambda e: e["group"] != "icon", views=2),
        "icons": Pictograms(prep, "pictograms", lambda e: e["group"] == "icon", views=3),
        "photos": Photos(prep, "photos"),
    }
    if (prep / "tiny.npy").exists():
        sources["tiny"] = Photos(prep, "tiny")
    if (prep / "products.npy").exists():
        sources["products"] = Products(prep, "products", sources["photos"])
    return sources
