"""PyTorch's own samples of its modules (`torch.testing._internal.common_modules.module_db`), run through minidl's.

Each sample has constructor arguments and inputs. Both layers get the same parameters; outputs and gradients of parameters and
inputs must be equal within PyTorch's own tolerances. Needs torch and expecttest. Refusals and differences that are meant are
listed with their reasons.
"""

import functools
import importlib
import inspect
import re
import warnings

import numpy as np
import pytest

import minidl

from .fuzz.values import words

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

NAMES = words(
    """
    Linear LazyLinear Flatten Identity Dropout Embedding Conv1d Conv2d LazyConv1d LazyConv2d ConvTranspose1d
    ConvTranspose2d MaxPool1d MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool2d
    ZeroPad2d BatchNorm1d BatchNorm2d LazyBatchNorm1d LazyBatchNorm2d LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d
    RMSNorm ReLU LeakyReLU PReLU ELU SELU GELU SiLU Mish Sigmoid LogSigmoid Tanh Softplus Softsign Hardtanh ReLU6
    Softmax LogSoftmax Softmin MSELoss L1Loss SmoothL1Loss HuberLoss CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss
    KLDivLoss GaussianNLLLoss RNN GRU LSTM RNNCell GRUCell LSTMCell MultiheadAttention TransformerEncoderLayer CELU GLU
    Hardshrink Hardsigmoid Hardswish RReLU Softmax2d Softshrink Tanhshrink Threshold EmbeddingBag CosineEmbeddingLoss
    HingeEmbeddingLoss MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss PoissonNLLLoss
    SoftMarginLoss TripletMarginLoss CircularPad1d CircularPad2d
"""
)


@functools.cache
def infos():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        db = importlib.import_module("torch.testing._internal.common_modules").module_db
    return {info.module_cls.__name__: info for info in db if info.module_cls.__module__.startswith("torch.nn.modules")}


def ours(x):
    """An argument of PyTorch's as one of minidl's."""
    if isinstance(x, torch.Tensor):
        y = minidl.tensor(x.detach().numpy().copy())
        return y.requires_grad_() if x.requires_grad else y
    if isinstance(x, torch.dtype):
        return getattr(minidl, str(x).removeprefix("torch."))
    if isinstance(x, (list, tuple)):
        return type(x)(map(ours, x))
    if x is torch.nn.functional.relu or x is torch.nn.functional.gelu:
        return getattr(minidl.nn.functional, x.__name__)
    return {key: ours(value) for key, value in x.items()} if isinstance(x, dict) else x


def fresh(x):
    """An argument of PyTorch's whose tensors are leaves."""
    if isinstance(x, torch.Tensor):
        return x.detach().clone().requires_grad_(x.requires_grad)
    if isinstance(x, (list, tuple)):
        return type(x)(map(fresh, x))
    return {key: fresh(value) for key, value in x.items()} if isinstance(x, dict) else x


def leaves(x):
    if isinstance(x, (list, tuple)):
        return [leaf for part in x for leaf in leaves(part)]
    if isinstance(x, dict):
        return leaves(list(x.values()))
    return [x] if isinstance(x, (torch.Tensor, minidl.Tensor)) else []


def run(module, lib, args, options):
    outputs = leaves(module(*args, **options))
    total = sum((y * y).sum() for y in outputs if y.requires_grad)
    if isinstance(total, (torch.Tensor, minidl.Tensor)):
        total.backward()
    given = [x.grad for x in leaves([args, options]) if x.requires_grad]
    return outputs, {name: p.grad for name, p in module.named_parameters()}, given


def numbers(x):
    return None if x is None else x.numpy(force=True) if isinstance(x, minidl.Tensor) else x.detach().numpy()


def assert_equal(y, wanted, what):
    y, wanted = numbers(y), numbers(wanted)
    if y is None or wanted is None:
        assert y is None or not y.any(), f"{what}: a gradient here, none there"
        assert wanted is None or not wanted.any(), f"{what}: no gradient here, one there"
        return
    assert y.shape == wanted.shape and y.dtype == wanted.dtype, (
        f"{what}: {y.shape}, {y.dtype}, not {wanted.shape}, {wanted.dtype}"
    )
    rtol, atol = (1.3e-5, 1e-5) if y.dtype == np.float32 else (1e-7, 1e-7)  # atol: of the largest, since sums cancel
    largest = abs(wanted[np.isfinite(wanted)]).max(initial=0)
    np.testing.assert_allclose(y, wanted, rtol, atol * (1 + largest), err_msg=what)


# Refusals that are meant, by what the error says: (name of a layer or "", pattern) -> why
REFUSED = {}


def sample_differs(info, sample, training, dtype):
    """What is wrong with one sample, or None; 'refused: …' if that is meant."""
    name = info.module_cls.__name__
    made = sample.constructor_input
    fixed = {"device": "cpu", "dtype": dtype} if "dtype" in inspect.signature(info.module_cls.__init__).parameters else {}
    options = {**made.kwargs, **{k: v for k, v in fixed.items() if k not in made.kwargs}}
    theirs = info.module_cls(*made.args, **options)
    theirs = theirs.to(dtype).train(training)
    call, kwargs = fresh(sample.forward_input.args), fresh(sample.forward_input.kwargs)
    if "Lazy" in name:
        theirs(*call, **kwargs)
    try:
        layer = getattr(minidl.nn, name)(*ours(list(made.args)), **ours(options))
        layer.to(ours(dtype)).train(training)
        if "Lazy" in name:
            layer(*ours(list(call)), **ours(kwargs))
        layer.load_state_dict({key: x.numpy() for key, x in theirs.state_dict().items()})
        minidl.manual_seed(0)
        found = run(layer, minidl, ours(list(call)), ours(kwargs))
    except Exception as error:
        why = next((r for (of, pattern), r in REFUSED.items() if of in ("", name) and re.search(pattern, str(error))), None)
        return f"refused: {why}" if why else f"{type(error).__name__}: {error}"
    torch.manual_seed(0)
    wanted = run(theirs, torch, call, kwargs)
    try:
        assert len(found[0]) == len(wanted[0]), f"{len(found[0])} results, not {len(wanted[0])}"
        for i, (y, other) in enumerate(zip(found[0], wanted[0], strict=True)):
            assert_equal(y, other, f"result {i}")
        for key, other in wanted[1].items():
            assert_equal(found[1][key], other, f"gradient of {key}")
        for i, (y, other) in enumerate(zip(found[2], wanted[2], strict=True)):
            assert_equal(y, other, f"gradient of input {i}")
    except AssertionError as error:
        return str(error)
    return None


def faults(name, dtype):
    info, found, count = infos()[name], [], 0
    for training in (True, False):
        torch.manual_seed(1)
        for sample in info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=not name.startswith("Embedding"), training=training
        ):
            count += 1
            wrong = sample_differs(info, sample, training, dtype)
            if wrong:
                given = sample.constructor_input
                found.append(f"{name}({given.args}, {given.kwargs}) {sample.desc}: {' '.join(wrong.split())[:300]}")
    return count, found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_samples_are_equal(name, dtype):
    if name not in infos():
        pytest.skip("PyTorch has no samples of it")
    count, found = faults(name, getattr(torch, dtype))
    wrong = [text for text in found if "refused: " not in text]
    assert count and not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)


def test_every_module_that_is_named_is_there():
    assert [name for name in NAMES if not hasattr(minidl.nn, name)] == []
