"""Write a model directory in Hugging Face layout: f16 weights, config, tokenizer, preprocessor.

    python export.py PREP_DIR CHECKPOINT MODEL_DIR [SIZE]   a checkpoint of train.py (its averaged weights)

SIZE is the side of the square that pictures become, IMAGE_SIZE if not given.
"""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import tokenizer
from towers import CONFIG, IMAGE_SIZE, PREPROCESSOR, DualEncoder

TOKENIZER_CONFIG = {
    "tokenizer_class": "BertTokenizerFast",
    "do_lower_case": True,
    "model_max_length": tokenizer.CONTEXT,
    "pad_token": tokenizer.PAD,
    "unk_token": tokenizer.UNK,
    "cls_token": tokenizer.CLS,
    "sep_token": tokenizer.SEP,
}


def preprocessor(size):
    return {**PREPROCESSOR, "size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}


def export(state, vocabulary, out, size=IMAGE_SIZE):
    """Export a state dict of DualEncoder; every file is written aside and renamed into place."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    model = DualEncoder()
    model.load_state_dict(state)
    tensors = {name: value.detach().contiguous().clone() for name, value in model.transformers_state().items()}
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    assert all(torch.isfinite(t).all() for t in tensors.values()), "a weight does not fit f16"
    save_file(tensors, out / "model.safetensors.new", metadata={"format": "pt"})
    tokenizer.save(vocabulary, out / "tokenizer.json.new")
    for name, value in [
        ("config.json", CONFIG),
        ("preprocessor_config.json", preprocessor(size)),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
    ]:
        (out / f"{name}.new").write_text(json.dumps(value, indent=2) + "\n")
    for path in sorted(out.glob("*.new")):
        path.chmod(0o644)
        os.replace(path, path.with_suffix(""))


if __name__ == "__main__":
    prep, checkpoint, out, *size = sys.argv[1:]
    vocabulary = json.loads((Path(prep) / "vocabulary.json").read_text())
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    export(state, vocabulary, out, *map(int, size))
