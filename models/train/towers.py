"""The architecture: EfficientNet-Lite0 and a short BERT, in the layout of transformers' VisionTextDualEncoderModel."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import BertConfig, BertModel

from efficientnet import FEATURES, EfficientNet
from tokenizer import CONTEXT, PAD_ID, VOCAB_SIZE

IMAGE_SIZE = 128  # pixels, in training and in use; 160 finds photos better, pictograms worse, at 1.5 times the work
MEAN, STD = 127 / 255, 128 / 255  # those of EfficientNet-Lite: (byte - 127) / 128
WIDTH = 256
TEXT_WIDTH = 384
TEXT_LAYERS_TAKEN = (0, 2, 5)  # of the teacher's six

TEXT_CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": 4 * TEXT_WIDTH,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": CONTEXT,
    "num_attention_heads": 12,
    "num_hidden_layers": len(TEXT_LAYERS_TAKEN),
    "pad_token_id": PAD_ID,
    "type_vocab_size": 2,
    "vocab_size": VOCAB_SIZE,
}
CONFIG = {
    "architectures": ["VisionTextDualEncoderModel"],
    "model_type": "vision-text-dual-encoder",
    "dtype": "float16",
    "logit_scale_init_value": 2.6592,
    "projection_dim": WIDTH,
    "text_config": TEXT_CONFIG,
    "vision_config": {
        "model_type": "timm_wrapper",
        "architecture": "tf_efficientnet_lite0",
        "do_pooling": True,
        "hidden_size": FEATURES,
        "num_classes": 0,
        "label_names": [],
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
    "image_mean": [MEAN] * 3,
    "image_std": [STD] * 3,
}


def normalise(x):
    """Pictures f32 [n, 3, S, S] in 0..1 as the image tower takes them."""
    return ((x - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class TextTower(nn.Module):
    """BERT cut from the teacher; its pooled first token, projected."""

    def __init__(self):
        super().__init__()
        config = BertConfig(
            **TEXT_CONFIG, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager"
        )
        self.bert = BertModel(config)
        self.projection = nn.Linear(TEXT_WIDTH, WIDTH, bias=False)

    def take_from(self, teacher, teacher_ids, vocabulary):
        """Start from the teacher's layers and the rows of its token table that the vocabulary keeps."""
        own, its = self.bert.state_dict(), teacher.state_dict()
        rows = torch.tensor([teacher_ids[piece] for piece in vocabulary])
        own["embeddings.word_embeddings.weight"] = its["embeddings.word_embeddings.weight"][rows]
        own["embeddings.position_embeddings.weight"] = its["embeddings.position_embeddings.weight"][:CONTEXT]
        for name in ("token_type_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"):
            own[f"embeddings.{name}"] = its[f"embeddings.{name}"]
        for to, layer in enumerate(TEXT_LAYERS_TAKEN):
            prefix = f"encoder.layer.{to}."
            for name in own:
                if name.startswith(prefix):
                    own[name] = its[f"encoder.layer.{layer}." + name[len(prefix) :]]
        self.bert.load_state_dict(own)

    def forward(self, ids):
        """Unit-length embeddings f32 [n, 256] of ids [n, tokens], padded with PAD_ID."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled = self.bert(input_ids=ids, attention_mask=(ids != PAD_ID).long()).pooler_output
        return F.normalize(self.projection(pooled.float()), dim=-1)


class DualEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = EfficientNet()
        self.visual = nn.Linear(FEATURES, WIDTH, bias=False)
        self.text = TextTower()
        self.scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.class_scale = nn.Parameter(torch.tensor(math.log(20.0)))  # of the ImageNet loss, training only

    @torch.no_grad()
    def early(self, x, until):
        """Output of the blocks that are not trained."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net.early(x, until)

    def late(self, early, start):
        """Unit-length embeddings f32 [n, 256] from the output of the blocks before `start`."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = self.net.trained_late(early, start)
        return F.normalize(self.visual(features.float()), dim=-1)

    def images(self, x):
        return self.late(self.early(x, 11), 11)

    @torch.no_grad()
    def transformers_state(self):
        """Weights under the names of VisionTextDualEncoderModel."""
        state = {f"vision_model.timm_model.{name}": value for name, value in self.net.timm_state().items()}
        state |= {f"text_model.{name}": value for name, value in self.text.bert.state_dict().items()}
        state["visual_projection.weight"] = self.visual.weight
        state["text_projection.weight"] = self.text.projection.weight
        state["logit_scale"] = self.scale
        return {name: value for name, value in state.items() if not name.endswith("position_ids")}
