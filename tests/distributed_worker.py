"""What every rank of `mpiexec -n N python distributed_worker.py` checks; rank 0 prints what failed where, as one line of JSON.

Many checks share a start, which costs a second for each rank. tests/test_distributed.py starts it and reads the line. A
function whose name begins with check_ runs without MINIDL_DISTRIBUTED_DEBUG, one that begins with debug_ under it.
"""

import copy
import datetime
import hashlib
import json
import os
import sys
import traceback
import warnings

import numpy as np

import minidl
from minidl import distributed as dist, models, nn
from minidl.distributed import ReduceOp
from minidl.nn.parallel import DistributedDataParallel
from minidl.utils.data import DataLoader, DistributedSampler

OPS = {
    ReduceOp.SUM: np.sum,
    ReduceOp.AVG: np.mean,
    ReduceOp.PRODUCT: np.prod,
    ReduceOp.MIN: np.min,
    ReduceOp.MAX: np.max,
}


def own(rank, shape=(3, 2), dtype=np.float64):
    """The numbers of a rank, which every rank can compute."""
    return (np.random.default_rng(rank).normal(size=shape) * 4).astype(dtype)


def ranks():
    return range(dist.get_world_size())


def me():
    return dist.get_rank()


def raises(kind, function, *words):
    try:
        function()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in {str(error)!r}"
        return
    raise AssertionError(f"no {kind.__name__}: {words}")


# --- collective functions


def check_all_reduce():
    for op, combine in OPS.items():
        for dtype in (np.float32, np.float64, np.int64, np.int32):
            if op == ReduceOp.AVG and np.dtype(dtype).kind == "i":
                continue
            for shape in ((3, 2), (), (0, 4), (1000,)):
                x = minidl.tensor(own(me(), shape, dtype))
                address = x.array.ctypes.data
                assert dist.all_reduce(x, op) is None
                precision = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12}
                wanted = combine([own(r, shape, dtype) for r in ranks()], axis=0)
                assert x.array.dtype == dtype and x.array.ctypes.data == address
                assert np.allclose(x.array, wanted, **precision), (op, dtype, shape)


def check_strided_tensors():
    base = minidl.tensor(own(me(), (6, 4)))
    part = base[::2].T
    assert not part.array.flags.c_contiguous
    before = base.array[1::2].copy()
    dist.all_reduce(part, ReduceOp.SUM)
    wanted = sum(own(r, (6, 4)) for r in ranks())[::2]
    assert np.allclose(base.array[::2], wanted, rtol=1e-12) and (base.array[1::2] == before).all()
    dist.broadcast(part, src=1)
    assert np.allclose(base.array[::2], wanted, rtol=1e-12)
    column = minidl.tensor(own(me(), (4, 3)))[:, 1]
    columns = [minidl.zeros(4, 2, dtype=minidl.float64)[:, 0] for _ in ranks()]
    dist.all_gather(columns, column)
    for r, x in enumerate(columns):
        assert (x.array == own(r, (4, 3))[:, 1]).all()


def check_broadcast_reduce_gather_scatter():
    last = dist.get_world_size() - 1
    x = minidl.tensor(own(me()))
    dist.broadcast(x, last)
    assert (x.array == own(last)).all()
    flags = minidl.tensor([me() == 0, True])
    dist.broadcast(flags, 0)
    assert flags.tolist() == [True, True]
    x = minidl.tensor(own(me()))
    dist.reduce(x, last)
    assert np.allclose(x.array, sum(own(r) for r in ranks()) if me() == last else own(me()), rtol=1e-12)
    whole = minidl.zeros(3 * dist.get_world_size(), 2, dtype=minidl.float64)
    dist.all_gather_into_tensor(whole, minidl.tensor(own(me())))
    assert (whole.array == np.concatenate([own(r) for r in ranks()])).all()
    out = minidl.zeros(2, dtype=minidl.float64)
    dist.reduce_scatter(out, [minidl.tensor(own(me() + 10 * r, (2,))) for r in ranks()], ReduceOp.AVG)
    assert np.allclose(out.array, np.mean([own(r + 10 * me(), (2,)) for r in ranks()], 0), rtol=1e-12)
    inputs = [minidl.tensor(own(me(), (2 * (last + 1), 3)))]
    out = minidl.zeros(2, 3, dtype=minidl.float64)
    dist.reduce_scatter_tensor(out, inputs[0])
    wanted = sum(own(r, (2 * (last + 1), 3)) for r in ranks())[2 * me() : 2 * me() + 2]
    assert np.allclose(out.array, wanted, rtol=1e-12)


def check_send_and_receive():
    n = dist.get_world_size()
    right, left = (me() + 1) % n, (me() - 1) % n
    x, y = minidl.tensor(own(me())), minidl.zeros(2, 3, dtype=minidl.float64).T
    sending = dist.isend(x, right)
    assert dist.recv(y, left) == left
    sending.wait()
    assert (y.array == own(left)).all()
    receiving = dist.irecv(y, left, tag=7)
    dist.send(x * 2, right, tag=7)
    receiving.wait()
    assert (y.array == 2 * own(left)).all()
    dist.barrier()
    if me() == 0:
        assert sorted(dist.recv(minidl.zeros(3, 2, dtype=minidl.float64)) for _ in range(n - 1)) == list(range(1, n))
    else:
        dist.send(x, 0)
    dist.barrier()
    if me() == 0:
        dist.send(minidl.ones(4), 1)
    elif me() == 1:
        raises(ValueError, lambda: dist.recv(minidl.zeros(3), 0), "rank 0 sends 16 bytes", "shape (3,)")
        dist.recv(y := minidl.zeros(4), 0)
        assert y.tolist() == [1] * 4


def check_async_op():
    xs = [minidl.tensor(own(me() + 10 * i, (500,))) for i in range(5)]
    works = [dist.all_reduce(x, async_op=True) for x in xs]
    for i in reversed(range(5)):
        assert works[i].wait() is True and works[i].is_completed()
        assert np.allclose(xs[i].array, sum(own(r + 10 * i, (500,)) for r in ranks()), rtol=1e-12)
    dist.barrier(async_op=True).wait()


def check_objects():
    mine = [{"rank": me(), "names": ["a"] * me()}, 3 * me()]
    dist.broadcast_object_list(mine, src=1)
    assert mine == [{"rank": 1, "names": ["a"]}, 3]


def check_groups():
    last = dist.get_world_size() - 1
    pair = dist.new_group([0, last])
    inside = me() in (0, last)
    assert (pair is dist.GroupMember.NON_GROUP_MEMBER) is not inside
    assert dist.get_rank(pair) == ({0: 0, last: 1}[me()] if inside else -1)
    assert dist.get_world_size(pair) == (2 if inside else -1)
    x = minidl.tensor(own(me()))
    dist.all_reduce(x, group=pair)
    assert np.allclose(x.array, own(0) + own(last) if inside else own(me()), rtol=1e-12)
    dist.broadcast(x, src=last, group=pair)
    dist.barrier(pair)
    if inside:
        y = minidl.tensor(own(me()))
        dist.broadcast(y, group=pair, group_src=1)
        assert (y.array == own(last)).all() and dist.get_process_group_ranks(pair) == [0, last]
        dist.destroy_process_group(pair)
        if last > 1:
            raises(
                ValueError, lambda: dist.broadcast(y, src=1, group=pair), "src must be one of the group's ranks [0, 3], got 1"
            )
    assert dist.group.WORLD is not None and dist.get_backend() == "mpi"


def check_wrong_arguments():
    x = minidl.ones(3)
    raises(TypeError, lambda: dist.all_reduce(x.array), "all_reduce: expected a Tensor, got ndarray")
    raises(ValueError, lambda: dist.all_reduce(x, "median"), "'median'", "ReduceOp")
    raises(TypeError, lambda: dist.all_reduce(minidl.tensor([1, 2]), ReduceOp.AVG), "mean", "int64")
    raises(TypeError, lambda: dist.all_reduce(minidl.tensor([True])), "bool", "ReduceOp.MAX")
    raises(RuntimeError, lambda: dist.all_reduce(minidl.ones(2, requires_grad=True) * 2), "detach()")
    raises(ValueError, lambda: dist.broadcast(x), "give src, or group_src")
    raises(ValueError, lambda: dist.broadcast(x, 99), "got 99")
    raises(ValueError, lambda: dist.send(x, me()), "this rank itself")
    raises(ValueError, lambda: dist.all_gather([x], x), f"list of {dist.get_world_size()} tensors", "got 1")
    raises(ValueError, lambda: dist.all_gather([minidl.ones(2)] * dist.get_world_size(), x), "shape (2,)", "shape (3,)")
    raises(ValueError, lambda: dist.all_gather_into_tensor(minidl.ones(5), x), "shape (5,)")
    raises(ValueError, lambda: dist.new_group([0, 0]), "different numbers")
    raises(ValueError, lambda: dist.new_group([0], backend="nccl"), '"mpi"')
    raises(RuntimeError, dist.init_process_group, "called twice")
    read_only = minidl.from_numpy(np.ones(2))
    read_only.array.flags.writeable = False
    raises(ValueError, lambda: dist.all_reduce(read_only), "read-only")


def check_what_is_written_is_noted():
    w, x = minidl.ones(3, requires_grad=True), minidl.ones(3)
    loss = (w * x).sum()
    dist.all_reduce(x)
    raises(RuntimeError, loss.backward, "changed in place")


def check_a_call_of_some_ranks_ends_after_the_timeout():
    group = dist.new_group(timeout=datetime.timedelta(seconds=0.3))
    if me() == 0:
        words = "rank 0: all_reduce was not finished after 0.3 s", "MINIDL_DISTRIBUTED_DEBUG=1"
        work = dist.all_reduce(minidl.ones(3), group=group, async_op=True)
        raises(RuntimeError, work.wait, *words)
    dist.barrier()
    if me() != 0:
        dist.all_reduce(minidl.ones(3), group=group)
    else:
        work.wait()


# --- the same result as one process with the whole batch


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)), (6,), 3


def lenet():
    net = models.BNLeNet(4)
    net(minidl.zeros(2, 1, 28, 28))
    return nn.SyncBatchNorm.convert_sync_batchnorm(net), (1, 28, 28), 4


def transformer():
    return models.GPT(11, context=6, width=8, heads=2, layers=2), None, 11


def batch_for(shape, classes, N, seed, dtype):
    rng = np.random.default_rng(seed)
    if shape is None:
        tokens = rng.integers(0, classes, (N, 7))
        return minidl.tensor(tokens[:, :-1]), minidl.tensor(tokens[:, 1:])
    return minidl.tensor(rng.normal(size=(N, *shape)).astype(dtype)), minidl.tensor(rng.integers(0, classes, N))


def loss_of(model, x, y):
    z = model(x)
    return nn.functional.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1))


def alone(make, dtype, steps, N):
    """The parameters and buffers of one process after some steps with batches of N; batch norm is the ordinary one here."""
    minidl.manual_seed(0)
    model, shape, classes = make()
    for module in model.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.forward = super(nn.SyncBatchNorm, module).forward
    model = model.to(dtype)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, *batch_for(shape, classes, N, step, dtype)).backward()
        optimizer.step()
    return {key: x.array.copy() for key, x in model.state_dict().items()}


def together(make, dtype, steps, b, **options):
    minidl.manual_seed(me())  # other values on each rank, until DistributedDataParallel gives all those of rank 0
    model, shape, classes = make()
    ddp = DistributedDataParallel(model.to(dtype), **options)
    optimizer = minidl.optim.SGD(ddp.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    part = slice(b * me(), b * me() + b)
    for step in range(steps):
        x, y = batch_for(shape, classes, b * dist.get_world_size(), step, dtype)
        optimizer.zero_grad()
        loss_of(ddp, x[part], y[part]).backward()
        optimizer.step()
    return ddp


def difference(make, dtype, steps, **options):
    b = 6
    ddp = together(make, dtype, steps, b, **options)
    wanted = alone(make, dtype, steps, b * dist.get_world_size())
    digests = [None] * dist.get_world_size()
    for r in ranks():
        digests[r] = [digest(ddp)]
        dist.broadcast_object_list(digests[r], r)
    assert all(d == digests[0] for d in digests), "ranks differ"
    return max(np.abs(x.array - wanted[key]).max() for key, x in ddp.state_dict().items())


def digest(ddp):
    return hashlib.sha256(b"".join(x.array.tobytes() for x in ddp.state_dict().values())).hexdigest()


def check_mlp_is_that_of_one_process():
    assert difference(mlp, minidl.float64, 5) < 1e-12
    assert difference(mlp, minidl.float64, 3, bucket_cap_mb=1e-4) < 1e-12
    assert difference(mlp, minidl.float64, 3, gradient_as_bucket_view=True, static_graph=True) < 1e-12
    assert difference(mlp, minidl.float32, 1) < 1e-6


def check_lenet_with_batch_norm_is_that_of_one_process():
    assert difference(lenet, minidl.float64, 3, bucket_cap_mb=0.05) < 1e-12
    assert difference(lenet, minidl.float32, 1) < 1e-6


def check_transformer_is_that_of_one_process():
    assert difference(transformer, minidl.float64, 3, bucket_cap_mb=0.002) < 1e-12
    assert difference(transformer, minidl.float32, 1) < 1e-6


def check_bits():
    """Not a check: what it returns is compared between runs."""
    found = [digest(together(make, minidl.float32, 3, 6, bucket_cap_mb=0.01)) for make in (mlp, lenet, transformer)]
    return hashlib.sha256("".join(found).encode()).hexdigest()


# --- DistributedDataParallel


def check_transfers_begin_while_backward_runs():
    net = nn.Sequential(*(nn.Linear(20, 20, bias=False) for _ in range(6)))
    ddp = DistributedDataParallel(net, bucket_cap_mb=1e-5)
    launched = []
    net[0].weight.register_post_accumulate_grad_hook(lambda w: launched.append(ddp._launched))  # after the hook of ddp
    net[3].weight.register_hook(lambda dy: launched.append(ddp._launched))
    ddp(minidl.ones(2, 20)).sum().backward()
    assert launched == [2, 6], launched  # of six buckets, in the middle of backward and at its end


def check_no_sync_adds_up():
    minidl.manual_seed(1)
    net = nn.Linear(3, 1).double()
    ddp = DistributedDataParallel(net)
    xs = [minidl.tensor(own(me() + 10 * i, (4, 3))) for i in range(3)]
    with ddp.no_sync():
        for x in xs[:2]:
            ddp(x).sum().backward()
        assert np.allclose(net.weight.grad.array, sum(own(me() + 10 * i, (4, 3)).sum(0) for i in range(2)), rtol=1e-12)
    ddp(xs[2]).sum().backward()
    wanted = np.mean([sum(own(r + 10 * i, (4, 3)).sum(0) for i in range(3)) for r in ranks()], 0)
    assert np.allclose(net.weight.grad.array, wanted, rtol=1e-12)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(2, 1, bias=False) for _ in range(3))

    def forward(self, x, first):
        return self.a(x) if first else self.b(x)


def check_unused_parameters():
    x = minidl.ones(5, 2)
    ddp = DistributedDataParallel(Branches(), find_unused_parameters=True)
    n = dist.get_world_size()
    for _ in range(2):
        ddp.zero_grad()
        ddp(x, me() == 0).sum().backward()
        a, b, c = (layer.weight.grad for layer in (ddp.module.a, ddp.module.b, ddp.module.c))
        assert np.allclose(a.array, 5 / n) and np.allclose(b.array, 5 * (n - 1) / n) and c is None
    strict = DistributedDataParallel(Branches())
    words = (
        f"a.weight on {n - 1} of {n} ranks",
        f"b.weight on 1 of {n} ranks",
        f"c.weight on {n} of {n}",
        "find_unused_parameters=True",
    )
    raises(RuntimeError, lambda: strict(x, me() == 0).sum().backward(), *words)
    raises(RuntimeError, lambda: strict(x, me() == 0).sum().backward(), *words)  # the ranks are still in step


def check_output_that_reaches_no_parameter():
    """On one rank the loss depends on no parameter of the model, and the others do not wait for ever."""
    ddp = DistributedDataParallel(nn.Linear(2, 1, bias=False), find_unused_parameters=True)
    x = minidl.ones(3, 2, requires_grad=True)
    y = ddp(x)
    if me() == 0:
        ddp.module.weight.node.after, hooks = None, ddp.module.weight.node.after
        y.sum().backward()
        ddp.module.weight.node.after = hooks
    else:
        y.sum().backward()
    assert np.allclose(ddp.module.weight.grad.array, 3)


def check_different_models_are_an_error():
    net = nn.Linear(2, 3 if me() else 4)
    words = f"ranks {list(ranks())[1:]}" if me() == 0 else f"rank {me()} has weight: float32 of shape (3, 2)"
    raises(RuntimeError, lambda: DistributedDataParallel(net), "is not that of rank 0", words)


def check_buffers_are_those_of_rank_0():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ddp = DistributedDataParallel(net)
    ddp(minidl.tensor(own(me(), (4, 2), np.float32))).sum().backward()
    ddp(minidl.tensor(own(me(), (4, 2), np.float32)))  # begins with a broadcast
    x = net[1].running_mean.clone()
    ddp.eval()
    with minidl.no_grad():
        ddp(minidl.ones(2, 2))
    dist.broadcast(x, 0)
    assert x.equal(net[1].running_mean) and net[1].num_batches_tracked.item() == 2


def check_state_dict_has_no_prefix():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ddp = DistributedDataParallel(net)
    assert list(ddp.state_dict()) == list(net.state_dict())
    state = {f"module.{key}": x + 1 for key, x in net.state_dict().items()}
    before = net[0].weight.clone()
    ddp.load_state_dict(state)
    assert net[0].weight.equal(before + 1)
    ddp.load_state_dict(net.state_dict())
    raises(RuntimeError, lambda: ddp.load_state_dict({"module.nonsense": minidl.ones(1)}), "nonsense")
    wrapped = nn.Sequential(nn.ReLU())
    raises(RuntimeError, lambda: DistributedDataParallel(wrapped), "no parameters that require grad")


def check_sync_batch_norm():
    """With other batch sizes on each rank, and a momentum of None; of two axes, three and four."""
    for shape, momentum, dtype in (((3,), 0.1, np.float64), ((3, 5), None, np.float64), ((3, 2, 2), 0.3, np.float32)):
        sizes = [r + 1 for r in ranks()]
        start = sum(sizes[: me()])
        xs = (own(5, (sum(sizes), *shape)) + 30).astype(dtype)
        dys = own(6, (sum(sizes), *shape)).astype(dtype)
        minidl.manual_seed(3)
        ordinary = (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(3, momentum=momentum)
        nn.init.normal_(ordinary.weight)
        nn.init.normal_(ordinary.bias)
        ordinary = ordinary.to(minidl.tensor(xs).dtype)
        sync = nn.SyncBatchNorm(3, momentum=momentum).to(minidl.tensor(xs).dtype)
        sync.load_state_dict(ordinary.state_dict())
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        for _ in range(2):
            whole = minidl.tensor(xs, requires_grad=True)
            part = minidl.tensor(xs[start : start + me() + 1], requires_grad=True)
            y, z = ordinary(whole), sync(part)
            y.backward(minidl.tensor(dys))
            z.backward(minidl.tensor(dys[start : start + me() + 1]))
            assert np.allclose(z.array, y.array[start : start + me() + 1], atol=tolerance)
            assert np.allclose(part.grad.array, whole.grad.array[start : start + me() + 1], atol=tolerance)
        for parameter, wanted in ((sync.weight, ordinary.weight), (sync.bias, ordinary.bias)):
            dist.all_reduce(parameter.grad)
            assert np.allclose(parameter.grad.array, wanted.grad.array, rtol=100 * tolerance)
        for key, x in sync.state_dict().items():
            assert np.allclose(x.array, ordinary.state_dict()[key].array, rtol=tolerance), key
    sync.eval()
    x = minidl.ones(1, 3, 2, 2)
    assert np.allclose(sync(x).array, ordinary.eval()(x).array, atol=1e-5)
    sync.train()
    x = minidl.tensor(own(me(), (2, 3, 2, 2), np.float32), requires_grad=True)
    raises(NotImplementedError, lambda: sync(x).sum().backward(create_graph=True), "gradients of gradients")


def check_sampler_takes_rank_and_size():
    sampler = DistributedSampler(range(21), seed=3)
    parts = [None] * dist.get_world_size()
    for epoch in range(2):
        sampler.set_epoch(epoch)
        mine = [i for batch in DataLoader(range(21), batch_size=3, sampler=sampler) for i in batch.tolist()]
        for r in ranks():
            box = [mine]
            dist.broadcast_object_list(box, r)
            parts[r] = box[0]
        assert len({len(part) for part in parts}) == 1 and {i for part in parts for i in part} == set(range(21))


def check_a_compiled_step_is_the_ordinary_one():
    """minidl.compile leaves a step with hooks ordinary, and says so; where there is no minidl.compile, nothing is checked."""
    if not hasattr(minidl, "compile"):
        return

    def trained(wrap):
        minidl.manual_seed(0)
        ddp = DistributedDataParallel(mlp()[0].double())
        optimizer = minidl.optim.SGD(ddp.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(ddp, x, y)
            loss.backward()
            optimizer.step()

        step = wrap(step)
        for i in range(6):
            step(*batch_for((6,), 3, 4, 10 * i + me(), np.float64))
        return digest(ddp)

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert trained(minidl.compile) == trained(lambda step: step)
    assert any("stays ordinary" in str(warning.message) for warning in found)


def check_copies():
    """A copy of a model is averaged, too, and its layers stay in their group."""
    net = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2, process_group=dist.group.WORLD))
    ddp = DistributedDataParallel(net)
    again = copy.deepcopy(ddp)
    again(minidl.tensor(own(me(), (4, 2), np.float32))).square().sum().backward()
    gradient = again.module[0].weight.grad.clone()
    dist.broadcast(gradient, 0)
    assert gradient.equal(again.module[0].weight.grad) and net[0].weight.grad is None
    assert again.module[1].process_group is dist.group.WORLD and again.bucket_cap_mb == ddp.bucket_cap_mb


def check_a_backward_that_fails_is_noticed():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    ddp = DistributedDataParallel(net, bucket_cap_mb=1e-5)

    def fail(dy):
        raise ZeroDivisionError

    handle = net[0].weight.register_hook(fail)
    loss = ddp(minidl.ones(1, 2)).sum()
    raises(ZeroDivisionError, loss.backward)
    handle.remove()
    raises(RuntimeError, lambda: ddp(minidl.ones(1, 2)), "out of step")


# --- under MINIDL_DISTRIBUTED_DEBUG=1


def debug_shapes_dtypes_and_calls():
    x = minidl.ones(3 if me() else 2)
    words = "rank 0: all_reduce(float32 of shape (2,), sum)", "rank", "1, 2: all_reduce(float32 of shape (3,), sum)"
    raises(RuntimeError, lambda: dist.all_reduce(x), *words)
    raises(RuntimeError, lambda: dist.all_reduce(minidl.ones(2).double() if me() else minidl.ones(2)), "float32", "float64")
    y = minidl.ones(2)
    other = (lambda: dist.broadcast(y, 0)) if me() == 2 else (lambda: dist.all_reduce(y))
    raises(RuntimeError, other, "ranks 0, 1: all_reduce", "rank 2: broadcast(float32 of shape (2,), from rank 0)")
    raises(RuntimeError, lambda: dist.broadcast(y, me() % 2), "from rank 0", "from rank 1")
    op = ReduceOp.MAX if me() == 1 else ReduceOp.SUM
    raises(RuntimeError, lambda: dist.all_reduce(y, op), "rank 1", "max")
    dist.all_reduce(y)  # and the ranks are in step
    assert y.tolist() == [3, 3]


def debug_training():
    together(mlp, minidl.float64, 2, 3)


def debug_a_call_of_some_ranks():
    group = dist.new_group(timeout=datetime.timedelta(seconds=0.5))
    if me() == 1:
        return
    words = "ranks 0, 2: all_reduce(float32 of shape (3,), sum)", "rank 1: no call"
    raises(RuntimeError, lambda: dist.all_reduce(minidl.ones(3), group=group), *words)
    raises(RuntimeError, lambda: dist.all_reduce(minidl.ones(3), group=group), "out of step since")


def main():
    dist.init_process_group("mpi")
    prefix = "debug_" if os.environ.get("MINIDL_DISTRIBUTED_DEBUG") == "1" else "check_"
    only = sys.argv[1:]
    results = {}
    for name, function in list(globals().items()):
        if name.startswith(prefix) and (not only or name in only):
            try:
                outcome = function()
            except Exception:
                outcome = f"rank {me()}: {traceback.format_exc()}"
                print(name, outcome, file=sys.stderr, flush=True)
            boxes = [[outcome] for _ in ranks()]
            for r, box in enumerate(boxes):
                dist.broadcast_object_list(box, r)
            results[name] = [box[0] for box in boxes]
    if me() == 0:
        print("results " + json.dumps(results), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
