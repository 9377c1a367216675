"""First step: the text tower, cut from the teacher, learns to agree with the whole teacher again.

    python distil_text.py PREP_DIR OUT_DIR [--minutes 12]

Texts of like length make a batch. Loss: 1 - cosine to the teacher's embedding, and telling the batch's
texts apart by it. Writes OUT_DIR/text.pt at the end; until then a run that was interrupted goes on from
OUT_DIR/text_checkpoint.pt towards the same end.
"""

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from teacher import TextTeacher
from towers import TextTower

SEED = 0
BATCH, HELD_OUT = 256, 2000
LEARNING_RATE, NEW_PARTS = 2e-4, 4.0  # pooler and projection are new: they learn faster
WARMUP_STEPS, CHECKPOINT_S = 100, 60


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prep", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=12)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(SEED), random.seed(SEED)
    args.out.mkdir(parents=True, exist_ok=True)
    vocabulary = json.loads((args.prep / "vocabulary.json").read_text())
    ids = torch.from_numpy(np.load(args.prep / "ids.npy").astype(np.int32))
    target = torch.from_numpy(np.load(args.prep / "target.npy"))
    lengths = (ids != 0).sum(1).tolist()

    tower, teacher = TextTower(), TextTeacher.load()
    tower.take_from(teacher.model, teacher.tokenizer.get_vocab(), vocabulary)
    named = list(tower.named_parameters())
    new = [p for n, p in named if "pooler" in n or "projection" in n]
    taken = [p for n, p in named if not ("pooler" in n or "projection" in n)]
    optimiser = torch.optim.AdamW(
        [{"params": taken, "factor": 1.0}, {"params": new, "factor": NEW_PARTS}],
        lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True,
    )  # fmt: skip

    held = sorted(random.sample(range(len(ids)), HELD_OUT), key=lengths.__getitem__)
    out_of_training = set(held)
    order = [i for i in range(len(ids)) if i not in out_of_training]
    order.sort(key=lambda i: lengths[i] + random.random())
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]

    def tokens(rows):
        return ids[rows, : max(lengths[i] for i in rows)].long()

    @torch.no_grad()
    def agreement():
        ours = torch.cat([tower(tokens(held[i : i + 500])) for i in range(0, HELD_OUT, 500)])
        theirs = target[held].float()
        found = (ours @ theirs.T).argmax(1) == torch.arange(HELD_OUT)
        return {"cosine": (ours * theirs).sum(1).mean().item(), "found": found.float().mean().item()}

    step, started, checkpoint = 0, time.time(), args.out / "text_checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        tower.load_state_dict(saved["tower"])
        optimiser.load_state_dict(saved["optimiser"])
        step, started = saved["step"], time.time() - saved["seconds"]
        random.seed(SEED + step), random.shuffle(batches)

    def write(state, path):
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
        print(json.dumps({"step": step, "texts": step * BATCH, **agreement()}), flush=True)

    saved_at = time.time()
    while True:
        if step % len(batches) == 0:
            random.shuffle(batches)
        done = (time.time() - started) / 60 / args.minutes
        if done >= 1:
            break
        rate = min(1, (step + 1) / WARMUP_STEPS) * max(0.02, 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate * group["factor"]
        batch = batches[step % len(batches)]
        ours, theirs = tower(tokens(batch)), target[batch].float()
        cosine = (ours * theirs).sum(1).mean()
        loss = 4 * (1 - cosine) + 0.3 * F.cross_entropy(20 * ours @ theirs.T, torch.arange(len(batch)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimiser.step()
        step += 1
        if time.time() - saved_at > CHECKPOINT_S:
            state = {"tower": tower.state_dict(), "optimiser": optimiser.state_dict()}
            write(state | {"step": step, "seconds": time.time() - started}, checkpoint)
            saved_at = time.time()
    write(tower.state_dict(), args.out / "text.pt")
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
