"""The expected values of tests/parity, computed by transformers and Pillow.

    pip install -r requirements.txt
    python make.py                            pictures, preprocessing, towers of the published shapes,
                                              a dual encoder of EfficientNet-Lite0 and BERT, other transformers
    python make.py --dual                     that dual encoder only
    python make.py --vit                      CLIP with gelu, SigLIP and DINOv2, with tokenizers and preprocessing
    python make.py --bundled models/bundled   the bundled model only; run it whenever its weights change

Writes pictures/*, preprocess.safetensors, towers.safetensors, dual.safetensors, vit.safetensors, vit.json,
bundled.safetensors and bundled.json beside itself. Weights of the big shapes are not stored: `weights` and `dual_weights` are generators
that tests/parity repeats bit by bit.
"""

import argparse
import json
import math
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from safetensors.numpy import save_file
from transformers import (
    AutoConfig,
    BertConfig,
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipTokenizer,
    TimmWrapperConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"

# name, text tower, vision tower, projection, pictures, texts
TEXT_512 = dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8, num_hidden_layers=12)
TEXT_768 = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12)
VISION_768 = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12)
VISION_1024 = dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24)
SHAPES = [
    ("vit-b-32", TEXT_512, {**VISION_768, "patch_size": 32}, 512, 2, 3),
    ("vit-b-16", TEXT_512, {**VISION_768, "patch_size": 16}, 512, 1, 2),
    ("vit-l-14", TEXT_768, {**VISION_1024, "patch_size": 14}, 768, 1, 2),
]
# Token sequences, begin to end: short, one word, the whole context of 77.
BEGIN, END = 49406, 49407
TOKENS = [
    [BEGIN, 320, 1125, 539, 320, 2368, END],
    [BEGIN, 1929, END],
    [BEGIN, *[(i * 613 + 7) % 49000 for i in range(75)], END],
]

# The dual encoder: pictures of these sides (100 is odd at every second step), tokens of BERT.
DUAL_TEXT = dict(
    vocab_size=8000, hidden_size=384, num_hidden_layers=3, num_attention_heads=12, intermediate_size=1536,
    max_position_embeddings=64,
)
DUAL_SIDES = [64, 64, 100, 224]
DUAL_TOKENS = [[1, 320, 1125, 539, 320, 2368, 2], [1, 1929, 2], [1, *[(i * 613 + 7) % 7900 for i in range(62)], 2]]
# Blocks whose output is compared, counted through all stages, and every how many values are kept.
DUAL_BLOCKS = {"blocks.0.0": 0, "blocks.2.1": 4, "blocks.4.2": 10, "blocks.6.0": 15}
KEPT = 31

# The other transformers: small ones whose heads are not a multiple of 32 wide and whose patches do not fill the
# picture, and of SigLIP and DINOv2 one of the width, heads and hidden layer of a published model.
THIN_TEXT = dict(hidden_size=96, intermediate_size=384, num_attention_heads=3, num_hidden_layers=3)
THIN_VISION = dict(hidden_size=160, intermediate_size=640, num_attention_heads=2, num_hidden_layers=3)
SO400M = dict(hidden_size=1152, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=2)
VIT_IDS = {"bos_token_id": 298, "eos_token_id": 299, "pad_token_id": 299}
VIT_CLIP_TOKENS = [[298, 7, 299], [298, 299], [298, *range(20, 50), 299], [298, 5, 4, 3, 2, 1, 0, 99, 299]]
# Behind the end token 1 stands what fills a text: SigLIP's end token, or 0, SigLIP 2's padding token.
VIT_SIGLIP_CONTENTS = [[7], [], list(range(20, 50)), list(range(100, 163)), [9, 8, 7, 6]]


def vit_models():
    """Name, model class, config, side of the pictures, texts."""

    def filled(filler):
        return [(ids + [1] + [filler] * 64)[:64] for ids in VIT_SIGLIP_CONTENTS]

    gelu = {"hidden_act": "gelu"}
    clip_text = {**THIN_TEXT, **VIT_IDS, "vocab_size": 300, "max_position_embeddings": 77}
    clip_image = {**THIN_VISION, "image_size": 50, "patch_size": 14}
    for name, text, image in [
        ("clip-gelu", {**clip_text, **gelu}, {**clip_image, **gelu, "layer_norm_eps": 1e-6}),
        ("clip-mixed", clip_text, {**clip_image, **gelu}),
        ("clip-tanh", {**clip_text, "hidden_act": "gelu_pytorch_tanh"}, clip_image),
    ]:
        yield name, CLIPModel, CLIPConfig(text, image, projection_dim=192), 50, VIT_CLIP_TOKENS
    text = {**THIN_TEXT, "vocab_size": 300, "projection_size": 160}
    image = {**THIN_VISION, "image_size": 56, "patch_size": 14}
    yield "siglip", SiglipModel, SiglipConfig(text, image), 56, filled(1)
    text = {**SO400M, "vocab_size": 300, "num_hidden_layers": 1}
    image = {**SO400M, "image_size": 64, "patch_size": 16}
    yield "siglip2-so400m", SiglipModel, SiglipConfig(text, image), 64, filled(0)
    thin = dict(hidden_size=96, num_attention_heads=3, num_hidden_layers=3, patch_size=14)
    for side in (56, 84, 120):
        yield f"dinov2-{side}", Dinov2Model, Dinov2Config(**thin, image_size=84), side, []
    small = dict(hidden_size=384, num_attention_heads=6, num_hidden_layers=2, patch_size=14, image_size=518)
    yield "dinov2-small", Dinov2Model, Dinov2Config(**small), 224, []


TEXTS = [
    "a photo of a red shoe",
    "",
    "A PHOTO of a   RED shoe!",
    "it's the dog's, isn't it? they'll've 42 bones",
    "caf\u00e9 cr\u00e8me \u00e0 la carte, na\u00efve fa\u00e7ade",
    "\u6771\u4eac\u30bf\u30ef\u30fc \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u05e9\u05dc\u05d5\u05dd",
    "smiling face with heart-shaped eyes \U0001F60D\U0001F468\u200d\U0001F469\u200d\U0001F467",
    "two dogs run over the wet sand of a beach while a child in a yellow raincoat looks at the "
    "waves and a man with a hat takes a picture of both of them from the pier in the evening light",
    "\u201ccurly\u201d \uff32\uff25\uff24 &amp; html",
    "a\u0301 e\u0308 tab\there\nnew line",
]


# ---------------------------------------------------------------- generated weights


def fnv1a(text):
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state


def uniform(name, count):
    """`count` f32 in [-1, 1): splitmix64 from the hash of the name, 24 bits each."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(fnv1a(name))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def weights(name, shape):
    """The generated tensor of that name: norms near 1 and 0, matrices of unit gain."""
    values = uniform(name, math.prod(shape))
    if "norm" in name:
        values = values * np.float32(0.1) + np.float32(1 if name.endswith("weight") else 0)
    elif name.endswith("bias"):
        values = values * np.float32(0.1)
    elif "embedding" not in name or "patch_embedding" in name:
        values = values * np.float32(math.sqrt(3 / math.prod(shape[1:])))
    return values.reshape(shape)


def unit(features):
    return torch.nn.functional.normalize(features.float(), dim=-1).numpy()


def check_spread(vectors, what):
    """Different inputs must give different vectors, or the test could not fail."""
    cosines = vectors @ vectors.T
    assert np.isfinite(vectors).all() and (cosines - np.eye(len(vectors))).max() < 0.9999, f"{what}: {cosines}"


@torch.no_grad()
def make_towers():
    golden = {}
    for name, text, vision, projection, pictures, texts in SHAPES:
        ids = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END}
        config = CLIPConfig(
            text_config={**text, **ids, "vocab_size": 49408, "max_position_embeddings": 77},
            vision_config={**vision, "image_size": 224},
            projection_dim=projection,
        )
        with torch.device("meta"):
            model = CLIPModel(config)
        state = {
            key: torch.from_numpy(weights(key, tuple(value.shape)))
            for key, value in model.state_dict().items()
            if value.ndim > 0 and not key.endswith("position_ids")
        }
        model = CLIPModel(config)
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert set(missing) <= {"logit_scale"} and not unexpected, (missing, unexpected)
        model.eval()
        pixels = np.stack([uniform(f"pixels.{i}", 3 * 224 * 224).reshape(3, 224, 224) for i in range(pictures)])
        image = unit(model.get_image_features(torch.from_numpy(pixels) * 2))
        text_vectors = [unit(model.get_text_features(torch.tensor([TOKENS[i]])))[0] for i in range(texts)]
        golden[f"{name}.image"], golden[f"{name}.text"] = image, np.stack(text_vectors)
        check_spread(golden[f"{name}.text"], name)
        check_spread(image, name)
        print(name, "done")
    save_file(golden, HERE / "towers.safetensors")


def dual_weights(name, shape):
    """The generated tensor of the dual encoder: BatchNorm and LayerNorm near the identity, convolutions
    of unit gain behind ReLU, so that activations neither die nor grow."""
    values = uniform(name, math.prod(shape))
    if name.endswith("running_var"):
        values = values * np.float32(0.5) + np.float32(1)
    elif name.endswith("running_mean"):
        values = values * np.float32(0.3)
    elif ".bn" in name or "LayerNorm" in name:
        values = values * np.float32(0.2) + np.float32(1 if name.endswith("weight") else 0)
    elif name.endswith("bias"):
        values = values * np.float32(0.1)
    elif "embeddings" not in name:
        gain = 6 if "timm_model" in name else 3
        values = values * np.float32(math.sqrt(gain / math.prod(shape[1:])))
    return values.reshape(shape)


def dual_pixels(i, side):
    """Noise whose strength and brightness differ from picture to picture."""
    noise = uniform(f"dual.pixels.{i}", 3 * side * side).reshape(1, 3, side, side)
    return torch.from_numpy(noise * np.float32(1 + 0.5 * i) + np.float32(0.25 * i))


@torch.no_grad()
def make_dual():
    vision = TimmWrapperConfig(architecture="tf_efficientnet_lite0", num_labels=0, do_pooling=True)
    vision.hidden_size = 1280  # the wrapper knows it only from its timm model
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, BertConfig(**DUAL_TEXT), projection_dim=256)
    model = VisionTextDualEncoderModel(config)
    state = {
        key: torch.from_numpy(dual_weights(key, tuple(value.shape)))
        for key, value in model.state_dict().items()
        if value.ndim > 0 and value.is_floating_point()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    ignored = ("logit_scale", "num_batches_tracked", "position_ids", "token_type_ids")
    assert all(name.endswith(ignored) for name in missing) and not unexpected, (missing, unexpected)
    model.eval()
    golden, images, outputs = {}, [], {}
    timm_model = model.vision_model.timm_model
    for name, block in DUAL_BLOCKS.items():
        module = timm_model.get_submodule(name)
        module.register_forward_hook(lambda _module, _input, output, block=block: outputs.update({block: output}))
    for i, side in enumerate(DUAL_SIDES):
        images.append(unit(model.get_image_features(dual_pixels(i, side)))[0])
        for block, output in outputs.items():
            values = output[0].permute(1, 2, 0).numpy()  # rows, columns, channels
            print(f"{side} px, block {block}: {values.shape}, deviation {values.std():.3f}")
            golden[f"block.{i}.{block}"] = np.ascontiguousarray(values.reshape(-1)[::KEPT])
    golden["image"] = np.stack(images)
    golden["text"] = np.stack([unit(model.get_text_features(torch.tensor([ids])))[0] for ids in DUAL_TOKENS])
    check_spread(golden["image"], "dual encoder, pictures")
    check_spread(golden["text"], "dual encoder, texts")
    save_file(golden, HERE / "dual.safetensors")


# ---------------------------------------------------------------- the other transformers


@torch.no_grad()
def make_vit():
    golden, record = {}, {"models": {}}
    for name, kind, config, side, tokens in vit_models():
        model = kind(config)
        state = {
            key: torch.from_numpy(weights(key, tuple(value.shape)))
            for key, value in model.state_dict().items()
            if value.ndim > 0 and value.is_floating_point() and not key.startswith("logit_")
        }
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert all(key.startswith("logit_") or key.endswith("position_ids") for key in missing) and not unexpected
        model.eval()
        pixels = np.stack([uniform(f"pixels.{i}", 3 * side * side).reshape(3, side, side) for i in range(3)])
        pixels = torch.from_numpy(pixels) * 2
        blocks = model.encoder.layer if kind is Dinov2Model else model.vision_model.encoder.layers
        outputs = {}

        def keep(layer):
            def hook(_module, _input, output):
                outputs[layer] = output[0] if isinstance(output, tuple) else output

            return hook

        hooks = [block.register_forward_hook(keep(layer)) for layer, block in enumerate(blocks)]
        vectors = model(pixels).pooler_output if kind is Dinov2Model else model.get_image_features(pixels)
        [hook.remove() for hook in hooks]
        golden[f"{name}.image"] = unit(vectors)
        check_spread(golden[f"{name}.image"], name)
        # Where there is a class token, it comes first, and the last layer is not compared.
        has_class = int(kind is not SiglipModel)
        for layer in range(len(blocks) - has_class):
            patches = outputs[layer][:, has_class:]
            print(f"{name}, layer {layer}: {tuple(patches.shape)}, deviation {patches.std():.3f}")
            golden[f"{name}.layer.{layer}"] = np.ascontiguousarray(patches.numpy().reshape(-1)[::KEPT])
        if tokens:
            texts = [unit(model.get_text_features(torch.tensor([ids])))[0] for ids in tokens]
            golden[f"{name}.text"] = np.stack(texts)
            check_spread(golden[f"{name}.text"], name)
        record["models"][name] = {"config": json.loads(config.to_json_string()), "side": side, "tokens": tokens}
    for name in ("wide.png", "tall.png", "tiny.png"):
        picture = reference_rgb(PICTURES / name)
        siglip = SiglipImageProcessor(size={"height": 48, "width": 48}, resample=2)
        golden[f"siglip.{name}"] = siglip(picture, return_tensors="np")["pixel_values"][0].astype(np.float32)
        dino = BitImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56})
        golden[f"dinov2.{name}"] = dino(picture, return_tensors="np")["pixel_values"][0].astype(np.float32)
    record["tokens"] = {"siglip": siglip_tokens(), "siglip2": siglip2_tokens()}
    save_file(golden, HERE / "vit.safetensors")
    (HERE / "vit.json").write_text(json.dumps(record, ensure_ascii=True) + "\n")


# Each word often enough to be learned; SentencePiece wants lines.
CORPUS = [text for text in TEXTS for _ in range(4)] + [text.lower() for text in TEXTS]
VIT_TEXTS = [
    *TEXTS,
    "Two Dogs!",
    "a [photo] of 10 % (red)\tshoes\nand more",
    "\u201cquoted\u201d \u2014 long dash \uff21\uff22",
    " - leading",
    "! starts with punctuation",
    "\u2581marked\u2581words",
    "long " * 100,
]


def siglip_tokens():
    """A small SentencePiece model in tokenizer.json's form, and what transformers' tokenizer makes of the texts."""
    import sentencepiece
    from transformers.convert_slow_tokenizer import SpmConverter, T5Converter

    class Converter(SpmConverter):
        post_processor = T5Converter.post_processor

    with tempfile.TemporaryDirectory() as folder:
        prefix = str(Path(folder) / "spiece")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 3), model_prefix=prefix, vocab_size=200, model_type="unigram", pad_id=0,
            eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98, hard_vocab_limit=False, minloglevel=2,
        )
        slow = SiglipTokenizer(prefix + ".model")
        fast = Converter(slow).converted()
    fast.save(str(HERE / "siglip-tokenizer.json"), pretty=False)
    return encoded(slow, VIT_TEXTS)


def siglip2_tokens():
    """The same of Gemma's kind: byte pairs with bytes as the last resort, spaces as marks."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import GemmaTokenizerFast

    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=[*special, *bytes_], show_progress=False, limit_alphabet=60)
    tokenizer.train_from_iterator([text.lower() for text in CORPUS], trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    fast = GemmaTokenizerFast(tokenizer_object=tokenizer, add_bos_token=False, add_eos_token=True, padding_side="right")
    fast.backend_tokenizer.save(str(HERE / "siglip2-tokenizer.json"), pretty=False)
    # SigLIP 2 was trained on small letters.
    return encoded(fast, VIT_TEXTS, str.lower)


def encoded(tokenizer, texts, before=str):
    ids = [tokenizer(before(text), padding="max_length", max_length=64, truncation=True)["input_ids"] for text in texts]
    assert all(len(one) == 64 for one in ids)
    return [{"text": text, "ids": one} for text, one in zip(texts, ids)]


# ---------------------------------------------------------------- pictures


def scene(width, height, seed):
    """Smooth colours, edges and a little noise: something to resize."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack(
        [
            127 + 120 * np.sin(x / (7 + seed) + y / 23),
            127 + 120 * np.cos(y / (5 + seed) - x / 31),
            255.0 * ((x // 9 + y // 11) % 2),
        ],
        -1,
    )
    picture[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 255, 3)
    picture += rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_png16(path, pixels):
    """16-bit PNG, grey or RGB; Pillow writes the latter only with 8."""
    height, width = pixels.shape[:2]
    raw = b"".join(b"\0" + pixels[row].astype(">u2").tobytes() for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in chunks:
            file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))


def make_pictures():
    PICTURES.mkdir(exist_ok=True)

    def picture(w, h, seed):
        return Image.fromarray(scene(w, h, seed))

    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    picture(120, 90, 1).save(PICTURES / "turned.jpg", quality=90, exif=exif)
    picture(150, 100, 2).convert("L").save(PICTURES / "grey.jpg", quality=90)
    picture(100, 130, 3).convert("CMYK").save(PICTURES / "cmyk.jpg", quality=92)
    picture(140, 100, 4).save(PICTURES / "progressive.jpg", quality=85, progressive=True)
    alpha = picture(90, 90, 5).convert("RGBA")
    alpha.putalpha(Image.fromarray((np.mgrid[0:90, 0:90][1] * 2.8).astype(np.uint8)))
    alpha.save(PICTURES / "alpha.png", optimize=True)
    write_png16(PICTURES / "rgb16.png", scene(70, 80, 6).astype(np.uint16) * 257 // 3 * 3)
    write_png16(PICTURES / "grey16.png", scene(70, 80, 7)[..., 0].astype(np.uint16) * 256 + 77)
    picture(80, 60, 8).quantize(64).save(PICTURES / "palette.png", optimize=True)
    frames = [picture(75, 70, 9).quantize(64), picture(75, 70, 10).quantize(64)]
    frames[0].save(PICTURES / "two-frames.gif", save_all=True, append_images=frames[1:], duration=100)
    picture(130, 90, 11).save(PICTURES / "lossless.webp", lossless=True)
    picture(130, 90, 12).save(PICTURES / "lossy.webp", quality=85)
    picture(300, 40, 13).filter(ImageFilter.GaussianBlur(1)).save(PICTURES / "wide.png", optimize=True)
    picture(33, 250, 14).filter(ImageFilter.GaussianBlur(1)).save(PICTURES / "tall.png", optimize=True)
    picture(9, 7, 15).save(PICTURES / "tiny.png", optimize=True)


def reference_rgb(path):
    """What the server promises: upright, over white, 16 bits rounded to 8."""
    if path.name.endswith("16.png"):
        # Pillow cuts 16-bit RGB and clips 16-bit grey; take the values from the generator instead.
        wide = {"rgb16": scene(70, 80, 6).astype(np.uint16) * 257 // 3 * 3}
        wide["grey16"] = np.repeat(scene(70, 80, 7)[..., :1].astype(np.uint16) * 256 + 77, 3, -1)
        return Image.fromarray(np.round(wide[path.stem] / 257.0).astype(np.uint8))
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def make_preprocess():
    golden = {}
    # A fixed small tower input, so that the file stays small; `wide` also with resize above crop.
    for path in sorted(PICTURES.iterdir()):
        plain = CLIPImageProcessor(
            size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, do_rescale=False, do_normalize=False
        )
        golden[path.name] = plain(reference_rgb(path), return_tensors="np")["pixel_values"][0].astype(np.uint8)
    wide = reference_rgb(PICTURES / "wide.png")
    margin = CLIPImageProcessor(size=72, crop_size=48)
    golden["wide.normalised"] = margin(wide, return_tensors="np")["pixel_values"][0].astype(np.float32)
    save_file(golden, HERE / "preprocess.safetensors")


# ---------------------------------------------------------------- the bundled model


@torch.no_grad()
def make_bundled(directory):
    from transformers import PreTrainedTokenizerFast

    kinds = {"clip": CLIPModel, "vision-text-dual-encoder": VisionTextDualEncoderModel}
    kind = kinds[AutoConfig.from_pretrained(directory).model_type]
    model = kind.from_pretrained(directory, dtype=torch.float32).eval()
    processor = CLIPImageProcessor.from_pretrained(directory)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    context = model.config.text_config.max_position_embeddings
    golden = {}
    tokens = [tokenizer(text, truncation=True, max_length=context)["input_ids"] for text in TEXTS]
    golden["text"] = np.stack([unit(model.get_text_features(torch.tensor([ids])))[0] for ids in tokens])
    names = sorted(path.name for path in PICTURES.iterdir())
    pixels = [processor(reference_rgb(PICTURES / name), return_tensors="pt")["pixel_values"] for name in names]
    golden["image"] = np.concatenate([unit(model.get_image_features(p)) for p in pixels])
    save_file(golden, HERE / "bundled.safetensors")
    record = {"texts": TEXTS, "tokens": tokens, "pictures": names}
    (HERE / "bundled.json").write_text(json.dumps(record, indent=1, ensure_ascii=True) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dual", action="store_true", help="only the values of the generated dual encoder")
    parser.add_argument("--vit", action="store_true", help="only the values of the other generated transformers")
    parser.add_argument("--bundled", type=Path, metavar="DIR", help="only the values of this model directory")
    arguments = parser.parse_args()
    if arguments.bundled:
        make_bundled(arguments.bundled)
    elif arguments.dual:
        make_dual()
    elif arguments.vit:
        make_vit()
    else:
        make_pictures()
        make_preprocess()
        make_towers()
        make_dual()
        make_vit()


if __name__ == "__main__":
    main()
