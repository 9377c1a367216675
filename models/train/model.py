"""The architecture: a small CLIP that `transformers.CLIPModel` and any CLIP loader can read."""

import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel

from tokenizer import BOS_ID, CONTEXT, EOS_ID, VOCAB_SIZE

IMAGE_SIZE = 112
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

WIDTH = 256
TOWER = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_attention_heads": 4,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "attention_dropout": 0.0,
    "projection_dim": WIDTH,
}
CONFIG = {
    "architectures": ["CLIPModel"],
    "model_type": "clip",
    "projection_dim": WIDTH,
    "logit_scale_init_value": 2.6592,
    "torch_dtype": "float16",
    "text_config": {
        "model_type": "clip_text_model",
        **TOWER,
        "num_hidden_layers": 4,
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": EOS_ID,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        **TOWER,
        "num_hidden_layers": 6,
        "num_channels": 3,
        "image_size": IMAGE_SIZE,
        "patch_size": 16,
    },
}
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": IMAGE_SIZE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}


def new_model():
    """A randomly initialised f32 model."""
    return CLIPModel(CLIPConfig(**{key: value for key, value in CONFIG.items() if key != "torch_dtype"}))


def projected(linear, x):
    return F.linear(x, linear.weight.to(x.dtype), linear.bias.to(x.dtype))


def encoder_layer(layer, x, mask, dtype):
    """One pre-norm layer of CLIPModel, same weights and same result, in fewer passes over memory.

    Sums and norms stay f32; products are `dtype`. Query, key and value are one product, and
    quick_gelu(z) = silu(1.702 z) / 1.702 lets a fused kernel do the activation, the constants going
    into the weights.
    """
    n, tokens, width = x.shape
    attention, mlp = layer.self_attn, layer.mlp
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    weight = torch.cat([query.weight * attention.scale, key.weight, value.weight]).to(dtype)
    bias = torch.cat([query.bias * attention.scale, key.bias, value.bias]).to(dtype)
    qkv = F.linear(layer.layer_norm1(x).to(dtype), weight, bias)
    q, k, v = qkv.view(n, tokens, 3, attention.num_heads, attention.head_dim).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-1, -2)).float()
    if mask is not None:
        scores = scores + mask
    mixed = (scores.softmax(-1).to(dtype) @ v).transpose(1, 2).reshape(n, tokens, width)
    x = x + projected(attention.out_proj, mixed)
    h = layer.layer_norm2(x).to(dtype)
    h = F.silu(F.linear(h, (1.702 * mlp.fc1.weight).to(dtype), (1.702 * mlp.fc1.bias).to(dtype)))
    return x + F.linear(h, (mlp.fc2.weight / 1.702).to(dtype), mlp.fc2.bias.to(dtype))


def image_features(model, pixels, patch_drop=0.0, dtype=torch.bfloat16):
    """Unit-length image embeddings, f32 [n, 256].

    `patch_drop` is the share of patches left out at random, as in FLIP: the tower sees the class
    token and the patches that are kept.
    """
    vision = model.vision_model
    embeddings = vision.embeddings
    n, size = len(pixels), embeddings.patch_size
    side = pixels.shape[-1] // size
    patches = pixels.view(n, 3, side, size, side, size).permute(0, 2, 4, 1, 3, 5).reshape(n, side * side, -1)
    position = embeddings.position_embedding.weight
    place = position[1:].expand(n, -1, -1)
    if patch_drop > 0:
        kept = int(side * side * (1 - patch_drop))
        chosen = torch.rand(n, side * side).argsort(1)[:, :kept]
        patches = patches.gather(1, chosen.unsqueeze(-1).expand(-1, -1, patches.shape[2]))
        place = position[1 + chosen]
    weight = embeddings.patch_embedding.weight.flatten(1).to(dtype)
    x = F.linear(patches.to(dtype), weight).float() + place
    first = (embeddings.class_embedding + position[0]).expand(n, 1, -1)
    x = vision.pre_layrnorm(torch.cat([first, x], 1))
    for layer in vision.encoder.layers:
        x = encoder_layer(layer, x, None, dtype)
    return F.normalize(F.linear(vision.post_layernorm(x[:, 0]), model.visual_projection.weight), dim=-1)


def text_features(model, ids, dtype=torch.bfloat16):
    """Unit-length text embeddings, f32 [n, 256], of ids padded with the end token."""
    text = model.text_model
    tokens = ids.shape[1]
    mask = torch.full((tokens, tokens), float("-inf")).triu(1)
    x = text.embeddings(input_ids=ids)
    for layer in text.encoder.layers:
        x = encoder_layer(layer, x, mask, dtype)
    end = (ids == EOS_ID).int().argmax(1)  # the first end token; the rest is padding
    pooled = text.final_layer_norm(x[torch.arange(len(ids)), end])
    return F.normalize(F.linear(pooled, model.text_projection.weight), dim=-1)
