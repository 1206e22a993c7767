"""L-BFGS: Newton's method with what a few steps have told of the curvature, in the place of the Hessian."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..graph.modes import enable_grad
from ..graph.writes import note_write
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .optimizer import Optimizer, check_at_least_zero

_NUMBERS = "func_evals", "n_iter", "t", "H_diag", "prev_loss"
_VECTORS = "d", "prev_flat_grad"
_LISTS = "old_dirs", "old_stps"


class LBFGS(Optimizer):
    """x ← x + t·d with d = −H·∇f, where H is made of the last history_size steps s = Δx and changes y = Δ∇f of the gradient:

        H is the one that satisfies H·y = s for the newest pair, with least change from what the older ones gave
        (Nocedal, 1980; two loops over the pairs, no matrix), beginning with H = (s·y)/(y·y)·I

    step(closure) makes up to max_iter such steps; closure computes the loss anew, calls backward and returns the loss. Without
    a line search t = lr. line_search_fn="strong_wolfe" looks for a t where the loss has fallen enough and its slope is flat
    enough (Nocedal & Wright, algorithms 3.5 and 3.6), with at most max_eval (1.25·max_iter) calls of closure. It stops earlier
    where the largest element of the gradient is at most tolerance_grad, or a step or the loss changes by less than
    tolerance_change.

    All parameters form one vector: one group only. The state stands at the first parameter.

    >>> import minidl
    >>> x = minidl.tensor([-1.0, 2.0], dtype=minidl.float64, requires_grad=True)
    >>> optimizer = LBFGS([x], line_search_fn="strong_wolfe", max_iter=50)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()  # the loss at the start
    104.0
    >>> x
    tensor([1.0000, 1.0000], dtype=minidl.float64, requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr: float = 1,
        max_iter=20,
        max_eval=None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        if max_eval is None and isinstance(max_iter, int):
            max_eval = max_iter * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group):
        """The one group that there is; a second one is refused."""
        if self.param_groups:
            raise ValueError("LBFGS: expected one group of parameters, got a second one; all form one vector")
        super().add_param_group(param_group)

    def check_options(self, group):
        super().check_options(group)
        check_at_least_zero("LBFGS", group, "lr", "tolerance_grad", "tolerance_change")
        for option in ("max_iter", "max_eval", "history_size"):
            value = group[option]
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ValueError(f"LBFGS: {option} must be an integer of 1 or more, got {value!r}")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f'LBFGS: line_search_fn must be None or "strong_wolfe", got {group["line_search_fn"]!r}')

    def step(self, closure):
        """Up to max_iter steps; returns the loss that closure computed first."""
        if not callable(closure):
            raise TypeError(f"LBFGS.step: expected a function that computes the loss and its gradients, got {closure!r}")
        group = self.param_groups[0]
        self.check_options(group)
        lr, change = float(group["lr"]), float(group["tolerance_change"])
        state = self.state[group["params"][0]]
        memory = _Memory(state, int(group["history_size"]))

        def evaluate():
            with enable_grad():
                loss = closure()
            memory.evaluations += 1
            if loss is None:
                raise TypeError("LBFGS.step: the closure returned None; let it return the loss")
            return loss, float(loss), self._gradient()

        first, loss, gradient = evaluate()
        evaluations, steps = 1, 0
        while _largest(gradient) > float(group["tolerance_grad"]) and steps < group["max_iter"]:
            steps += 1
            direction = memory.direction(gradient)
            begin = memory.begin(gradient, loss)
            t = lr * min(1.0, 1 / float(np.abs(gradient).sum())) if begin else lr
            slope = float(gradient @ direction)
            if slope > -change:
                memory.step = t
                break
            before = loss
            if group["line_search_fn"]:
                start, calls = self._parameters(), memory.evaluations

                def along(t, start=start, direction=direction):
                    self._set(start, t, direction)
                    _, loss, gradient = evaluate()
                    return _Point(t, loss, gradient, float(gradient @ direction))

                here = _Point(0.0, loss, gradient, slope)
                point = strong_wolfe(along, here, t, direction, change, group["max_eval"] - evaluations)
                t, loss, gradient = point.t, point.loss, point.gradient
                self._set(start, t, direction)
                evaluations += memory.evaluations - calls
            else:
                self._set(self._parameters(), t, direction)
                if steps < group["max_iter"]:  # after the last step nobody asks for the gradient
                    _, loss, gradient = evaluate()
                    evaluations += 1
            memory.step = t
            far = _largest(direction * gradient.dtype.type(t))
            if evaluations >= group["max_eval"] or far <= change or abs(loss - before) < change:
                break
        memory.write(state)
        return first

    def _gradient(self):
        parts = []
        for p in self.param_groups[0]["params"]:
            parts.append(np.zeros(p.numel(), p.dtype) if p.grad is None else p.grad.array.ravel())
        return np.concatenate(parts)

    def _parameters(self):
        return [p.array.copy() for p in self.param_groups[0]["params"]]

    def _set(self, start, t, direction):
        """parameters = start + t·direction"""
        at = 0
        for p, begin in zip(self.param_groups[0]["params"], start, strict=True):
            part = direction[at : at + begin.size].reshape(begin.shape)
            p.array[...] = begin + part * begin.dtype.type(t)
            note_write(p.array)
            at += begin.size

    def load_state_dict(self, state_dict):
        """As Optimizer has it; the state holds vectors of all parameters together."""
        saved = state_dict.get("state") if isinstance(state_dict, Mapping) else None
        if not isinstance(saved, Mapping):
            return super().load_state_dict(state_dict)  # raises, with a full message
        total = sum(p.numel() for p in self.param_groups[0]["params"])
        states = {number: _loaded(values, total, self.param_groups[0]["params"][0].dtype) for number, values in saved.items()}
        super().load_state_dict({**state_dict, "state": {}})
        if states:
            self.state[self.param_groups[0]["params"][0]] = next(iter(states.values()))


def _largest(x):
    return float(np.abs(x).max()) if x.size else 0.0


class _Memory:
    """The last steps and changes of the gradient, between the state of the optimizer and the loop."""

    def __init__(self, state, size):
        self.size, self.evaluations, self.iterations = size, state.get("func_evals", 0), state.get("n_iter", 0)
        self.d, self.gradient = (state[key].array if key in state else None for key in _VECTORS)
        self.step, self.scale, self.loss = state.get("t"), state.get("H_diag", 1.0), state.get("prev_loss")
        self.changes, self.steps = ([x.array for x in state.get(key, ())] for key in _LISTS)
        self.inverses = list(state.get("ro", ()))

    def direction(self, gradient):
        """−H·gradient, after the newest step has been added to H."""
        self.iterations += 1
        if self.iterations == 1 or self.gradient is None:
            self.d = -gradient
            return self.d
        y, s = gradient - self.gradient, self.d * gradient.dtype.type(self.step)
        curvature = float(y @ s)
        if curvature > 1e-10:  # or H would not be positive definite, and d not point downwards
            if len(self.changes) == self.size:
                del self.changes[0], self.steps[0], self.inverses[0]
            self.changes.append(y)
            self.steps.append(s)
            self.inverses.append(1 / curvature)
            self.scale = curvature / float(y @ y)
        pairs = list(zip(self.changes, self.steps, self.inverses, strict=True))
        d, weights = -gradient, []
        for y, s, inverse in reversed(pairs):
            weights.append(float(s @ d) * inverse)
            d -= y * d.dtype.type(weights[-1])
        d *= d.dtype.type(self.scale)
        for (y, s, inverse), weight in zip(pairs, reversed(weights), strict=True):
            d += s * d.dtype.type(weight - float(y @ d) * inverse)
        self.d = d
        return d

    def begin(self, gradient, loss):
        """Notes where a step begins; True before the first one."""
        self.gradient, self.loss = gradient.copy(), loss
        return self.iterations == 1

    def write(self, state):
        state.update(func_evals=self.evaluations, n_iter=self.iterations)
        if self.d is not None:
            vectors = {
                "d": wrap(self.d),
                "old_dirs": [wrap(y) for y in self.changes],
                "old_stps": [wrap(s) for s in self.steps],
            }
            state.update(vectors, t=self.step, ro=self.inverses, H_diag=self.scale)
            state.update(prev_flat_grad=wrap(self.gradient), prev_loss=self.loss)


def _loaded(values, total, dtype):
    """A copy of a saved state whose vectors have `total` elements, of numbers and tensors, PyTorch's too."""

    def vector(key, x):
        array = x.array if isinstance(x, Tensor) else np.asarray(x.detach() if hasattr(x, "detach") else x)
        if array.shape != (total,) or array.dtype.kind not in "fiub":
            raise ValueError(f"load_state_dict: {key} of LBFGS must have {total} numbers, got shape {array.shape}")
        return wrap(array.astype(dtype))

    if not isinstance(values, Mapping):
        raise TypeError(f"load_state_dict: expected a dict of what LBFGS remembers, got {type(values).__name__}")
    for key in (*_LISTS, "ro"):
        if not isinstance(values.get(key, []), (list, tuple)):
            raise TypeError(f"load_state_dict: {key} of LBFGS must be a list, got {type(values[key]).__name__}")
    own = {key: values[key] for key in _NUMBERS if key in values}
    own = {key: x if isinstance(x, (int, float)) else float(x) for key, x in own.items() if x is not None}
    own |= {key: vector(key, values[key]) for key in _VECTORS if values.get(key) is not None}
    own |= {key: [vector(key, x) for x in values[key]] for key in _LISTS if key in values}
    own["ro"] = [float(x) for x in values.get("ro", ())]
    if not len(own.get("old_dirs", ())) == len(own.get("old_stps", ())) == len(own["ro"]):
        raise ValueError("load_state_dict: old_dirs, old_stps and ro of LBFGS must have the same length")
    return own


# ----------------------------------------------------------------------------------------------------- the line search


@dataclass
class _Point:
    """What is known at x + t·d: the loss, its gradient, and its slope along d."""

    t: float
    loss: float
    gradient: np.ndarray
    slope: float


def strong_wolfe(along, start, t, direction, tolerance_change, calls, fall=1e-4, flat=0.9):
    """A point with loss ≤ start + fall·t·slope and |slope| ≤ flat·|slope at the start|, or the lowest one that was found.

    along(t) evaluates the loss; it is called at most `calls` times after the first.

    >>> along = lambda t: _Point(t, (t - 1) ** 2, np.zeros(1), 2 * (t - 1))
    >>> strong_wolfe(along, along(0.0), 0.1, np.ones(1), 1e-9, 25).t
    0.1
    """
    size, number = _largest(direction), 0
    before, new = start, along(t)

    def high(point, lowest):
        return point.loss > start.loss + fall * point.t * start.slope or point.loss >= lowest

    def is_flat(point):
        return abs(point.slope) <= -flat * start.slope

    bracket = [start, new]
    while number < calls:  # go on until the minimum along d lies between two points
        if high(new, before.loss if number > 1 else math.inf):
            bracket = [before, new]
            break
        if is_flat(new):
            return new
        if new.slope >= 0:
            bracket = [before, new]
            break
        t = cubic_minimum(before, new, new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new = new, along(t)
        number += 1
        bracket = [start, new]

    slow = False
    while number < calls:  # and narrow it
        low, other = sorted(bracket, key=lambda point: point.loss)
        left, right = sorted(point.t for point in bracket)
        if (right - left) * size < tolerance_change:
            break
        t = cubic_minimum(*bracket, left, right)
        edge = 0.1 * (right - left)
        if min(right - t, t - left) < edge:  # so near to an end that little would be gained
            if slow or t >= right or t <= left:
                t, slow = (right - edge if abs(t - right) < abs(t - left) else left + edge), False
            else:
                slow = True
        else:
            slow = False
        new = along(t)
        number += 1
        if high(new, low.loss):
            bracket = [low, new]
            continue
        if is_flat(new):
            return new
        bracket = [new, low if new.slope * (other.t - low.t) >= 0 else other]
    return min(bracket, key=lambda point: point.loss)


def cubic_minimum(a, b, least, most):
    """Where the cubic with the losses and slopes at two points has its minimum, within bounds; their middle if it has none.

    >>> left, right = _Point(0.0, 1.0, None, -2.0), _Point(2.0, 1.0, None, 2.0)
    >>> cubic_minimum(left, right, 0.0, 2.0)
    1.0
    """
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    d2 = math.sqrt(square)
    x, y = (a, b) if a.t <= b.t else (b, a)
    below = y.slope - x.slope + 2 * d2
    t = y.t - (y.t - x.t) * ((y.slope + d2 - d1) / below) if below else math.nan
    return min(max(t, least), most) if t == t else (least + most) / 2
