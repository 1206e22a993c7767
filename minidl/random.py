"""The seeded stream: for the same seed, the same numbers as PyTorch's CPU generator.

The engine is the Mersenne Twister MT19937, a stream of 32-bit words. Everything else says how words become numbers, and
in which order they are used up, for that is all "the same numbers" means:

- a float32 uniform is 24 bits of one word, a float64 uniform 53 bits of two (high word first);
- a normal is a Box-Muller pair, in blocks of 16 from 16 numbers on, one pair at a time below that;
- an integer is a word modulo the range; a permutation is a Fisher-Yates shuffle.

`rand`, `uniform`, `randint`, `randperm` and float32 `normal` give the bits of PyTorch's x86 builds on any machine;
float64 `normal` and `exponential` where NumPy's log, sin and cos are the C library's, elsewhere an ulp or two away.
`bernoulli` (so dropout) and `exponential` follow PyTorch's own code, which it runs on AMD and ARM; on Intel processors
PyTorch takes these two from a stream of MKL's, and the numbers differ.

    >>> generator = Generator().manual_seed(0)
    >>> print(generator.rand(3))
    [0.4962566  0.7682218  0.08847743]
"""

import contextlib
import ctypes
import math
import operator
import os
import secrets
import threading
import weakref

import numpy as np

from . import kernels
from .kernels import jit, twister

_DEFAULT_SEED = 67280421310721  # PyTorch's seed of a new generator
_FLOATS = (np.dtype("float32"), np.dtype("float64"))
_BITS24, _BITS53, _UNIT = np.array(2**24 - 1, np.uint64), 2**53 - 1, np.array(2.0**-24, np.float32)
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in _FLOATS}
_INTEGERS = tuple(map(np.dtype, ("int64", "int32", "int16", "int8", "uint8", "bool")))
_PIECE = 1 << 14  # numbers made at a time: the temporaries stay in cache, and large arrays cost no extra memory
_STATE = np.dtype([("seed", "<u8"), ("key", "<u4", 624), ("position", "<u4"), ("has_spare", "<u4"), ("spare", "<f8")])


_state_of = np.asarray  # makes what get_state returns of an array; tensors/random_tensors.py has it make a Tensor


def states_as(convert):
    """From now on, `get_state` gives convert(array). Called once, by tensors/random_tensors.py.

    >>> Generator().get_state().dtype
    dtype('uint8')
    """
    global _state_of
    _state_of = convert


class Generator:
    """One stream of random numbers. Arrays out; the position in the stream is the only state.

    A call is one critical section, so threads may share a generator (in whichever order they come). A forked process
    goes on from the parent's position, as in PyTorch.

    >>> a, b = Generator().manual_seed(42), Generator().manual_seed(42)
    >>> bool((a.normal(20) == b.normal(20)).all())
    True
    """

    device = "cpu"

    def __init__(self, device="cpu"):
        if str(device) != "cpu":
            raise ValueError(f"Generator: minidl computes on the CPU, so device must be 'cpu', got {device!r}")
        self._lock = threading.Lock()
        self._engine = np.random.MT19937(0)
        self._words = _words_of(self._engine)
        self.manual_seed(_DEFAULT_SEED)
        _generators.add(self)

    def __repr__(self):
        return f"Generator(device='cpu', initial_seed={self.initial_seed()})"

    def manual_seed(self, seed):
        """Start the stream of `seed`, an integer from -2⁶³ to 2⁶⁴-1 (a negative one counts from 2⁶⁴); returns self.

        Only the lowest 32 bits choose the stream, as in PyTorch.

        >>> Generator().manual_seed(-1).initial_seed() == 2**64 - 1
        True
        """
        try:
            seed = operator.index(seed)
        except TypeError:
            raise TypeError(f"manual_seed: seed must be an integer, got {seed!r}") from None
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be from -2**63 to 2**64 - 1, got {seed}")
        # RandomState's seeding is init_genrand, and frozen; MT19937(seed) would hash the seed first.
        fresh = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
        with self._lock:
            self._seed = seed % 2**64
            self._engine.state = fresh
            self._spare = None  # the second normal of a pair, kept for the next call
        return self

    def seed(self):
        """Start a stream nobody can predict, and return its seed.

        >>> generator = Generator()
        >>> generator.seed() == generator.initial_seed()
        True
        """
        self.manual_seed(secrets.randbits(53))  # 53 bits: the number survives a float64
        return self._seed

    def initial_seed(self):
        """The seed the stream was started with.

        >>> Generator().initial_seed()
        67280421310721
        """
        return self._seed

    def get_state(self):
        """Where the stream stands: a uint8 Tensor for `set_state`, which `minidl.save` takes. The format is minidl's own.

        >>> generator = Generator()
        >>> state, first = generator.get_state(), generator.rand(3)
        >>> _ = generator.set_state(state)
        >>> bool((generator.rand(3) == first).all())
        True
        """
        return _state_of(self._state_array())

    def _state_array(self):
        with self._lock:
            engine, spare = self._engine.state["state"], self._spare
            fields = (self._seed, engine["key"], engine["pos"], spare is not None, 0.0 if spare is None else spare)
        return np.array([fields], _STATE).view(np.uint8)

    def set_state(self, state):
        """Go on from where `get_state` was called, on this or another generator; returns self.

        TypeError or ValueError for what get_state has not given.

        >>> one, other = Generator().manual_seed(1), Generator()
        >>> other.set_state(one.get_state()).initial_seed()
        1
        """
        given, state = state, state.array if hasattr(state, "array") and hasattr(state, "node") else state
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            what = f"{type(given).__name__} of {state.dtype}" if isinstance(state, np.ndarray) else type(given).__name__
            raise TypeError(f"set_state: expected the uint8 Tensor of get_state, got {what}")
        if state.shape != (_STATE.itemsize,):
            raise ValueError(f"set_state: expected the shape {(_STATE.itemsize,)} of get_state, got {state.shape}")
        fields = np.ascontiguousarray(state).view(_STATE)[0]
        if fields["position"] > 624:
            raise ValueError(f"set_state: not a state of get_state, its position is {fields['position']} of 624")
        with self._lock:
            self._seed = int(fields["seed"])
            engine = {"key": fields["key"].astype(np.uint32), "pos": int(fields["position"])}
            self._engine.state = {"bit_generator": "MT19937", "state": engine}
            self._spare = float(fields["spare"]) if fields["has_spare"] else None
        return self

    def mark(self):
        """Where the stream stands, for `go_back`: get_state without checks, in a hundredth of its time.

        >>> generator = Generator()
        >>> mark, first = generator.mark(), generator.rand(3)
        >>> generator.go_back(mark)
        >>> bool((generator.rand(3) == first).all())
        True
        """
        with self._lock:
            return self._words.copy(), self._seed, self._spare

    def go_back(self, mark):
        """Go on from where `mark` was called."""
        with self._lock:
            self._words[...], self._seed, self._spare = mark

    def __getstate__(self):  # a lock cannot be pickled
        return {"state": self._state_array()}

    def __setstate__(self, saved):
        self.__init__()
        self.set_state(saved["state"])

    def rand(self, shape, dtype=np.float32):
        """Uniform on [0, 1), every value a multiple of 2⁻²⁴ (float32) or 2⁻⁵³ (float64).

        >>> print(Generator().manual_seed(0).rand(3))
        [0.4962566  0.7682218  0.08847743]
        """
        dtype = _checked_dtype("rand", dtype, _FLOATS)
        if _recorded():
            shape = _checked_shape("rand", shape)
            return self.with_words(lambda words: twister.uniform(words, shape, dtype))
        return self._filled(_checked_shape("rand", shape), dtype, lambda count: self._uniform(count, dtype))

    def uniform(self, shape, dtype=np.float32, low=0.0, high=1.0):
        """Uniform on [low, high): `Tensor.uniform_`.

        >>> print(Generator().manual_seed(0).uniform(3, low=-1, high=1))
        [-0.00748682  0.5364436  -0.82304513]
        """
        shape, dtype = _checked_shape("uniform", shape), _checked_dtype("uniform", dtype, _FLOATS)
        low, high = _checked_number("uniform", "low", low), _checked_number("uniform", "high", high)
        if not low <= high or high - low > _LARGEST[dtype]:
            raise ValueError(f"uniform: expected low <= high and a finite range, got low={low}, high={high}")
        low, high = dtype.type(low), dtype.type(high)

        def draw(count):
            values = _fma(self._uniform(count, dtype), high - low, low)
            values[values == high] = low  # rounding may reach the open end
            return values

        return self._filled(shape, dtype, draw)

    def normal(self, shape, dtype=np.float32, mean=0.0, std=1.0, one_by_one=False):
        """Normal with the given mean and standard deviation: `torch.randn`, `Tensor.normal_`.

        Fewer than 16 numbers are made in float64, a pair at a time, the second of a pair being kept for the next such
        call. From 16 on, each block of 16 uniforms gives 16 normals; a last block that would be incomplete is drawn
        anew over the last 16 places. one_by_one: by pairs in any case, as PyTorch fills memory that is not contiguous.

        >>> print(Generator().manual_seed(0).normal(3))
        [ 1.5409961 -0.2934289 -2.1787894]
        """
        shape, dtype = _checked_shape("normal", shape), _checked_dtype("normal", dtype, _FLOATS)
        mean, std = _checked_number("normal", "mean", mean), _checked_number("normal", "std", std)
        if not 0 <= std < math.inf or not math.isfinite(mean):
            raise ValueError(f"normal: expected a finite mean and a finite std >= 0, got mean={mean}, std={std}")
        count = math.prod(shape)
        if max(abs(mean), std) > _LARGEST[dtype]:
            raise ValueError(f"normal: mean={mean} and std={std} do not fit in {dtype}")
        if count < 16 or one_by_one:
            with self._lock:
                values = self._normals_by_pairs(count)
            with np.errstate(over="ignore"):
                return _fma(values, std, mean).astype(dtype).reshape(shape)

        def fill(piece):
            if dtype == np.float32:
                kernels.box_muller(self._words32(piece.size), mean, std, piece)
            else:
                piece[:] = _fma(_box_muller(self._uniform(piece.size, dtype)), std, mean)

        values, extra = np.empty(count, dtype), count % 16
        with self._lock:
            for start in range(0, count - extra, _PIECE):
                fill(values[start : min(start + _PIECE, count - extra)])
            if extra:
                self._words32(extra * dtype.itemsize // 4)  # the incomplete block's uniforms, unused
                fill(values[-16:])
        return values.reshape(shape)

    def randint(self, low, high, shape, dtype=np.int64, name="randint"):
        """Integers from low to high - 1: `torch.randint`. A word modulo the range, or two words from a range of 2²⁸ on.

        >>> Generator().manual_seed(0).randint(0, 10, (5,)).tolist()
        [4, 9, 3, 0, 3]
        """
        shape, dtype = _checked_shape(name, shape), _checked_dtype(name, dtype, _INTEGERS + _FLOATS)
        try:
            low, high = operator.index(low), operator.index(high)
        except TypeError:
            raise TypeError(f"{name}: low and high must be integers, got low={low!r}, high={high!r}") from None
        if low >= high:
            raise ValueError(f"{name}: expected low < high, got low={low}, high={high}")
        smallest, largest = _integer_range(dtype)
        if low < smallest or high - 1 > largest:
            raise ValueError(f"{name}: {dtype} holds {smallest} to {largest}, not low={low} to high={high} - 1")
        span = high - low
        if _recorded() and dtype == np.int64 and max(span, abs(low)) <= 2**62:
            return self.with_words(lambda words: twister.integers(words, shape, low, span, span >= 2**28))
        return self._integers(low, span, shape, dtype, self._words32 if span < 2**28 else self._words64)

    def integers(self, shape, dtype=np.int64):
        """Integers from 0 to the largest that the dtype holds, for floats without a gap: `Tensor.random_`.

        >>> Generator().manual_seed(0).integers(4, np.uint8).tolist()
        [172, 47, 117, 192]
        """
        shape, dtype = _checked_shape("random_", shape), _checked_dtype("random_", dtype, _INTEGERS + _FLOATS)
        words = self._words32 if dtype.itemsize < 8 else self._words64
        return self._integers(0, _integer_range(dtype)[1] + 1, shape, dtype, words)

    def _integers(self, low, span, shape, dtype, words):
        def draw(count):
            values = words(count)
            if span < 2**64:
                values %= np.uint64(span)
            values += np.uint64(low % 2**64)  # two's complement: the sum wraps to the right negative number
            return values.view(np.int64)

        return self._filled(shape, dtype, draw)

    def randperm(self, n, dtype=np.int64):
        """A random order of 0, …, n-1: `torch.randperm`.

        >>> Generator().manual_seed(0).randperm(4).tolist()
        [0, 1, 3, 2]
        """
        dtype = _checked_dtype("randperm", dtype, _INTEGERS + _FLOATS)
        (n,) = _checked_shape("randperm", (n,))
        if n - 1 > _integer_range(dtype)[1]:
            raise ValueError(f"randperm: {dtype} cannot hold n - 1 = {n - 1}")
        if n >= (2**32 - 1) // 20:  # PyTorch shuffles in another way from here on
            raise ValueError(f"randperm: n must be below {(2**32 - 1) // 20}, got {n}")
        with self._lock:
            words = self._words32(max(n - 1, 0))
        partners = np.arange(n - 1) + (words % np.arange(n, 1, -1, np.uint64)).view(np.int64)
        order = list(range(n))  # swapping list items is several times faster than swapping array items
        for i, j in enumerate(partners.tolist()):
            order[i], order[j] = order[j], order[i]
        return np.array(order, dtype)

    def bernoulli(self, shape, p, dtype=np.float32):
        """Ones with probability p, else zeros.

        A number p is compared with float64 uniforms (`Tensor.bernoulli_`, dropout), an array p, broadcast to `shape`,
        with uniforms of its own dtype (`torch.bernoulli`).

        >>> Generator().manual_seed(0).bernoulli(5, 0.5).tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0]
        """
        shape, dtype = _checked_shape("bernoulli", shape), _checked_dtype("bernoulli", dtype, _INTEGERS + _FLOATS)
        if isinstance(p, np.ndarray):
            _checked_dtype("bernoulli", p.dtype, _FLOATS)
            if not ((p >= 0) & (p <= 1)).all():
                raise ValueError(f"bernoulli: every p must lie in [0, 1], got p from {p.min()} to {p.max()}")
            try:
                p = np.broadcast_to(p, shape)
            except ValueError:
                raise ValueError(f"bernoulli: p of shape {p.shape} does not broadcast to {shape}") from None
            return (self.rand(shape, p.dtype) < p).astype(dtype)
        p = _checked_number("bernoulli", "p", p)
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli: p must lie in [0, 1], got {p}")
        # k·2⁻⁵³ < p exactly when k < ⌈p·2⁵³⌉, and the product is exact: no need to make the uniforms.
        if _recorded() and dtype in _FLOATS:
            return self.with_words(lambda words: twister.bernoulli(words, shape, p, 1.0, dtype))
        limit = np.uint64(math.ceil(p * 2**53))
        return self._filled(shape, dtype, lambda count: (self._words64(count) & np.uint64(_BITS53)) < limit)

    def exponential(self, shape, dtype=np.float32, lambd=1.0):
        """Exponential with rate lambd, so of mean 1/lambd: `Tensor.exponential_`.

        >>> print(Generator().manual_seed(0).exponential(3))
        [3.5083263 1.2303847 0.6150441]
        """
        shape, dtype = _checked_shape("exponential", shape), _checked_dtype("exponential", dtype, _FLOATS)
        lambd = _checked_number("exponential", "lambd", lambd)
        if not 0 < lambd < math.inf:
            raise ValueError(f"exponential: lambd must be positive and finite, got {lambd}")
        # 1-u is uniform too, and log1p loses no digits of a small u. Divided first, as PyTorch does.
        scale = -1.0 / lambd
        return self._filled(shape, dtype, lambda count: scale * np.log1p(-self._uniform(count, _FLOATS[1])))

    def multinomial(self, weights, num_samples, replacement=False):
        """Indices drawn with probabilities proportional to `weights`, shape (C,) or (N, C): `torch.multinomial`.

        Returns int64 of shape (num_samples,) or (N, num_samples). With replacement, a uniform is looked up among the
        cumulative sums. Without (and for a single one), the categories race: each finishes at an Exp(1) time divided by its
        weight, and the first num_samples are taken (a time below t has rate w, so i is the first with probability wᵢ/Σw).

        >>> Generator().manual_seed(0).multinomial(np.array([0.0, 3.0, 1.0]), 4, replacement=True).tolist()
        [2, 1, 1, 2]
        """
        weights = np.asarray(weights)
        if not isinstance(replacement, bool):
            raise TypeError(f"multinomial: replacement must be True or False, got {replacement!r}")
        (num_samples,) = _checked_shape("multinomial", (num_samples,))
        _checked_dtype("multinomial", weights.dtype, _FLOATS)
        if weights.ndim not in (1, 2):
            raise ValueError(f"multinomial: weights must have shape (C,) or (N, C), got {weights.shape}")
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(f"multinomial: weights must be finite and not negative, got {weights}")
        rows = np.atleast_2d(weights)
        positive = int((rows > 0).sum(1).min(initial=rows.shape[1]))
        if num_samples < 1 or positive < (1 if replacement else num_samples):
            raise ValueError(
                f"multinomial: cannot draw num_samples={num_samples} from {positive} positive weights, "
                f"{'with' if replacement else 'without'} replacement"
            )
        if replacement and num_samples > 1:
            uniforms = self.rand((len(rows), num_samples), np.float64)
            sums = np.cumsum(rows, axis=1, dtype=rows.dtype)
            sums /= sums[:, -1:]
            picked = [np.searchsorted(row.astype(np.float64), u) for row, u in zip(sums, uniforms, strict=True)]
            picked = np.array(picked, np.int64).reshape(uniforms.shape)
        else:
            with np.errstate(all="ignore"):  # a time may be 0, and the quotient overflow
                times = like(rows, lambda shape: self.exponential(shape, rows.dtype))
                speed = np.where(rows > 0, rows / times, -1)
            picked = np.argsort(-speed, axis=1, kind="stable")[:, :num_samples]
        return picked.reshape((*weights.shape[:-1], num_samples))

    def with_words(self, draw):
        """draw(words): for a kernel that draws by itself. `words` is the engine's memory, 624 words and how many are used."""
        with self._lock:
            return draw(self._words)

    # What follows is called with the lock held.

    def _words32(self, count):
        if _recorded():
            return twister.raw_words(self._words, count)
        return self._engine.random_raw(count)

    def _words64(self, count):
        words = self._engine.random_raw(2 * count)
        return words[::2] << np.uint64(32) | words[1::2]

    def _uniform(self, count, dtype):
        if dtype == np.float64:
            return (self._words64(count) & np.uint64(_BITS53)).view(np.int64) * 2.0**-53
        words = self._words32(count)
        words &= _BITS24
        values = words.astype(np.float32)
        values *= _UNIT
        return values

    def _normals_by_pairs(self, count):
        if not count:
            return np.empty(0)
        values = [] if self._spare is None else [self._spare]
        words = iter(self._engine.random_raw((count - len(values) + 1) // 2 * 4).tolist())
        for a, b, c, d in zip(words, words, words, words, strict=True):  # as `_uniform`, which takes longer for so few
            u, v = ((a << 32 | b) & _BITS53) * 2.0**-53, ((c << 32 | d) & _BITS53) * 2.0**-53
            radius, angle = math.sqrt(-2 * math.log1p(-v)), 2 * math.pi * u
            values += radius * math.cos(angle), radius * math.sin(angle)
        self._spare = values.pop() if len(values) > count else None
        return np.array(values)

    def _fill(self, flat, draw):
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE]
            piece[:] = draw(piece.size)

    def _filled(self, shape, dtype, draw):  # takes the lock itself
        values = np.empty(shape, dtype)
        with self._lock:
            self._fill(values.reshape(-1), draw)
        return values


def _recorded():
    """Whether a step is recorded: then kernels draw the same numbers, which a replay makes again without Python."""
    return jit.recorder is not None


def _words_of(engine):
    """The memory of a Mersenne Twister of NumPy's as an array: 624 words, and the number of those that are used up.

    The array is of no use without the engine, which a Generator keeps as long as itself.
    """
    memory = (ctypes.c_uint32 * 625).from_address(engine.ctypes.state_address)
    return np.frombuffer(memory, np.uint32)


def _box_muller(uniforms):
    """Blocks of 16 uniforms to blocks of 16 normals: (u, v) → √(-2 ln(1-u)) · (cos 2πv, sin 2πv). In float64."""
    blocks = uniforms.reshape(-1, 2, 8)
    radius, angle = np.sqrt(-2 * np.log(1 - blocks[:, 0])), 2 * math.pi * blocks[:, 1]  # 1-u is never 0
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


def _fma(a, b, c):
    """a·b + c rounded once, as the processor's fused multiply-add gives it; a is an array, b and c may be numbers."""
    if a.dtype == np.float32:
        wide = a.astype(np.float64)  # holds a product of two float32 exactly
        wide *= np.asarray(b, np.float32)
        wide += np.asarray(c, np.float32)
        return wide.astype(np.float32)
    if isinstance(b, float) and b == 1:  # one rounding as it is
        return a + c
    if isinstance(b, float) and max(abs(b), abs(c)) > 2.0**990:  # the halves of such numbers would be infinite
        with np.errstate(over="ignore"):
            return _fma(a, b * 2.0**-64, c * 2.0**-64) * 2.0**64
    # float64 has no wider type everywhere: recover what the product and the sum lose (Dekker, Knuth) and add it back.
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    lost = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    total = product + c
    back = total - product
    return total + (((product - (total - back)) + (c - back)) + lost)


def _halves(x):
    """x = high + low, each of at most 26 bits, so that products of halves are exact."""
    shifted = x * (2.0**27 + 1)
    high = shifted - (shifted - x)
    return high, x - high


def _checked_shape(name, shape):
    if type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape):
        return shape
    try:
        sizes = tuple(map(operator.index, shape)) if isinstance(shape, (tuple, list)) else (operator.index(shape),)
    except TypeError:
        raise TypeError(f"{name}: expected an integer or a tuple of integers as shape, got {shape!r}") from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"{name}: sizes must not be negative, got {shape}")
    return sizes


def _checked_number(name, what, x):
    if type(x) is float:
        return x
    if not isinstance(x, (str, bytes, np.complexfloating)):  # float() would read the text, and warn of the imaginary part
        with contextlib.suppress(TypeError):
            return float(x)
    raise TypeError(f"{name}: {what} must be a number, got {x!r}")


def _checked_dtype(name, dtype, allowed):
    if isinstance(dtype, np.dtype) and dtype in allowed:
        return dtype
    if dtype is not None:  # for NumPy, None means float64
        with contextlib.suppress(TypeError):
            if (checked := np.dtype(dtype)) in allowed:
                return checked
    raise TypeError(f"{name}: dtype must be one of {', '.join(map(str, allowed))}, got {dtype!r}")


def _integer_range(dtype):
    """The integers from … to … that dtype holds without a gap."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        largest = 2 ** (np.finfo(dtype).nmant + 1)
        return -largest, largest
    return np.iinfo(dtype).min, np.iinfo(dtype).max


_generators = weakref.WeakSet()


def _renew_locks():
    # A thread of the parent may have held a lock at the fork; in the child nobody is left to release it.
    for generator in _generators:
        generator._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)

default_generator = Generator()


def source(generator):
    """The generator that was asked for; the default one for None.

    >>> source(None) is default_generator
    True
    """
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"generator: expected a minidl.Generator or None, got {type(generator).__name__}")
    return generator


def like(array, draw):
    """draw(shape), of the array's shape, with the numbers in the order of its memory, in which PyTorch fills a tensor.

    >>> like(np.zeros((2, 3)).T, lambda shape: np.arange(6).reshape(shape)).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    if array.flags.c_contiguous:
        return draw(array.shape)
    order = _memory_order(array)
    return draw(tuple(array.shape[axis] for axis in order)).transpose(np.argsort(order))


def _memory_order(array):
    """The axes, those first whose elements are farthest apart. Repeated axes (of stride 0) stay where they are."""
    order, apart = list(reversed(range(array.ndim))), np.abs(array.strides)
    for i in range(1, array.ndim):
        place = i
        for other in reversed(range(i)):
            one, two = apart[order[other]], apart[order[place]]
            if one and two and one < two:
                break
            if one and two and one > two:
                order[other], order[place] = order[place], order[other]
                place = other
    return order[::-1]


def normal_like(array, generator, dtype, mean=0.0, std=1.0):
    """Normal numbers for an array of this shape and order in memory, drawn one by one unless it is contiguous."""
    one_by_one = not array.flags.c_contiguous
    return like(array, lambda shape: generator.normal(shape, dtype, mean, std, one_by_one))


def manual_seed(seed: int):
    """Seed the default generator and return it.

    >>> manual_seed(0) is default_generator
    True
    """
    return default_generator.manual_seed(seed)


def seed():
    """Seed the default generator unpredictably and return the seed.

    >>> seed() == initial_seed()
    True
    """
    return default_generator.seed()


def initial_seed():
    """The seed of the default generator.

    >>> _ = manual_seed(7)
    >>> initial_seed()
    7
    """
    return default_generator.initial_seed()


def get_rng_state():
    """Where the default generator stands: a uint8 Tensor for `set_rng_state`, which `minidl.save` takes.

    >>> get_rng_state().dtype
    dtype('uint8')
    """
    return default_generator.get_state()


def set_rng_state(state):
    """Take the default generator back to where `get_rng_state` was called. TypeError or ValueError for what it has not given.

    >>> state, first = get_rng_state(), default_generator.rand(3)
    >>> set_rng_state(state)
    >>> bool((default_generator.rand(3) == first).all())
    True
    """
    default_generator.set_state(state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True):
    """Inside the block the default generator may do anything; afterwards it stands where it stood before.

    >>> _ = manual_seed(0)
    >>> with fork_rng():
    ...     inside = default_generator.rand(3)
    >>> bool((default_generator.rand(3) == inside).all())
    True
    """
    if devices:
        raise ValueError(f"fork_rng: minidl computes on the CPU, so there are no other devices, got devices={devices!r}")
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
