"""What is timed of convolutional networks: each layer forward and backward, and whole steps; PyTorch has the same names."""

import functools
import resource
from pathlib import Path

import numpy as np
import sequences
from cases import arrays

# (name, batch, input channels, pixels a side, output channels, kernel, options)
CONVOLUTIONS = (
    ("1x1", 32, 64, 28, 128, 1, {}),
    ("1x1", 32, 256, 7, 256, 1, {}),
    ("1x1", 8, 16, 112, 32, 1, {}),
    ("1x1 stride 2", 32, 64, 28, 128, 1, {"stride": 2}),
    ("3x3", 64, 1, 28, 32, 3, {"padding": 1}),
    ("3x3", 64, 3, 32, 32, 3, {"padding": 1}),
    ("3x3", 32, 16, 56, 16, 3, {"padding": 1}),
    ("3x3", 64, 32, 28, 32, 3, {"padding": 1}),
    ("3x3", 64, 32, 14, 64, 3, {"padding": 1}),
    ("3x3", 8, 64, 56, 64, 3, {"padding": 1}),
    ("3x3", 1, 64, 112, 64, 3, {"padding": 1}),
    ("3x3", 32, 128, 14, 128, 3, {"padding": 1}),
    ("3x3", 32, 256, 7, 256, 3, {"padding": 1}),
    ("3x3 stride 2", 32, 32, 56, 64, 3, {"padding": 1, "stride": 2}),
    ("3x3 stride 2", 32, 128, 14, 256, 3, {"padding": 1, "stride": 2}),
    ("3x3 dilation 2", 32, 32, 28, 32, 3, {"padding": 2, "dilation": 2}),
    ("5x5", 256, 1, 28, 6, 5, {"padding": 2}),
    ("5x5", 256, 6, 14, 16, 5, {}),
    ("5x5", 32, 32, 28, 32, 5, {"padding": 2}),
    ("7x7 stride 2", 8, 3, 112, 64, 7, {"padding": 3, "stride": 2}),
    ("3x3 depthwise", 32, 64, 28, 64, 3, {"padding": 1, "groups": 64}),
    ("3x3 depthwise stride 2", 32, 128, 14, 128, 3, {"padding": 1, "stride": 2, "groups": 128}),
    ("5x5 depthwise", 8, 32, 56, 32, 5, {"padding": 2, "groups": 32}),
    ("3x3 in 4 groups", 32, 64, 28, 64, 3, {"padding": 1, "groups": 4}),
    ("3x3 in 32 groups", 32, 128, 14, 128, 3, {"padding": 1, "groups": 32}),
)


def _convolutions(library, lib):
    for name, batch, c, pixels, o, k, options in CONVOLUTIONS:
        case = f"{name}, {c} to {o}, {batch}x{pixels}²"
        if library not in ("minidl", "torch"):
            yield case, None, None
            continue
        x, w = arrays((batch, c, pixels, pixels), (o, c // options.get("groups", 1), k, k))
        yield case, lib.tensor(x), functools.partial(_convolve, lib, lib.tensor(w), lib.zeros(o), options)


def _convolve(lib, w, b, options, x):
    return lib.nn.functional.conv2d(x, w, b, **options)


def conv_forward(library, lib):
    """The forward pass alone, with a bias, unrecorded."""
    for case, x, convolve in _convolutions(library, lib):
        yield case, convolve and functools.partial(convolve, x)


def conv_backward(library, lib):
    """The backward pass alone: the gradients of input, weight and bias."""
    for case, x, convolve in _convolutions(library, lib):
        function = None
        if convolve:
            for leaf in (x, *convolve.args[1:3]):
                leaf.requires_grad_()
            function = functools.partial(_backward, convolve(x), [x, *convolve.args[1:3]])
        yield case, function


def _backward(y, leaves):
    y.backward(y, retain_graph=True)
    for leaf in leaves:
        leaf.grad = None


def pool_norm(library, lib):
    """Pooling and normalisation, forward and backward, recorded."""
    maps = (64, 32, 28, 28), (32, 64, 56, 56), (256, 6, 28, 28)
    layers = {
        "MaxPool2d(2)": (lambda nn: nn.MaxPool2d(2), maps),
        "MaxPool2d(3, 2, 1)": (lambda nn: nn.MaxPool2d(3, 2, 1), maps[:2]),
        "MaxPool2d(3, 1, 1)": (lambda nn: nn.MaxPool2d(3, 1, 1), maps[:1]),
        "AvgPool2d(2)": (lambda nn: nn.AvgPool2d(2), maps),
        "AvgPool2d(3, 1, 1)": (lambda nn: nn.AvgPool2d(3, 1, 1), maps[:1]),
        "AdaptiveAvgPool2d(1)": (lambda nn: nn.AdaptiveAvgPool2d(1), maps),
        "BatchNorm2d(32)": (lambda nn: nn.BatchNorm2d(32), maps[:1]),
        "BatchNorm2d(64)": (lambda nn: nn.BatchNorm2d(64), (maps[1], (64, 64, 14, 14))),
        "BatchNorm1d(128)": (lambda nn: nn.BatchNorm1d(128), ((64, 128), (1024, 128))),
        "LayerNorm(128)": (lambda nn: nn.LayerNorm(128), ((64, 128), (4096, 128))),
        "LayerNorm(1024)": (lambda nn: nn.LayerNorm(1024), ((1024, 1024),)),
        "GroupNorm(8, 64)": (lambda nn: nn.GroupNorm(8, 64), ((32, 64, 14, 14),)),
        "InstanceNorm2d(32)": (lambda nn: nn.InstanceNorm2d(32), maps[:1]),
    }
    for name, (make, shapes) in layers.items():
        for shape in shapes:
            function = None
            if library in ("minidl", "torch"):
                (x,) = arrays(shape)
                layer, x = make(lib.nn), lib.tensor(x, requires_grad=True)
                dy = lib.ones_like(layer(x).detach())
                function = functools.partial(_both, layer, x, dy, [x, *layer.parameters()])
            yield f"{name}, {'x'.join(map(str, shape))}", function


def _both(layer, x, dy, leaves):
    layer(x).backward(dy)
    for leaf in leaves:
        leaf.grad = None


# ------------------------------------------------------------------------------------------------------ whole steps


def lenet(nn):
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def batch_norm_cnn(nn):
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 10)),
    )


def resnet18(nn):
    class Residual(nn.Module):
        def __init__(self, c, o, stride):
            super().__init__()
            self.main = nn.Sequential(
                *(nn.Conv2d(c, o, 3, stride, 1), nn.BatchNorm2d(o), nn.ReLU(), nn.Conv2d(o, o, 3, 1, 1), nn.BatchNorm2d(o))
            )
            self.side = nn.Conv2d(c, o, 1, stride) if stride > 1 else nn.Identity()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(self.main(x) + self.side(x))

    blocks = [Residual(32, 32, 1), Residual(32, 32, 1)]
    for c in (32, 64, 128):
        blocks += [Residual(c, 2 * c, 2), Residual(2 * c, 2 * c, 1)]
    stem = nn.Conv2d(3, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU()
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


NETWORKS = {
    "LeNet": (lenet, (256, 1, 28, 28)),
    "CNN with batch norm": (batch_norm_cnn, (64, 1, 28, 28)),
    "ResNet-18 of 32 channels": (resnet18, (32, 3, 32, 32)),
}


def _step(lib, network, batch=None):
    make, shape = NETWORKS[network]
    (x,) = arrays((batch or shape[0], *shape[1:]))
    x, labels = lib.tensor(x), lib.tensor(np.arange(len(x)) % 10)
    model = make(lib.nn)
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-3, weight_decay=1e-2)

    def run():
        optimizer.zero_grad()
        lib.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return run


def cnn_step(library, lib):
    """A whole training step: forward, cross-entropy, backward, SGD with weight decay."""
    for network, (_, shape) in NETWORKS.items():
        name = f"{network}, {'x'.join(map(str, shape))}"
        yield name, _step(lib, network) if library in ("minidl", "torch") else None


def peak_memory(lib, network):
    """Bytes that the process's memory grows to at most in three steps, beyond what it has after a first, smaller step."""
    if network in NETWORKS:
        first, step = _step(lib, network, batch=2), _step(lib, network)
    else:
        first, step = (make(lib) for make in sequences.PEAKS[network])
    first()  # loads, and compiles, the code
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    else:
        clear.write_text("5")  # the peak begins anew
        before = _status("VmRSS")
    for _ in range(3):
        step()
    after = _status("VmHWM") if clear.exists() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
