"""Write a model directory in Hugging Face layout: f16 weights, config, tokenizer, preprocessor.

    python export.py CHECKPOINT MODEL_DIR   a checkpoint of train.py (its averaged weights)
    python export.py --random MODEL_DIR     untrained weights of the same shapes
"""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import tokenizer
from model import CONFIG, PREPROCESSOR, new_model

TOKENIZER_CONFIG = {
    "tokenizer_class": "CLIPTokenizerFast",
    "model_max_length": tokenizer.CONTEXT,
    "bos_token": tokenizer.BOS,
    "eos_token": tokenizer.EOS,
    "pad_token": tokenizer.EOS,
    "unk_token": tokenizer.EOS,
}


def export(state, out):
    """Export a state dict of model.new_model(); every file is written aside and renamed into place."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().to(torch.float16).contiguous().clone()
        for name, value in state.items()
        if not name.endswith("position_ids")
    }
    assert all(torch.isfinite(t).all() for t in tensors.values()), "a weight does not fit f16"
    save_file(tensors, out / "model.safetensors.new", metadata={"format": "pt"})
    tokenizer.build().save(str(out / "tokenizer.json.new"))
    for name, value in [
        ("config.json", CONFIG),
        ("preprocessor_config.json", PREPROCESSOR),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
    ]:
        (out / f"{name}.new").write_text(json.dumps(value, indent=2) + "\n")
    for path in sorted(out.glob("*.new")):
        path.chmod(0o644)
        os.replace(path, path.with_suffix(""))


if __name__ == "__main__":
    source, out = sys.argv[1:]
    if source == "--random":
        torch.manual_seed(0)
        export(new_model().state_dict(), out)
    else:
        export(torch.load(source, map_location="cpu", weights_only=True)["average"], out)
