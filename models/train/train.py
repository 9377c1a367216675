"""Second step: train both towers together on pictures with texts, on a CPU.

    python train.py DATA_DIR PREP_DIR OUT_DIR [--minutes 85] [--from-block 11] [--init CHECKPOINT]

Symmetric InfoNCE with multi-positive targets: pictures and texts of one label are all each other's
positives. Beside it the text tower goes on agreeing with its teacher, and on photos the picture's distances
to the names of ImageNet's classes follow what the pretrained classifier says of the picture.
The blocks before `--from-block` keep their pretrained weights. The learning rate falls to zero on a cosine
of the wall clock, so the run ends on time on any machine, however busy; a run that was interrupted goes on
from OUT_DIR/checkpoint.pt towards the same end. The exported weights are an exponential average.
"""

import argparse
import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import imagenet
import tokenizer
from efficientnet import EfficientNet
from sources import PHOTO_SIDE, floats, load_sources, over, rgb
from towers import IMAGE_SIZE, DualEncoder, normalise

SEED = 0
MIX = {"emoji": 0.42, "icons": 0.06, "products": 0.16, "photos": 0.20, "tiny": 0.08, "imagenet": 0.08}
WARMUP_STEPS = 100
AVERAGE_DECAY = 0.998
MAX_SCALE = 100
AGREEMENT, SAME_PICTURE, CLASSES = 1.5, 0.3, 0.4  # weights of the auxiliary losses
PLAIN_TEXTS = 32  # texts without pictures in each batch, for the agreement alone
CLASS_STEPS = 40  # the class names are embedded again after so many steps
CHECKPOINT_S, EVALUATE_S = 300, 600


def contrast(logits, same):
    """Multi-positive cross-entropy, both ways, of logits [n, m] with positives `same` [n, m]."""
    rows = same / same.sum(1, keepdim=True)
    columns = same / same.sum(0, keepdim=True)
    return -((rows * logits.log_softmax(1)).sum(1).mean() + (columns * logits.log_softmax(0)).sum(0).mean()) / 2


def among_pictures(logits, same):
    """Contrast of pictures with the other pictures of the batch; those without a partner do not count."""
    itself = torch.eye(len(logits), dtype=torch.bool)
    same = same.masked_fill(itself, 0)
    paired = same.sum(1) > 0
    if not paired.any():
        return logits.new_zeros(())
    log_p = logits.masked_fill(itself, -1e4).log_softmax(1)
    return -((same * log_p).sum(1)[paired] / same.sum(1)[paired]).mean()


class Stream(torch.utils.data.IterableDataset):
    """Batches from all sources, made in a process of its own."""

    def __init__(self, sources, mix, batch):
        self.sources, self.mix, self.batch = sources, mix, batch

    def __iter__(self):
        seed = torch.utils.data.get_worker_info().seed % 2**31
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        torch.set_num_threads(1)
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, signal.SIG_IGN)  # sent to the whole group; the trainer decides when to end
        while True:
            name = random.choices(list(self.mix), list(self.mix.values()))[0]
            x, texts, labels = self.sources[name].batch(self.batch)
            yield name, normalise(x).to(torch.bfloat16), texts, labels


class Texts:
    """All training texts, their tokens on demand, and the teacher's view of them."""

    def __init__(self, prep):
        stored = json.loads((prep / "texts.json").read_text())
        self.all, self.pictured = stored["texts"], stored["pictures"]
        self.target = torch.from_numpy(np.load(prep / "target.npy"))
        self.tokenizer = tokenizer.build(json.loads((prep / "vocabulary.json").read_text()))

    def encode(self, texts):
        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        longest = max(map(len, rows))
        return torch.tensor([row + [tokenizer.PAD_ID] * (longest - len(row)) for row in rows])

    def plain(self, count):
        return [random.randrange(self.pictured, len(self.all)) for _ in range(count)]


class Probe:
    """Cheap scores on held-out pictures while training: text-to-image R@1 and R@10 in percent."""

    def __init__(self, sources, data, texts):
        self.texts, self.sets = texts, {}
        emoji = sources["emoji"]

        def rows(source, test):
            return [i for i, e in enumerate(source.entries) if test(e)]

        for name, chosen in {
            "twemoji_seen": rows(emoji, lambda e: e["vendor"] == "twemoji" and e["concept_split"] == "train"),
            "val_concepts": rows(emoji, lambda e: e["vendor"] in ("noto", "fluent-flat") and e["part"] == "val"),
        }.items():
            pictures = over(floats(emoji.array[chosen]), 1.0)
            self.sets[name] = (pictures, [emoji.entries[i]["caption"] for i in chosen])
        for name, part, caption in (("photos", "val", lambda e: e["captions"][0]), ("products", "test", lambda e: e["name"])):
            if name in sources:
                chosen = rows(sources[name], lambda e: e["part"] == part)[:500]
                files = [data / sources[name].entries[i]["file"] for i in chosen]
                captions = [caption(sources[name].entries[i]) for i in chosen]
                self.sets[name] = (floats(np.stack([rgb(f, PHOTO_SIDE) for f in files])), captions)

    @torch.no_grad()
    def __call__(self, model):
        scores = {}
        for name, (pictures, captions) in self.sets.items():
            sized = (F.interpolate(x, size=IMAGE_SIZE, mode="bicubic", antialias=True) for x in pictures.split(200))
            images = torch.cat([model.images(normalise(x.clamp(0, 1))) for x in sized])
            parts = [captions[i : i + 500] for i in range(0, len(captions), 500)]
            texts = torch.cat([model.text(self.texts.encode(part)) for part in parts])
            number = {caption: i for i, caption in enumerate(captions)}
            number = torch.tensor([number[caption] for caption in captions])
            hit = number[(texts @ images.T).topk(10).indices] == number[:, None]
            scores[name] = [round(100 * hit[:, :k].any(1).float().mean().item(), 1) for k in (1, 10)]
        return scores


def parameter_groups(model, rate, text_rate, from_block):
    """What is trained, and how fast; the rest of the image tower is frozen."""
    for name, parameter in model.net.named_parameters():
        early = name.startswith("stem") or (name.startswith("blocks.") and int(name.split(".")[1]) < from_block)
        parameter.requires_grad_(not early)
    net = [p for p in model.net.parameters() if p.requires_grad]
    text = list(model.text.named_parameters())
    new = [p for n, p in text if "pooler" in n or "projection" in n]
    taken = [p for n, p in text if not ("pooler" in n or "projection" in n)]
    return [
        {"params": [p for p in net if p.ndim > 1], "base": rate, "weight_decay": 0.02},
        {"params": [p for p in net if p.ndim == 1], "base": rate, "weight_decay": 0.0},
        {"params": [model.visual.weight], "base": 2 * rate, "weight_decay": 0.02},
        {"params": taken, "base": text_rate, "weight_decay": 0.01},
        {"params": new, "base": 2 * text_rate, "weight_decay": 0.01},
        {"params": [model.scale, model.class_scale], "base": 2e-3, "weight_decay": 0.0},
    ]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("prep", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=85)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--text-lr", type=float, default=1.5e-4)
    parser.add_argument("--from-block", type=int, default=11, help="the blocks before it stay as pretrained, 1 to 11")
    parser.add_argument("--init", type=Path, help="start from the averaged weights of this checkpoint")
    parser.add_argument("--mix", type=json.loads, default=MIX, help="share of each source, as JSON")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(2)
    torch.manual_seed(SEED), random.seed(SEED), np.random.seed(SEED)
    args.out.mkdir(parents=True, exist_ok=True)
    sources, texts = load_sources(args.prep, args.data, IMAGE_SIZE), Texts(args.prep)
    mix = {name: share for name, share in args.mix.items() if name in sources and share > 0}

    model, average, pretrained = DualEncoder(), DualEncoder(), EfficientNet()
    class_weight, class_bias = pretrained.load_package()
    pretrained = pretrained.to(memory_format=torch.channels_last).requires_grad_(False)
    if args.init:
        model.load_state_dict(torch.load(args.init, weights_only=True)["average"])
    else:
        model.net.load_package()
        model.text.load_state_dict(torch.load(args.out / "text.pt", weights_only=True))
    model.net = model.net.to(memory_format=torch.channels_last)
    average.net = average.net.to(memory_format=torch.channels_last)
    average.load_state_dict(model.state_dict())
    groups = parameter_groups(model, args.lr, args.text_lr, args.from_block)
    optimiser = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, fused=True)
    trained = [p for group in groups for p in group["params"]]
    of = dict(average.named_parameters())
    averaged = [(of[name], p) for name, p in model.named_parameters() if p.requires_grad]

    step, pairs, started = 0, 0, time.time()
    checkpoint = args.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step, pairs, started = saved["step"], saved["pairs"], time.time() - saved["seconds"]
        random.seed(SEED + step), torch.manual_seed(SEED + step)  # else the stream begins with the same batches again

    def save():
        state = {"model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
        state |= {"step": step, "pairs": pairs, "seconds": time.time() - started}
        torch.save(state, checkpoint.with_suffix(".new"))
        os.replace(checkpoint.with_suffix(".new"), checkpoint)

    stopping = []
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stopping.append(True))
    log = (args.out / "log.jsonl").open("a")

    def write(**entry):
        print(json.dumps({"step": step, "pairs": pairs, "wall_s": round(time.time() - started)} | entry), file=log, flush=True)

    stream = torch.utils.data.DataLoader(
        Stream(sources, mix, args.batch), batch_size=None, num_workers=1, prefetch_factor=3
    )
    batches, probe = iter(stream), Probe(sources, args.data, texts)
    class_names = [f"a photo of a {name.lower()}" for name in imagenet.names()]
    classes, losses, saved_at, probed_at = None, {}, time.time(), time.time()
    while not stopping:
        done = (time.time() - started) / 60 / args.minutes
        if done >= 1:
            break
        rate = min(1, (step + 1) / WARMUP_STEPS) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate
        name, x, chosen, labels = next(batches)
        strings = chosen if isinstance(chosen[0], str) else [texts.all[i] for i in chosen]
        plain = texts.plain(PLAIN_TEXTS)
        embedded = model.text(texts.encode(strings + [texts.all[i] for i in plain]))
        text = embedded[: len(x)]
        early = model.early(x, args.from_block)
        image = model.late(early, args.from_block)

        same = (labels[:, None] == labels[None]).float()
        scale = model.scale.exp().clamp(max=MAX_SCALE)
        matching = contrast(scale * image @ text.T, same)
        meant = text.detach() if isinstance(chosen[0], str) else texts.target[torch.tensor(chosen)].float()
        meant = torch.cat([meant, texts.target[torch.tensor(plain)].float()])
        agreement = (1 - (embedded * meant).sum(1)).mean()
        loss = matching + AGREEMENT * agreement
        if name != "photos":
            loss = loss + SAME_PICTURE * among_pictures(scale * image @ image.T, same)
        if name in ("photos", "tiny", "imagenet", "products"):
            with torch.no_grad():
                if classes is None or step % CLASS_STEPS == 0:
                    classes = torch.cat([model.text(texts.encode(class_names[i : i + 250])) for i in range(0, 1000, 250)])
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    features = pretrained.late(early, args.from_block)  # the blocks before are the same
                expected = (features.float() @ class_weight.T + class_bias).softmax(1)
            guessed = (model.class_scale.exp().clamp(max=MAX_SCALE) * image @ classes.T).log_softmax(1)
            loss = loss + CLASSES * F.kl_div(guessed, expected.clamp(min=1e-6), reduction="batchmean")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        with torch.no_grad():
            keep = min(AVERAGE_DECAY, (step + 1) / (step + 10))
            torch._foreach_lerp_([a for a, _ in averaged], [p for _, p in averaged], 1 - keep)
        step, pairs = step + 1, pairs + len(x)

        losses.setdefault(name, []).append((matching.item(), agreement.item()))
        if step % 50 == 0:
            write(loss={n: [round(sum(v) / len(v), 3) for v in zip(*values)] for n, values in losses.items()})
            losses = {}
        if time.time() - saved_at > CHECKPOINT_S:
            save()
            saved_at = time.time()
        if time.time() - probed_at > EVALUATE_S:
            write(probe=probe(average))
            probed_at = time.time()
    save()
    if stopping:
        write(done=False)
        sys.exit("stopped; the same command goes on from the checkpoint")
    write(probe=probe(average), done=True)


if __name__ == "__main__":
    main()
