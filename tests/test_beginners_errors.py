"""Two hundred mistakes of beginners: each error says what was given, what is right, and what to write.

A row is the mistake, the type of the error, and parts that its message must have, the last of which is the remedy.
"""

import re

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn, optim
from minidl.utils import data

DataFrame = type("DataFrame", (), {"__module__": "pandas.core.frame"})  # pandas is no dependency of the tests


class NoSuper(nn.Module):
    def __init__(self):
        self.width = 3


class NoSuperLayer(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(2, 2)


class NoForward(nn.Module):
    pass


class NoLength(data.Dataset):
    def __getitem__(self, i):
        return i


class NoItems(data.Dataset):
    def __len__(self):
        return 3


def backward_twice():
    loss = (leaf() ** 2).sum()
    loss.backward()
    loss.backward()


def step_by_hand():
    w = leaf()
    w -= 0.1


def write_into_a_parameter():
    leaf()[0] = 5.0


def change_what_backward_needs():
    w = leaf()
    y = w.exp()
    y.add_(1)
    y.sum().backward()


def ask_a_tensor_for_its_truth():
    if X:
        pass


def assign_a_plain_tensor():
    layer = nn.Linear(2, 2)
    layer.weight = minidl.ones(2, 2)


def leaf():
    return minidl.ones(3, requires_grad=True)


X, y, img, A = minidl.ones(4, 3), minidl.tensor([0, 1, 2, 1]), minidl.ones(2, 3, 8, 8), np.ones((4, 3), np.float32)
net, loss = nn.Linear(3, 3), nn.MSELoss()
NAMES = {**globals(), "F": F, "optim": optim}  # what the rows may use

MISTAKES = """
# shapes and types into layers
net(minidl.ones(4, 5)) | ValueError | input (4, 5) | weight (3, 3) | expected input[..., 3] | nn.Linear(5, 3)
nn.Linear(192, 10)(img) | ValueError | input (2, 3, 8, 8) | expected input[..., 192] | x.flatten(1)
net(A) | TypeError | linear | got ndarray | minidl.tensor(x)
net(A.tolist()) | TypeError | linear | got list | minidl.tensor(x)
net(DataFrame()) | TypeError | linear | got DataFrame | minidl.tensor(x.to_numpy())
net(nn.LSTM(3, 3)(X)) | TypeError | linear | got tuple | x[0]
net(nn.ReLU()) | TypeError | linear | got ReLU | ReLU(…)(input)
net(nn.ReLU) | TypeError | linear | got type | the class ReLU
net(X.double()) | TypeError | input is float64 | weight float32 | input.to(weight.dtype)
nn.Conv2d(3, 8, 3)(img.permute(0, 2, 3, 1)) | ValueError | expected 3 channels | got 8 | x.permute(0, 3, 1, 2)
nn.Conv2d(1, 8, 3)(img) | ValueError | expected 1 channels on axis 1 | got 3
nn.Conv2d(3, 8, 3)(minidl.ones(8, 8)) | ValueError | (N, C, H, W) | got shape (8, 8) | x.unsqueeze(0)
nn.Conv2d(3, 8, 3)(A) | TypeError | conv2d | got ndarray | minidl.tensor(x)
nn.Conv2d(3, 8, 3)(img.long()) | TypeError | got int64 | .float()
nn.Conv2d(3, 8, 11)(img) | ValueError | kernel of (11, 11) | input (2, 3, 8, 8)
nn.Conv2d(3, 8, 3, groups=2) | ValueError | 3 input and 8 output | groups=2
nn.Conv1d(3, 8, 3)(img) | ValueError | (N, C, L) | got shape (2, 3, 8, 8)
nn.BatchNorm1d(4)(X) | ValueError | (4, 3) | got (4,) | num_features=3
nn.BatchNorm2d(3)(X) | ValueError | BatchNorm2d | got shape (4, 3)
nn.BatchNorm1d(3)(X[:1]) | ValueError | more than 1 value | got an input of shape (1, 3) | eval()
nn.LayerNorm(4)(X) | ValueError | normalized_shape (4,) | input (4, 3)
nn.MaxPool2d(2)(X) | ValueError | (N, C, H, W) | got shape (4, 3)
nn.MaxPool2d(2)(A) | TypeError | max_pool2d | got ndarray | minidl.tensor(x)
nn.Embedding(3, 2)(X) | TypeError | embedding | integers | got float32 | x.long()
nn.Embedding(3, 2)(minidl.tensor([3])) | IndexError | index 3 | expected 0 to 2 | nn.Embedding(n, …)
nn.Embedding(3, 2)([0, 1]) | TypeError | got list | minidl.tensor(x)
nn.LSTM(3, 4)(minidl.ones(2, 5, 6)) | ValueError | (T, N, 3) | got (2, 5, 6)
nn.LSTM(3, 4)(A) | TypeError | LSTM | got ndarray | minidl.tensor(x)
nn.MultiheadAttention(5, 2) | ValueError | embed_dim=5 | num_heads=2
nn.BatchNorm1d(3)(A) | TypeError | batch_norm | got ndarray | minidl.tensor(x)
nn.Dropout()(A) | TypeError | dropout | got ndarray | minidl.tensor(x)
nn.Flatten()(A) | TypeError | Flatten | got ndarray | minidl.tensor(x)
F.relu(A) | TypeError | relu | got ndarray | minidl.tensor(x)
net(None) | TypeError | linear | got NoneType | without `return`
nn.LSTM(3, 4)(minidl.ones(5, 2, 3), minidl.ones(1, 2, 4)) | TypeError | (h_0, c_0) | got Tensor | layer(x, (h_0, c_0))
nn.LSTM(3, 4)(minidl.ones(5, 2, 3), (minidl.ones(2, 4), minidl.ones(2, 4))) | ValueError | got (2, 4) | h_0 of shape (1, 2, 4)
nn.GRU(3, 4)(minidl.ones(5, 2, 3), (minidl.ones(1, 2, 4), minidl.ones(1, 2, 4))) | TypeError | h_0 | got tuple | x[0]
nn.MultiheadAttention(8, 2)(X, X, X) | ValueError | got (4, 3) | (L, N, 8)
F.layer_norm(X, 3) | TypeError | a tuple of sizes | got 3 | (3,)
F.conv2d(img, minidl.ones(8, 2, 3, 3)) | ValueError | (8, 2, 3, 3) | got 3 | expected 2 channels
# making layers
nn.Linear(3.0, 2) | ValueError | in_features must be an integer | got 3.0
nn.Linear(3, 2, activation="relu") | TypeError | no argument 'activation' | in_features, out_features, bias
nn.Linear(3, 2, biases=False) | TypeError | no argument 'biases' | write bias=
nn.Conv2d(3, 8, kernel=3) | TypeError | no argument 'kernel' | write kernel_size=
nn.Linear(X) | TypeError | Linear: a Tensor is no option | layer(input)
nn.ReLU(X) | TypeError | ReLU: a Tensor is no option | layer = nn.ReLU(…), layer(input)
nn.Sigmoid(X) | TypeError | Sigmoid: a Tensor is no option | layer(input)
nn.Softmax(X) | TypeError | Softmax: a Tensor is no option | layer(input)
nn.Softmax() | TypeError | Softmax: give the axis | dim=-1
F.softmax(X) | TypeError | softmax: give the axis | dim=-1
F.log_softmax(X, 1, minidl.float64) | TypeError | third argument | dtype=float64
nn.Dropout(2) | ValueError | p must lie in [0, 1] | got 2
nn.Sequential(nn.ReLU) | TypeError | the class ReLU | write ReLU(…)
nn.Sequential([net, nn.ReLU()]) | TypeError | got list | Sequential(*layers)
nn.Sequential(net, F.relu) | TypeError | got function | nn.ReLU()
nn.Sequential(net, None) | TypeError | expected a Module | got NoneType
nn.ModuleList(net) | TypeError | got one Linear | write [it]
nn.ModuleList([net])(X) | NotImplementedError | no forward | nn.Sequential
nn.Parameter([1.0, 2.0]) | TypeError | got list | minidl.tensor(...)
assign_a_plain_tensor() | TypeError | 'weight' is a Parameter | got Tensor | nn.Parameter(…)
NoSuperLayer() | AttributeError | NoSuperLayer | super().__init__()
NoSuper().eval() | AttributeError | NoSuper | super().__init__()
list(NoSuper().parameters()) | AttributeError | NoSuper | super().__init__()
NoForward()(X) | NotImplementedError | NoForward | forward(self, ...)
net.train("yes") | ValueError | expected True or False | got 'yes'
nn.Relu() | AttributeError | 'Relu' | write ReLU
nn.Conv2D(3, 8, 3) | AttributeError | 'Conv2D' | write Conv2d
F.ReLU(X) | AttributeError | 'ReLU' | write relu
minidl.Linear(3, 2) | AttributeError | 'Linear' | minidl.nn.Linear
minidl.one_hot(y) | AttributeError | 'one_hot' | minidl.nn.functional.one_hot
nn.one_hot(y) | AttributeError | 'one_hot' | nn.functional.one_hot
nn.init.xavier_uniform(net.weight) | AttributeError | 'xavier_uniform' | write xavier_uniform_
nn.init.xavier_uniform_(net.bias) | ValueError | 2 axes or more | got shape (3,)
nn.TransformerEncoderLayer(8, 3) | ValueError | nhead=3 | d_model must be a multiple of nhead
nn.Conv2d(3, 8, 3, padding="SAME") | ValueError | got 'SAME' | 'same'
nn.ModuleList(nn.ReLU) | TypeError | got the class | [ReLU(…)]
nn.Embedding(10, 3, padding_idx=12) | ValueError | padding_idx 12 | 10 rows
nn.init.kaiming_normal_(net.weight, nonlinearity="gelu") | ValueError | 'gelu' | 'relu'
net.register_parameter("scale", X) | TypeError | got Tensor | nn.Parameter(x)
net.weights | AttributeError | 'weights' | .weight
net.fit(X, y) | AttributeError | 'fit' | loss.backward()
net.predict(X) | AttributeError | 'predict' | net(x)
net.summary() | AttributeError | 'summary' | print(net)
# losses
F.cross_entropy(X, y[:3]) | ValueError | input of shape (4, 3) | labels of shape (4,) | got (3,)
F.cross_entropy(X, y.float()) | TypeError | must be integers | got float32 | target.long()
F.cross_entropy(X, minidl.tensor([0, 1, 2, 3])) | IndexError | label 3 at index 3 | 3 classes | 0 to 2
F.cross_entropy(X, minidl.tensor([0, 1, 2, -1])) | IndexError | label -1 | 0 to 2 | ignore_index -100
F.cross_entropy(X, y.reshape(4, 1)) | ValueError | got (4, 1) | target.reshape(4,)
F.cross_entropy(X, F.one_hot(y, 3)) | ValueError | got (4, 3) | target.float()
F.cross_entropy(X, F.one_hot(y, 4).float()) | ValueError | input of shape (4, 3) | got (4, 4)
F.cross_entropy(X.argmax(1), y) | TypeError | got int64 | logits
F.cross_entropy(A, y) | TypeError | got ndarray and Tensor | minidl.tensor(x)
F.cross_entropy(X, [0, 1, 2, 1]) | TypeError | got Tensor and list | minidl.tensor(x)
nn.CrossEntropyLoss(X, y) | TypeError | made first and then called | loss(input, target)
nn.MSELoss(X, X) | TypeError | made first and then called | loss(input, target)
nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]) | TypeError | 'weight' must be a Tensor | got list | minidl.tensor(x)
nn.CrossEntropyLoss(minidl.ones(4))(X, y) | ValueError | each of 3 classes | got float32 (4,)
F.mse_loss(minidl.ones(4, 1), minidl.ones(4)) | ValueError | input (4, 1) | target (4,) | target.reshape(4, 1)
F.mse_loss(X, A) | TypeError | got Tensor and ndarray | minidl.tensor(x)
F.mse_loss(X, X.double()) | TypeError | float32 | float64 | target.to(input.dtype)
F.mse_loss(X, X, reduction="avg") | ValueError | 'mean', 'sum' or 'none' | got 'avg'
F.mse_loss(X, X, size_average=False) | TypeError | size_average | reduction='sum'
nn.L1Loss(reduce=False) | TypeError | reduce | reduction='none'
F.binary_cross_entropy(X * 3, X) | ValueError | [0, 1] | got 3.0 | binary_cross_entropy_with_logits
loss.backward() | AttributeError | MSELoss | loss(output, y).backward()
loss.item() | AttributeError | 'MSELoss' | loss(output, y).item()
nn.CrossEntropyLoss("sum") | TypeError | got str | reduction='sum'
loss(X, None) | TypeError | got Tensor and NoneType | without `return`
F.nll_loss(X, y.float()) | TypeError | got float32 | target.long()
F.one_hot(y, 2) | IndexError | index 2 | 0 to 1
# gradients
X.sum().backward() | RuntimeError | requires grad | requires_grad=True
leaf().backward() | RuntimeError | shape (3,) | .sum().backward()
(leaf() * 2).backward() | RuntimeError | shape (3,) | .mean().backward()
backward_twice() | RuntimeError | walked before | retain_graph=True
step_by_hand() | RuntimeError | a leaf that requires grad | with minidl.no_grad()
write_into_a_parameter() | RuntimeError | a leaf that requires grad | with minidl.no_grad()
change_what_backward_needs() | RuntimeError | Exp | changed in place | clone()
leaf().numpy() | RuntimeError | requires grad | .detach().numpy()
np.asarray(leaf()) | RuntimeError | requires grad | .detach().numpy()
minidl.tensor([1, 2], requires_grad=True) | TypeError | got int64 | [1., 2.]
minidl.no_grad(3) | TypeError | got 3 | with minidl.no_grad()
minidl.autograd.grad(leaf().sum(), leaf()) | RuntimeError | do not depend on input 0 | allow_unused=True
minidl.autograd.grad(leaf(), [leaf()]) | RuntimeError | shape (3,) | .sum()
# optimizers
optim.SGD(net, lr=0.1) | TypeError | got Linear | net.parameters()
optim.SGD(net.parameters, lr=0.1) | TypeError | got method | net.parameters()
optim.Adam(net, lr=0.1) | TypeError | Adam | got Linear | net.parameters()
optim.SGD(net.weight, lr=0.1) | TypeError | got Parameter | [w]
optim.SGD([A], lr=0.1) | TypeError | got ndarray | minidl.tensor(x)
optim.SGD([net.weight * 2], lr=0.1) | ValueError | result of an operation | only leaves
optim.SGD(nn.ReLU().parameters(), lr=0.1) | ValueError | empty list of parameters | ModuleList
optim.SGD(net.parameters(), lr=-1) | ValueError | at least 0 | got -1
optim.SGD(net.parameters(), lr="0.1") | TypeError | must be a number | got '0.1'
optim.SGD(net.parameters(), learning_rate=0.1) | TypeError | 'learning_rate' | params, lr, momentum
optim.SGD(net.parameters(), 0.1, nesterov=True) | ValueError | nesterov | momentum > 0
optim.lr_scheduler.StepLR(net, 3) | TypeError | got Linear | optim.SGD(net.parameters()
optim.StepLR(None, 3) | AttributeError | 'StepLR' | optim.lr_scheduler.StepLR
nn.utils.clip_grad_norm_(net, 1.0) | TypeError | got Linear | net.parameters()
optim.SGD(net.state_dict(), lr=0.1) | TypeError | got OrderedDict | net.parameters()
optim.SGD([net], lr=0.1) | TypeError | got Linear | net.parameters()
optim.SGD([{"params": net}], lr=0.1) | TypeError | got a Linear | net.parameters()
optim.SGD(net.parameters(), lr=0.1).step(X) | TypeError | got Tensor | optimizer.step()
optim.SGD(net.parameters(), lr=0.1).load_state_dict(net.state_dict()) | TypeError | ['weight', | model.load_state_dict
optim.Adam(net.parameters(), betas=0.9) | TypeError | got 0.9 | (0.9, 0.999)
optim.lr_scheduler.MultiStepLR(optim.SGD(net.parameters(), lr=0.1), 3) | TypeError | got 3 | [30, 80]
# tensors
int(leaf()) | ValueError | one element | got shape (3,) | x[i]
X.item() | RuntimeError | one element | got shape (4, 3) | .tolist()
ask_a_tensor_for_its_truth() | RuntimeError | shape (4, 3) | .any() or .all()
X.view(5, 2) | ValueError | 12 elements | (4, 3) | (5, 2)
X.t().view(12) | RuntimeError | non-contiguous | .reshape(...)
minidl.cat([X, minidl.ones(4, 2)]) | ValueError | (4, 3) | (4, 2) | equal but for axis 0
minidl.cat(X, X) | TypeError | got one Tensor | cat([a, b])
minidl.cat([X, A]) | TypeError | ndarray | minidl.tensor(x)
minidl.stack([X, minidl.ones(4, 2)]) | ValueError | equal shapes | (4, 2)
X @ minidl.ones(4, 2) | ValueError | (4, 3) and (4, 2) | has 3
X @ X.t().double() | TypeError | float32 and float64 | b.to(a.dtype)
X + minidl.ones(4) | ValueError | (4, 3) and (4,) | axis -1 has 3 and 4
X + A.tolist() | TypeError | got list | minidl.tensor(x)
X[4] | IndexError | index 4 | size 4
X["a"] | TypeError | integers, slices | got str
X.sum(2) | IndexError | dim 2 | -2 to 1
X.permute(0) | ValueError | 2 axes | got (0,)
minidl.tensor([[1, 2], [3]]) | ValueError | tensor | ragged
minidl.tensor("3") | TypeError | tensor: expected a number | got '3'
minidl.tensor(None) | TypeError | tensor: expected a number | got None
minidl.tensor(DataFrame()) | TypeError | got DataFrame | x.to_numpy()
minidl.from_numpy([1.0, 2.0]) | TypeError | got list | minidl.tensor(x)
minidl.zeros(2.0) | ValueError | integers | got (2.0,)
minidl.randint(10) | TypeError | size | randint(10, (2, 3))
minidl.sqrt(4) | TypeError | got int | minidl.tensor(x)
F.one_hot([0, 1]) | TypeError | got list | minidl.tensor(x)
X.where(y, X) | TypeError | boolean | got int64 | x > 0
y.mean() | RuntimeError | got int64 | .float()
X.cuda() | RuntimeError | CPU only | minidl.cuda.is_available()
net.cuda() | RuntimeError | CPU only | minidl.cuda.is_available()
net.to("cuda") | RuntimeError | got 'cuda' | minidl.cuda.is_available()
X.half() | TypeError | float16 | .float()
X.to(minidl.float16) | TypeError | float16 | write minidl.float32
X.scatter(1, minidl.tensor([[5]]), 1.0) | IndexError | index 5 | size 3
minidl.mm(img, img) | ValueError | 2 and 2 axes | (2, 3, 8, 8)
X.to("gpu") | RuntimeError | got 'gpu' | minidl.device('cpu')
X.repeat(2) | ValueError | each of the 2 axes | got (2,) | repeat(1, 2)
X.gather(1, y) | ValueError | (4,) | expected 2 axes | index.unsqueeze(1)
X + None | TypeError | got NoneType | without `return`
minidl.max(X, X, X) | TypeError | of two tensors | maximum(a, b)
minidl.where(X > 0, X) | TypeError | both values or none | where(condition, a, b)
minidl.zeros((2, 3), (4,)) | ValueError | ((2, 3), (4,)) | zeros((2, 3))
minidl.arange(5, 0) | ValueError | from 5 to 0 | arange(5, 0, -1)
# files and states
net.load_state_dict("model.pt") | TypeError | got str | minidl.load(file)
net.load_state_dict(net) | TypeError | got Linear | net.state_dict()
net.load_state_dict({}) | RuntimeError | Missing key(s): 'weight', 'bias' | strict=False
net.load_state_dict({"module.weight": X[:3], "module.bias": X[0]}) | RuntimeError | 'module.weight' | k.removeprefix('module.')
net.load_state_dict({"fc.weight": X[:3], "fc.bias": X[0]}) | RuntimeError | 'fc.weight' | rename the keys
net.load_state_dict(nn.Linear(2, 3).state_dict()) | RuntimeError | size mismatch for weight | (3, 2) | (3, 3)
minidl.load("no_such_file.pt") | FileNotFoundError | no_such_file.pt
minidl.save("model.pt", X) | TypeError | got Tensor | minidl.save(object, file)
minidl.save(net, "model.pt") | TypeError | got Linear | its state_dict()
# data
data.DataLoader((X, y)) | TypeError | a tuple of 2 | TensorDataset(X, y)
data.DataLoader(X, y) | TypeError | batch_size must be an integer | TensorDataset(X, y)
data.DataLoader(data.TensorDataset) | TypeError | the class TensorDataset | TensorDataset(…)
data.DataLoader(data.TensorDataset(X, y), batchsize=4) | TypeError | 'batchsize' | write batch_size=
data.DataLoader(data.TensorDataset(X, y), batch_size=0) | ValueError | batch_size must be 1 or more | got 0
data.DataLoader(data.TensorDataset(X, y), shuffle="yes") | TypeError | True, False or None | got 'yes'
data.DataLoader(NoLength()) | TypeError | NoLength without __len__ | def __len__(self)
data.DataLoader(NoItems()) | TypeError | NoItems without __getitem__ | def __getitem__(self, i)
next(iter(data.DataLoader([minidl.ones(2), minidl.ones(3)], 2))) | ValueError | (2,), (3,) | collate_fn
data.TensorDataset(A, y) | TypeError | argument 0 | ndarray | minidl.tensor(x)
data.TensorDataset(X, [0, 1, 2, 1]) | TypeError | argument 1 | list | minidl.tensor(x)
data.TensorDataset(DataFrame()) | TypeError | DataFrame | x.to_numpy()
data.TensorDataset(X, y[:2]) | ValueError | one length | (4, 3), (2,)
data.random_split(range(10), [5, 4]) | ValueError | [5, 4] | add up to 10
data.random_split(range(10), 0.5) | TypeError | got 0.5 | [0.8, 0.2]
data.TensorDataset([X, y]) | TypeError | a list of tensors | TensorDataset(*tensors)
data.DataLoader(None) | TypeError | got None | without `return`
data.DataLoader(data.TensorDataset(X, y), shuffle=True, sampler=[0, 1]) | ValueError | a sampler | not both
"""
ROWS = [line.split(" | ") for line in MISTAKES.splitlines() if line and line[0] != "#"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_the_error_says_what_was_given_what_is_right_and_what_to_write(row):
    expression, kind, *parts = row
    with pytest.raises(Exception) as caught:
        eval(expression, NAMES)
    message = str(caught.value)
    assert caught.type.__name__ == kind, f"{caught.type.__name__}: {message}"
    missing = [part for part in parts if part not in message]
    assert not missing, f"not in the message: {missing}\n{message}"
    assert len(message) < 500, "nobody reads so much"


def test_there_are_two_hundred_and_none_twice():
    assert len({row[0] for row in ROWS}) == len(ROWS) >= 200
    assert all(len(row) > 2 for row in ROWS)


def test_errors_within_a_property_of_a_module_stay_what_they_are():
    class Net(nn.Module):
        @property
        def width(self):
            return self.no_such_thing

    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = Net().width
    assert not hasattr(Net(), "width") and getattr(net, "wieght", None) is None


def test_a_users_class_is_told_of_its_own_arguments_by_python():
    class Net(nn.Module):
        def __init__(self, width, *, depth=1):
            super().__init__()

    with pytest.raises(TypeError, match=re.escape("__init__() got an unexpected keyword argument 'heigth'")):
        Net(3, heigth=2)
    assert Net(3, depth=2).training


def test_an_attribute_that_is_not_there_stays_an_attribute_error():
    assert not hasattr(net, "fit") and getattr(net, "no_such_name", None) is None
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'no_such_name'"):
        _ = net.no_such_name

    class Own(nn.Module):
        @property
        def summary(self):
            return self.missing

    with pytest.raises(AttributeError, match="missing"):
        _ = Own().summary
