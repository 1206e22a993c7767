"""Networks of the book *Dive into Deep Learning*, block by block, under the names that it uses; and GPT.

They end in logits, (N, num_classes), for cross_entropy (GPT has some for each token). Layers of those that read images are
lazy: the first input decides how many channels and pixels there are, so give a model one batch before you count its parameters,
draw other first values or show it to an optimizer's `state_dict`. The tests write down what shape each block makes of what. Of
convolutional networks read `lenet` first, then `resnet`; of Transformers `attention`, then `gpt` and `vit`.
"""

from .alexnet import AlexNet
from .attention import KeyValueCache, SelfAttention
from .densenet import DenseBlock, DenseNet, conv_block, transition_block
from .googlenet import GoogLeNet, Inception
from .gpt import GPT, GPTBlock, decay_groups
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
    "SelfAttention",
    "ViT",
    "ViTBlock",
    "ViTMLP",
    "conv_block",
    "decay_groups",
    "init_cnn",
    "nin_block",
    "transition_block",
    "vgg_block",
]
