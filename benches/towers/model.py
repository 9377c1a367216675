"""CLIP ViT-B/32 with seeded random weights: a directory in Hugging Face layout, and the two towers as ONNX, one
node for each operation, as an exporter writes them.

    python model.py DIRECTORY
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

TEXT = {"prefix": "text_model", "width": 512, "mlp": 2048, "heads": 8, "layers": 12}
IMAGE = {"prefix": "vision_model", "width": 768, "mlp": 3072, "heads": 12, "layers": 12}
SIDE, PATCH, PROJECTION, VOCABULARY, CONTEXT = 224, 32, 512, 49408, 77
CONFIG = {"model_type": "clip", "text_config": {}, "vision_config": {}}


def weights(seed=1):
    """Every tensor of the checkpoint, f32; matrices keep the size of what goes through them."""
    rng = np.random.default_rng(seed)
    found = {}

    def matrix(name, *shape, bias=True):
        fan_in = int(np.prod(shape[1:]))
        found[f"{name}.weight"] = rng.uniform(-1, 1, shape) * np.sqrt(3 / fan_in)
        if bias:
            found[f"{name}.bias"] = rng.uniform(-0.1, 0.1, shape[0])

    def norm(name, width):
        found[f"{name}.weight"] = 1 + rng.uniform(-0.1, 0.1, width)
        found[f"{name}.bias"] = rng.uniform(-0.1, 0.1, width)

    for tower in (TEXT, IMAGE):
        width, prefix = tower["width"], tower["prefix"]
        for layer in range(tower["layers"]):
            at = f"{prefix}.encoder.layers.{layer}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                matrix(f"{at}.self_attn.{part}", width, width)
            matrix(f"{at}.mlp.fc1", tower["mlp"], width)
            matrix(f"{at}.mlp.fc2", width, tower["mlp"])
            norm(f"{at}.layer_norm1", width)
            norm(f"{at}.layer_norm2", width)
    found["text_model.embeddings.token_embedding.weight"] = rng.uniform(-1, 1, (VOCABULARY, TEXT["width"]))
    found["text_model.embeddings.position_embedding.weight"] = rng.uniform(-1, 1, (CONTEXT, TEXT["width"]))
    norm("text_model.final_layer_norm", TEXT["width"])
    matrix("text_projection", PROJECTION, TEXT["width"], bias=False)
    found["vision_model.embeddings.class_embedding"] = rng.uniform(-1, 1, IMAGE["width"])
    patches = (SIDE // PATCH) ** 2
    found["vision_model.embeddings.position_embedding.weight"] = rng.uniform(-1, 1, (patches + 1, IMAGE["width"]))
    matrix("vision_model.embeddings.patch_embedding", IMAGE["width"], 3, PATCH, PATCH, bias=False)
    norm("vision_model.pre_layrnorm", IMAGE["width"])
    norm("vision_model.post_layernorm", IMAGE["width"])
    matrix("visual_projection", PROJECTION, IMAGE["width"], bias=False)
    return {name: value.astype(np.float32) for name, value in found.items()}


class Graph:
    """Nodes by name; constants come with their first use."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants, self.count = weights, [], {}, 0

    def constant(self, name, value):
        self.constants.setdefault(name, numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def __call__(self, kind, *inputs, **attributes):
        self.count += 1
        output = f"{kind}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def shape(self, *values):
        return self.constant("shape_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value):
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def linear(self, x, name, bias=True):
        x = self("MatMul", x, self.constant(f"{name}.weight.t", self.weights[f"{name}.weight"].T))
        return self("Add", x, self.constant(f"{name}.bias", self.weights[f"{name}.bias"])) if bias else x

    def norm(self, x, name):
        parts = [self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias")]
        return self("LayerNormalization", x, *parts, axis=-1, epsilon=1e-5)

    def layers(self, x, tower, mask):
        width, heads = tower["width"], tower["heads"]
        for layer in range(tower["layers"]):
            at = f"{tower['prefix']}.encoder.layers.{layer}"
            h = self.norm(x, f"{at}.layer_norm1")

            def head(part, order):
                rows = self("Reshape", self.linear(h, f"{at}.self_attn.{part}"), self.shape(0, 0, heads, width // heads))
                return self("Transpose", rows, perm=order)

            q = self("Mul", head("q_proj", [0, 2, 1, 3]), self.number((width // heads) ** -0.5))
            scores = self("MatMul", q, head("k_proj", [0, 2, 3, 1]))
            if mask is not None:
                scores = self("Add", scores, mask)
            mixed = self("MatMul", self("Softmax", scores, axis=-1), head("v_proj", [0, 2, 1, 3]))
            mixed = self("Reshape", self("Transpose", mixed, perm=[0, 2, 1, 3]), self.shape(0, 0, width))
            x = self("Add", x, self.linear(mixed, f"{at}.self_attn.out_proj"))
            h = self.linear(self.norm(x, f"{at}.layer_norm2"), f"{at}.mlp.fc1")
            h = self("Mul", h, self("Sigmoid", self("Mul", h, self.number(1.702))))
            x = self("Add", x, self.linear(h, f"{at}.mlp.fc2"))
        return x

    def save(self, path, inputs, output):
        rename = helper.make_node("Identity", [output], ["vectors"])
        out = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", PROJECTION])
        graph = helper.make_graph([*self.nodes, rename], "tower", inputs, [out], list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def image_tower(weights, path):
    g = Graph(weights)
    patches = g.constant("patches", weights["vision_model.embeddings.patch_embedding.weight"])
    x = g("Conv", "pixels", patches, strides=[PATCH, PATCH])
    x = g("Transpose", g("Reshape", x, g.shape(0, IMAGE["width"], -1)), perm=[0, 2, 1])
    first = g.constant("class", weights["vision_model.embeddings.class_embedding"].reshape(1, 1, -1))
    count = g("Slice", g("Shape", "pixels"), g.shape(0), g.shape(1))
    first = g("Expand", first, g("Concat", count, g.shape(1), g.shape(IMAGE["width"]), axis=0))
    x = g("Concat", first, x, axis=1)
    x = g("Add", x, g.constant("positions", weights["vision_model.embeddings.position_embedding.weight"]))
    x = g.layers(g.norm(x, "vision_model.pre_layrnorm"), IMAGE, None)
    x = g("Gather", x, g.constant("zero", np.array(0, np.int64)), axis=1)
    x = g.linear(g.norm(x, "vision_model.post_layernorm"), "visual_projection", bias=False)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    g.save(path, [pixels], x)


def text_tower(weights, path):
    """Ids [n, length]; the vector is taken at the last place of a row, where its end token stands: the texts of
    the bench are equally long, so that no peer pays for padding."""
    g = Graph(weights)
    x = g("Gather", g.constant("tokens", weights["text_model.embeddings.token_embedding.weight"]), "ids")
    length = g("Slice", g("Shape", "ids"), g.shape(1), g.shape(2))
    positions = g.constant("positions", weights["text_model.embeddings.position_embedding.weight"])
    x = g("Add", x, g("Slice", positions, g.shape(0), length))
    mask = g.constant("mask", np.triu(np.full((CONTEXT, CONTEXT), -1e9, np.float32), 1))
    both = g("Concat", length, length, axis=0)
    mask = g("Slice", mask, g.shape(0, 0), both, g.shape(0, 1))
    x = g.norm(g.layers(x, TEXT, mask), "text_model.final_layer_norm")
    x = g("Gather", x, g.constant("last", np.array(-1, np.int64)), axis=1)
    x = g.linear(x, "text_projection", bias=False)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "length"])
    g.save(path, [ids], x)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    found = weights()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file(found, folder / "model.safetensors")
    image_tower(found, folder / "image.onnx")
    text_tower(found, folder / "text.onnx")
    rng = np.random.default_rng(2)
    rng.uniform(-2, 2, (32, 3, SIDE, SIDE)).astype(np.float32).tofile(folder / "pixels.f32")
    ids = rng.integers(1, 49_000, (32, CONTEXT)).astype(np.uint32)
    ids[:, 0] = 49_406
    ids.tofile(folder / "ids.u32")


if __name__ == "__main__":
    main()
