"""minidl.compile: what a step takes from around it is looked at in each call, wherever it lies and whenever it is changed."""

import array
import collections
import contextlib
import contextvars
import dataclasses
import functools
import itertools
import logging
import operator
import os
import sys
import threading
import types
import warnings
import weakref

import numpy as np
import pytest

import minidl
from minidl import d2l, distributions, nn, optim
from minidl.nn import functional as F
from tests.test_compile import Twins, batches, mlp, numbers

CASES = {}


def case(make):
    """make() gives a function of x and a function that changes what it computes."""
    CASES[make.__name__] = make
    return make


@case
def default_of_an_argument():
    options = {"scale": 2.0}

    def step(x, options=options):
        return x * options["scale"]

    return step, lambda: options.update(scale=5.0)


@case
def default_that_is_replaced():
    def inner(x, scale=2.0, *, more=1.0):
        return x * scale * more

    return lambda x: inner(x), lambda: setattr(inner, "__kwdefaults__", {"more": 3.0})


@case
def code_of_a_function():  # as IPython's autoreload does it
    def inner(x):
        return x * 2

    def other(x):
        return x * 5

    return lambda x: inner(x), lambda: setattr(inner, "__code__", other.__code__)


@case
def attribute_of_a_function():
    def inner(x):
        return x * inner.scale

    inner.scale = 2.0
    return lambda x: inner(x), lambda: setattr(inner, "scale", 5.0)


@case
def dict_in_a_dict():
    options = {"a": {"scale": 2.0}}
    return lambda x: x * options["a"]["scale"], lambda: options["a"].update(scale=5.0)


@case
def list_in_a_tuple():
    options = ([2.0],)
    return lambda x: x * options[0][0], lambda: options[0].__setitem__(0, 5.0)


@case
def long_dict():
    options = {f"k{i}": 2.0 for i in range(1000)}
    return lambda x: x * options["k3"], lambda: options.update(k3=5.0)


@case
def list_of_forty():
    options = [2.0] * 40
    return lambda x: x * options[30], lambda: options.__setitem__(30, 5.0)


@case
def ordered_dict():
    options = collections.OrderedDict(scale=2.0)
    return lambda x: x * options["scale"], lambda: options.update(scale=5.0)


@case
def dict_with_attributes():
    class Options(dict):
        __getattr__ = dict.__getitem__

    options = Options(scale=2.0)
    return lambda x: x * options.scale, lambda: options.update(scale=5.0)


@case
def numbers_of_numpy():
    a = np.array([2.0, 1.0])
    return lambda x: x * float(a[0]), lambda: a.__setitem__(0, 5.0)


class Plain:
    scale = 2.0

    def __init__(self):
        self.own = 2.0

    @property
    def double(self):
        return self.own * 2

    @classmethod
    def of_class(cls, x):
        return x * cls.scale

    def __call__(self, x):
        return x * self.own

    def __getitem__(self, i):
        return self.own

    def times(self, x):
        return x * 2


@case
def deque():
    options = collections.deque([2.0, 1.0])
    return lambda x: x * options[0], lambda: options.appendleft(5.0)


@case
def array_of_python():
    options = array.array("d", [2.0])
    return lambda x: x * options[0], lambda: options.__setitem__(0, 5.0)


@case
def bytes_that_change():
    options = bytearray([2])
    return lambda x: x * options[0], lambda: options.__setitem__(0, 5)


@case
def dict_behind_a_proxy():
    options = {"scale": 2.0}
    proxy = types.MappingProxyType(options)
    return lambda x: x * proxy["scale"], lambda: options.update(scale=5.0)


@case
def method_of_a_dict():
    options = {"scale": 2.0}
    get = options.get
    return lambda x: x * get("scale"), lambda: options.update(scale=5.0)


@case
def attribute_of_a_dict():
    options = type("Options", (dict,), {})()
    options.scale = 2.0
    return lambda x: x * options.scale, lambda: setattr(options, "scale", 5.0)


@case
def attribute_of_a_tensor():
    w = minidl.ones(3)
    w.scale = 2.0
    return lambda x: x * w.scale, lambda: setattr(w, "scale", 5.0)


@case
def attribute_of_a_parameter():
    net = nn.Linear(3, 3)
    for p in net.parameters():
        p.scale = 2.0

    def step(x):
        return x * sum(p.scale for p in net.parameters())

    return step, lambda: setattr(net.bias, "scale", 5.0)


@case
def attribute_of_a_compiled_function():
    def step(x):
        return x * twin.scale

    twin = minidl.compile(step)
    twin.scale = 2.0
    return step, lambda: setattr(twin, "scale", 5.0)


@case
def attribute_that_comes_later():
    options = types.SimpleNamespace()
    return lambda x: x * getattr(options, "scale", 2.0), lambda: setattr(options, "scale", 5.0)


@case
def attribute_that_comes_later_with_hasattr():
    options = Plain()
    return lambda x: x * (5.0 if hasattr(options, "larger") else 2.0), lambda: setattr(options, "larger", True)


@case
def attribute_that_comes_later_and_an_error():
    options = types.SimpleNamespace()

    def step(x):
        try:
            return x * options.scale
        except AttributeError:
            return x

    return step, lambda: setattr(options, "scale", 5.0)


@case
def attribute_that_comes_later_and_any_error():
    options = types.SimpleNamespace()

    def step(x):
        try:
            return x * options.scale
        except:  # noqa: E722
            return x

    return step, lambda: setattr(options, "scale", 5.0)


@case
def attribute_that_comes_later_and_an_error_is_suppressed():
    options = types.SimpleNamespace()

    def step(x):
        with contextlib.suppress(AttributeError):
            return x * options.scale
        return x

    return step, lambda: setattr(options, "scale", 5.0)


@case
def global_that_comes_later():
    own = {}
    exec("def step(x):\n    try:\n        return x * scale\n    except NameError:\n        return x", own)
    return own["step"], lambda: own.update(scale=5.0)


@case
def method_that_sets_an_item():
    class Scaled(dict):
        scale = 2.0

        def __setitem__(self, key, x):
            super().__setitem__(key, x)
            self.last = x * self.scale

    kept = Scaled()

    def step(x):
        kept[0] = 1
        kept[0] = x
        del kept[0]
        return kept.last

    return step, lambda: setattr(Scaled, "scale", 5.0)


@case
def method_that_sets_attributes():
    class Scaled:
        scale = 2.0

        def __setattr__(self, name, x):
            object.__setattr__(self, name, x * self.scale)

    kept = Scaled()

    def step(x):
        kept.x = x
        return kept.x

    return step, lambda: setattr(Scaled, "scale", 5.0)


@case
def descriptor_that_is_set():
    class Scaled:
        scale = 2.0

        def __set__(self, owner, x):
            owner.x = x * self.scale

    kept = type("Kept", (), {"value": Scaled()})()

    def step(x):
        kept.value = x
        return kept.x

    return step, lambda: setattr(Scaled, "scale", 5.0)


@case
def cache_that_is_cleared():
    scale = functools.lru_cache(functools.partial(next, iter([2.0, 5.0])))
    return lambda x: x * scale(), scale.cache_clear


@case
def attribute_whose_name_is_computed():
    options = types.SimpleNamespace(scale0=2.0)
    return lambda x: x * getattr(options, f"scale{0 * x.ndim}"), lambda: setattr(options, "scale0", 5.0)


@case
def parameter_whose_name_is_computed():
    net = nn.Linear(3, 3)
    names = ["bi", "as"]

    def step(x):
        return x * getattr(net, "".join(names)).detach()

    return step, lambda: setattr(net, "bias", nn.Parameter(minidl.ones(3) * 5))


@case
def list_of_three_hundred():
    options = [2.0] * 300
    return lambda x: x * options[30], lambda: options.__setitem__(30, 5.0)


@case
def objects_in_a_list_of_twenty():
    options = [types.SimpleNamespace(scale=2.0) for _ in range(20)]
    return lambda x: x * options[7].scale, lambda: setattr(options[7], "scale", 5.0)


@case
def text_in_an_array():
    options = np.array(["2", "1"])
    return lambda x: x * float(options[0]), lambda: options.__setitem__(0, "5")


@case
def objects_in_an_array():
    options = np.array([2.0, types.SimpleNamespace(scale=2.0)], object)
    return lambda x: x * options[1].scale, lambda: setattr(options[1], "scale", 5.0)


@case
def item_of_an_array_of_objects():
    options = np.array([2.0, None], object)
    return lambda x: x * options[0], lambda: options.__setitem__(0, 5.0)


@case
def array_of_five_thousand():
    options = np.full(5000, 2.0)
    return lambda x: x * float(options[30]), lambda: options.__setitem__(30, 5.0)


@case
def weak_reference():
    options = Plain()
    kept, weak = [options], weakref.ref(options)
    return functools.partial(lambda kept, x: x * weak().own, kept), lambda: setattr(options, "own", 5.0)


@case
def variable_of_a_context():
    scale = contextvars.ContextVar("scale", default=2.0)
    return lambda x: x * scale.get(), lambda: scale.set(5.0)


@case
def attribute_of_a_thread():
    options = threading.local()
    options.scale = 2.0
    return lambda x: x * options.scale, lambda: setattr(options, "scale", 5.0)


@case
def variable_of_the_environment():
    os.environ["MINIDL_TEST_SCALE"] = "2"
    return lambda x: x * float(os.environ["MINIDL_TEST_SCALE"]), lambda: os.environ.update(MINIDL_TEST_SCALE="5")


@case
def property_of_a_class():
    class Meta(type):
        @property
        def scale(cls):
            return cls.own

    class Options(metaclass=Meta):
        own = 2.0

    return lambda x: x * Options.scale, lambda: setattr(Options, "own", 5.0)


def of_tensor(name, step, change):
    def make():
        w = minidl.ones(3)
        return lambda x: x * step(w), lambda: change(w)

    make.__name__ = name
    case(make)


of_tensor("shape_of_a_tensor", lambda w: w.shape[0], lambda w: setattr(w, "data", minidl.ones(5)))
of_tensor("whether_a_tensor_requires_grad", lambda w: 5.0 if w.requires_grad else 2.0, lambda w: w.requires_grad_())


@case
def number_of_parameters():
    net = nn.Sequential(nn.Linear(3, 3))
    return lambda x: x * len(list(net.parameters())), lambda: net.append(nn.Linear(3, 3))


@case
def attribute_whose_name_is_in_a_list():
    options = types.SimpleNamespace(scale=2.0, names=["scale"])
    return lambda x: x * sum(getattr(options, name) for name in options.names), lambda: setattr(options, "scale", 5.0)


@case
def all_attributes():
    options = types.SimpleNamespace(scale=2.0)
    return lambda x: x * sum(vars(options).values()), lambda: setattr(options, "scale", 5.0)


def of_optimizer(name, step, change):
    def make():
        optimizer = optim.SGD(nn.Linear(3, 3).parameters(), 2.0)
        optimizer.own, optimizer.scheduler = 2.0, optim.lr_scheduler.StepLR(optimizer, 1)
        return functools.partial(step, optimizer), functools.partial(change, optimizer)

    make.__name__ = name
    case(make)


def three_steps(o):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer has not stepped
        for _ in range(3):
            o.scheduler.step()


of_optimizer("attribute_of_an_optimizer", lambda o, x: x * o.own, lambda o: setattr(o, "own", 5.0))
of_optimizer("default_of_an_optimizer", lambda o, x: x * o.defaults["lr"], lambda o: o.defaults.update(lr=5.0))
of_optimizer("epoch_of_a_scheduler", lambda o, x: x * (o.scheduler.last_epoch + 2), three_steps)


@case
def function_that_a_layer_of_ours_calls():
    options = types.SimpleNamespace(scale=2.0)
    net = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, activation=lambda x: x * options.scale, batch_first=True)
    return lambda x: net(minidl.cat([x, x[:1]]).reshape(1, 1, 4)).detach(), lambda: setattr(options, "scale", 5.0)


def of_plain(name, step, attribute="own", whose=lambda p: p, value=5.0):
    def make():
        plain = type("Plain", (type("Base", (Plain,), dict(vars(Plain))),), {})()
        return functools.partial(step, plain), lambda: setattr(whose(plain), attribute, value)

    make.__name__ = name
    case(make)


of_plain("attribute_named_by_a_text", lambda p, x: x * getattr(p, "own"))  # noqa: B009
of_plain("property", lambda p, x: x * p.double)
of_plain("attribute_of_a_base_class", lambda p, x: x * p.scale, "scale", lambda p: type(p).__mro__[1])
of_plain("attribute_that_hides_the_class's", lambda p, x: x * p.scale, "scale")
of_plain("classmethod", lambda p, x: p.of_class(x), "scale", type)
of_plain("object_that_is_called", lambda p, x: p(x))
of_plain("object_with_an_index", lambda p, x: x * p[0])
of_plain("method", lambda p, x: p.times(x), "times", type, lambda self, x: x * 5)


@case
def object_that_is_the_step():
    plain = Plain()
    return plain, lambda: setattr(plain, "own", 5.0)


@case
def slots():
    @dataclasses.dataclass(slots=True)
    class Options:
        scale: float = 2.0

    options = Options()
    return lambda x: x * options.scale, lambda: setattr(options, "scale", 5.0)


@case
def objects_that_answer_to_every_name():
    class Options:
        def __init__(self):
            self.values = {"scale": 2.0}

        def __getattr__(self, name):
            return vars(self)["values"][name]

    options = Options()
    return lambda x: x * options.scale, lambda: options.values.update(scale=5.0)


@case
def module_of_python():
    module = types.ModuleType("options")
    module.scale = 2.0
    return lambda x: x * module.scale, lambda: setattr(module, "scale", 5.0)


@case
def function_of_a_module_of_python():
    module = types.ModuleType("helpers")
    exec("scale = 2.0\ndef times(x): return x*scale", vars(module))
    return lambda x: module.times(x), lambda: setattr(module, "scale", 5.0)


@case
def compiled_function_within():
    options = types.SimpleNamespace(scale=2.0)
    inner = minidl.compile(lambda x: x * options.scale)
    return lambda x: inner(x) + 1, lambda: setattr(options, "scale", 5.0)


@case
def function_with_a_cache():
    options = types.SimpleNamespace(scale=2.0)

    @functools.lru_cache
    def scale(n):
        return n * options.scale

    def change():
        options.scale = 5.0
        scale.cache_clear()

    return lambda x: x * scale(1), change


SCALE = [2.0]


class MadeInTheStep:
    def __init__(self):
        self.scale = SCALE[0]


@case
def object_that_is_made():
    SCALE[0] = 2.0
    return lambda x: x * MadeInTheStep().scale, lambda: SCALE.__setitem__(0, 5.0)


class Doubled:
    def __get__(self, owner, kind=None):
        return owner._own * 2


class Odd(dict):
    """Its operators are methods, which no name in the code tells."""

    own, doubled = 2.0, Doubled()

    def __missing__(self, key):
        return self.own

    def __floordiv__(self, other):
        return self.own

    def __iadd__(self, other):
        return self.own

    def __str__(self):
        return f"{self.own}"

    def __abs__(self):
        return self.own


def added_to(odd, x):
    odd += 1
    return x * odd


@dataclasses.dataclass
class Choice:
    scale: float = 2.0
    shift: float = 1.0


def matched(choice, x):
    match choice:
        case Choice(scale=2.0):
            return x
    return x * 5


def matched_in_order(choice, x):
    match choice:
        case Choice(2.0, shift):
            return x * shift
    return x * 5


def of_object(name, make, step, change):
    def both():
        x = make()
        return functools.partial(step, x), functools.partial(change, x)

    both.__name__ = name
    case(both)


def own(odd):
    odd.own = odd._own = 5.0


def odd():
    x = Odd()
    x._own = 2.0
    return x


take, call = operator.attrgetter("scale"), operator.methodcaller("double")
of_object("descriptor", odd, lambda odd, x: x * odd.doubled, own)
of_object("missing_key", odd, lambda odd, x: x * odd["a"], own)
of_object("rare_operator", odd, lambda odd, x: x * (odd // 2), own)
of_object("operator_in_place", odd, added_to, own)
of_object("builtin_that_calls_a_method", odd, lambda odd, x: x * abs(odd), own)
of_object("text_of_an_object", odd, lambda odd, x: x * float(f"{odd}"), own)
of_object("pattern", Choice, matched, lambda choice: setattr(choice, "scale", 5.0))
of_object("pattern_in_order", Choice, matched_in_order, lambda choice: setattr(choice, "shift", 5.0))
of_object("getter", Choice, lambda choice, x: x * take(choice), lambda choice: setattr(choice, "scale", 5.0))
of_object("fields", Choice, lambda c, x: x * dataclasses.astuple(c)[0], lambda choice: setattr(choice, "scale", 5.0))


PATH = "inner.scale"


@case
def one_of_many_objects():
    choices = [Choice() for _ in range(150)]
    return lambda x: x * choices[120].scale, lambda: setattr(choices[120], "scale", 5.0)


class Scale(float):
    own = 2.0


def scale():
    x = Scale(1.0)
    x.own = 2.0
    return x


class LeakyReLU(nn.LeakyReLU):
    pass


def normal():
    return distributions.Independent(distributions.Normal(minidl.zeros(3), minidl.ones(3)), 1)


of_object("number_with_an_attribute", scale, lambda scale, x: x * scale.own, lambda scale: setattr(scale, "own", 5.0))
of_object(
    "view_of_numbers", lambda: memoryview(array.array("d", [2.0])), lambda m, x: x * m[0], lambda m: m.__setitem__(0, 5.0)
)
of_object(
    "names_in_a_path",
    lambda: types.SimpleNamespace(inner=Choice()),
    lambda x, y: y * functools.reduce(getattr, PATH.split("."), x),
    lambda x: setattr(x.inner, "scale", 5.0),
)
of_object(
    "text_that_is_run",
    Choice,
    lambda choice, x: x * eval("choice.scale", {"choice": choice}),
    lambda choice: setattr(choice, "scale", 5.0),
)
of_object(
    "layer_derived_from_ours",
    lambda: LeakyReLU(0.5),
    lambda layer, x: layer.forward(x),
    lambda layer: setattr(layer, "negative_slope", 0.1),
)
of_object("distribution", normal, lambda d, x: d.log_prob(x), lambda d: setattr(d.base_dist, "scale", minidl.ones(3) * 2))
of_object(
    "transform",
    lambda: distributions.AffineTransform(1.0, 2.0),
    lambda transform, x: transform(x),
    lambda transform: setattr(transform, "scale", 5.0),
)


@case
def proxy():
    choice = Choice()
    weak = weakref.proxy(choice)
    return lambda x: x * weak.scale, lambda: setattr(choice, "scale", 5.0)


def module(name):
    sys.modules[name] = new = types.ModuleType(name)
    new.SCALE = 2.0
    return new


@case
def module_imported_in_the_step():
    new = module("minidl_test_imported")

    def step(x):
        import minidl_test_imported  # noqa: PLC0415

        return x * minidl_test_imported.SCALE

    return step, lambda: setattr(new, "SCALE", 5.0)


@case
def name_imported_in_the_step():
    new = module("minidl_test_imported")

    def step(x):
        from minidl_test_imported import SCALE  # noqa: PLC0415

        return x * SCALE

    return step, lambda: setattr(new, "SCALE", 5.0)


@case
def module_found_by_its_name():
    new = module("minidl_test_found")
    return lambda x: x * sys.modules["minidl_test_found"].SCALE, lambda: setattr(new, "SCALE", 5.0)


class Base:
    scale = 2.0

    def double(self):
        return self.scale * 2

    def times(self, x):
        return x * 2


of_object("caller", Base, lambda base, x: x * call(base), lambda base: setattr(base, "scale", 5.0))


@case
def method_that_hides_another_class_s():
    class Derived(Base):
        pass

    base = Derived()
    return lambda x: base.times(x), lambda: setattr(Derived, "times", lambda self, x: x * 5)


@case
def call_that_a_class_is_given():
    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    net = Double()
    return lambda x: net(x), lambda: setattr(Double, "__call__", lambda self, x: x * 5)


@case
def global_that_hides_a_builtin():
    own = {}
    exec("def step(x):\n    return x * max(1, 2)", own)
    return own["step"], lambda: own.update(max=lambda a, b: 5)


class Net(nn.Module):
    shift = 1.0

    def __init__(self):
        super().__init__()
        self.scale, self.options, self.scales, self.inner = 2.0, Plain(), [2.0], [nn.Linear(3, 3)]

    def forward(self, x):
        return x * self.options.own * self.scales[0] + self.shift + self.inner[0](x).detach()

    def training_step(self, x):
        return x * self.scale + self.training


def of_net(name, step, change):
    def make():
        net = type("Net", (Net,), dict(vars(Net)))()
        return functools.partial(step, net), functools.partial(change, net)

    make.__name__ = name
    case(make)


of_net("module_whose_method_is_called", lambda net, x: net.training_step(x), lambda net: setattr(net, "scale", 5.0))
of_net("module_that_evaluates", lambda net, x: net.training_step(x), lambda net: net.eval())
of_net("module_without_call", lambda net, x: net.forward(x), lambda net: net.scales.__setitem__(0, 5.0))
of_net("list_of_a_module", lambda net, x: net(x), lambda net: net.scales.__setitem__(0, 5.0))
of_net("object_of_a_module", lambda net, x: net(x), lambda net: setattr(net.options, "own", 5.0))
of_net("class_of_a_module", lambda net, x: net(x), lambda net: setattr(type(net), "shift", 5.0))
of_net("forward_of_a_class", lambda net, x: net(x), lambda net: setattr(type(net), "forward", lambda self, x: x))
of_net("modules_in_a_list", lambda net, x: net(x), lambda net: net.inner.__setitem__(0, nn.Linear(3, 3)))


@pytest.mark.parametrize("at", [3, 5, 9])
@pytest.mark.parametrize("name", CASES)
def test_what_lies_around_is_followed(name, at):
    ordinary, change = CASES[name]()
    step = minidl.compile(ordinary, fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(12):
            if i == at:
                change()
            x = numbers(i, 3)
            assert step(x).array.tobytes() == ordinary(x).array.tobytes(), f"call {i + 1}"
    assert sum(plan.begun for plan in step._remembered.plans.values()) == 1


def test_what_is_set_on_a_compiled_module_is_the_module_s():
    net, other = nn.Dropout(0.5), nn.Dropout(0.5)
    step = minidl.compile(net)
    with minidl.no_grad():
        for i in range(12):
            if i == 6:
                step.p = other.p = 0.1
            if i == 9:
                step.training = other.training = False
            results = []
            for f in (step, other):
                minidl.manual_seed(i)
                results.append(f(numbers(i, 20)))
            assert (results[0] == results[1]).all()


# --- options of optimizers that the step reads by itself


class OwnStep(optim.Optimizer):
    def step(self):
        with minidl.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * p.grad


def by_hand(net, optimizer):
    with minidl.no_grad():
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * 0.1)
    optimizer.step()


def own_step(net, optimizer):
    optimizer.step()


def last_rate(net, optimizer):
    optimizer.step()
    return minidl.tensor(net.scheduler.get_last_lr())


@pytest.mark.parametrize("at", [3, 5, 7, 9])
@pytest.mark.parametrize("how", [by_hand, own_step, last_rate])
def test_a_rate_that_the_step_reads(how, at):
    def both():
        net = mlp()
        net.optimizer = OwnStep(net.parameters(), {"lr": 0.1}) if how is own_step else optim.SGD(net.parameters(), lr=0.1)
        net.scheduler = optim.lr_scheduler.StepLR(net.optimizer, 1, 0.5)

        def step(x, y):
            net.optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            rate = how(net, net.optimizer)
            return [loss.detach(), loss.detach() if rate is None else rate]

        return net, step

    twins = Twins(both)
    for i in range(12):
        for net in twins.each() if i == at else ():
            net.scheduler.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twins.call(*batches(i))


def test_betas_in_a_list():
    def both():
        net = mlp()
        net.optimizer = optim.Adam(net.parameters(), lr=0.01, betas=[0.9, 0.99])

        def step(x, y):
            net.optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            net.optimizer.step()
            return loss

        return net, step

    twins = Twins(both)
    for i in range(12):
        for net in twins.each() if i == 5 else ():
            net.optimizer.param_groups[0]["betas"][0] = 0.5
        twins.call(*batches(i))


# --- what the step itself changes


def counts(plain, log, x):
    plain.own += 1
    return x * plain.own


def appends(plain, log, x):
    log.append(1)
    return x * len(log)


def sums(plain, log, x):
    log[0].add(len(x))
    return x * 2


def times(plain, log, x):
    log[1].start()
    return x * 2


@pytest.mark.parametrize("how", [counts, appends, sums, times])
def test_what_the_step_itself_changes_is_told_at_once(how):
    ordinary, other = (functools.partial(how, Plain(), [d2l.Accumulator(1), d2l.Timer()]) for _ in range(2))
    step = minidl.compile(other)
    with pytest.warns(UserWarning, match="stays ordinary"):
        for i in range(6):
            assert (step(numbers(i, 3)) == ordinary(numbers(i, 3))).all()


def test_what_the_step_only_sets_does_not_count():
    plain, runs = Plain(), itertools.count()

    def step(x):
        next(runs)
        plain.last = x * 2
        return x * 3

    step = minidl.compile(step, fullgraph=True)
    for i in range(9):
        assert (step(numbers(i, 3)) == numbers(i, 3) * 3).all()
    assert next(runs) == 5


# --- what does not matter


@dataclasses.dataclass
class Options:
    scale: float = 2.0
    calls: int = 0


def test_what_the_step_does_not_read_may_change():
    """A count, a list and a field beside those whose names are in the code, or are computed there."""

    class Trainer:
        def __init__(self):
            self.scale, self.names, self.calls, self.history, self.options = 2.0, ["scale"], 0, [], Options()

        def step(self, x):
            logging.getLogger("minidl.tests").debug("it catches errors, and computes names")
            return x * getattr(self, self.names[0]) * self.options.scale

    trainer = Trainer()
    step = minidl.compile(trainer.step, fullgraph=True)
    for i in range(24):
        assert (step(numbers(i, 2)) == trainer.step(numbers(i, 2))).all()
        trainer.calls += 1
        trainer.options.calls += 1
        trainer.history.append(i)
    (plan,) = step._remembered.plans.values()
    assert plan.begun == 0 and not plan.guards.catches


def test_what_changes_after_many_calls_may_change_for_ever():
    """As a rate that is another one in each epoch."""
    rate, step = 1.0, None

    def ordinary(x):
        return x * rate

    step = minidl.compile(ordinary, fullgraph=True)
    for _ in range(12):
        for i in range(36):
            assert (step(numbers(i, 2)) == ordinary(numbers(i, 2))).all()
        rate *= 0.5
    with pytest.raises(RuntimeError, match="it changed too often: rate, which the step reads, has changed"):
        for i in range(100):
            step(numbers(0, 2))
            rate *= 0.5 if i % 5 == 0 else 1.0


def test_hooks_that_are_removed_and_given_again():
    def pair():
        net = mlp()
        net[0].register_forward_hook(lambda module, args, y: y * 2).remove()

        def step(x, y):
            net.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            return loss

        return net, step

    twins = Twins(pair, fullgraph=False)
    for i in range(7):
        twins.call(*batches(i))
    assert twins.program is not None
    for net in twins.each():
        net[0].register_forward_hook(lambda module, args, y: y * 2)
    with pytest.warns(UserWarning, match="Linear has a hook"):
        for i in range(7):
            twins.call(*batches(i))
