"""Train the bundled CLIP on a CPU.

    python train.py PREP_DIR OUT_DIR [--minutes 85]

Symmetric InfoNCE with multi-positive targets: pictures and texts of one label are all each other's
positives. The learning rate falls to zero on a cosine of the wall clock, so the run ends on time on
any machine, however busy; a run that was interrupted goes on from OUT_DIR/checkpoint.pt towards the
same end. The exported weights are an exponential average of the trained ones.
"""

import argparse
import json
import math
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from model import IMAGE_SIZE, MEAN, STD, image_features, new_model, text_features
from sources import floats, load_sources, over

SEED = 0
# Line icons were not learned at all in a run of this length; the model card says when they were dropped.
MIX = {"emoji": 0.55, "products": 0.25, "photos": 0.15, "tiny": 0.05, "icons": 0.0}
WEIGHT_DECAY = 0.1
WARMUP_STEPS = 200
PATCH_DROP, WHOLE_FROM = 0.5, 0.88  # half of the patches are left out until this share of the run
AVERAGE_DECAY = 0.998
MAX_LOG_SCALE = math.log(100)
TEXT_TEACHER, IMAGE_TEACHER, SAME_PICTURE = 3.0, 0.3, 0.5  # weights of the auxiliary losses
CHECKPOINT_S, EVALUATE_S = 300, 900


class Heads(nn.Module):
    """Maps of our embeddings into the text teacher's space; used in training only."""

    def __init__(self, width=256, teacher=384):
        super().__init__()
        self.text, self.image = nn.Linear(width, teacher), nn.Linear(width, teacher)
        self.scale = nn.Parameter(torch.tensor(2.6592))


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


class Probe:
    """Cheap scores on held-out pictures while training: text-to-image R@10 in percent."""

    def __init__(self, sources, encode_texts, normalise):
        emoji, photos = sources["emoji"], sources["photos"]
        self.encode_texts, self.normalise = encode_texts, normalise

        def pick(test):
            return [i for i, e in enumerate(emoji.entries) if test(e)]

        sets = {
            "twemoji_seen": pick(lambda e: e["vendor"] == "twemoji" and e["concept_split"] == "train"),
            "twemoji_unseen": pick(lambda e: e["vendor"] == "twemoji" and e["concept_split"] == "test"),
            "noto_val": pick(lambda e: e["vendor"] == "noto" and e["part"] == "val"),
        }
        self.sets = {
            name: (over(floats(emoji.pictures[rows]), 1.0), [emoji.entries[i]["caption"] for i in rows])
            for name, rows in sets.items()
        }
        rows = [i for i, e in enumerate(photos.entries) if e["part"] == "val"]
        self.sets["photos_val"] = (floats(photos.pictures[rows]), [photos.entries[i]["captions"][0] for i in rows])
        if "products" in sources:
            products = sources["products"]
            rows = [i for i, e in enumerate(products.entries) if e["part"] == "test"]
            self.sets["products"] = (floats(products.pictures[rows]), [products.entries[i]["name"] for i in rows])

    @torch.no_grad()
    def __call__(self, model):
        model.eval()
        scores = {}
        for name, (pictures, captions) in self.sets.items():
            images = []
            for x in pictures.split(250):
                x = F.interpolate(x, size=IMAGE_SIZE, mode="bicubic", antialias=True).clamp(0, 1)
                images.append(image_features(model, self.normalise(x)))
            texts = text_features(model, self.encode_texts(captions))
            top = (texts @ torch.cat(images).T).topk(10).indices
            hit = (top == torch.arange(len(captions)).unsqueeze(1)).any(1)
            scores[name] = round(100 * hit.float().mean().item(), 1)
        return scores


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prep")
    parser.add_argument("out")
    parser.add_argument("--minutes", type=float, default=85)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bench", type=int, default=0, help="time this many steps and stop")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED), random.seed(SEED), np.random.seed(SEED)
    prep, out = Path(args.prep), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    sources = load_sources(prep)
    ids = torch.from_numpy(np.load(prep / "ids.npy")).long()
    lengths = (ids != ids[0, -1]).sum(1) + 1
    teacher = torch.from_numpy(np.load(prep / "teacher.npy").astype(np.float32))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))

    def normalise(x):
        return (x - mean) / std

    def encode_texts(texts):
        import tokenizer

        encoded = tokenizer.build()
        encoded.enable_padding(pad_id=tokenizer.EOS_ID, pad_token=tokenizer.EOS)
        return torch.tensor([e.ids for e in encoded.encode_batch(texts)])

    model, average, heads = new_model(), new_model(), Heads()
    average.load_state_dict(model.state_dict())
    named = [*model.named_parameters(), *heads.named_parameters()]
    matrices = [p for n, p in named if p.ndim >= 2 and "embedding" not in n]
    others = [p for n, p in named if not (p.ndim >= 2 and "embedding" not in n)]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=args.lr, betas=(0.9, 0.98), eps=1e-6, fused=True,
    )  # fmt: skip
    trained, averaged = list(model.parameters()), list(average.parameters())

    step, pairs, started = 0, 0, time.time()
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        for part, name in [(model, "model"), (average, "average"), (heads, "heads"), (optimiser, "optimiser")]:
            part.load_state_dict(saved[name])
        step, pairs, started = saved["step"], saved["pairs"], saved["started"]
        random.seed(SEED + step), torch.manual_seed(SEED + step)

    def save():
        state = {"model": model.state_dict(), "average": average.state_dict(), "heads": heads.state_dict(),
                 "optimiser": optimiser.state_dict(), "step": step, "pairs": pairs, "started": started}  # fmt: skip
        torch.save(state, out / "checkpoint.new")
        os.replace(out / "checkpoint.new", checkpoint)

    mix = {name: MIX[name] for name in sources}
    probe = None if args.bench else Probe(sources, encode_texts, normalise)
    log = (out / "log.jsonl").open("a")
    losses, timing = {}, {"data": 0.0, "step": 0.0}
    next_save, next_probe = time.time() + CHECKPOINT_S, time.time() + CHECKPOINT_S

    def record(**values):
        values = {"step": step, "pairs": pairs, "wall_s": round(time.time() - started), **values}
        log.write(json.dumps(values) + "\n")
        log.flush()
        print(json.dumps(values), flush=True)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    model.train()
    while not stop:
        progress = 0.3 if args.bench else (time.time() - started) / (args.minutes * 60)
        if progress >= 1:
            save()
            record(probe=probe(average), done=True)
            return
        rate = args.lr * min(1, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = rate

        tick = time.time()
        kind = random.choices(list(mix), list(mix.values()))[0]
        pixels, chosen, labels = sources[kind].batch(args.batch)
        chosen = torch.tensor(chosen)
        tokens = ids[chosen, : lengths[chosen].max()]
        timing["data"] += time.time() - tick

        tick = time.time()
        images = image_features(model, normalise(pixels), PATCH_DROP if progress < WHOLE_FROM else 0.0)
        texts = text_features(model, tokens)
        same = (labels[:, None] == labels[None]).float()
        scale = model.logit_scale.clamp(max=MAX_LOG_SCALE).exp()
        main_loss = contrast(scale * images @ texts.T, same)
        meaning = teacher[chosen]
        text_loss = 1 - (F.normalize(heads.text(texts), dim=-1) * meaning).sum(1).mean()
        to_meaning = heads.scale.clamp(max=MAX_LOG_SCALE).exp() * F.normalize(heads.image(images), dim=-1) @ meaning.T
        image_loss = contrast(to_meaning, same)
        loss = main_loss + TEXT_TEACHER * text_loss + IMAGE_TEACHER * image_loss
        if kind in ("emoji", "icons"):
            loss = loss + SAME_PICTURE * among_pictures(scale * images @ images.T, same)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        optimiser.step()
        step, pairs = step + 1, pairs + args.batch
        with torch.no_grad():
            torch._foreach_lerp_(averaged, trained, 1 - min(AVERAGE_DECAY, (step + 1) / (step + 10)))
        timing["step"] += time.time() - tick

        shown = losses.setdefault(kind, [0.0, 0.0, 0])
        losses[kind] = [shown[0] + main_loss.item(), shown[1] + text_loss.item(), shown[2] + 1]
        if args.bench and step == 5:
            timing, bench_tick, bench_cpu = {"data": 0.0, "step": 0.0}, time.time(), time.process_time()
        if args.bench and step == 5 + args.bench:
            n = args.bench * args.batch
            wall, cpu = time.time() - bench_tick, time.process_time() - bench_cpu
            print({k: round(v / args.bench, 3) for k, v in timing.items()}, f"{n / wall:.0f}/s", f"{n / cpu:.0f}/cpu s")
            return
        if step % 50 == 0:
            means = {k: [round(a / n, 3), round(b / n, 3)] for k, (a, b, n) in sorted(losses.items())}
            record(rate=round(rate, 6), scale=round(scale.item(), 1), loss=means,
                   **{f"{k}_s": round(v / 50, 3) for k, v in timing.items()})  # fmt: skip
            losses, timing = {}, {"data": 0.0, "step": 0.0}
        if time.time() > next_save:
            save()
            next_save = time.time() + CHECKPOINT_S
        if time.time() > next_probe:
            record(probe=probe(average))
            next_probe = time.time() + EVALUATE_S
    save()  # asked to stop: the next start goes on from here


if __name__ == "__main__":
    main()
