"""Training batches, decoded and augmented on the fly: one source a batch, several pictures of one meaning together."""

import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import imagenet

NAME_TEXTS = 6  # prepare.py puts the forms of a pictogram's name before its keywords
PHOTO_SIDE, PRODUCT_SIDE, TINY_SIDE, SAMPLE_SIDE = 160, 144, 64, 176  # pixels that files are decoded to


def uniform(n, low, high):
    return torch.empty(n).uniform_(low, high)


def warp(x, size, scale, stretch=0.2, rotate=0.05, flip=False):
    """Random view of `size` pixels.

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
    grid = F.affine_grid(torch.stack(rows, 1), (n, 3, size, size), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recolour(x, amount, grey=0.05):
    """Random brightness, contrast, mixing of channels, some pictures grey, some batches blurred."""
    n, size = len(x), x.shape[-1]
    mixing = torch.eye(3) + (amount / 3) * torch.randn(n, 3, 3)
    mixing = mixing / mixing.sum(2, keepdim=True).clamp(min=0.5)  # white stays white
    mixing[torch.rand(n) < grey] = 1 / 3
    x = torch.bmm(mixing, x.flatten(2)).view_as(x)
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast, brightness = (uniform((n, 1, 1, 1), 1 - amount, 1 + amount) for _ in range(2))
    x = (x - mean) * contrast + mean * brightness
    if random.random() < 0.15:
        small = F.interpolate(x, size=random.choice([48, 64, 80, 96]), mode="bilinear", antialias=True)
        x = F.interpolate(small, size=size, mode="bilinear")
    return x.clamp(0, 1)


def outlined(rgba):
    """Flat colours with a dark line around every area, the way many pictogram sets draw."""
    rgb, alpha, n = rgba[:, :3], rgba[:, 3:], len(rgba)
    flat = F.avg_pool2d(rgb * alpha, 3, 1, 1) / F.avg_pool2d(alpha, 3, 1, 1).clamp(min=1e-3)
    levels = torch.randint(3, 6, (n, 1, 1, 1)).float()
    flat = (flat * levels).round() / levels
    x = torch.cat([flat * alpha, alpha], 1)
    spread = (F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1)).amax(1, keepdim=True)
    edge = ((spread - uniform((n, 1, 1, 1), 0.15, 0.4)) / 0.1).clamp(0, 1)
    edge = torch.where(torch.rand(n, 1, 1, 1) < 0.6, F.max_pool2d(edge, 3, 1, 1), edge)
    flat = torch.where(torch.rand(n, 1, 1, 1) < 0.25, 1 - (1 - flat) * 0.25, flat)  # some nearly without colour
    ink = edge * F.max_pool2d(alpha, 3, 1, 1)
    return torch.cat([flat * (1 - edge), torch.maximum(alpha, ink)], 1)


def floats(array):
    """uint8 [n, h, w, c] to f32 [n, c, h, w] in 0..1."""
    return torch.from_numpy(np.array(array)).permute(0, 3, 1, 2).float() / 255


def over(rgba, ground):
    """Lay RGBA over a ground colour [n or 1, 3, 1, 1]."""
    return rgba[:, :3] * rgba[:, 3:] + ground * (1 - rgba[:, 3:])


def rgb(path, size):
    """A file as uint8 [size, size, 3]: shorter side resized, centre crop."""
    image = Image.open(path)
    image.draft("RGB", (size, size))
    image = image.convert("RGB")
    scale = size / min(image.size)
    if scale != 1:
        image = image.resize([max(size, round(s * scale)) for s in image.size], Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


class Source:
    """The training pictures of one source and the texts that go with each."""

    def __init__(self, prep, name, size, keep=lambda entry: True):
        self.size = size
        self.entries = json.loads((prep / f"{name}.json").read_text())
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
        """(pixels f32 [n, 3, S, S] in 0..1, numbers in texts.json [n], label numbers [n])."""
        chosen = self.choose(n)
        texts = [self.choose_text(self.entries[i]["texts"]) for i in chosen]
        labels = torch.tensor([self.number[self.entries[i]["label"]] for i in chosen])
        return self.pictures(chosen), texts, labels


class Photos(Source):
    """Photographs: crops, mirror, colours."""

    def __init__(self, prep, name, size, data, side, scale):
        super().__init__(prep, name, size)
        self.paths = [data / e["file"] for e in self.entries]
        self.side, self.scale = side, scale

    def pictures(self, chosen):
        x = floats(np.stack([rgb(self.paths[i], self.side) for i in chosen]))
        return recolour(warp(x, self.size, self.scale, flip=True), 0.25)


class Sample:
    """One photo of each of ImageNet's classes, with the texts of the class themselves in place of numbers."""

    def __init__(self, root, size):
        self.size, self.texts = size, imagenet.class_texts()
        self.files = sorted(root.glob("n*.JPEG"))  # in the order of the classes
        assert len(self.files) == len(self.texts)

    def batch(self, n):
        chosen = random.sample(range(len(self.files)), n)
        views = [warp(floats(rgb(self.files[i], SAMPLE_SIDE)[None]), self.size, (0.55, 1.0), flip=True) for i in chosen]
        return recolour(torch.cat(views), 0.25), [random.choice(self.texts[i]) for i in chosen], torch.tensor(chosen)


class Products(Photos):
    """Catalogue photos, some batches by description, more by kind ("shoes") with kinds balanced.

    They stand on white; most pictures get another ground, as photos at home have, and any small angle.
    """

    def __init__(self, prep, name, size, data, grounds):
        super().__init__(prep, name, size, data, PRODUCT_SIDE, (0.6, 1.25))
        self.grounds = grounds
        self.by_kind = defaultdict(list)
        for i in self.train:
            self.by_kind[self.entries[i]["kind"]].append(i)
        self.kinds = list(self.by_kind)
        self.shares = [len(members) ** 0.4 if len(members) >= 20 else 0 for members in self.by_kind.values()]

    def batch(self, n):
        if random.random() < 0.4:
            return super().batch(n)
        picked = random.choices(range(len(self.kinds)), self.shares, k=n)
        chosen = [random.choice(self.by_kind[self.kinds[k]]) for k in picked]
        texts = [random.choice(self.entries[i]["kind_texts"]) for i in chosen]
        return self.pictures(chosen), texts, torch.tensor(picked)

    def pictures(self, chosen):
        x, n, side = floats(np.stack([rgb(self.paths[i], self.side) for i in chosen])), len(chosen), self.side
        ground = torch.rand(n, 3, 1, 1).expand(-1, -1, side, side).clone()
        textured = torch.rand(n) < 0.6
        if textured.any():
            places = random.sample(self.grounds.train, int(textured.sum()))
            part = side // random.choice([1, 2, 3])
            photos = floats(np.stack([rgb(self.grounds.paths[i], side) for i in places]))[:, :, :part, :part]
            ground[textured] = F.interpolate(photos, size=side, mode="bilinear")
        is_object = ((0.97 - x.amin(1, keepdim=True)) / 0.06).clamp(0, 1)
        mixed = x * is_object + ground * (1 - is_object)
        swap = (torch.rand(n) < 0.6).view(-1, 1, 1, 1)
        return recolour(warp(torch.where(swap, mixed, x), self.size, self.scale, rotate=0.5, flip=True), 0.3)


class Pictograms(Source):
    """Emoji or icons. Up to `views` vendors' pictures of a name stand in one batch as each other's positives."""

    def __init__(self, prep, name, size, keep, views):
        super().__init__(prep, name, size, keep)
        self.views = views
        self.array = np.load(prep / f"{name}.npy", mmap_mode="r")
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
        return random.choice(texts[:NAME_TEXTS] if random.random() < 0.6 else texts)

    def pictures(self, chosen):
        n = len(chosen)
        rgba = floats(np.stack([self.array[i] for i in chosen]))
        lined = torch.rand(n) < 0.3
        if lined.any():
            rgba[lined] = outlined(rgba[lined])
        ground, r = torch.ones(n, 3, 1, 1), torch.rand(n)
        light, any_colour = r < 0.35, r < 0.08
        ground[light] = uniform((int(light.sum()), 3, 1, 1), 0.5, 1.0)
        ground[any_colour] = torch.rand(int(any_colour.sum()), 3, 1, 1)
        x = recolour(warp(over(rgba, ground), self.size, (0.8, 1.35), rotate=0.15), 0.25, grey=0.08)
        negative = torch.tensor([self.entries[i]["group"] == "icon" and random.random() < 0.2 for i in chosen])
        return torch.where(negative.view(-1, 1, 1, 1), 1 - x, x)


def load_sources(prep, data, size):
    """Sources by name; products, tiny-imagenet and the ImageNet sample are optional."""
    prep, data = Path(prep), Path(data)
    photos = Photos(prep, "photos", size, data, PHOTO_SIDE, (0.5, 1.0))
    sources = {
        "emoji": Pictograms(prep, "pictograms", size, lambda e: e["group"] != "icon", views=2),
        "icons": Pictograms(prep, "pictograms", size, lambda e: e["group"] == "icon", views=3),
        "photos": photos,
    }
    if (prep / "tiny.json").exists():
        sources["tiny"] = Photos(prep, "tiny", size, data, TINY_SIDE, (0.7, 1.0))
    if (prep / "products.json").exists():
        sources["products"] = Products(prep, "products", size, data, photos)
    if (data / "imagenet-sample").exists():
        sources["imagenet"] = Sample(data / "imagenet-sample", size)
    return sources
