"""What every layer and every loss of minidl.nn computes, in plain NumPy: rows of layers, each with inputs and a reference.

A reference takes the values of the layer's parameters and buffers by name, the inputs and the options. Most are those of
`table_functional`. `test_completeness` runs all, and asks that each option is given another value than its default somewhere,
in a layer that does something else without it.
"""

import inspect
import math
import zlib

import numpy as np

import minidl
from minidl import nn

from . import table, table_functional
from .table_functional import (
    COINS,
    COLUMNS,
    HEARD,
    IGNORED,
    IMAGE,
    IMAGES,
    KEYS,
    LABELS,
    OTHER,
    PLACES,
    QUERIES,
    ROWS,
    SAID,
    SIGNAL,
    SIGNALS,
    SPOKEN,
    STEPS,
    TOO_LONG,
    VALUES,
    WEIGHTS,
    P,
    X,
    Y,
    arrays,
    single,
    tensor,
)

plain = table_functional


class Layer:
    """A layer: its reference, inputs and options; `state`: the names of its parameters and buffers, in order.

    call(layer, *tensors): what to compare with the reference's answer, if not the output alone. training: in which mode.
    """

    def __init__(self, reference, *inputs, call=None, state="", training=False, **options):
        self.reference, self.inputs, self.options = reference, inputs, options
        self.call, self.state, self.training = call or (lambda layer, *xs: layer(*xs)), state.split(), training

    def build(self, make, without=()):
        """The layer in doubles, with values of its own in all parameters and buffers, each decided by its name and shape."""
        options = {name: tensor(x) for name, x in self.options.items() if name not in without}
        layer = make(**options).double().eval()
        if any(isinstance(module, nn.LazyModule) for module in layer.modules()):
            layer(*map(tensor, self.inputs))
        for name, x in layer.state_dict().items():
            if x.dtype == minidl.float64 and name not in options:
                rng = np.random.default_rng(zlib.crc32(f"{name}{x.shape}".encode()))
                x.copy_(
                    minidl.tensor(rng.uniform(0.4, 1.6, x.shape) * (1 if "var" in name else rng.choice([-1.0, 1.0], x.shape)))
                )
        return layer.train(self.training)

    def found(self, make, without=()):
        """The names of the state, and what the layer gives."""
        layer = self.build(make, without)
        return list(layer.state_dict()), arrays(self.call(layer, *map(tensor, self.inputs)))

    def single(self, make):
        """What the layer gives in float32."""
        results = self.call(self.build(make).float(), *map(single, self.inputs))
        return results if isinstance(results, (tuple, list)) else [results]

    def expected(self, make):
        state = {name: x.numpy().copy() for name, x in self.build(make).state_dict().items()}
        return self.state, arrays(self.reference(state, *self.inputs, **self.options))


def options_of(make):
    """The names of a class's options, those of its bases too if it passes them on."""
    names = set()
    for base in make.__mro__:
        parameters = inspect.signature(base.__init__).parameters.values() if "__init__" in vars(base) else ()
        names |= {p.name for p in parameters if p.default is not p.empty}
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def same(reference, **fixed):
    """The reference of a function, for a layer that has the same options and no state."""
    return lambda state, *inputs, **options: reference(*inputs, **fixed, **options)


def of_each(function):
    return same(table_functional.of_each(function))


def with_reductions(reference, *inputs, default="mean", **options):
    reductions = [{}, *({"reduction": r} for r in ("mean", "sum", "none") if r != default)]
    return [Layer(same(reference), *inputs, **options, **reduction) for reduction in reductions]


def layer_of(function):
    """The name of the layer that calls this activation: of leaky_relu LeakyReLU; None if there is none."""
    wanted = function.replace("_", "")
    names = [*nn.activation.__all__, *nn.piecewise.__all__]
    return next((name for name in names if name.lower() == wanted and name not in ("PReLU", "RReLU")), None)


ACTIVATIONS = {  # the rows of their functions, of which the layers have the options
    layer_of(name): [
        Layer(same(call.reference), call.args[0], **dict(zip(["dim"], call.args[1:], strict=False)), **call.options)
        for call in calls
        if not call.options.keys() & {"inplace", "dtype"}
    ]
    for name, calls in table_functional.ACTIVATIONS.items()
    if layer_of(name)
}
ACTIVATIONS |= {
    "PReLU": [
        Layer(lambda s, x, **o: plain.prelu(x, s["weight"]), X, state="weight"),
        Layer(lambda s, x, **o: plain.prelu(x, s["weight"]), X, state="weight", num_parameters=4),
        Layer(
            lambda s, x, init: (plain.prelu(x, np.array([init])), np.array([init])),
            X,
            call=lambda layer, x: (layer.reset_parameters(), layer(x), layer.weight)[1:],
            state="weight",
            init=0.5,
        ),
    ],
    "RReLU": [
        *(Layer(of_each(plain.rrelu), X, **o) for o in ({}, {"lower": 0.1}, {"upper": 0.7})),
        Layer(
            lambda s, x, **o: np.array([-0.2, 0.7, 1, 1]),
            plain.SLOPED,
            call=lambda layer, x: plain.slopes(lambda x, *a, training: layer(x), x),
            training=True,
            lower=-0.2,
            upper=0.7,
        ),
    ],
    "Softmax2d": [Layer(lambda s, x: plain.softmax(x, 1), IMAGES), Layer(lambda s, x: plain.softmax(x, 0), IMAGES[0])],
}

# --- affine maps, shapes, look-ups, dropout


def linear(state, x, **options):
    return table.linear(x, state["weight"], state.get("bias"))


def mlp(state, x, hidden, activation=nn.ReLU, dropout=0.0, norm=None, **sizes):
    """With two hidden layers, dropout of everything, or layer norm."""
    bend = np.tanh if activation is nn.Tanh else lambda v: np.maximum(v, 0)
    step = 2 + bool(dropout) + (norm is not None)
    for i, _ in enumerate(hidden):
        x = table.linear(x, state[f"{i * step}.weight"], state[f"{i * step}.bias"])
        if norm is not None:
            x = table.layer_norm(x, state[f"{i * step + 1}.weight"], state[f"{i * step + 1}.bias"], 1, 1e-5)
        x = bend(x) * (1 - dropout)
    last = f"{len(hidden) * step}"
    return table.linear(x, state[f"{last}.weight"], state[f"{last}.bias"])


def embedded(layer, index):
    """The rows, and the gradient of the table for a cotangent that differs everywhere."""
    y = layer(index)
    y.backward(minidl.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape))
    return y, layer.weight.grad, layer.weight


def embedding(state, index, num_embeddings, embedding_dim, **options):
    return plain.embedding(index, state["weight"], **options)


def embedding_bag(state, index, num_embeddings, embedding_dim, **options):
    return plain.embedding_bag(index, state["weight"], **options)


def bagged(layer, index):
    offsets = minidl.tensor([0, 2, 2, 6]) if layer.include_last_offset else None
    y = layer(index.flatten() if layer.include_last_offset else index, offsets)
    y.backward(minidl.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape))
    return y, layer.weight.grad, layer.weight


def with_offsets(state, index, **options):
    return embedding_bag(state, index.ravel(), offsets=np.array([0, 2, 2, 6]), **options)


def dropped(layer, x):
    minidl.manual_seed(3)
    return np.array(plain.traits(layer(x).numpy(), x.numpy(), 0.2), float)


def dropout(rows_alike, *shape):
    x = np.arange(1.0, math.prod(shape) + 1).reshape(shape)
    reference = lambda state, x, p: np.array([1, 1, rows_alike], float)  # noqa: E731
    return [Layer(reference, x, call=dropped, training=True, p=0.2), Layer(lambda state, x, p: x, x, p=0.2)]


def mlp_state(*places):
    return " ".join(f"{place}.{part}" for place in places for part in ("weight", "bias"))


MLP = {"in_features": 4, "hidden": [5, 3], "out_features": 2}
INDEX = np.array([2, 0, 2, 1])
BOTH = "weight bias"
BASICS = {
    "Linear": [
        Layer(linear, X, state=BOTH, in_features=4, out_features=2),
        Layer(linear, X, state="weight", in_features=4, out_features=2, bias=False),
    ],
    "LazyLinear": [
        Layer(linear, X, state=BOTH, out_features=2),
        Layer(linear, X, state="weight", out_features=2, bias=False),
    ],
    "Bilinear": [
        Layer(lambda s, a, b, **o: plain.bilinear(a, b, s["weight"], s.get("bias")), X, Y[:, :2], state=state, **options)
        for state, more in ((BOTH, {}), ("weight", {"bias": False}))
        for options in [{"in1_features": 4, "in2_features": 2, "out_features": 5, **more}]
    ],
    "MLP": [
        Layer(mlp, X, state=mlp_state(0, 2, 4), **MLP),
        Layer(mlp, X, state=mlp_state(0, 2, 4), **MLP, activation=nn.Tanh),
        Layer(mlp, X, state=mlp_state(0, 1, 3, 4, 6), **MLP, norm=nn.LayerNorm),
        Layer(mlp, X, state=mlp_state(0, 3, 6), **MLP, dropout=1.0, training=True),
    ],
    "Identity": [Layer(lambda s, x: x, IMAGES, training=True)],
    "Flatten": [
        Layer(lambda s, x: x.reshape(2, 21), SIGNALS),
        Layer(lambda s, x, start_dim: x.reshape(42), SIGNALS, start_dim=0),
        Layer(lambda s, x, end_dim: x.reshape(2, 15, 6), IMAGES, end_dim=2),
    ],
    "Unflatten": [Layer(lambda s, x, **o: x.reshape(3, 2, 2), X, dim=1, unflattened_size=(2, 2))],
    "Embedding": [
        Layer(embedding, INDEX, call=embedded, state="weight", num_embeddings=4, embedding_dim=3),
        Layer(embedding, INDEX, call=embedded, state="weight", num_embeddings=4, embedding_dim=3, padding_idx=2),
        *(
            Layer(embedding, INDEX, call=embedded, state="weight", num_embeddings=4, embedding_dim=3, **options)
            for options in ({"max_norm": 1.1}, {"max_norm": 1.1, "norm_type": 1.0}, {"scale_grad_by_freq": True})
        ),
    ],
    "EmbeddingBag": [
        *(
            Layer(embedding_bag, plain.BAGS, call=bagged, state="weight", num_embeddings=4, embedding_dim=3, **options)
            for options in (
                {},
                {"mode": "sum"},
                {"mode": "max", "padding_idx": 2},
                {"max_norm": 1.1},
                {"max_norm": 1.1, "norm_type": 1.0},
                {"scale_grad_by_freq": True},
            )
        ),
        Layer(
            with_offsets,
            plain.BAGS,
            call=bagged,
            state="weight",
            num_embeddings=4,
            embedding_dim=3,
            include_last_offset=True,
        ),
    ],
    "AlphaDropout": [
        Layer(lambda s, x, p: plain.alpha_dropout(x, p, True), plain.NORMAL, call=plain.alpha_dropped, training=True, p=0.2),
        Layer(lambda s, x, p: x, plain.NORMAL, p=0.2),
    ],
    "Dropout": dropout(False, 500, 4),
    "Dropout1d": dropout(True, 900, 4),
    "Dropout2d": dropout(True, 900, 1, 2, 3),
}

# --- convolutions


def border(x, d, padding, mode):
    """Signals or images with what the padding shows."""
    widths = tuple((p, p) for p in plain.pair(padding, d))
    return table.continued(x, mode, widths)


def convolution(d, function, channels=(3, 2)):
    def reference(state, x, padding=0, padding_mode="zeros", bias=True, **options):
        names = ("in_channels", "out_channels", "kernel_size")
        options = {name: value for name, value in options.items() if name not in names}
        if padding_mode != "zeros":
            padding = {"same": 1, "valid": 0}.get(padding, padding)  # of kernels of 3
            x, padding = border(x, d, padding, padding_mode), 0
        return function(x, state["weight"], state.get("bias"), padding=padding, **options)

    return reference


def convolutions(d, function, x, *more, transposed=False, lazy=False):
    reference = convolution(d, function)
    sizes = {"out_channels": 6, "kernel_size": 3} if lazy else {"in_channels": 3, "out_channels": 6, "kernel_size": 3}
    options = [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"groups": 3}, *more]
    if transposed:
        options.append({"stride": 3, "output_padding": 2})
    else:
        options += [{"padding": 1, "padding_mode": mode} for mode in ("reflect", "replicate", "circular")]
        options += [{"padding": "same"}, *({"padding": word, "padding_mode": "reflect"} for word in ("same", "valid"))]
    rows = [Layer(reference, x, state=BOTH, **sizes, **o) for o in options]
    return [*rows, Layer(reference, x, state="weight", **sizes, bias=False)]


ROW, SPREAD = plain.one_row(plain.conv2d), plain.one_row(plain.conv_transpose2d)
SMALL = IMAGE[..., :4]
CONVOLUTIONS = {
    "Conv1d": convolutions(1, ROW, SIGNAL),
    "Conv2d": convolutions(2, plain.conv2d, IMAGE, {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)}),
    "ConvTranspose1d": convolutions(1, SPREAD, SIGNAL, transposed=True),
    "ConvTranspose2d": convolutions(2, plain.conv_transpose2d, SMALL, {"stride": (2, 1), "padding": (0, 1)}, transposed=True),
    "LazyConv1d": convolutions(1, ROW, SIGNAL, lazy=True),
    "LazyConv2d": convolutions(2, plain.conv2d, IMAGE, lazy=True),
    "LazyConvTranspose1d": convolutions(1, SPREAD, SIGNAL, transposed=True, lazy=True),
    "LazyConvTranspose2d": convolutions(2, plain.conv_transpose2d, SMALL, transposed=True, lazy=True),
}

# --- borders, windows, other sizes, pooling


def border_of(mode):
    def reference(state, x, padding, value=None):
        widths = padding if isinstance(padding, tuple) else (padding,) * 2 * (x.ndim - 2)
        return plain.pad(x, widths, mode, value)

    return reference


def borders(mode, x, uneven, **options):
    return [Layer(border_of(mode), x, padding=padding, **options) for padding in (2, uneven)]


def pooling(reference, x, *rows, kernel=2):
    return [Layer(same(reference), x, **{"kernel_size": 3 if "padding" in o else kernel, **o}) for o in rows]


def unpooled(layer, x, indices):
    return layer(x, indices), layer(x, indices, output_size=tuple(n + 1 for n in layer(x, indices).shape[-2:]))


def max_unpool2d(state, x, indices, **options):
    y = plain.max_unpool2d(x, indices, **options)
    return y, plain.max_unpool2d(x, indices, **options, output_size=tuple(n + 1 for n in y.shape[-2:]))


PAIRED = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}
UNEVEN1, UNEVEN2 = (1, 3), (1, 2, 3, 0)
SIZES = {
    "ZeroPad1d": borders("constant", SIGNALS, UNEVEN1),
    "ZeroPad2d": borders("constant", IMAGES, UNEVEN2),
    "ConstantPad1d": borders("constant", SIGNALS, UNEVEN1, value=1.5),
    "ConstantPad2d": borders("constant", IMAGES, UNEVEN2, value=1.5),
    "ReflectionPad1d": borders("reflect", SIGNALS, UNEVEN1),
    "ReflectionPad2d": borders("reflect", IMAGES, UNEVEN2),
    "ReplicationPad1d": borders("replicate", SIGNALS, UNEVEN1),
    "ReplicationPad2d": borders("replicate", IMAGES, UNEVEN2),
    "CircularPad1d": borders("circular", SIGNALS, UNEVEN1),
    "CircularPad2d": borders("circular", IMAGES, UNEVEN2),
    "Upsample": [
        Layer(same(plain.interpolate), IMAGES, size=(3, 8), mode="bilinear"),
        Layer(same(plain.interpolate), IMAGES, scale_factor=(1.7, 2), mode="bilinear", align_corners=True),
        Layer(same(plain.interpolate), SIGNALS, scale_factor=1.7, mode="linear", recompute_scale_factor=True),
    ],
    "UpsamplingNearest2d": [
        Layer(same(plain.interpolate), IMAGES, size=(3, 8)),
        Layer(same(plain.interpolate), IMAGES, scale_factor=1.5),
    ],
    "UpsamplingBilinear2d": [
        Layer(same(plain.interpolate, mode="bilinear", align_corners=True), IMAGES, size=(3, 8)),
        Layer(same(plain.interpolate, mode="bilinear", align_corners=True), IMAGES, scale_factor=1.5),
    ],
    "PixelShuffle": [
        Layer(lambda s, x, upscale_factor: plain.pixel_shuffle(x, upscale_factor), plain.normal(2, 8, 2, 3), upscale_factor=2)
    ],
    "PixelUnshuffle": [
        Layer(
            lambda s, x, downscale_factor: plain.pixel_unshuffle(x, downscale_factor), plain.normal(1, 4, 6), downscale_factor=2
        )
    ],
    "Unfold": [
        Layer(same(plain.unfold), IMAGES, kernel_size=(2, 3)),
        *(Layer(same(plain.unfold), IMAGES, kernel_size=2, **{name: n}) for name, n in (("dilation", 2), ("padding", 1))),
        Layer(same(plain.unfold), IMAGES, kernel_size=2, stride=2),
    ],
    "Fold": [
        Layer(same(plain.fold), COLUMNS, output_size=(5, 6), kernel_size=2),
        Layer(same(plain.fold), COLUMNS[..., :12], output_size=(5, 6), kernel_size=2, dilation=2),
        Layer(same(plain.fold), COLUMNS[..., :6], output_size=(5, 6), kernel_size=2, stride=2),
        Layer(same(plain.fold), COLUMNS[..., :12], output_size=(2, 3), kernel_size=2, padding=1),
    ],
    "MaxPool1d": pooling(plain.max_pool(1), SIGNALS, *plain.MAX_OPTIONS),
    "MaxPool2d": pooling(plain.max_pool(2), IMAGES, *plain.MAX_OPTIONS, {**PAIRED, "dilation": (1, 2)}),
    "AvgPool1d": pooling(plain.avg_pool(1), SIGNALS, *plain.AVG_OPTIONS),
    "AvgPool2d": pooling(plain.avg_pool(2), IMAGES, *plain.AVG_OPTIONS, PAIRED, {"divisor_override": 3}),
    "AdaptiveMaxPool1d": [
        Layer(same(plain.adaptive_max_pool(1)), SIGNALS, output_size=4, **o) for o in ({}, {"return_indices": True})
    ],
    "AdaptiveMaxPool2d": [
        Layer(same(plain.adaptive_max_pool(2)), IMAGES, output_size=(3, 4)),
        Layer(same(plain.adaptive_max_pool(2)), IMAGES, output_size=(2, None), return_indices=True),
    ],
    "AdaptiveAvgPool1d": [Layer(same(plain.adaptive_avg_pool(1)), SIGNALS, output_size=4)],
    "AdaptiveAvgPool2d": [Layer(same(plain.adaptive_avg_pool(2)), IMAGES, output_size=n) for n in (2, (3, 4), (None, 4))],
    "MaxUnpool2d": [
        Layer(max_unpool2d, plain.normal(2, 2, 2), PLACES, call=unpooled, kernel_size=3),
        Layer(max_unpool2d, plain.normal(2, 2, 2), PLACES, call=unpooled, kernel_size=3, stride=2),
        Layer(max_unpool2d, plain.normal(2, 2, 2), PLACES, call=unpooled, kernel_size=4, padding=1),
    ],
}

# --- normalisation

RUNNING = "running_mean running_var num_batches_tracked"


def with_running(layer, x):
    """The output, and the running statistics and the count afterwards, if there are any. They have seen 3 batches before."""
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.fill_(3)
    y = layer(x)
    return (y, layer.running_mean, layer.running_var, layer.num_batches_tracked) if layer.track_running_stats else y


def batch_norm(training):
    def reference(state, x, eps=1e-5, momentum=0.1, track_running_stats=True, **options):
        weight, bias = state.get("weight"), state.get("bias")
        if not track_running_stats:
            return table.batch_norm(x, weight, bias, eps)
        momentum = 1 / 4 if momentum is None else momentum  # of four batches each counts alike
        mean, var = state["running_mean"], state["running_var"]
        results = plain.batch_norm(x, mean, var, weight, bias, training, momentum, eps)
        return *results, np.array(3 + training)

    return reference


def batch_norms(x, **sizes):
    full, bare = f"weight bias {RUNNING}", {"affine": False}
    rows = [
        Layer(batch_norm(t), x, call=with_running, state=state, training=t, **sizes, **options)
        for t in (False, True)
        for state, options in (
            (full, {}),
            (full, {"eps": 0.3}),
            (full, {"momentum": 0.4}),
            (full, {"momentum": None}),
            (RUNNING, bare),
            (f"weight {RUNNING}", {"bias": False}),
            (BOTH, {"track_running_stats": False}),
        )
    ]
    return rows


def instance_norm(training):
    def reference(state, x, eps=1e-5, momentum=0.1, track_running_stats=False, **options):
        weight, bias = state.get("weight"), state.get("bias")
        if not track_running_stats:
            return plain.instance_norm(x, None, None, weight, bias, True, momentum, eps)
        mean, var = state["running_mean"], state["running_var"]
        momentum = 0.0 if momentum is None else momentum
        return *plain.instance_norm(x, mean, var, weight, bias, training, momentum, eps), np.array(3)

    return reference


def instance_norms(x):
    tracked, alone = {"track_running_stats": True}, table_functional.alone(lambda x: plain.instance_norm(x))
    return [Layer(lambda s, x, num_features: alone(x), x[0], num_features=3)] + [
        Layer(instance_norm(t), x, call=with_running, state=state, training=t, num_features=3, **options)
        for t in (False, True)
        for state, options in (
            ("", {}),
            ("", {"eps": 0.3}),
            (BOTH, {"affine": True}),
            ("weight", {"affine": True, "bias": False}),
            (RUNNING, tracked),
            (RUNNING, {**tracked, "momentum": 0.4}),
            (f"{BOTH} {RUNNING}", {**tracked, "affine": True, "eps": 0.3}),
        )
    ]


def layer_norm(state, x, normalized_shape, eps=1e-5, **options):
    axes = len(normalized_shape) if isinstance(normalized_shape, tuple) else 1
    return table.layer_norm(x, state.get("weight"), state.get("bias"), axes, eps)


def rms_norm(state, x, normalized_shape, eps=None, **options):
    axes = len(normalized_shape) if isinstance(normalized_shape, tuple) else 1
    return table.rms_norm(x, state.get("weight"), None, axes, np.finfo(x.dtype).eps if eps is None else eps)


def group_norm(state, x, num_groups, num_channels, eps=1e-5, **options):
    return table.group_norm(x, state.get("weight"), state.get("bias"), num_groups, eps)


FOUR = plain.normal(2, 4, 3)
NORMS = {
    "BatchNorm1d": batch_norms(SIGNALS, num_features=3) + batch_norms(X, num_features=4),
    "BatchNorm2d": batch_norms(IMAGES, num_features=3),
    "LazyBatchNorm1d": batch_norms(SIGNALS),
    "LazyBatchNorm2d": batch_norms(IMAGES),
    "InstanceNorm1d": instance_norms(SIGNALS),
    "InstanceNorm2d": instance_norms(IMAGES),
    "LayerNorm": [
        Layer(layer_norm, X, state=BOTH, normalized_shape=4),
        Layer(layer_norm, X, state=BOTH, normalized_shape=(3, 4), eps=0.3),
        Layer(layer_norm, X, normalized_shape=4, elementwise_affine=False),
        Layer(layer_norm, X, state="weight", normalized_shape=4, bias=False),
    ],
    "RMSNorm": [
        Layer(rms_norm, X, state="weight", normalized_shape=4),
        Layer(rms_norm, X, state="weight", normalized_shape=(3, 4), eps=0.3),
        Layer(rms_norm, X, normalized_shape=4, elementwise_affine=False),
    ],
    "GroupNorm": [
        Layer(group_norm, FOUR, state=BOTH, num_groups=2, num_channels=4),
        Layer(group_norm, FOUR, state=BOTH, num_groups=1, num_channels=4, eps=0.3),
        Layer(group_norm, FOUR, num_groups=2, num_channels=4, affine=False),
        Layer(group_norm, FOUR, state="weight", num_groups=2, num_channels=4, bias=False),
    ],
}

# --- losses

WEIGHTED = {"state": "weight", "weight": WEIGHTS}


def of_function(name):
    """The rows of a function, for a layer that has its options."""
    weighted = [{"state": "weight"} if "weight" in call.options else {} for call in plain.FUNCTIONALS[name]]
    calls = zip(plain.FUNCTIONALS[name], weighted, strict=True)
    return [Layer(same(call.reference), *call.args, **call.options, **state) for call, state in calls]


LOSSES = {
    "CosineSimilarity": of_function("cosine_similarity"),
    "PairwiseDistance": of_function("pairwise_distance"),
    "PoissonNLLLoss": of_function("poisson_nll_loss"),
    "MarginRankingLoss": of_function("margin_ranking_loss"),
    "HingeEmbeddingLoss": of_function("hinge_embedding_loss"),
    "CosineEmbeddingLoss": of_function("cosine_embedding_loss"),
    "SoftMarginLoss": of_function("soft_margin_loss"),
    "MultiMarginLoss": of_function("multi_margin_loss"),
    "MultiLabelMarginLoss": of_function("multilabel_margin_loss"),
    "MultiLabelSoftMarginLoss": of_function("multilabel_soft_margin_loss"),
    "TripletMarginLoss": of_function("triplet_margin_loss"),
    "TripletMarginWithDistanceLoss": of_function("triplet_margin_with_distance_loss"),
    "MSELoss": with_reductions(plain.loss_of(lambda x, t: (x - t) ** 2), X, Y),
    "L1Loss": with_reductions(plain.loss_of(lambda x, t: abs(x - t)), X, Y),
    "SmoothL1Loss": with_reductions(plain.loss_of(plain.smooth_l1), X, Y)
    + [Layer(same(plain.loss_of(plain.smooth_l1)), X, Y, beta=2.5)],
    "HuberLoss": with_reductions(plain.loss_of(plain.huber), X, Y) + [Layer(same(plain.loss_of(plain.huber)), X, Y, delta=2.5)],
    "GaussianNLLLoss": with_reductions(plain.gaussian_nll, X, Y, P)
    + [Layer(same(plain.gaussian_nll), X, Y, P, **options) for options in ({"full": True}, {"eps": 0.5})],
    "CrossEntropyLoss": with_reductions(plain.cross_entropy, X, LABELS)
    + with_reductions(plain.cross_entropy, X, LABELS, **WEIGHTED)
    + with_reductions(plain.cross_entropy, X, IGNORED, ignore_index=1)
    + with_reductions(plain.cross_entropy, X, OTHER, label_smoothing=0.2),
    "NLLLoss": with_reductions(plain.nll, X, LABELS)
    + with_reductions(plain.nll, X, LABELS, **WEIGHTED)
    + with_reductions(plain.nll, X, IGNORED, ignore_index=1),
    "FocalLoss": with_reductions(plain.focal, X, LABELS)
    + with_reductions(plain.focal, X, LABELS, **WEIGHTED, gamma=1.5)
    + with_reductions(plain.focal, X, IGNORED, ignore_index=1),
    "BCELoss": with_reductions(plain.coin, P, COINS) + with_reductions(plain.coin, P, COINS, **WEIGHTED),
    "BCEWithLogitsLoss": with_reductions(plain.coin_of_logits, X, COINS)
    + with_reductions(plain.coin_of_logits, X, COINS, **WEIGHTED)
    + with_reductions(plain.coin_of_logits, X, COINS, state="pos_weight", pos_weight=WEIGHTS),
    "SigmoidFocalLoss": with_reductions(plain.sigmoid_focal, X, COINS, default="none")
    + [Layer(same(plain.sigmoid_focal), X, COINS, **options) for options in ({"alpha": 0.6}, {"gamma": 1.5})],
    "KLDivLoss": with_reductions(plain.kl_div, np.log(ROWS), OTHER)
    + [Layer(same(plain.kl_div), np.log(ROWS), OTHER, reduction="batchmean")]
    + [Layer(same(plain.kl_div), np.log(ROWS), np.log(OTHER), log_target=True)],
    "JSDivLoss": with_reductions(plain.js_divergence, ROWS, OTHER)
    + [Layer(same(plain.js_divergence), X, Y, logits=True, dim=dim) for dim in (-1, 0)],
    "InfoNCELoss": with_reductions(plain.info_nce, X, Y)
    + [Layer(same(plain.info_nce), X, Y, temperature=2.0, normalize_vectors=False)]
    + [Layer(same(plain.info_nce), X, Y, plain.normal(2, 4), temperature=0.5)],
    "CTCLoss": with_reductions(plain.ctc_loss, STEPS, SPOKEN, HEARD, SAID)
    + [Layer(same(plain.ctc_loss), STEPS, SPOKEN - 1, HEARD, SAID, blank=2)]
    + [Layer(same(plain.ctc_loss), STEPS, TOO_LONG, HEARD, np.array([5, 2]), zero_infinity=True)],
}

# --- attention, places, sequences


def pooled(scores, lens, values, dropout):
    return plain.masked_softmax(scores, lens) @ values * (1 - dropout)


def dot_product_attention(state, q, k, v, lens=None, dropout=0.0):
    return pooled(np.einsum("bnd,bmd->bnm", q, k) / math.sqrt(q.shape[-1]), lens, v, dropout)


def additive_attention(state, q, k, v, lens=None, num_hiddens=None, dropout=0.0):
    weights = state["W_q.weight"], state["W_k.weight"], state["w_v.weight"][0]
    return pooled(plain.additive_scores(q, k, *weights), lens, v, dropout)


def positional_encoding(state, x, num_hiddens, dropout=0.0, max_len=1000):
    y = x.copy()
    for n, t, i in np.ndindex(x.shape):
        angle = t / 10000 ** (i // 2 * 2 / num_hiddens)
        y[n, t, i] += np.float32(math.cos(angle) if i % 2 else math.sin(angle))  # the table is one of float32
    return y * (1 - dropout)


STEP = {"RNN": (table.rnn_step, 1), "LSTM": (table.lstm_step, 2), "GRU": (table.gru_step, 1)}


def one_sequence(kind, x, states, of_layer, reverse, *options):
    """y and the last states of one layer in one direction."""
    step, count = STEP[kind]
    flat = table.recurrent(step, count)(x, *states, *of_layer, None, reverse, *options)
    size = (*x.shape[:2], states[0].shape[1])
    y, *lasts = np.split(flat, np.cumsum([math.prod(size), *(s.size for s in states)])[:-1])
    return y.reshape(size), [last.reshape(s.shape) for last, s in zip(lasts, states, strict=True)]


def sequences(kind):
    def reference(
        state,
        x,
        input_size,
        hidden_size,
        num_layers=1,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        bias=True,
        **option,
    ):
        options = [option == {"nonlinearity": "relu"}] if kind == "RNN" else [option != {"reset_after": False}]
        options = [] if kind == "LSTM" else options
        x = x.swapaxes(0, 1) if batch_first else x
        lasts = []
        for level in range(num_layers):
            outputs = []
            for suffix in ["", "_reverse"][: 1 + bidirectional]:
                parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]
                weights = [state[f"{part}_l{level}{suffix}"] for part in parts]
                zeros = [np.zeros((x.shape[1], hidden_size))] * STEP[kind][1]
                y, last = one_sequence(kind, x, zeros, weights, bool(suffix), *options)
                outputs.append(y)
                lasts.append(last)
            x = np.concatenate(outputs, -1) * (1 - dropout if level < num_layers - 1 else 1)
        return x.swapaxes(0, 1) if batch_first else x, *(np.stack(states) for states in zip(*lasts, strict=True))

    return reference


def with_states(layer, x):
    y, last = layer(x)
    return (y, *last) if isinstance(last, tuple) else (y, last)


def names_of(levels=1, directions=1, bias=True):
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]
    suffixes = [f"_l{level}{suffix}" for level in range(levels) for suffix in ["", "_reverse"][:directions]]
    return " ".join(part + suffix for suffix in suffixes for part in parts)


def recurrent(kind, *more):
    sizes = {"input_size": 4, "hidden_size": 3}
    rows = [
        ({}, {}),
        ({"bias": False}, {"bias": False}),
        ({"batch_first": True}, {}),
        ({"num_layers": 2, "bidirectional": True}, {"levels": 2, "directions": 2}),
        ({"num_layers": 2, "dropout": 1.0}, {"levels": 2}),
        *((option, {}) for option in more),
    ]
    return [
        Layer(sequences(kind), QUERIES, call=with_states, state=names_of(**names), training=True, **sizes, **options)
        for options, names in rows
    ]


def cell(kind):
    """One step of a sequence, from given states."""

    def reference(state, x, *states, input_size, hidden_size, nonlinearity="tanh", bias=True):
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]
        options = [nonlinearity == "relu"] if kind == "RNN" else []
        _, lasts = one_sequence(kind, x[None], states, [state[part] for part in parts], False, *options)
        return lasts if len(lasts) > 1 else lasts[0]

    return reference


def cells(kind, *more):
    call = lambda layer, x, *states: layer(x, states if kind == "LSTM" else states[0])  # noqa: E731
    states = [Y[:, :3] * 0.5, X[:, 1:] * 0.3][: STEP[kind][1]]
    full, sizes = "weight_ih weight_hh bias_ih bias_hh", {"input_size": 4, "hidden_size": 3}
    rows = [(full, {}), ("weight_ih weight_hh", {"bias": False}), *((full, option) for option in more)]
    return [Layer(cell(kind), X, *states, call=call, state=state, **sizes, **options) for state, options in rows]


LENS = np.array([2, 0])
ATTENTION = {
    "DotProductAttention": [
        Layer(dot_product_attention, QUERIES, KEYS, VALUES),
        Layer(dot_product_attention, QUERIES, KEYS, VALUES, LENS),
        Layer(dot_product_attention, QUERIES, KEYS, VALUES, training=True, dropout=1.0),
    ],
    "AdditiveAttention": [
        Layer(
            additive_attention,
            QUERIES,
            KEYS[..., :3],
            VALUES,
            *lens,
            state=state,
            training=bool(options),
            num_hiddens=6,
            **options,
        )
        for state in ["W_k.weight W_q.weight w_v.weight"]
        for lens, options in (((), {}), ((LENS,), {}), ((), {"dropout": 1.0}))
    ],
    "PositionalEncoding": [
        Layer(positional_encoding, QUERIES, num_hiddens=4),
        Layer(positional_encoding, QUERIES, training=True, num_hiddens=4, dropout=1.0),
        Layer(
            lambda s, x, **o: (positional_encoding(s, x, 4), np.array(5)),
            QUERIES,
            call=lambda layer, x: (layer(x), np.array(layer.P.shape[1])),
            num_hiddens=4,
            max_len=5,
        ),
    ],
    "RNN": recurrent("RNN", {"nonlinearity": "relu"}),
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU", {"reset_after": False}),
    "RNNCell": cells("RNN", {"nonlinearity": "relu"}),
    "LSTMCell": cells("LSTM"),
    "GRUCell": cells("GRU"),
}

LAYERS = {**ACTIVATIONS, **BASICS, **CONVOLUTIONS, **SIZES, **NORMS, **LOSSES, **ATTENTION}
ELSEWHERE = {  # what is compared with a second writing in another file: the test there
    "SyncBatchNorm": "test_distributed.test_sync_batch_norm_of_one_process_is_batch_norm",
    "MultiheadAttention": "test_transformer.test_attention_of_queries_keys_and_values_that_differ",
    "TransformerEncoderLayer": "test_transformer.test_encoder_layer",
    "TransformerDecoderLayer": "test_transformer.test_decoder_layer",
    "TransformerEncoder": "test_transformer.test_encoder_and_decoder_are_their_layers_one_after_the_other",
    "TransformerDecoder": "test_transformer.test_encoder_and_decoder_are_their_layers_one_after_the_other",
    "Transformer": "test_transformer.test_transformer",
    "Sequential": "test_nn.test_sequential_indexes_and_grows",
}
NO_FUNCTIONS = {  # names of nn that compute nothing
    "LazyModule",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RNNBase",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "utils",
}
