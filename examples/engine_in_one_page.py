"""Backpropagation in one page: Tensor, ten operations, the walk back, a check of gradients, and a network that learns.

It needs NumPy only. Every part has the name that it has in minidl, and says which file holds the full version. Target: the
network tells the points of two spirals apart, 99 % of them (it prints how many, and a map). A second or two.
"""

import argparse
from itertools import count, pairwise

import numpy as np

# fmt: off
# For any array v, dv is ∂L/∂v, the gradient of the number L at the end, and has v's shape.
next_serial = count(1).__next__  # minidl/graph/nodes.py: each operation's place in the order of creation

class Op:  # minidl/ops/base.py: an operation, and once it has run a node of the graph
    needs, inputs, y, serial = (), (), np.zeros(()), 0  # needs: the nodes of its inputs; None for one that wants no gradient
    def backward(self, dy, y, *inputs): raise NotImplementedError

class Leaf:  # minidl/graph/nodes.py: where the graph ends, at a tensor whose gradient is wanted
    def __init__(self, tensor):
        self.tensor, self.shape = tensor, tensor.array.shape

# backward(dy, y, inputs) says what reaches each input: dy times how it moves y. minidl/ops/arithmetic.py, minidl/ops/matmul.py
class Add(Op):
    def forward(self, a, b): return a + b
    def backward(self, dy, y, a, b): return dy, dy
class Sub(Op):
    def forward(self, a, b): return a - b
    def backward(self, dy, y, a, b): return dy, -dy
class Mul(Op):
    def forward(self, a, b): return a * b
    def backward(self, dy, y, a, b): return dy * b, dy * a
class Div(Op):
    def forward(self, a, b): return a / b
    def backward(self, dy, y, a, b): return dy / b, -dy * y / b
class MatMul(Op):  # of two matrices
    def forward(self, a, b): return a @ b
    def backward(self, dy, y, a, b): return dy @ b.T, a.T @ dy
class Exp(Op):  # minidl/ops/elementwise.py, minidl/ops/activation.py, minidl/ops/reduce.py
    def forward(self, x): return np.exp(x)
    def backward(self, dy, y, x): return (dy * y,)
class Log(Op):
    def forward(self, x): return np.log(x)
    def backward(self, dy, y, x): return (dy / x,)
class Tanh(Op):
    def forward(self, x): return np.tanh(x)
    def backward(self, dy, y, x): return (dy * (1 - y * y),)
class ReLU(Op):
    def forward(self, x): return np.maximum(x, 0)
    def backward(self, dy, y, x): return (dy * (x > 0),)
class Sum(Op):
    def forward(self, x): return x.sum()
    def backward(self, dy, y, x): return (np.broadcast_to(dy, x.shape),)

def apply(op, *inputs):  # minidl/tensors/record.py: runs an operation, and makes it the node of its result
    tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
    op.inputs, op.needs = [x.array for x in tensors], [x.node for x in tensors]
    op.y = np.asarray(op.forward(*op.inputs))
    result = Tensor(op.y)
    if any(op.needs):
        op.serial, op.shape, result.node = next_serial(), op.y.shape, op
    return result

def walk(seed, dy):  # minidl/graph/walk.py: from the newest operation to the oldest, so that each has all of its dy at its turn
    pending = {seed: dy}  # node -> the sum of what has arrived so far
    while operations := [node for node in pending if isinstance(node, Op)]:
        node = max(operations, key=lambda op: op.serial)
        dy = pending.pop(node)
        for parent, dx in zip(node.needs, node.backward(dy, node.y, *node.inputs), strict=True):
            if parent is not None:
                dx = unbroadcast(dx, parent.shape)
                pending[parent] = pending[parent] + dx if parent in pending else dx  # used twice counts twice
    for leaf, dx in pending.items():
        leaf.tensor.grad = dx if leaf.tensor.grad is None else leaf.tensor.grad + dx

def unbroadcast(dx, shape):  # minidl/ops/base.py: an operand that was repeated gets the sum over its copies
    dx = dx.sum(tuple(range(dx.ndim - len(shape))))
    return dx.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

class Tensor:  # minidl/tensors/tensor.py: an array, and the node that made it
    __array_ufunc__ = None  # so that array + tensor asks the tensor
    def __init__(self, data, requires_grad=False):
        self.array, self.grad = np.asarray(data, np.float64), None
        self.node = Leaf(self) if requires_grad else None
    def backward(self): walk(self.node, np.ones_like(self.array))  # minidl/tensors/gradients.py: ∂L/∂L = 1
    def __add__(self, other): return apply(Add(), self, other)
    def __sub__(self, other): return apply(Sub(), self, other)
    def __mul__(self, other): return apply(Mul(), self, other)
    def __truediv__(self, other): return apply(Div(), self, other)
    def __matmul__(self, other): return apply(MatMul(), self, other)
    def exp(self): return apply(Exp(), self)
    def log(self): return apply(Log(), self)
    def tanh(self): return apply(Tanh(), self)
    def relu(self): return apply(ReLU(), self)
    def sum(self): return apply(Sum(), self)

def gradcheck(func, x, eps=1e-6):  # minidl/autograd/gradcheck.py: is ∂y/∂x = (y(x + ε) − y(x − ε)) / 2ε, for each number of x?
    x.grad = None
    func(x).backward()
    numeric = np.empty_like(x.array)
    for i in np.ndindex(x.array.shape):
        kept = x.array[i]
        x.array[i] = kept + eps
        above = func(x).array
        x.array[i] = kept - eps
        numeric[i] = (above - func(x).array) / (2 * eps)
        x.array[i] = kept
    return np.allclose(np.asarray(x.grad), numeric, 1e-6, 1e-6)

class MLP:  # minidl/nn/linear.py: layers x W + b with tanh between them
    def __init__(self, *sizes, seed=0):
        draw = np.random.default_rng(seed).normal
        self.layers = [(Tensor(draw(size=(m, n)) / m**0.5, True), Tensor(np.zeros(n), True)) for m, n in pairwise(sizes)]
    def __call__(self, x):
        for i, (w, b) in enumerate(self.layers):
            x = (x.tanh() if i else x) @ w + b
        return x

def cross_entropy(x, onehot):  # minidl/ops/softmax.py: the mean of ln Σ e^x − x at the label
    rows = (x.exp() @ np.ones((x.array.shape[1], 1))).log()
    return (rows.sum() - (x * onehot).sum()) / len(onehot)

def spirals(n, rng):
    label, t = np.repeat([0, 1], n), np.tile(np.linspace(0.3, 3, n), 2)
    angle = 3 * t + np.pi * label
    return np.stack([t * np.cos(angle), t * np.sin(angle)], 1) + rng.normal(scale=0.05, size=(2 * n, 2)), label

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="for the points and the weights")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    points, label = spirals(100, np.random.default_rng(options.seed))
    net, onehot = MLP(2, 32, 32, 2, seed=options.seed), np.eye(2)[label]
    velocity = {p: np.zeros(()) for layer in net.layers for p in layer}
    for _ in range(20 if options.quick else 1500):  # minidl/optim/sgd.py: steps down the slope, with momentum
        cross_entropy(net(Tensor(points)), onehot).backward()
        for p in velocity:
            velocity[p] = 0.9 * velocity[p] + np.asarray(p.grad)
            p.array, p.grad = p.array - 0.1 * velocity[p], None
    right = (net(Tensor(points)).array.argmax(1) == label).mean()
    grid = np.stack(np.meshgrid(np.linspace(-3.2, 3.2, 64), np.linspace(3.2, -3.2, 32)), -1)
    for row in net(Tensor(grid.reshape(-1, 2))).array.argmax(1).reshape(32, 64):
        print("".join(" #"[side] for side in row))
    print(f"{right:.1%} of the points are on the right side")
    assert options.quick or right >= 0.99, "the target was missed"

if __name__ == "__main__":
    main()
