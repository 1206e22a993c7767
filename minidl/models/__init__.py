"""Networks of the book *Dive into Deep Learning*, block by block, under the names that it uses; and GPT.

Those that read images end in logits, (N, num_classes), for cross_entropy. Their layers are lazy: the first input decides how
many channels and pixels there are, so give a model one batch before you count its parameters, draw other first values or show
it to an optimizer's `state_dict`. The tests write down what shape each block makes of what. Of convolutional networks read
`lenet` first, then `resnet`; of Transformers `attention`, then `gpt` and `vit`. `seq2seq` turns sequences into sequences, with
a recurrent encoder and decoder, and with Bahdanau's attention between them. `autoencoder` turns pictures into
few numbers and back.
"""

from .alexnet import AlexNet
from .attention import KeyValueCache, SelfAttention
from .autoencoder import VAE, Autoencoder, elbo, standard_normal_kl
from .densenet import DenseBlock, DenseNet, conv_block, transition_block
from .googlenet import GoogLeNet, Inception
from .gpt import GPT, GPTBlock, decay_groups
from .lenet import BNLeNet, LeNet, init_cnn
from .nin import NiN, nin_block
from .resnet import Residual, ResNet, ResNet18, ResNeXtBlock
from .seq2seq import (
    AttentionDecoder,
    Decoder,
    Encoder,
    EncoderDecoder,
    Seq2SeqAttentionDecoder,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    init_seq2seq,
)
from .vgg import VGG, VGG11, vgg_block
from .vit import PatchEmbedding, ViT, ViTBlock, ViTMLP

__all__ = [
    "GPT",
    "VAE",
    "VGG",
    "VGG11",
    "AlexNet",
    "AttentionDecoder",
    "Autoencoder",
    "BNLeNet",
    "Decoder",
    "DenseBlock",
    "DenseNet",
    "Encoder",
    "EncoderDecoder",
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
    "Seq2SeqAttentionDecoder",
    "Seq2SeqDecoder",
    "Seq2SeqEncoder",
    "ViT",
    "ViTBlock",
    "ViTMLP",
    "conv_block",
    "decay_groups",
    "elbo",
    "init_cnn",
    "init_seq2seq",
    "nin_block",
    "standard_normal_kl",
    "transition_block",
    "vgg_block",
]
