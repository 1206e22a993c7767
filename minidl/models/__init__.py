"""Convolutional networks and a ViT of the book *Dive into Deep Learning*, block by block, under its names; a GPT.

The networks for images end in logits, (N, num_classes), for cross_entropy. Their layers are lazy: the first input decides how
many channels and pixels there are, so give a model one batch before you count its parameters, draw other first values or show
it to an optimizer's `state_dict`. The tests write down what shape each block makes of what. Read `lenet` first, then `resnet`.
The GPT gives logits of the next token at each place, and `generation` continues sequences with it or any other model.
"""

from .alexnet import AlexNet
from .densenet import DenseBlock, DenseNet, conv_block, transition_block
from .generation import beam_search, generate, greedy_search, next_probabilities
from .googlenet import GoogLeNet, Inception
from .gpt import GPT, CausalSelfAttention, GPTBlock, KeyValueCache
from .lenet import BNLeNet, LeNet, init_cnn
from .nin import NiN, nin_block
from .resnet import Residual, ResNet, ResNet18, ResNeXtBlock
from .vgg import VGG, VGG11, vgg_block
from .vit import PatchEmbedding, ViT, ViTBlock, ViTMLP

__all__ = [
    "GPT",
    "VGG",
    "VGG11",
    "AlexNet",
    "BNLeNet",
    "CausalSelfAttention",
    "DenseBlock",
    "DenseNet",
    "GPTBlock",
    "GoogLeNet",
    "Inception",
    "KeyValueCache",
    "LeNet",
    "NiN",
    "PatchEmbedding",
    "ResNeXtBlock",
    "ResNet",
    "ResNet18",
    "Residual",
    "ViT",
    "ViTBlock",
    "ViTMLP",
    "beam_search",
    "conv_block",
    "generate",
    "greedy_search",
    "init_cnn",
    "next_probabilities",
    "nin_block",
    "transition_block",
    "vgg_block",
]
