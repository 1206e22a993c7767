"""Names that programs written for PyTorch begin with: what is harmless works, anything else says what to write."""

import copy
import pickle
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import amp, distributions, nn, optim
from minidl.autograd import gradcheck
from minidl.utils import data

T = minidl


def run(program, *arguments):
    """What a new Python prints."""
    command = [sys.executable, *arguments, *(("-c", program) if program else ())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- devices


def test_a_program_that_would_use_a_gpu_runs_on_the_cpu():
    device = T.device("cuda" if T.cuda.is_available() else "mps" if T.backends.mps.is_available() else "cpu")
    T.cuda.manual_seed(0)
    T.cuda.manual_seed_all(0)
    T.backends.cudnn.deterministic, T.backends.cudnn.benchmark = True, False
    T.backends.cuda.matmul.allow_tf32 = True
    T.use_deterministic_algorithms(True)
    T.set_float32_matmul_precision("high")
    T.set_num_interop_threads(2)
    net = nn.Linear(2, 1).to(device, non_blocking=True)
    x = T.ones(3, 2).pin_memory().to(device, non_blocking=True)
    assert net(x).device == device and not x.is_cuda and x.get_device() == -1
    T.cuda.empty_cache()
    T.cuda.synchronize()
    T.accelerator.synchronize()
    assert T.cuda.device_count() == T.accelerator.device_count() == T.cuda.max_memory_allocated() == 0
    assert T.accelerator.current_accelerator() is None and not T.accelerator.is_available()
    T.backends.cudnn.deterministic = T.backends.cuda.matmul.allow_tf32 = False


def test_what_needs_a_gpu_says_so():
    for call in (T.cuda.current_device, T.cuda.get_device_name, lambda: T.cuda.set_device(0), lambda: T.cuda.device(0)):
        with pytest.raises(RuntimeError, match=r"^cuda\.\w+: minidl runs on the CPU only; ask minidl.cuda.is_available"):
            call()
    with pytest.raises(AttributeError, match=r"minidl.cuda.Stream: minidl runs on the CPU only"):
        _ = T.cuda.Stream
    for call in (lambda: T.ones(1).cuda(), nn.ReLU().cuda, lambda: T.ones(1).to("cuda:0"), lambda: T.zeros(2, device="cuda")):
        with pytest.raises(RuntimeError, match=r"minidl.cuda.is_available\(\) else 'cpu'"):
            call()
    with pytest.raises(TypeError, match=r"no torch.cuda.FloatTensor; write minidl.FloatTensor"):
        T.ones(1).type("torch.cuda.FloatTensor")


def test_device():
    assert T.device("cpu") == T.device("cpu:0") == T.device("cpu", 0) == T.device(T.device("cpu"))
    assert T.device("cpu:0").index == 0 and str(T.device("cpu", 0)) == "cpu:0" and T.device("cpu").index is None
    assert T.get_default_device() == T.device("cpu")
    T.set_default_device("cpu")
    with T.device("cpu"):
        assert T.ones(1, device=T.device("cpu")).device.type == "cpu"
    for wrong in (("cuda",), ("cpu", 1), ("cpu:1",), (3,)):
        with pytest.raises(RuntimeError, match="only 'cpu' exists in minidl, got"):
            T.device(*wrong)
    with pytest.raises(RuntimeError, match="only 'cpu' exists"):
        T.set_default_device("cuda")


# --- mixed precision


def test_autocast_and_scaler_compute_in_float32_and_say_so_once():
    amp._told.clear()
    w = T.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    with pytest.warns(UserWarning, match="GradScaler: minidl computes in the dtype of its tensors"):
        scaler = amp.GradScaler("cuda", init_scale=1024.0)
    with pytest.warns(UserWarning, match="autocast: minidl computes") as told:
        context = T.autocast("cuda", dtype=T.float16)
    assert told[0].filename == __file__
    for silent in (context, amp.autocast("cpu", dtype=T.bfloat16), T.cuda.amp.autocast()):  # no more warnings
        with silent:
            y = w * 2
            assert y.dtype == T.float32
    scaler.scale(y.sum()).backward()
    assert w.grad.tolist() == [2.0, 2.0]
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0.0, 0.0] and scaler.get_scale() == 1.0 and not scaler.is_enabled()
    T.cuda.amp.GradScaler().load_state_dict(scaler.state_dict())

    @T.autocast("cpu")
    def double(x):
        return x * 2

    assert double(T.ones(1)).dtype == T.float32 and double.__name__ == "double"
    with pytest.raises(TypeError, match="expected a device type such as 'cpu', got 3"):
        T.autocast(3)


def test_disabled_autocast_is_silent():
    amp._told.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with T.autocast("cuda", enabled=False):
            amp.GradScaler(enabled=False)


# --- dtypes and types


def test_tensors_by_the_names_of_their_types():
    for name, dtype in {
        "FloatTensor": T.float32,
        "DoubleTensor": T.float64,
        "LongTensor": T.int64,
        "IntTensor": T.int32,
        "ShortTensor": T.int16,
        "CharTensor": T.int8,
        "ByteTensor": T.uint8,
        "BoolTensor": T.bool,
    }.items():
        kind = getattr(T, name)
        assert kind([1, 0]).dtype == kind(2, 3).dtype == kind().dtype == dtype
        assert kind(2, 3).shape == (2, 3) and kind().shape == (0,) and kind([1, 0]).tolist() == [1, 0]
        assert isinstance(kind([1]), kind) and not isinstance(3, kind) and repr(kind) == f"minidl.{name}"
        assert isinstance(T.ones(1), kind) is (name == "FloatTensor")
        x = T.tensor([1, 0])
        assert x.type(kind).dtype == x.type(f"torch.{name}").dtype == x.type(f"minidl.{name}").dtype == dtype
        assert x.type(kind).type() == f"minidl.{name}"
    array = np.ones(2, np.float32)
    T.FloatTensor(array)[0] = 5.0
    assert array[0] == 1.0  # a copy
    assert not T.FloatTensor(T.ones(2, requires_grad=True)).requires_grad
    assert T.ones(1).type(T.float64).dtype == T.ones(1).type("float64").dtype == T.float64
    for call, message in [
        (lambda: T.FloatTensor(2.5), "expected sizes or a list of numbers, got 2.5; write minidl.tensor"),
        (lambda: T.LongTensor([1], [2]), "expected sizes, as in LongTensor"),
        (lambda: T.LongTensor(T.ones(2)), r"expected a tensor of int64, got float32; write x.type\(minidl.LongTensor\)"),
        (lambda: T.ones(1).type("torch.HalfTensor"), "minidl has the dtypes"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(AttributeError, match=r"no numbers of 16 bits; write minidl.FloatTensor"):
        _ = T.HalfTensor


def test_dtypes_that_are_names_only():
    table = {"float32": T.float32, "float16": T.float16, "bfloat16": T.bfloat16, "complex64": T.complex64}
    assert (
        T.ones(1).dtype == table["float32"]
        and T.ones(1).dtype not in (T.half, T.bfloat16)
        and repr(T.bfloat16) == "minidl.bfloat16"
    )
    for name in ("float16", "bfloat16", "complex64"):
        with pytest.raises(TypeError, match="minidl has the dtypes float32, float64, .*got .*" + name):
            T.zeros(2, dtype=table[name])
    for x in (T.ones(1), nn.Linear(1, 1)):
        with pytest.raises(TypeError, match=r"float16; leave .half\(\) out"):
            x.half()
        with pytest.raises(TypeError, match=r"bfloat16; leave .bfloat16\(\) out"):
            x.bfloat16()


def test_finfo_and_iinfo_are_numpys_in_pythons_numbers():
    for dtype in (T.float32, T.float64):
        info, wanted = T.finfo(dtype), np.finfo(dtype)
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution", "bits"):
            assert getattr(info, name) == getattr(wanted, name) and type(getattr(info, name)) in (int, float)
    assert T.finfo().dtype == "float32" and T.finfo().bits == 32
    assert (T.iinfo(T.int16).min, T.iinfo(T.uint8).max, T.iinfo(T.int64).bits) == (-(2**15), 255, 64)
    assert repr(T.iinfo(T.int8)) == "iinfo(min=-128, max=127, dtype=int8)" and "dtype=float32" in repr(T.finfo())
    with pytest.raises(TypeError, match=r"for integers use minidl.iinfo"):
        T.finfo(T.int64)
    with pytest.raises(TypeError, match=r"use minidl.finfo"):
        T.iinfo(T.float32)


def test_size_is_a_tuple():
    size = T.Size([2, np.int64(3)])
    assert size == (2, 3) == T.ones(2, 3).shape and size.numel() == 6 and repr(size) == "minidl.Size([2, 3])"
    assert isinstance(T.ones(2).shape, T.Size) and not isinstance([2], T.Size) and T.zeros(size).shape == size
    with pytest.raises(TypeError, match="Size: expected integers"):
        T.Size([2.0])


def test_the_default_dtype_is_that_of_what_is_made_without_one():
    assert T.get_default_dtype() == T.float32
    makers = [
        lambda: T.tensor([1.0]),
        lambda: T.tensor(2.5),
        lambda: T.zeros(2),
        lambda: T.ones(1),
        lambda: T.full((2,), 1.5),
        lambda: T.eye(2),
        lambda: T.rand(2),
        lambda: T.randn(2),
        lambda: T.linspace(0, 1, 3),
        lambda: T.arange(0, 1, 0.5),
        lambda: T.Tensor(2),
        lambda: T.arange(3) / 2,
        lambda: T.arange(3) * 0.5,
        lambda: T.arange(3).exp(),
        lambda: T.tensor([1], dtype=float),
        lambda: nn.Linear(2, 1).weight,
        lambda: nn.LSTM(2, 1).weight_hh_l0,
        lambda: nn.BatchNorm1d(2).running_mean,
        lambda: nn.PositionalEncoding(2).P,
        lambda: distributions.Normal(0.0, 1.0).sample(),
        lambda: nn.LazyLinear(2)(T.ones(1, 3)),
    ]
    T.set_default_dtype(T.float64)
    try:
        assert {make().dtype for make in makers} == {T.get_default_dtype()} == {np.dtype("float64")}
        assert T.tensor([1]).dtype == T.int64 and T.tensor(np.ones(1, np.float32)).dtype == T.float32
        assert T.ones(1).float().dtype == T.float32 and T.finfo().bits == 64
        assert repr(T.ones(1)) == "tensor([1.])" and repr(T.ones(1).float()) == "tensor([1.], dtype=minidl.float32)"
        T.set_default_tensor_type("torch.FloatTensor")
        assert T.ones(1).dtype == T.float32
        T.set_default_tensor_type(T.DoubleTensor)
        assert T.ones(1).dtype == T.float64
    finally:
        T.set_default_dtype(T.float32)
    assert {make().dtype for make in makers} == {np.dtype("float32")} and repr(T.ones(1)) == "tensor([1.])"
    for wrong in (T.int64, T.float16, "text"):
        with pytest.raises(TypeError):
            T.set_default_dtype(wrong)
    assert T.get_default_dtype() == T.float32


# --- how elements lie in memory


def test_channels_last_is_an_order_of_memory_and_no_value():
    x = T.arange(48.0).reshape(2, 2, 3, 4)
    y = x.to(memory_format=T.channels_last)
    assert y.stride() == (24, 1, 8, 2) and (x == y).all() and y.shape == x.shape
    assert y.is_contiguous(memory_format=T.channels_last) and not y.is_contiguous()
    assert x.is_contiguous() and not x.is_contiguous(memory_format=T.channels_last)
    assert x.contiguous(memory_format=T.channels_last).stride() == y.stride()
    assert y.contiguous(memory_format=T.contiguous_format).stride() == x.stride()
    assert (
        x.clone(memory_format=T.channels_last).stride() == y.stride()
        and x.clone(memory_format=T.preserve_format).stride() == x.stride()
    )
    assert T.ones(1, 2, 3, 4, 5).contiguous(memory_format=T.channels_last_3d).stride() == (120, 1, 40, 10, 2)
    assert x.cpu(memory_format=T.channels_last).stride() == y.stride()
    assert y.to(T.float64, memory_format=T.preserve_format).dtype == T.float64
    conv = nn.Conv2d(2, 3, 3).to(memory_format=T.channels_last)
    np.testing.assert_allclose(conv(y).detach().numpy(), conv(x).detach().numpy(), rtol=1e-6)
    assert gradcheck(
        lambda x: (x.to(memory_format=T.channels_last) ** 2).sum(), T.rand(1, 2, 2, 2, dtype=T.float64, requires_grad=True)
    )
    assert repr(T.channels_last) == "minidl.channels_last"
    assert pickle.loads(pickle.dumps(T.channels_last)) is copy.deepcopy(T.channels_last) is T.channels_last
    for call, error, message in [
        (lambda: T.ones(2).to(memory_format=T.channels_last), ValueError, "for tensors of 4 axes"),
        (lambda: x.to(memory_format="channels_last"), TypeError, "memory_format must be minidl.contiguous_format"),
        (lambda: x.contiguous(memory_format=T.preserve_format), ValueError, "says no order"),
        (lambda: conv.to(memory_format=1), TypeError, "as minidl.channels_last, got 1"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_to_takes_non_blocking_and_copy_by_position():
    x = T.ones(2)
    assert x.to("cpu", T.float64, True).dtype == T.float64 and x.to("cpu", non_blocking=True) is x
    assert x.to(T.float32, False, True) is not x and x.to(x, True) is x
    assert x.to("cpu", T.float32, False, True).array is not x.array


# --- modes


def test_inference_mode_records_nothing():
    w = T.ones(2, requires_grad=True)
    with T.inference_mode():
        assert not (w * 2).requires_grad
        with T.inference_mode(False):
            assert (w * 2).requires_grad
        assert not T.is_grad_enabled()

    @T.inference_mode()
    def f():
        return (w * 2).requires_grad

    @T.inference_mode
    def g():
        return (w * 2).requires_grad

    assert not f() and not g() and (w * 2).requires_grad
    with pytest.raises(TypeError, match="inference_mode: expected True or False, got 3"):
        T.inference_mode(3)


def test_settings_that_change_nothing_are_checked():
    assert T.are_deterministic_algorithms_enabled() and T.get_num_interop_threads() == 1
    assert T.get_float32_matmul_precision() == "highest"
    for call, error in [
        (lambda: T.use_deterministic_algorithms(1), TypeError),
        (lambda: T.set_float32_matmul_precision("low"), ValueError),
        (lambda: T.set_num_interop_threads(0), ValueError),
        (lambda: T.set_printoptions(precision=-1), ValueError),
        (lambda: T.set_printoptions(linewidth="80"), ValueError),
        (lambda: T.set_printoptions(sci_mode="yes"), ValueError),
    ]:
        with pytest.raises(error):
            call()


def test_printoptions():
    T.set_printoptions(precision=2, sci_mode=False)
    try:
        assert repr(T.tensor([1.2345])) == "tensor([1.23])"
    finally:
        T.set_printoptions(profile="default")
    assert repr(T.tensor([1.2345])) == "tensor([1.2345])"


# --- losses


X, Y = T.tensor([[1.0, 2.0], [3.0, 5.0]]), T.tensor([[0.5, 2.5], [1.0, 1.0]])
LABELS = T.tensor([0, 1])
OLD = [
    (F.mse_loss, (X, Y)),
    (F.l1_loss, (X, Y)),
    (F.smooth_l1_loss, (X, Y)),
    (F.kl_div, (X, Y)),
    (F.binary_cross_entropy, (X / 5, Y / 5)),
    (F.binary_cross_entropy_with_logits, (X, Y)),
    (F.cross_entropy, (X, LABELS)),
    (F.nll_loss, (X, LABELS)),
    *((kind, ()) for kind in (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.KLDivLoss, nn.BCELoss, nn.BCEWithLogitsLoss)),
    *((kind, ()) for kind in (nn.CrossEntropyLoss, nn.NLLLoss)),
]


@pytest.mark.parametrize(("function", "args"), OLD, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"reduce": True}, "mean"),
        ({"reduce": False, "size_average": True}, "none"),
        ({"reduce": True, "size_average": False}, "sum"),
    ],
)
def test_old_words_for_reduction_raise_and_say_the_new_ones(function, args, old, new):
    with pytest.raises(TypeError, match=f"^{function.__name__}: .*; write reduction='{new}'$"):
        function(*args, **old)


def test_arguments_of_losses_stand_where_pytorchs_do():
    assert F.mse_loss(X, Y, None, None, "sum") == F.mse_loss(X, Y, reduction="sum")
    assert F.cross_entropy(X, LABELS, None, None, 1, None, "sum") == F.cross_entropy(X, LABELS, ignore_index=1, reduction="sum")
    assert nn.CrossEntropyLoss(None, None, 1, None, "sum")(X, LABELS) == F.cross_entropy(
        X, LABELS, ignore_index=1, reduction="sum"
    )
    with pytest.raises(TypeError, match="write reduction='sum'"):
        F.mse_loss(X, Y, False)
    with pytest.raises(ValueError, match=r"expected a weight of the input's shape \(2, 2\), got \(2,\)"):
        F.mse_loss(X, Y, weight=T.ones(2))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_elements_against_pytorch(name, reduction):
    torch = pytest.importorskip("torch")
    weight = [[0.5, 2.0], [0.0, 3.0]]
    x = X.clone().requires_grad_()
    mine = getattr(F, name)(x, Y, reduction=reduction, weight=T.tensor(weight))
    mine.sum().backward()
    z = torch.tensor(X.tolist(), requires_grad=True)
    theirs = getattr(torch.nn.functional, name)(z, torch.tensor(Y.tolist()), reduction=reduction, weight=torch.tensor(weight))
    theirs.sum().backward()
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=1e-6)


# --- data, schedules, containers, distributions


class Squares(data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return i * i


def test_options_that_change_only_speed_change_no_batch():
    wanted = [batch.tolist() for batch in data.DataLoader(Squares(), 3)]
    options = {"persistent_workers": True, "prefetch_factor": 2, "in_order": False, "pin_memory_device": "cpu"}
    for workers in (0, 2):
        loader = data.DataLoader(
            Squares(), 3, num_workers=workers, worker_init_fn=abs, multiprocessing_context="fork", **options
        )
        for _ in range(2):
            assert [batch.tolist() for batch in loader] == wanted
        assert loader.prefetch_factor == 2 and loader.persistent_workers
    for wrong in (0, 2.5):
        with pytest.raises(ValueError, match="prefetch_factor must be an integer of 1 or more"):
            data.DataLoader(Squares(), prefetch_factor=wrong)
    assert data.dataloader.DataLoader is data.DataLoader and data.dataloader.default_collate is data.default_collate


def test_milestones_may_be_anything_that_counts():
    for milestones in (range(1, 3), (1, 2), np.array([1, 2]), T.tensor([2, 1]), iter([1, 2])):
        optimizer = optim.SGD([T.ones(1, requires_grad=True)], lr=1.0)
        schedule = optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.5)
        rates = []
        for _ in range(3):
            rates.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        assert rates == [1.0, 0.5, 0.25]


def test_none_keeps_a_place_in_lists_and_dicts_of_modules():
    layers = nn.ModuleList([nn.Linear(1, 1), None, nn.Tanh()])
    assert len(layers) == 3 and layers[1] is None and list(layers)[1] is None and len(list(layers.children())) == 2
    assert list(layers.state_dict()) == ["0.weight", "0.bias"]
    layers[1] = nn.ReLU()
    layers[0] = None
    assert list(layers.state_dict()) == [] and layers[0] is None and repr(layers[1]) == "ReLU()"
    layers.append(None).insert(1, None)
    assert [layer is None for layer in layers] == [True, True, False, False, True]
    assert "(1): None" in repr(nn.ModuleList([nn.ReLU(), None]))
    named = nn.ModuleDict({"a": None, "b": nn.ReLU()})
    assert len(named) == 2 and named["a"] is None and list(named) == ["a", "b"] and "(a): None" in repr(named)


def test_counts_with_weights_have_pytorchs_dtype():
    index = T.tensor([1, 1, 3])
    for weights, dtype in [([2, 3, 4], T.float64), ([2.0, 3.0, 4.0], T.float32), ([True, False, True], T.float64)]:
        counts = T.bincount(index, T.tensor(weights))
        assert counts.dtype == dtype and counts.tolist() == [0, sum(weights[:2]), 0, weights[2]]
    assert T.bincount(index, T.tensor([2.0, 3.0, 4.0], dtype=T.float64)).dtype == T.float64
    assert T.bincount(index).dtype == T.int64


def test_divergences_of_uniform_beta_and_gamma():
    D = distributions

    def double(x):
        return T.tensor(x, dtype=T.float64)

    cases = [
        (D.Uniform(double(0.2), double(0.7)), D.Beta(double(2.5), double(0.8))),
        (D.Uniform(double(0.0), double(1.0)), D.Beta(double(2.5), double(3.0))),
        (D.Uniform(double(0.5), double(3.0)), D.Gamma(double(2.5), double(0.8))),
        (D.Uniform(double(0.0), double(3.0)), D.Gamma(double(0.5), double(2.0))),
        (D.Beta(double(2.5), double(1.8)), D.Gamma(double(2.5), double(0.8))),
    ]
    for p, q in cases:
        n = 200_000
        low, high = (p.low.item(), p.high.item()) if isinstance(p, D.Uniform) else (0.0, 1.0)
        x = double((np.arange(n) + 0.5) / n * (high - low) + low)
        wanted = ((p.log_prob(x) - q.log_prob(x)) * p.log_prob(x).exp()).mean() * (high - low)
        np.testing.assert_allclose(D.kl_divergence(p, q).item(), wanted.item(), rtol=2e-4)
    for p, q in [
        (D.Uniform(-0.5, 0.5), D.Beta(2.0, 2.0)),
        (D.Uniform(0.5, 1.5), D.Beta(2.0, 2.0)),
        (D.Uniform(-1.0, 1.0), D.Gamma(2.0, 2.0)),
    ]:
        assert D.kl_divergence(p, q).item() == float("inf")
    low = T.tensor(0.2, requires_grad=True)
    D.kl_divergence(D.Uniform(low, T.tensor(0.2001)), D.Beta(2.0, 2.0)).backward()  # near ends: no digits are lost
    assert abs(low.grad.item() - 1e4) < 20


def test_a_long_list_in_a_module_costs_nothing():
    net, samples = nn.Linear(2, 2), [0.0] * 1_000_000
    start = time.perf_counter()
    for _ in range(20):
        net.memory = samples
        list(net.parameters())
    assert time.perf_counter() - start < 0.05  # a walk through the list takes longer, once


# --- what a notebook asks first


def test_the_names_of_the_top_level_are_there_and_no_others():
    assert "import_module" not in dir(T) and "no_attribute" not in T.__all__ and "FloatTensor" in dir(T)
    assert all(hasattr(T, name) for name in T.__all__) and len(set(T.__all__)) == len(T.__all__)
    assert {"Tensor", "tensor", "nn", "cuda", "no_grad", "set_printoptions", "finfo", "float32", "exp"} <= set(T.__all__)
    assert set(T.__all__) <= set(dir(T)) and T.__version__.count(".") == 2


def test_importing_minidl_does_not_load_what_few_programs_need():
    modules = run("import minidl, sys; print([m for m in sys.modules if m.startswith('minidl.')])")
    for name in ("habits", "cuda", "amp", "backends", "accelerator"):
        assert f"'minidl.{name}'" not in modules
    assert "difflib" not in run("import numpy, numba, sys; a = set(sys.modules); import minidl; print(set(sys.modules) - a)")


def test_imports_as_programs_write_them():
    run(
        "import minidl.backends.cudnn as cudnn\n"
        "from minidl.cuda.amp import GradScaler, autocast\n"
        "from minidl.autograd import Variable\n"
        "from minidl.utils.data.dataloader import DataLoader, default_collate\n"
        "import minidl.cuda, minidl.accelerator, minidl.amp\n"
        "cudnn.benchmark = True\n"
    )


def test_python_m_minidl_says_what_a_report_needs():
    text = run(None, "-m", "minidl")
    for what in ("minidl", "Python", "NumPy, Numba", "processor", "vectors", "threads", "cache"):
        assert f"\n{what}" in "\n" + text
    assert T.__version__ in text and np.__version__ in text and (" MB" in text or "none: each process" in text)


def test_names_that_are_not_there_say_what_is():
    for name, message in {
        "jit": "runs a model as it is written",
        "sparse_coo_tensor": "no sparse tensors",
        "complex32": "complex numbers are results only",
        "CrossEntropyLoss": "write minidl.nn.CrossEntropyLoss",
        "softplus": "write minidl.nn.functional.softplus",
        "SGD": "write minidl.optim.SGD",
        "zeroslike": "write zeros_like",
    }.items():
        with pytest.raises(AttributeError, match=message):
            getattr(T, name)


def test_reprs():
    minidl.manual_seed(3)
    net = nn.Linear(1, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.5)
    schedules = optim.lr_scheduler
    assert repr(schedules.StepLR(optimizer, 30)) == "StepLR(step_size=30, gamma=0.1, last_epoch=0, lr=[0.5])"
    milestones = schedules.MultiStepLR(optimizer, [2, 1, 2], 0.5)
    assert repr(milestones) == "MultiStepLR(milestones=[1, 2, 2], gamma=0.5, last_epoch=0, lr=[0.5])"
    assert repr(schedules.LambdaLR(optimizer, abs)) == "LambdaLR(last_epoch=0, lr=[0.0])"
    pairs = data.TensorDataset(T.ones(6, 2), T.arange(6))
    assert repr(pairs) == "TensorDataset(float32 (6, 2), int64 (6,): 6 samples)"
    assert repr(data.Subset(pairs, [0, 1])) == f"Subset(2 of {pairs!r})"
    assert repr(data.ConcatDataset([pairs, range(3)])) == f"ConcatDataset([{pairs!r}, range of 3 samples]: 9 samples)"
    assert repr(Squares()) == "Squares(10 samples)"
    loader = data.DataLoader(Squares(), batch_size=4, shuffle=True, num_workers=2)
    assert repr(loader) == "DataLoader(Squares(10 samples), batch_size=4, RandomSampler(10), num_workers=2)"
    assert repr(T.Generator().manual_seed(3)) == "Generator(device='cpu', initial_seed=3)"

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter([1])

    assert repr(data.DataLoader(Stream())) == "DataLoader(Stream(), batch_size=1, its own order, num_workers=0)"
    assert "[[0], [1]]" in repr(data.DataLoader(Squares(), batch_sampler=[[0], [1]]))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, F.softmin])
def test_a_dtype_in_the_place_of_stacklevel_is_told(function):
    x = minidl.ones(2, 3)
    with pytest.raises(
        TypeError, match=rf"{function.__name__}: the third argument is PyTorch's _stacklevel; write dtype=float64"
    ):
        function(x, 1, minidl.float64)
    assert function(x, 1, 3, minidl.float64).dtype == minidl.float64


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_the_arguments_of_a_recurrent_layer_are_its_own(kind):
    with pytest.raises(
        TypeError, match=rf"{kind.__name__}: there is no argument 'foo' \(its arguments are (?!.*mode).*input_size"
    ):
        kind(2, 3, foo=1)
    with pytest.raises(TypeError, match=f"{kind.__name__}: there is no argument 'mode'"):
        kind(2, 3, mode="LSTM")
