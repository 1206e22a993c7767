"""What the fuzzers found and was mended: hostile arguments give a clear error; numbers too large for float32 are infinite."""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import distributions as D, kernels, nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.generation import beam_search
from minidl.utils.data import WeightedRandomSampler, transforms

INF = float("inf")


def x():
    return minidl.ones(2, 3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: x().add(1.0, alpha="a"), TypeError, "add: alpha must be a number, got str"),
        (lambda: x().sub(1.0, alpha=[1]), TypeError, "sub: alpha must be a number, got list"),
        (lambda: minidl.isclose(x(), x(), rtol=-1), ValueError, "isclose: rtol must be a number of 0 or more, got -1"),
        (lambda: x().allclose(x(), atol="cpu"), ValueError, "isclose: atol must be a number of 0 or more"),
        (lambda: minidl.arange(3) + 2**63, ValueError, "add: a number is too large for the tensor's dtype"),
        (lambda: x() * 10**400, ValueError, "mul: a number is too large"),
        (lambda: x()[minidl.tensor([7])], IndexError, "getitem: index 7 is out of bounds"),
        (lambda: x().__setitem__(9, 1.0), IndexError, "setitem: index 9 is out of bounds"),
        (
            lambda: minidl.zeros(2, dtype=minidl.int64).__setitem__(0, 2**63),
            ValueError,
            "setitem: 9223372036854775808 does not fit",
        ),
        (lambda: minidl.zeros(2, dtype=minidl.int64).fill_(float("nan")), ValueError, "copy_: nan does not fit in int64"),
        (
            lambda: minidl.tensor([1.0, float("nan")], dtype=minidl.int64),
            ValueError,
            "tensor: NaN and infinity do not fit in int64",
        ),
        (lambda: minidl.zeros(10**30), ValueError, "zeros: sizes of at most 64 axes and 2"),
        (lambda: minidl.ones((1,) * 65), ValueError, "ones: sizes of at most 64 axes"),
        (
            lambda: x().index_select(1, minidl.zeros(1, 1).long()),
            ValueError,
            "index_select: expected a vector of indices, got shape",
        ),
        (lambda: nn.LazyConv1d(6, 3)(minidl.zeros(0, 3)), ValueError, "LazyConv1d: expected an input with channels"),
        (lambda: x().repeat(2, 2**62), MemoryError, "repeat: no memory for"),
        (lambda: x().tile(2, 2**62), MemoryError, "repeat: no memory for"),
        (lambda: x().uniform_(np.complex64(1j), 1.0), TypeError, "uniform: low must be a number"),
        (lambda: x().normal_(1e308), ValueError, "normal: mean=1e"),
        (lambda: kernels.leaky_relu(x().numpy(), np.complex64(1j)), TypeError, "a kernel expected a real number"),
        (lambda: kernels.adaptive_windows(7, 2.0), TypeError, "adaptive_windows: expected integers"),
        (lambda: F.scaled_dot_product_attention(x(), x(), x(), scale=np.complex64(1j)), TypeError, "attention: scale must be"),
        (
            lambda: F.cross_entropy(x(), minidl.tensor([0, 1]), label_smoothing=np.complex64(1j)),
            TypeError,
            "cross_entropy: label_smoothing must be a number",
        ),
        (lambda: nn.Upsample(scale_factor=np.complex64(1j)), TypeError, "Upsample: scale_factor must be a number"),
        (lambda: kernels.attention(q(), q(), q(), scale=np.complex64(1j)), TypeError, "a kernel expected a real number"),
        (lambda: kernels.layer_norm(x().numpy(), 1, eps=np.complex64(1j)), TypeError, "a kernel expected a real number"),
        (lambda: kernels.update_running(ones(3), ones(3), np.ones((2, 3)), 0.1, 1), ValueError, "2 values or more"),
        (lambda: minidl.nn.init.trunc_normal_(x(), std=np.complex64(1j)), TypeError, "trunc_normal_: std must be a number"),
        (lambda: x().var(0, correction=np.complex64(1j)), TypeError, "var: correction must be a number"),
        (lambda: minidl.distributions.AffineTransform(0.0, 2.0)(1e308), TypeError, "AffineTransform: expected a Tensor"),
        (lambda: minidl.utils.data.random_split([1, 2], [1j]), TypeError, "random_split: lengths must be numbers"),
        (
            lambda: adam(beta1=1),
            ValueError,
            "adam: beta1 and beta2 must not be 1",
        ),
        (lambda: minidl.nn.init.trunc_normal_(x(), a=-1e308), ValueError, "trunc_normal_: float32 does not hold all of"),
        (lambda: cross_entropy(label_smoothing=np.complex64(1j)), TypeError, "a kernel expected a real number"),
        (lambda: minidl.text.Vocab(["a"])[holds_itself()], ValueError, "Vocab: the tokens are nested too deep"),
        (lambda: minidl.func.jvp(lambda x: x, (x(),), holds_itself()), (TypeError, ValueError, RuntimeError), "jvp"),
        (lambda: conv2d_weight(groups=np.float16(2.0)), TypeError, "conv2d_weight: groups must be an integer"),
        (lambda: attention_backward(lse=np.ones((1,) * 32, np.float32)), ValueError, r"expected lse \(1, 2\) of float32"),
        (lambda: attention_backward(lse=np.ones((1, 2))), ValueError, r"expected lse \(1, 2\) of float32, got .* float64"),
        (lambda: attention_backward(o=np.ones((1, 1, 1, 4), "f4")), ValueError, r"expected o \(1, 1, 2, 4\) of float32"),
        (lambda: attention_backward(do=np.ones((2, 4), "f4")), ValueError, r"expected do \(1, 1, 2, 4\) of float32"),
        (lambda: kernels.sum_over(np.ones((2, 3), "f4"), minidl.ones(2)), ValueError, "total: expected distinct axes"),
        (lambda: ctc_backward(np.ones(1, "f4")), ValueError, r"ctc_backward: expected dy \(3,\) of float32, got \(1,\)"),
        (lambda: F.normalize(x(), eps=[[1e-12]]), TypeError, "clamp: expected numbers or tensors as min and max"),
        (lambda: x().quantile(-1e308), ValueError, "quantile: q must be from 0 to 1"),
        (lambda: minidl.var_mean(x(), unbiased=np.complex64(1j)), TypeError, "unbiased must be True or False"),
        (
            lambda: F.embedding(minidl.tensor([1]), x(), max_norm=0.1, scale_grad_by_freq=np.zeros((3, 0))),
            TypeError,
            "embedding: scale_grad_by_freq must be True or False",
        ),
        (lambda: x().index_add(1, minidl.tensor([1, 1, 1]), x(), alpha=x()), TypeError, "index_add: value must be a number"),
        (
            lambda: F.conv2d(minidl.ones(1, 1, 3, 3), minidl.ones(1, 1, 2, 2), stride=holds_itself()),
            ValueError,
            "stride must be",
        ),
        (lambda: minidl.tensor(holds_itself()), ValueError, "tensor: .* nested too deep"),
        (lambda: F.gaussian_nll_loss(x(), x(), x() ** 2, eps=-1.0), ValueError, "gaussian_nll_loss: eps must be"),
        (lambda: F.smooth_l1_loss(x(), x(), beta=np.complex64(1j)), ValueError, "smooth_l1_loss: beta must be"),
        (lambda: gradcheck(minidl.exp, x().double(), eps=1j), ValueError, "gradcheck: eps must be a finite number"),
        (lambda: gradgradcheck(minidl.exp, x().double(), atol=math.inf), ValueError, "gradgradcheck: atol must be a finite"),
        (
            lambda: WeightedRandomSampler(np.ones(3, complex), 2),
            TypeError,
            "WeightedRandomSampler: expected numbers as weights",
        ),
        (lambda: nn.utils.clip_grad_value_([x()], [1]), ValueError, "clip_grad_value_: clip_value must be a number"),
        (lambda: nn.init.xavier_uniform_(x(), gain="1"), TypeError, "xavier_uniform_: gain must be a number"),
        (lambda: nn.init.xavier_normal_(x(), gain=1j), TypeError, "xavier_normal_: gain must be a number"),
        (lambda: nn.functional.leaky_relu(x(), [1]), TypeError, "leaky_relu: negative_slope must be a number"),
        (lambda: nn.functional.elu(x(), "a"), TypeError, "elu: alpha must be a number"),
        (lambda: nn.functional.softplus(x(), 1.0, 1j), TypeError, "softplus: threshold must be a number"),
        (lambda: nn.functional.layer_norm(x(), (3,), eps=None), TypeError, "layer_norm: eps must be a number"),
        (
            lambda: nn.functional.batch_norm(x(), None, None, training=True, momentum="a"),
            TypeError,
            "batch_norm: momentum must be",
        ),
        (lambda: nn.utils.clip_grad_norm_([x()], [1]), TypeError, "clip_grad_norm_: max_norm must be a number"),
        (lambda: x().type_as([1]), TypeError, "type_as: expected a Tensor, got list"),
        (lambda: x().div(2.0, rounding_mode=np.ones(3)), ValueError, "div: rounding_mode must be"),
        (lambda: nn.MSELoss(reduction=np.ones(3)), ValueError, "MSELoss: reduction must be"),
        (lambda: nn.functional.mse_loss(x(), x(), reduction=np.ones(3)), ValueError, "mse_loss: reduction must be"),
        (lambda: nn.Linear(2, 2).get_parameter(7), TypeError, "target: expected a dotted path such as '0.weight', got int"),
        (lambda: nn.ModuleList([nn.ReLU()])["a"], TypeError, "ModuleList: expected an integer, got 'a'"),
        (lambda: nn.ModuleDict((1, 2)), TypeError, "ModuleDict: expected a dict or pairs, got tuple"),
        (lambda: D.Normal(0.0, 1.0).expand(3.5), TypeError, "Normal: batch_shape must be a tuple of sizes, got 3.5"),
        (lambda: D.Distribution(event_shape=INF), TypeError, "Distribution: event_shape must be a tuple of sizes"),
        (lambda: D.Normal(0.0, 1.0, np.ones(2)), TypeError, "Normal: validate_args must be True, False or None"),
        (lambda: D.Normal(0.0, 1.0).icdf([0.5]), TypeError, "Normal: expected the chance as a tensor, got list"),
        (lambda: D.Independent(1, 2), TypeError, "Independent: expected a distribution and a number of axes, got int and 2"),
        (lambda: D.AffineTransform("0", 1.0), TypeError, "AffineTransform: loc must be a number or a tensor, got str"),
        (lambda: D.ComposeTransform(["a"]), TypeError, "ComposeTransform: expected a list of transforms, got str in it"),
        (
            lambda: beam_search(lambda ids: ids, minidl.tensor([0]), 3, 2, alpha=2**63),
            ValueError,
            "alpha must be a number from 0 to 10",
        ),
    ],
)
def test_errors_say_what_was_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: minidl.tensor([1e308]),
        lambda: minidl.full((2,), 1e308),
        lambda: minidl.full_like(x(), 1e308),
        lambda: minidl.linspace(1e300, 1e308, 3),
        lambda: minidl.logspace(100, 1000, 3),
        lambda: minidl.where(x() > 0, 1e308, x()),
        lambda: x().masked_fill(x() > 0, 1e308),
        lambda: x().fill_(1e308),
        lambda: x() * 1e308,
        lambda: x().maximum(minidl.tensor(1e308)),
        lambda: x().clamp(1e308),
    ],
)
def test_numbers_beyond_float32_are_infinite_without_a_warning(call):
    assert (call() == INF).all()
    assert call().dtype == minidl.float32


def test_gradients_beyond_32_axes():
    """NumPy's add.at ends the process there."""
    y = minidl.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y[:, minidl.full((1,) * 33, 2)].sum().backward()
    assert y.grad.tolist() == [[0.0, 0.0, 1.0]]
    y = minidl.tensor([1.0, 2.0], requires_grad=True)
    deep = y.reshape((1,) * 40 + (2,))
    (deep.gather(-1, minidl.ones((1,) * 40 + (3,)).long()).sum() + 2 * deep.repeat_interleave(2, -1).sum()).backward()
    assert y.grad.tolist() == [4.0, 7.0]


def test_logical_not_and_relu_of_one_number_hold_arrays():
    assert type(minidl.tensor(-1).relu().numpy()) is np.ndarray
    assert type(minidl.tensor(1).logical_not().numpy()) is np.ndarray
    assert not minidl.tensor(1).logical_not().item()


def test_numbers_beyond_float32_compare_as_infinite_ones():
    assert not (x() == 1e308).any()
    assert (x() < 1e308).all()
    assert (x() > -1e308).all()
    y = x()
    y[0] = -1e308
    assert y[0].tolist() == [-INF] * 3 and y[1].tolist() == [1.0] * 3


def test_images_are_filled_and_shifted_by_any_number_without_a_warning():
    image = minidl.ones(1, 2, 2)
    assert transforms.pad(image, 1, 1e308)[0, 0, 0] == math.inf
    for step in (np.uint64(2**64 - 1), -(2**63), 10**30):
        assert not transforms.shift(image, step, 0).any()
    assert F.gaussian_nll_loss(image, image, 1e308).item() == math.inf


def test_kernels_of_optimizers_refuse_what_is_no_real_number():
    p, g = np.ones((2, 2), "f4"), np.ones((2, 2), "f4")
    for call in (
        lambda: kernels.sgd(p, g, weight_decay=np.complex64(1j)),
        lambda: kernels.adam(p, g, p.copy(), p.copy(), weight_decay=1j),
        lambda: kernels.adam(p, g, p.copy(), p.copy(), lr="1"),
    ):
        with pytest.raises(TypeError, match="expected numbers as options"):
            call()
    for buffer in (g.copy(), None):
        read_only = np.broadcast_to(np.float32(1), (2, 2))
        with pytest.raises(ValueError, match="sgd: the parameter or a buffer"):
            kernels.sgd(read_only, g, buffer, momentum=0.5)
        assert buffer is None or (buffer == 1).all()
    assert (p == 1).all()


def test_the_variance_of_numbers_whose_distance_overflows():
    x = minidl.tensor([3e38, 3e38, -3e38, 3e38], requires_grad=True)  # -3e38 is 4.5e38 below the mean
    x.var().backward(minidl.tensor(0.5))
    assert x.grad.tolist() == [pytest.approx(5e37), pytest.approx(5e37), -math.inf, pytest.approx(5e37)]


def adam(**options):
    usual = {"step": 1, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
    kernels.adam(*(ones(3) for _ in range(4)), None, **usual | options)


def cross_entropy(**options):
    kernels.cross_entropy(x().numpy(), np.array([0, 1]), **options)


def conv2d_weight(**options):
    kernels.conv2d_weight(np.ones((1, 2, 4, 4), "f4"), np.ones((1, 2, 2, 2), "f4"), (3, 3), **options)


def attention_backward(**wrong):
    o, lse = kernels.attention(q(), q(), q())
    given = {"do": q(), "q": q(), "k": q(), "v": q(), "o": o, "lse": lse} | wrong
    kernels.attention_backward(*given.values())


def ctc_backward(dy):
    kernels.ctc_backward(dy, np.zeros((2, 3, 4), "f4"), np.ones((3, 1), int), np.ones(3, int), np.ones(3, int), 0)


def places():
    return minidl.tensor([1, 1, 1])


def q():
    return np.ones((1, 1, 2, 4), np.float32)


def ones(n):
    return np.ones(n, np.float32)


def holds_itself():
    tree = [1.0]
    tree.append(tree)
    return tree


def test_spaces_without_end_and_gains_beyond_float32():
    assert minidl.nn.init.calculate_gain("leaky_relu", np.float64(1e308)) == 0
    assert minidl.linspace(0.0, -math.inf, 3)[-1] == -math.inf
    assert minidl.nn.init.trunc_normal_(minidl.zeros(3), 3e38, 1.0, 1e38, 3.2e38).isfinite().all()
    assert (minidl.zeros(2) - minidl.ones(2)).sub(2.0, alpha=np.float64(1e308)).isinf().all()
    minidl.nn.functional.instance_norm(minidl.ones(1, 2, 3), minidl.zeros(2), minidl.ones(2), eps=math.inf)
    assert minidl.Tensor([1e308]).isinf().all() and not minidl.text.ngrams("abc", 2**31)
    y = minidl.ones(1, requires_grad=True)
    (y * 1).backward(minidl.tensor([1e308], dtype=minidl.float64))
    assert y.grad.isinf().all()
    q = minidl.nn.init.orthogonal_(minidl.empty(3, 3), 1e308)
    assert not q.isfinite().any()
    assert minidl.normal(minidl.zeros(3), 1e308).isinf().all()


def test_a_list_that_holds_itself_is_no_tree():
    tree = [minidl.ones(2)]
    tree.append(tree)
    with pytest.raises(ValueError, match="func: lists and dicts nested more than"):
        minidl.func.vmap(lambda x: x)(tree)


@pytest.mark.parametrize("collate", [minidl.utils.data.default_collate, minidl.utils.data.default_convert])
def test_a_sample_that_holds_itself(collate):
    sample = [1.0]
    sample.append(sample)
    with pytest.raises(ValueError, match="nested too deep, or hold themselves"):
        collate(sample)


def test_normalize_takes_no_complex_numbers():
    for mean in (np.complex64(1j), np.zeros(3, np.complex64)):
        with pytest.raises(TypeError, match="normalize: expected numbers as mean, got complex64"):
            minidl.utils.data.transforms.normalize(minidl.ones(3, 4, 4), mean, [0.2, 0.2, 0.2])


def test_an_index_that_is_an_array_is_not_written_to():
    data = minidl.utils.data.ConcatDataset([[1, 2], [3]])
    index = np.array(-1)
    assert data[index] == 3 and index == -1
    with pytest.raises(TypeError):
        data[np.array([-0.5])]


def test_the_spread_of_denormal_numbers_has_a_gradient():
    x = minidl.tensor([0.0, 1e-42], requires_grad=True)
    x.std(correction=0).backward()
    np.testing.assert_allclose(x.grad.numpy(), [-0.5, 0.5], rtol=1e-2)


def test_a_refused_option_leaves_the_table_of_an_embedding_as_it_was():
    weight = minidl.ones(2, 3)
    with pytest.raises(TypeError):
        F.embedding(minidl.tensor([1]), weight, max_norm=0.1, scale_grad_by_freq="no")
    assert weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_an_alpha_with_axes_of_its_own_is_a_number():
    found = x().index_add(1, minidl.tensor([1, 1, 1]), x(), alpha=minidl.full([1] * 7, 2.0))
    assert found.tolist() == x().index_add(1, minidl.tensor([1, 1, 1]), x(), alpha=2.0).tolist()


def test_tolerances_beyond_float32():
    assert x().allclose(x(), atol=1e308) and x().allclose(x() + 1, rtol=3e38)


def test_a_size_of_2_0_is_refused_whatever_was_asked_before():
    x, w = minidl.ones(1, 1, 6, 6), minidl.ones(1, 1, 2, 2)
    for call in (
        lambda n: F.conv2d(x, w, stride=n),
        lambda n: F.conv_transpose2d(x, w, stride=n),
        lambda n: F.max_pool2d(x, n),
    ):
        call(2)
        with pytest.raises((TypeError, ValueError), match="integer"):
            call(2.0)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes_of_nothing_take_no_time(name):
    x = minidl.zeros(0, 2**40)
    assert getattr(x, name)(1).values.shape == (0, 2**40)


def test_more_pieces_than_memory_holds_are_refused_at_once():
    with pytest.raises(MemoryError, match="tensor_split: 9223372036854775808 pieces"):
        minidl.zeros(3).tensor_split(2**63)
    assert [len(part) for part in minidl.zeros(8).tensor_split(3)] == [3, 3, 2]


def test_complex_numbers_are_no_data_of_real_functions():
    for call in (
        lambda: minidl.as_tensor(1j),
        lambda: minidl.information.bivariate_normal_mutual_information(1j),
        lambda: minidl.information.normal_kl(0, minidl.ones(3), 1j, minidl.ones(3)),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(MemoryError, match="histc"):
        minidl.ones(2).histc(2**63, 0, 1)


def test_slopes_and_ranges_near_the_largest_number_give_no_warning():
    x, wide = minidl.tensor([-2.0, 2.0]), minidl.tensor([-2.0, 2.0], dtype=minidl.float64)
    assert F.rrelu(x, lower=-1e308, training=True).tolist() == [math.inf, 2]
    mean = -1e308 / 2 + 1.7e308 / 2  # it is a number, though the range from one to the other is beyond float64
    assert F.rrelu(wide, lower=-1e308, upper=1.7e308).tolist() == [-2 * mean, 2]
    with pytest.raises(ValueError, match="rrelu: lower and upper must be finite and less than"):
        F.rrelu(wide, lower=-1e308, upper=1.7e308, training=True)
    near, far = (minidl.manual_seed(0).uniform(5, np.float64, -(2.0**k), 2.0**k) for k in (900, 1022))
    assert (far == near * 2.0**122).all()  # drawn alike, and finite


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
def test_tolerances_of_singular_values_beyond_the_largest_number(dtype):
    A, B = 100 * minidl.eye(3, 2, dtype=dtype), minidl.ones(3, 1, dtype=dtype)
    for huge in (1e39, 1e308, math.inf):
        assert minidl.linalg.matrix_rank(A, rtol=huge).item() == minidl.linalg.matrix_rank(A, atol=huge).item() == 0
        assert minidl.linalg.lstsq(A, B, rcond=huge).solution.tolist() == [[0], [0]]
    assert minidl.linalg.matrix_rank(0 * A, rtol=math.inf).item() == 0


@pytest.mark.parametrize("name, flat", [("conv3d", "conv1d and conv2d"), ("max_unpool3d", "max_unpool2d")])
def test_what_there_is_for_volumes_is_not_said_to_be_another_name(name, flat):
    for place in (F, minidl):
        with pytest.raises(AttributeError, match=f"{name}.: volumes are not supported, there is only {flat}$"):
            getattr(place, name)
    with pytest.raises(AttributeError, match="'LazyBatchNorm3d': volumes are not supported, there is only LazyBatchNorm1d and"):
        nn.LazyBatchNorm3d  # noqa: B018
