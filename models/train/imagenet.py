"""The names of ImageNet's 1,000 classes (package torchvision) as texts."""

TEMPLATES = ["a photo of a {}", "a photo of the {}", "a picture of a {}", "{}", "a {}", "a close-up photo of a {}"]

# Everyday words for classes whose own names are narrower, or mean something else as well.
ALSO = {
    "Loafer": ["shoes"],
    "bathing cap": ["cap"],
    "cardigan": ["long sleeve top"],
    "cowboy hat": ["hat"],
    "crane": ["crane bird"],
    "drake": ["drake, a duck"],
    "fur coat": ["coat"],
    "gown": ["dress"],
    "hoopskirt": ["hoop skirt", "dress"],
    "jean": ["jeans", "pants"],
    "jersey": ["t-shirt"],
    "miniskirt": ["skirt"],
    "running shoe": ["shoes", "sneakers"],
    "sandal": ["sandals"],
    "sombrero": ["hat"],
    "suit": ["formal suit"],
    "sweatshirt": ["long sleeve shirt"],
    "swimming trunks": ["shorts"],
    "tabby": ["tabby cat", "cat"],
    "trench coat": ["coat", "jacket"],
}


def names():
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return list(_IMAGENET_CATEGORIES)


def class_texts():
    """The texts of each class."""
    return [[t.format(word) for word in [name.lower(), *ALSO.get(name, [])] for t in TEMPLATES] for name in names()]
