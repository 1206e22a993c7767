"""The layers of every network, in their order and with their sizes: structures.txt, as *Dive into Deep Learning* has them.

Two networks can have outputs of the same shapes, and even the same numbers of parameters, and not be the same: kernels of 10
instead of 11 pixels, ReLU before instead of after a pooling.
"""

from pathlib import Path

import pytest

from minidl import models

FILE = Path(__file__).parent / "structures.txt"
NETWORKS = {
    "LeNet()": models.LeNet,
    "BNLeNet()": models.BNLeNet,
    "AlexNet()": models.AlexNet,
    "VGG11()": models.VGG11,
    "NiN()": models.NiN,
    "GoogLeNet()": models.GoogLeNet,
    "ResNet18()": models.ResNet18,
    "ResNeXtBlock(32, 16, 1)": lambda: models.ResNeXtBlock(32, 16, 1),
    "ResNeXtBlock(32, 4, 0.5, use_1x1conv=True, strides=2)": lambda: models.ResNeXtBlock(32, 4, 0.5, True, 2),
    "DenseNet()": models.DenseNet,
    "PatchEmbedding()": models.PatchEmbedding,
    "ViT(16, 4, 8, 12, 2, 1, 0.1, 0.2)": lambda: models.ViT(16, 4, 8, 12, 2, 1, 0.1, 0.2),
    "GPT(10, 8, 12, 2, 2, 0.1)": lambda: models.GPT(10, 8, 12, 2, 2, 0.1),
    "Seq2SeqEncoder(10, 8, 12, 2, 0.1)": lambda: models.Seq2SeqEncoder(10, 8, 12, 2, 0.1),
    "Seq2SeqDecoder(10, 8, 12, 2, 0.1)": lambda: models.Seq2SeqDecoder(10, 8, 12, 2, 0.1),
    "Seq2SeqAttentionDecoder(10, 8, 12, 2, 0.1)": lambda: models.Seq2SeqAttentionDecoder(10, 8, 12, 2, 0.1),
}


def written():
    parts = FILE.read_text("utf-8").split("# ")[1:]
    return {name: text.strip() for name, text in (part.split("\n", 1) for part in parts)}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_layers_of_their_papers(name):
    assert repr(NETWORKS[name]()) == written()[name], "if the new structure is meant, write it into tests/structures.txt"


def test_all_structures_are_compared():
    assert list(written()) == list(NETWORKS)
