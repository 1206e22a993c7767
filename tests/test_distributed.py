"""minidl.distributed with several processes: each start of mpiexec, with a limit of time, checks many things."""

import importlib.util
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.distributed.journal import last_run
from minidl.nn.parallel import DistributedDataParallel
from minidl.nn.parallel.group import ProcessGroup
from minidl.utils.data import DistributedSampler

HERE = Path(__file__).parent
LIMIT = 300  # seconds for one start, of which most is for kernels that are not compiled yet
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def obstacle():
    """Why several processes cannot be tried here, or None."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed: pip install 'minidl[distributed]'"
    if MPIEXEC is None:
        return "there is no mpiexec: pip install 'minidl[distributed]'"
    if numba.config.DISABLE_JIT:
        return "there is no compiler"
    return None


processes = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


def command(n, program, *arguments):
    return [MPIEXEC, "-n", str(n), sys.executable, "-W", "error", str(HERE / program), *map(str, arguments)]


def environment(**variables):
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MINIDL_DISTRIBUTED")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "MINIDL_NUM_THREADS": "1", **variables}


def start(n, program, *arguments, **variables):
    return subprocess.run(
        command(n, program, *arguments),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def results_of(n, **variables):
    done = start(n, "distributed_worker.py", **variables)
    lines = [line for line in done.stdout.splitlines() if line.startswith("results ")]
    assert done.returncode == 0 and lines, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(lines[-1].partition(" ")[2])


@pytest.fixture(scope="module")
def results():
    """{(number of ranks, debug): {name of check: [None, or what went wrong, for each rank]}}, found when first asked for."""
    found = {}

    def get(n, debug):
        if (n, debug) not in found:
            try:
                found[n, debug] = results_of(n, **({"MINIDL_DISTRIBUTED_DEBUG": "1"} if debug else {}))
            except Exception as error:  # once, and not for each test again
                found[n, debug] = error
        if isinstance(found[n, debug], Exception):
            raise AssertionError("the ranks did not come to their end") from found[n, debug]
        return found[n, debug]

    return get


def names(prefix):
    source = (HERE / "distributed_worker.py").read_text(encoding="utf-8")
    return [line[4:].partition("(")[0] for line in source.splitlines() if line.startswith(f"def {prefix}")]


@processes
@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("check", [name for name in names("check_") if name != "check_bits"])
def test_ranks(results, n, check):
    assert results(n, False)[check] == [None] * n


@processes
@pytest.mark.parametrize("check", names("debug_"))
def test_ranks_under_debug(results, check):
    assert results(3, True)[check] == [None] * 3


@processes
def test_a_rank_that_ends_while_others_wait_is_named_under_debug(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import minidl\nfrom minidl import distributed as dist\ndist.init_process_group()\n"
        "if dist.get_rank() == 0:\n    dist.all_reduce(minidl.ones(3))\n"
    )
    done = start(2, program, MINIDL_DISTRIBUTED_DEBUG="1")
    assert done.returncode == 1
    assert "rank 0: all_reduce(float32 of shape (3,), sum); rank 1: the end of the program" in done.stderr


@processes
def test_the_same_bits_from_run_to_run(results):
    again = start(2, "distributed_worker.py", "check_bits")
    assert json.loads(again.stdout.partition("results ")[2])["check_bits"] == results(2, False)["check_bits"]
    assert len(set(results(2, False)["check_bits"])) == 1


# --- failures


def runs(pid):
    """Whether the process is there, and no zombie that nobody has asked for its status."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return Path("/proc/self").exists() is False  # no /proc: the signal says it


def trained(folder):
    return minidl.load(folder / "final.npz")


@processes
@pytest.mark.skipif(os.name != "posix", reason="kills by POSIX's signals")
def test_a_killed_rank_ends_the_job_and_training_goes_on(tmp_path):
    whole, same = tmp_path / "whole", tmp_path / "same"
    for folder in (whole, same):
        folder.mkdir()
    drops, log = {"DROPOUT": "0.5"}, {"MINIDL_DISTRIBUTED_LOG": str(tmp_path / "log")}
    assert start(2, "distributed_training.py", whole, 6, **drops).returncode == 0
    begun = time.monotonic()
    killed = start(2, "distributed_training.py", same, 6, "kill", 3, **drops, **log)
    assert time.monotonic() - begun < 30 and killed.returncode != 0
    assert [path.name for path in same.iterdir()] == ["checkpoint.npz"]  # whole, and nothing beside it
    pids = {rank: json.loads((tmp_path / "log" / f"rank-{rank}.json").read_text())["pid"] for rank in range(2)}
    assert f"PID {pids[1]} " in killed.stdout + killed.stderr
    again = start(2, "distributed_training.py", same, 6, **drops, **log)
    assert again.returncode == 0 and "steps 3 to 6 on 2 ranks" in again.stdout, again.stderr
    assert "the last run, of 2 ranks, did not end; rank " in again.stderr and "was gone first" in again.stderr
    assert all(x.equal(trained(whole)[key]) for key, x in trained(same).items())


@processes
@pytest.mark.skipif(os.name != "posix", reason="kills by POSIX's signals")
def test_an_error_in_one_rank_ends_all_and_training_goes_on_with_another_number(tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
    log = {"MINIDL_DISTRIBUTED_LOG": str(tmp_path / "log")}
    assert start(1, "distributed_training.py", whole, 5).returncode == 0
    begun = time.monotonic()
    failed = start(2, "distributed_training.py", other, 5, "raise", 2, **log)
    assert time.monotonic() - begun < 30 and failed.returncode == 1
    assert "rank 1: ArithmeticError: rank 1 cannot go on" in failed.stderr
    more = start(3, "distributed_training.py", other, 5, **log)
    assert "steps 2 to 5 on 3 ranks" in more.stdout, more.stderr
    assert "rank 1 failed: ArithmeticError: rank 1 cannot go on" in more.stderr
    wanted = trained(whole)
    assert all(np.allclose(x.array, wanted[key].array, rtol=0, atol=1e-12) for key, x in trained(other).items())


@processes
@pytest.mark.skipif(os.name != "posix", reason="interrupts by POSIX's signals")
def test_an_interrupt_reaches_all_ranks(tmp_path):
    """Rank 0 waits in a transfer, rank 1 sleeps; both end, at once."""
    program = subprocess.Popen(
        command(2, "distributed_training.py", tmp_path, 5, "wait", 2),
        env=environment(MINIDL_DISTRIBUTED_LOG=str(tmp_path / "log")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while "waiting" not in program.stdout.readline():
            assert program.poll() is None, program.stderr.read()
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        error = program.communicate(timeout=30)[1]
    finally:
        program.kill()
    assert time.monotonic() - begun < 10 and program.returncode not in (0, None)
    assert "KeyboardInterrupt" in error
    for rank in range(2):
        pid = json.loads((tmp_path / "log" / f"rank-{rank}.json").read_text())["pid"]
        while runs(pid):
            assert time.monotonic() - begun < 10, f"rank {rank} goes on"
            time.sleep(0.01)
    assert minidl.load(tmp_path / "checkpoint.npz")["values"]["step"] == 2
    assert not list(tmp_path.glob(".minidl*"))


# --- hosts: two network namespaces of Linux, joined by a wire


LAUNCHER = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec NAME-$host unshare --uts sh -c "hostname host-$host; $*"
"""  # in place of ssh, which mpiexec calls as ssh -x host command


@pytest.fixture
def hosts(tmp_path):
    """The beginning of a command that starts one process in each of two namespaces, with addresses of their own."""
    name, addresses = f"minidl{os.getpid()}", ["10.213.7.1", "10.213.7.2"]
    if not (shutil.which("ip") and shutil.which("unshare")):
        pytest.skip("network namespaces need ip and unshare, of Linux")
    spaces = [f"{name}-{address}" for address in addresses]

    def ip(words, check=True):
        return subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=check)

    try:
        for space in spaces:
            made = ip(f"netns add {space}", check=False)
            if made.returncode:
                pytest.skip(f"this machine allows no network namespaces: {made.stderr.strip()}")
        wire = ip(f"link add eth0 netns {spaces[0]} type veth peer name eth0 netns {spaces[1]}", check=False)
        if wire.returncode:
            pytest.skip(f"this machine allows no wire between network namespaces: {wire.stderr.strip()}")
        for space, address in zip(spaces, addresses, strict=True):
            ip(f"-n {space} addr add {address}/24 dev eth0")
            ip(f"-n {space} link set lo up")
            ip(f"-n {space} link set eth0 up")
        end = time.monotonic() + 10
        while any("state UP" not in ip(f"-n {space} link show eth0").stdout for space in spaces):
            assert time.monotonic() < end
            time.sleep(0.05)
        launcher = tmp_path / "launcher"
        launcher.write_text(LAUNCHER.replace("NAME", name))
        launcher.chmod(0o700)
        options = [
            "-launcher",
            "ssh",
            "-launcher-exec",
            str(launcher),
            "-localhost",
            addresses[0],
            "-hosts",
            ",".join(addresses),
        ]
        yield ["ip", "netns", "exec", spaces[0], MPIEXEC, *options, "-ppn", "1"]
    finally:
        for space in spaces:
            ip(f"netns del {space}", check=False)


@processes
def test_two_hosts_with_addresses_of_their_own(results, hosts, tmp_path):
    """The checks of two ranks over TCP, by UCX or libfabric, whichever MPI has; and the same bits as on one host."""
    tcp = {"UCX_TLS": "tcp", "UCX_NET_DEVICES": "eth0", "FI_PROVIDER": "tcp", "MINIDL_DISTRIBUTED_LOG": str(tmp_path / "log")}
    checks = [*names("check_all_reduce"), *names("check_send"), *names("check_lenet"), *names("check_unused"), "check_bits"]
    done = subprocess.run(
        [*hosts, *command(2, "distributed_worker.py", *checks)[1:]],
        env=environment(**tcp),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert "results " in done.stdout, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    found = json.loads(done.stdout.partition("results ")[2])
    assert found.pop("check_bits") == results(2, False)["check_bits"]
    assert len(found) == 4 and all(outcomes == [None, None] for outcomes in found.values()), found
    places = [json.loads((tmp_path / "log" / f"rank-{rank}.json").read_text())["host"] for rank in range(2)]
    assert places[1] == "host-10.213.7.2" != places[0]  # rank 0 is started without the launcher, in the namespace of mpiexec


# --- one process, without MPI


def test_without_mpi4py_the_error_says_what_to_install(tmp_path):
    code = """if True:
        import sys
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "mpi4py":
                    raise ModuleNotFoundError("no", name=name)
        sys.meta_path.insert(0, Hidden())
        import importlib.util
        importlib.util.find_spec = lambda name, found=importlib.util.find_spec: None if name == "mpi4py" else found(name)
        import minidl
        from minidl import distributed as dist
        assert not dist.is_available() and not dist.is_initialized()
        try:
            dist.init_process_group()
        except ModuleNotFoundError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'minidl[distributed]'" in done.stdout


def test_import_minidl_loads_none_of_it():
    words = "'mpi' in m.split('.')[0] or 'distributed' in m or 'parallel' in m"
    code = f"import minidl, sys; print([m for m in sys.modules if {words}])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    loaded = [name for name in eval(done.stdout) if not name.startswith("numba")]
    assert loaded == []


def test_before_init_the_error_says_what_to_call():
    for call in (
        minidl.distributed.get_rank,
        minidl.distributed.barrier,
        lambda: minidl.distributed.all_reduce(minidl.ones(1)),
    ):
        with pytest.raises(RuntimeError, match="init_process_group"):
            call()
    with pytest.raises(RuntimeError, match=r"DistributedDataParallel: .*init_process_group"):
        DistributedDataParallel(nn.Linear(1, 1))
    with pytest.raises(RuntimeError, match=r"DistributedSampler: .*init_process_group"):
        DistributedSampler(range(3))
    with pytest.raises(ValueError, match='"mpi"'):
        minidl.distributed.init_process_group("nccl")
    with pytest.raises(TypeError, match="timedelta"):
        minidl.distributed.init_process_group(timeout=3)


class Spy(ProcessGroup):
    """Keeps the memory that it is given to send."""

    def all_reduce(self, array, op="sum", finish=None):
        self.array = array
        array *= 2
        return super().all_reduce(array, op, finish)

    reduce = broadcast = lambda self, array, *options: self.all_reduce(array, "sum", options[-1])

    def all_gather_into(self, parts, array, finish=None):
        self.parts, self.array = parts, array
        return super().all_gather_into(parts, array, finish)

    def reduce_scatter(self, parts, array, op, finish=None):
        self.parts, self.array = parts, array
        return super().reduce_scatter(parts, array, op, finish)


def test_contiguous_tensors_are_sent_from_where_they_are_and_strided_ones_packed_once():
    dist, spy = minidl.distributed, Spy()
    for send in (lambda x: dist.all_reduce(x, group=spy), lambda x: dist.reduce(x, 0, group=spy)):
        x = minidl.ones(4, 6)
        send(x)
        assert spy.array is x.array and x.sum().item() == 48
        part = x[:, ::2]
        send(part)
        assert spy.array.flags.c_contiguous and not np.shares_memory(spy.array, x.array)
        assert x.sum().item() == 12 * 4 + 12 * 2
    x, whole = minidl.ones(4, 6), minidl.zeros(4, 6)
    dist.all_gather_into_tensor(whole, x, group=spy)
    assert spy.array is x.array and np.shares_memory(spy.parts, whole.array) and whole.equal(x)
    dist.reduce_scatter_tensor(x, whole * 3, group=spy)
    assert spy.array is x.array and x.sum().item() == 72


def test_sync_batch_norm_of_one_process_is_batch_norm():
    x = minidl.randn(5, 3, 2, 2)
    for options in ({}, {"eps": 0.1, "momentum": None}, {"affine": False}, {"bias": False}, {"track_running_stats": False}):
        ours, wanted = nn.SyncBatchNorm(3, **options, process_group=ProcessGroup()), nn.BatchNorm2d(3, **options)
        assert ours(x).equal(wanted(x)) and ours.eval()(x).equal(wanted.eval()(x))
        assert [*ours.state_dict()] == [*wanted.state_dict()]
        assert all(a.equal(b) for a, b in zip(ours.state_dict().values(), wanted.state_dict().values(), strict=True))
    with pytest.raises(TypeError, match="process group"):
        nn.SyncBatchNorm(3, process_group=2)
    with pytest.raises(ValueError, match="with 2 or 3 or 4 axes"):
        nn.SyncBatchNorm(3)(minidl.ones(3))


def test_all_batch_norms_are_converted():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3, momentum=0.3)), nn.BatchNorm1d(3), nn.LayerNorm(3))
    weights = [*net.parameters()]
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net, group := ProcessGroup())
    kinds = [type(m).__name__ for m in converted.modules() if "Norm" in type(m).__name__]
    assert kinds == ["SyncBatchNorm", "SyncBatchNorm", "LayerNorm"]
    assert converted[1][0].momentum == 0.3 and converted[2].process_group is group
    assert all(a is b for a, b in zip(converted.parameters(), weights, strict=True))
    assert isinstance(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(2)), nn.SyncBatchNorm)
    with pytest.raises(ValueError, match="lazy"):
        nn.SyncBatchNorm.convert_sync_batchnorm(nn.LazyBatchNorm1d())


def test_arguments_that_mean_nothing_here_are_refused():
    group = ProcessGroup()
    for options in ({"device_ids": [0]}, {"output_device": 0}, {"dim": 1}):
        with pytest.raises(NotImplementedError, match="GPUs"):
            DistributedDataParallel(nn.Linear(1, 1), process_group=group, **options)
    for cap in (0, -1, True, "25"):
        with pytest.raises(ValueError, match="bucket_cap_mb"):
            DistributedDataParallel(nn.Linear(1, 1), process_group=group, bucket_cap_mb=cap)
    with pytest.raises(TypeError, match="process group"):
        DistributedDataParallel(nn.Linear(1, 1), process_group=3)
    with pytest.raises(NotImplementedError, match="DistributedSampler"):
        DistributedDataParallel(nn.Linear(1, 1), process_group=group).join()


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 5, 17])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_sampler_gives_equal_parts(size, n, drop_last):
    parts = [list(DistributedSampler(range(size), n, rank, seed=1, drop_last=drop_last)) for rank in range(n)]
    count = size // n if drop_last else -(-size // n)
    assert [len(part) for part in parts] == [count] * n
    taken = [i for step in zip(*parts, strict=True) for i in step]
    assert len(set(taken)) == (count * n if drop_last else size)


def test_the_sampler_has_the_order_of_pytorch():
    data = pytest.importorskip("torch").utils.data.distributed
    for size, n, epoch, shuffle, drop_last in [
        (17, 3, 0, True, False),
        (17, 3, 2, True, True),
        (5, 7, 1, True, False),
        (6, 4, 0, False, False),
    ]:
        for rank in range(n):
            theirs = data.DistributedSampler(range(size), n, rank, shuffle, 4, drop_last)
            ours = DistributedSampler(range(size), n, rank, shuffle, 4, drop_last)
            theirs.set_epoch(epoch)
            ours.set_epoch(epoch)
            assert list(ours) == list(theirs) and len(ours) == len(theirs)


def test_the_sampler_refuses_what_is_no_rank():
    with pytest.raises(ValueError, match="got 2"):
        DistributedSampler(range(3), 2, 2)
    with pytest.raises(TypeError, match="rank"):
        DistributedSampler(range(3), 2, "0")
    with pytest.raises(ValueError, match="empty"):
        DistributedSampler([], 2, 0)


def test_functions_have_the_arguments_of_pytorch():
    theirs = pytest.importorskip("torch.distributed")
    if not theirs.is_available():
        pytest.skip("this PyTorch was built without torch.distributed")
    for name in minidl.distributed.__all__:
        function = getattr(minidl.distributed, name)
        if inspect.isfunction(function) and name != "seconds_waited":  # which is not PyTorch's
            wanted = [p for p in inspect.signature(getattr(theirs, name)).parameters if p != "_ranks"]
            mine = list(inspect.signature(function).parameters)
            assert mine == wanted[: len(mine)], name


def test_a_record_of_a_run_that_ended_says_nothing(tmp_path):
    (tmp_path / "rank-0.json").write_text('{"rank": 0, "size": 1, "pid": 1, "host": "a", "state": "ended"}')
    assert last_run(tmp_path) == ""
    (tmp_path / "rank-0.json").write_text('{"rank": 0, "size": 1, "pid": 1, "host": "a", "state": "running"}')
    (tmp_path / "first-a.json").write_text('{"host": "a", "time": 0, "rank": 0, "pid": 1}')
    assert "rank 0 (process 1 on a) was gone first" in last_run(tmp_path)


def test_a_hook_is_called_as_soon_as_its_leaf_is_complete():
    order = []
    first, second = (minidl.ones(2, requires_grad=True) for _ in range(2))
    for name, w in (("first", first), ("second", second)):
        w.register_post_accumulate_grad_hook(lambda w, name=name: order.append((name, w.grad.tolist())))
    x = first * 2
    x.register_hook(lambda dy: order.append("the walk"))
    (x * second + second).sum().backward()  # second has two shares
    assert order == [("second", [3, 3]), "the walk", ("first", [2, 2])]
    order.clear()
    loss = (first * 2).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="walked before"):
        loss.backward()
    assert order == [("first", [4, 4])]
