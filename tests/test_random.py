"""The stream: PyTorch's numbers (hard-coded, so that these tests run without PyTorch), its state, its errors."""

import copy
import hashlib
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import random
from minidl.random import Generator

ROOT = Path(random.__file__).parents[1]
SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 1000)


def seeded(seed=0):
    return Generator().manual_seed(seed)


def digest(array):
    return hashlib.sha256(np.asarray(array).tobytes()).hexdigest()[:16]


def test_the_first_numbers_of_well_known_seeds():
    np.testing.assert_allclose(seeded(0).rand(4), [0.4963, 0.7682, 0.0885, 0.1320], atol=5e-5)
    np.testing.assert_allclose(seeded(0).normal(3), [1.5410, -0.2934, -2.1788], atol=5e-5)
    np.testing.assert_allclose(seeded(0).normal(16)[:4], [-1.1258, -1.1524, -0.2506, -0.4339], atol=5e-5)
    row = seeded(42).normal((5, 5), np.float64)[0]
    np.testing.assert_allclose(row, [0.2995562877502637, 0.24237779080894106, 0.28320739441795323,
                                     -0.23294220898382634, 0.6711532211923003], rtol=1e-14)  # fmt: skip
    np.testing.assert_array_equal(Generator().rand(3), np.float32([0.267295241355896, 0.8725283145904541, 0.3352888226509094]))  # fmt: skip # noqa: E501


def test_the_kl_divergences_printed_in_d2l():
    generator = seeded(1)
    p, q1, q2 = (np.sort(generator.normal(10000, mean=mean)).astype(np.float64) for mean in (0, -1, 1))

    def kl(p, q):
        ratio = p / q
        positive = ratio > 0  # the logarithm of the others is nan, and nansum drops it
        return abs((p[positive] * np.log2(ratio[positive])).sum())

    np.testing.assert_allclose([kl(p, q1), kl(p, q2), kl(q2, p)], [8582.0341796875, 8828.3095703125, 14130.125], rtol=1e-6)  # fmt: skip # noqa: E501


# SHA-256 (first 16 digits) of what torch 2.13 gives for each seed, in the order of the test below.
DIGESTS = {
    0: """20221bec9830215c 43678415636bbad8 684a9a8a01e8d469 a773abc6ddc76db8 c59b53ef72076721 7473cd48bd8a757f
          e5cd7fde080fceb1 7ee676fe3b205c41 cee4a88ef6120e8e 23f60bc641a0332d 805621816760d358""",
    1: """7a913bcf84c92c92 5107d171dce8fcf8 27b46c63c62d56bb a4e1a6b8e492f4b0 0f41240ec9b4b883 e1b16aecbb6965f9
          4fa3e4bddfe97da9 e63dc82ecaa57d72 61a16d797852951a 66ae1bdcee267c41 d9eb505ee6cec3e9""",
    42: """80ff065ee30ad7ac 13b35fb427f5f8d7 2dc2566a55d92ed1 4fad0fa15d6936fb 3c32285b450a7e7c 23f7ac1ac29f69e4
          db7c6f9307c29689 32564c0747e56d47 ac5c22de20fc5d16 6847249cdf1a832b 1cff5bef5683a4ed""",
    2**40: """20221bec9830215c 43678415636bbad8 684a9a8a01e8d469 a773abc6ddc76db8 c59b53ef72076721 7473cd48bd8a757f
          e5cd7fde080fceb1 7ee676fe3b205c41 cee4a88ef6120e8e 23f60bc641a0332d 805621816760d358""",
    -7: """3a3ba4bac944d834 219eb3d9a0fd62fc 959880cf098a9943 2e3c13ecc2b235ae 5f666a1381dee5a5 a464dad33903ed2e
          b4bde6314d31cda6 51a7c8f8f3d99c7c 810caf480a214d60 fe90e07ad2bfc8dc 4cacd5c400c43ecd""",
}


@pytest.mark.parametrize("seed", DIGESTS)
def test_the_bits_are_pytorchs(seed):
    p = np.array([i / 999 for i in range(1000)], np.float32)
    got = [
        seeded(seed).rand(1000),
        seeded(seed).normal(1000),
        seeded(seed).normal(1003, mean=0.3, std=1.7),
        seeded(seed).uniform(1000, low=-0.1, high=0.1),
        seeded(seed).rand(1000, np.float64),
        seeded(seed).uniform(1000, np.float64, -0.1, 0.1),
        seeded(seed).randint(-50, 50, 1000),
        seeded(seed).randint(0, 2**40, 1000),
        seeded(seed).randperm(1000),
        seeded(seed).bernoulli(1000, 0.3),
        seeded(seed).bernoulli(1000, p),
    ]
    assert [digest(array) for array in got] == DIGESTS[seed].split()


def test_the_second_normal_of_a_pair_waits_for_the_next_short_call():
    generator = seeded(0)
    assert generator.normal(3).tolist() == np.float32([1.5409960747, -0.2934288979, -2.1787893772]).tolist()
    assert generator.normal(2).tolist() == np.float32([0.5684312582, -1.0845223665]).tolist()
    assert generator.normal(1).tolist() == np.float32([-1.3985954523]).tolist()
    assert generator.normal(1).tolist() == np.float32([0.4033468366]).tolist()

    generator = seeded(0)  # neither uniforms nor a long call touch the one that waits
    generator.normal(3)
    assert generator.rand(1).tolist() == np.float32([0.455627977848053]).tolist()
    assert generator.normal(20)[-2:].tolist() == np.float32([0.05250748619437218, 0.5228604674339294]).tolist()
    assert generator.normal(2).tolist() == np.float32([0.5684312582015991, 0.8511652946472168]).tolist()

    assert generator.manual_seed(0).normal(1)[0] == np.float32(1.5409960747)  # seeding forgets it


def test_a_last_incomplete_block_is_drawn_anew():
    got = seeded(0).normal(17)
    want = [-1.1258398294448853, -1.6959311962127686, 0.946298360824585, -0.843676745891571, 0.9318265914916992]
    assert got[[0, 1, -3, -2, -1]].tolist() == np.float32(want).tolist()


def test_float64_normals_and_exponentials():
    want = [6.62298832473213, 1.1197132827171608, -4.536368146223673, 3.7052938318420034, -1.2535670272720627]
    np.testing.assert_allclose(seeded(0).normal(5, np.float64, 2, 3), want, rtol=1e-14)
    want = [1.754163093353821, 0.6151923820898384, 0.30752204694700574, 1.2675593221079409]
    np.testing.assert_allclose(seeded(0).exponential(4, np.float64, 2.0), want, rtol=1e-14)
    np.testing.assert_allclose(seeded(0).exponential(4, lambd=2.0), want, rtol=1e-7)


def test_integers_below_and_above_a_range_of_2_to_the_28():
    assert seeded(0).randint(0, 10, (5,)).tolist() == [4, 9, 3, 0, 3]
    assert seeded(0).randint(0, 2**28 - 1, (3,)).tolist() == [209652404, 130329144, 118924928]
    assert seeded(0).randint(0, 2**28, (3,)).tolist() == [130329135, 136432832, 195187451]
    assert seeded(0).randint(0, 2**63, (2,)).tolist() == [900450186894289455, 3969543146641149120]  # Tensor.random_
    everything = seeded(0).randint(-(2**63), 2**63, (1000,))
    assert everything.min() < -(2**62) and everything.max() > 2**62
    assert seeded(0).randint(0, 256, (100,), np.uint8).max() > 200
    assert set(seeded(0).randint(0, 2, (100,), np.bool_).tolist()) == {False, True}


def test_permutations():
    assert seeded(0).randperm(10).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
    assert [seeded(0).randperm(n).tolist() for n in (0, 1)] == [[], [0]]
    assert sorted(seeded(3).randperm(1000, np.int32)) == list(range(1000))


def test_multinomial():
    weights = np.float32([1, 2, 3, 4])
    assert seeded(0).multinomial(weights, 3).tolist() == [2, 1, 3]
    assert seeded(0).multinomial(weights, 8, True).tolist() == [3, 3, 2, 3, 3, 3, 1, 2]
    rows = np.stack([weights, weights[::-1]])
    assert seeded(0).multinomial(rows, 2).tolist() == [[2, 1], [2, 0]]
    assert seeded(0).multinomial(rows, 1, True).tolist() == seeded(0).multinomial(rows, 1).tolist()  # as in PyTorch
    assert seeded(0).multinomial(rows.astype(np.float64), 4, True).tolist() == [[3, 3, 2, 3], [1, 2, 0, 0]]
    assert set(seeded(0).multinomial(np.float32([0, 1, 0, 1e-40, 3e38]), 3).tolist()) == {1, 3, 4}
    assert seeded(0).multinomial(np.zeros((0, 4), np.float32), 2).shape == (0, 2)


def test_the_numbers_follow_the_distributions():
    generator, n = seeded(11), 200_000
    for dtype in (np.float32, np.float64):
        x = generator.normal(n, dtype, 3, 2)
        assert abs(x.mean() - 3) < 0.02 and abs(x.std() - 2) < 0.02
        x = generator.exponential(n, dtype, 4)
        assert abs(x.mean() - 0.25) < 0.003 and abs(x.std() - 0.25) < 0.004 and x.min() >= 0
    for p in (0.0, 0.3, 1.0):
        assert abs(generator.bernoulli(n, p).mean() - p) <= (0.005 if 0 < p < 1 else 0)
        assert abs(generator.bernoulli((n,), np.array([p])).mean() - p) <= (0.005 if 0 < p < 1 else 0)
    weights = np.tile([0.1, 0.2, 0.7], (n // 10, 1))
    for replacement in (False, True):
        share = np.bincount(generator.multinomial(weights, 1, replacement).ravel()) / len(weights)
        np.testing.assert_allclose(share, weights[0], atol=0.01)


def test_large_arrays_are_the_same_stream_as_small_ones():
    assert digest(seeded(5).rand(50_000)) == digest(np.concatenate([(g := seeded(5)).rand(123), g.rand(49_877)]))
    g = seeded(5)
    assert digest(seeded(5).normal(48_000)) == digest(np.concatenate([g.normal(3200) for _ in range(15)]))
    assert seeded(5).bernoulli((300, 200), 0.5, bool).dtype == bool


def test_shapes_and_dtypes():
    assert seeded().rand(()).shape == () and seeded().normal([2, 3]).shape == (2, 3)
    assert seeded().normal((0, 3)).shape == (0, 3) and seeded().randint(0, 5, np.int64(2)).shape == (2,)
    for draw in (Generator.rand, Generator.uniform, Generator.normal, Generator.exponential):
        assert draw(seeded(), 3).dtype == np.float32 and draw(seeded(), (4, 5), "float64").dtype == np.float64


def test_uniforms_stay_below_high():
    values = seeded().uniform(100_000, low=1.0, high=np.nextafter(np.float32(1), np.float32(2)))
    assert (values == 1).all()
    assert seeded().uniform(3, low=2, high=2).tolist() == [2, 2, 2]


def test_a_state_brings_everything_back():
    generator = seeded(9)
    generator.normal(3)  # leaves the second normal of a pair
    state = generator.get_state()
    first = generator.normal(3), generator.rand(5)
    others = Generator(), copy.deepcopy(generator), pickle.loads(pickle.dumps(generator)), generator
    for other in others:
        other.set_state(state)
        assert other.initial_seed() == 9
        assert [digest(other.normal(3)), digest(other.rand(5))] == list(map(digest, first))
    twin = copy.deepcopy(generator)
    assert digest(twin.normal(1)) == digest(generator.normal(1)) and digest(twin.rand(9)) == digest(generator.rand(9))


def test_the_default_generator():
    assert random.manual_seed(3) is random.default_generator and random.initial_seed() == 3
    state = random.get_rng_state()
    with random.fork_rng():
        inside = random.default_generator.rand(4)
        random.manual_seed(8)
    assert digest(random.default_generator.rand(4)) == digest(inside)
    random.set_rng_state(state)
    assert digest(random.default_generator.rand(4)) == digest(inside)
    with random.fork_rng(enabled=False):
        random.default_generator.rand(4)
    assert digest(random.default_generator.rand(4)) != digest(seeded(3).rand(8)[4:])
    first, second = random.seed(), random.seed()
    assert first != second == random.initial_seed()
    random.manual_seed(0)


def test_seeds():
    assert seeded(-1).initial_seed() == 2**64 - 1
    assert digest(seeded(-1).rand(3)) == digest(seeded(2**32 - 1).rand(3))
    assert seeded(np.int64(5)).initial_seed() == 5
    assert Generator().initial_seed() == 67280421310721


def run(script, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_get_the_same_bits():
    script = """if True:
        from minidl.random import manual_seed
        g = manual_seed(3)
        print([x.tobytes().hex() for x in (g.rand(9), g.normal(40), g.normal(3), g.randperm(20), g.bernoulli(9, 0.5))])
    """
    assert run(script, PYTHONHASHSEED="1") == run(script, PYTHONHASHSEED="2") != ""


def test_importing_leaves_numpys_random_state_alone():
    run("""if True:
        import numpy as np
        np.random.seed(5)
        import minidl.random
        minidl.random.default_generator.normal(100)
        first = np.random.rand()
        np.random.seed(5)
        assert np.random.rand() == first
    """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_locked_out():
    run("""if True:
        import os
        from minidl.random import Generator, default_generator, manual_seed
        manual_seed(1)
        other = Generator()
        with default_generator._lock, other._lock:  # as if other threads were in the middle of a call
            child = os.fork()
            if child == 0:
                same = default_generator.rand(3).tolist() == Generator().manual_seed(1).rand(3).tolist()
                other.normal(3)
                os._exit(0 if same else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
    """)


def test_threads_share_a_stream_without_losing_or_repeating_numbers():
    generator, drawn, size = seeded(2), [], 3 * random._PIECE  # a call makes several pieces, and none may come between

    def work():
        drawn.extend(digest(generator.rand(size)) for _ in range(20))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(drawn) == sorted(map(digest, seeded(2).rand((80, size))))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: Generator("cuda"), ValueError, "Generator.*'cuda'"),
        (lambda g: g.manual_seed(1.5), TypeError, "manual_seed.*1.5"),
        (lambda g: g.manual_seed(2**64), ValueError, "manual_seed.*18446744073709551616"),
        (lambda g: g.rand(-1), ValueError, "rand.*-1"),
        (lambda g: g.rand((2, 1.5)), TypeError, r"rand.*\(2, 1.5\)"),
        (lambda g: g.rand("3"), TypeError, "rand.*'3'"),
        (lambda g: g.rand(3, np.int64), TypeError, "rand.*int64"),
        (lambda g: g.rand(3, None), TypeError, "rand.*None"),
        (lambda g: g.rand(3, "float99"), TypeError, "rand.*float99"),
        (lambda g: g.normal(3, np.float16), TypeError, "normal.*float16"),
        (lambda g: g.normal(3, std=-1), ValueError, "normal.*std=-1"),
        (lambda g: g.normal(3, mean=np.nan), ValueError, "normal.*mean=nan"),
        (lambda g: g.uniform(3, low=2, high=1), ValueError, "uniform.*low=2"),
        (lambda g: g.uniform(3, low=-3e38, high=3e38), ValueError, "uniform.*low=-3e"),
        (lambda g: g.randint(5, 5, (3,)), ValueError, "randint.*low=5, high=5"),
        (lambda g: g.randint(0, 1.5, (3,)), TypeError, "randint.*high=1.5"),
        (lambda g: g.randint(0, 257, (3,), np.uint8), ValueError, "randint.*uint8.*257"),
        (lambda g: g.randint(-1, 5, (3,), np.uint8), ValueError, "randint.*uint8.*low=-1"),
        (lambda g: g.randint(0, 2**63 + 1, (3,)), ValueError, "randint.*int64"),
        (lambda g: g.randint(0, 5, (3,), np.complex64), TypeError, "randint.*complex64"),
        (lambda g: g.randperm(-1), ValueError, "randperm.*-1"),
        (lambda g: g.randperm(2.0), TypeError, "randperm.*2.0"),
        (lambda g: g.randperm(300, np.uint8), ValueError, "randperm.*299"),
        (lambda g: g.randperm(2**31), ValueError, "randperm.*2147483648"),
        (lambda g: g.bernoulli(3, 1.5), ValueError, "bernoulli.*1.5"),
        (lambda g: g.bernoulli(3, float("nan")), ValueError, "bernoulli.*nan"),
        (lambda g: g.bernoulli(3, np.array([0.5, -1, 0.5])), ValueError, "bernoulli.*-1"),
        (lambda g: g.bernoulli(3, np.array([0, 1, 1])), TypeError, "bernoulli.*int64"),
        (lambda g: g.bernoulli(3, np.ones((2, 3))), ValueError, r"bernoulli.*\(2, 3\).*\(3,\)"),
        (lambda g: g.bernoulli(3, np.ones(4)), ValueError, r"bernoulli.*\(4,\).*\(3,\)"),
        (lambda g: random.fork_rng(["cuda"]).__enter__(), ValueError, "fork_rng.*cuda"),
        (lambda g: g.exponential(3, lambd=0), ValueError, "exponential.*0"),
        (lambda g: g.multinomial(np.array([1, 2]), 1), TypeError, "multinomial.*int64"),
        (lambda g: g.multinomial(np.ones((1, 1, 1)), 1), ValueError, r"multinomial.*\(1, 1, 1\)"),
        (lambda g: g.multinomial(np.array([1.0, -1.0]), 1), ValueError, "multinomial.*-1"),
        (lambda g: g.multinomial(np.array([1.0, np.inf]), 1), ValueError, "multinomial.*inf"),
        (lambda g: g.multinomial(np.zeros(3), 1, True), ValueError, "multinomial.*0 positive"),
        (lambda g: g.multinomial(np.array([0.0, 1.0]), 2), ValueError, "multinomial.*num_samples=2 from 1"),
        (lambda g: g.multinomial(np.ones(3), 0), ValueError, "multinomial.*num_samples=0"),
        (lambda g: g.multinomial(np.ones(3), 1.5), TypeError, "multinomial.*1.5"),
        (lambda g: g.set_state([1, 2]), TypeError, "set_state.*list"),
        (lambda g: g.set_state(np.zeros(5056, np.uint8)), ValueError, r"set_state.*\(5056,\)"),
        (lambda g: g.set_state(np.full(g.get_state().shape, 255, np.uint8)), ValueError, "set_state.*position"),
    ],
)
def test_errors_name_the_function_and_the_value(call, error, message):
    generator = seeded()
    before = digest(generator.get_state())
    with pytest.raises(error, match=message):
        call(generator)
    assert digest(generator.get_state()) == before


@pytest.mark.parametrize("wrong", [5, 0, [], "0", np.random.default_rng(0)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda g: minidl.rand(2, generator=g),
        lambda g: minidl.randn(2, generator=g),
        lambda g: minidl.randn_like(minidl.zeros(2), generator=g),
        lambda g: minidl.normal(0.0, 1.0, size=(2,), generator=g),
        lambda g: minidl.normal(minidl.zeros(2), generator=g),
        lambda g: minidl.randint(0, 5, (2,), generator=g),
        lambda g: minidl.randperm(5, generator=g),
        lambda g: minidl.bernoulli(minidl.ones(2), generator=g),
        lambda g: minidl.multinomial(minidl.ones(2), 1, generator=g),
        lambda g: minidl.zeros(2).normal_(generator=g),
        lambda g: minidl.zeros(2).uniform_(generator=g),
        lambda g: minidl.zeros(2).bernoulli_(generator=g),
    ],
)
def test_a_generator_that_is_none_is_refused(draw, wrong):
    with pytest.raises(TypeError, match=r"generator: expected a minidl.Generator or None, got (int|list|str|Generator)"):
        draw(wrong)


def same(got, want, exact=True):
    want = want.numpy()
    assert got.dtype == want.dtype and got.shape == want.shape
    if exact:
        assert got.tobytes() == want.tobytes()
    else:
        np.testing.assert_allclose(got, want, rtol=1e-14 if got.dtype == np.float64 else 1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", (0, 1, 42, 2**40, -7))
def test_one_long_conversation_with_pytorch(seed):
    """Each call goes on where the last one stopped: one word too many or too few, and all that follows differs."""
    torch = pytest.importorskip("torch")
    ours, theirs = seeded(seed), torch.Generator().manual_seed(seed)
    simd = torch.backends.cpu.get_cpu_capability().startswith("AVX")  # elsewhere PyTorch has other polynomials
    probe = torch.Generator().manual_seed(0)
    torch.empty(2).bernoulli_(0.5, generator=probe)
    own_bernoulli = float(torch.rand(1, generator=probe)) == seeded(0).rand(5)[4]  # not MKL's: two words per number
    for n in SIZES:
        for dtype, torch_dtype in ((np.float32, torch.float32), (np.float64, torch.float64)):
            single = dtype == np.float32
            blank = {"dtype": torch_dtype}
            same(ours.rand(n, dtype), torch.rand(n, **blank, generator=theirs))
            same(ours.normal(n, dtype), torch.randn(n, **blank, generator=theirs), single and simd)
            want = torch.empty(n, **blank).normal_(0.3, 1.7, generator=theirs)
            same(ours.normal(n, dtype, 0.3, 1.7), want, single and simd)
            want = torch.empty(n, **blank).uniform_(-0.31, 0.77, generator=theirs)
            same(ours.uniform(n, dtype, -0.31, 0.77), want, single or simd)
            p = np.linspace(0, 1, n, dtype=dtype)
            same(ours.bernoulli(n, p, dtype), torch.bernoulli(torch.from_numpy(p), generator=theirs))
            if n:
                weights = np.random.default_rng(n).random((3, n)).astype(dtype)
                want = torch.multinomial(torch.from_numpy(weights), 9, True, generator=theirs)
                same(ours.multinomial(weights, 9, True), want)
            if own_bernoulli:
                same(ours.bernoulli(n, 0.37, dtype), torch.empty(n, **blank).bernoulli_(0.37, generator=theirs))
                want = torch.empty(n, **blank).exponential_(1.7, generator=theirs)
                same(ours.exponential(n, dtype, 1.7), want, False)
                if n:
                    want = torch.multinomial(torch.from_numpy(weights), min(n, 5), generator=theirs)
                    same(ours.multinomial(weights, min(n, 5)), want)
        same(ours.randperm(n), torch.randperm(n, generator=theirs))
        for low, high in ((0, 10), (-5, 5), (0, 2**28 - 1), (0, 2**28), (-(2**62), 2**62), (-(2**63), 2**63 - 1)):
            same(ours.randint(low, high, n), torch.randint(low, high, (n,), generator=theirs))
        for name in ("uint8", "int32", "float32"):
            want = torch.randint(0, 200, (n,), dtype=getattr(torch, name), generator=theirs)
            same(ours.randint(0, 200, n, name), want)


def test_dropout_keeps_pytorchs_units():
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        kept = torch.nn.functional.dropout(torch.ones(1000), 0.3).numpy() != 0
        following = float(torch.rand(1))
    generator = seeded(5)
    ours = generator.bernoulli(1000, 1 - 0.3, bool)
    if float(generator.rand(1)[0]) != following:
        pytest.skip("this processor's PyTorch takes dropout from MKL's stream")
    np.testing.assert_array_equal(ours, kept)
