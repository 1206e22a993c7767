"""The Trainer: what it does is what the loop written by hand does, to the same bits; callbacks, Ctrl-C, resuming."""

import copy
import signal
import sys

import numpy as np
import pytest

import minidl
from minidl import model_selection, nn, optim
from minidl.nn import functional as F
from minidl.optim import lr_scheduler
from minidl.utils import callbacks
from minidl.utils.callbacks import Callback, Checkpoint, EarlyStopping, Evaluation, LearningRateLog, LivePlot
from minidl.utils.data import DataLoader, TensorDataset
from minidl.utils.history import History
from minidl.utils.metrics import accuracy, confusion_matrix
from minidl.utils.train import Trainer


def blobs(n=60, seed=0):
    generator = minidl.Generator().manual_seed(seed)
    y = minidl.randint(3, (n,), generator=generator)
    return TensorDataset(minidl.randn(n, 4, generator=generator) + 1.2 * F.one_hot(y, 4).float(), y)


def make(dropout=0.2):
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))
    loaders = DataLoader(blobs(), 8, shuffle=True), DataLoader(blobs(40, 1), 16)
    return net, loaders


def build(epochs, **options):
    options = {"loss": nn.CrossEntropyLoss(), "optimizer": lambda p: optim.SGD(p, 0.1, momentum=0.9), **options}
    return Trainer(epochs, progress=False, **options)


def weights(net):
    return np.concatenate([p.numpy().ravel().copy() for p in net.state_dict().values()])


def by_hand(epochs, clip=0):
    net, (train, val) = make()
    optimizer = optim.SGD(net.parameters(), 0.1, momentum=0.9)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    history = []
    for epoch in range(epochs):
        net.train()
        losses = []
        for x, y in train:
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            losses.append((loss.item(), len(x)))
        net.eval()
        with minidl.no_grad():
            logits, y = (minidl.cat(parts) for parts in zip(*((net(x), y) for x, y in val), strict=True))
        history.append(
            {
                "epoch": epoch + 1,
                "train_loss": sum(loss * n for loss, n in losses) / 60,
                "val_loss": F.cross_entropy(logits, y).item(),
                "val_accuracy": (logits.argmax(1) == y).double().mean().item(),
            }
        )
        scheduler.step()
    return net, history


@pytest.mark.parametrize("clip", [0, 0.5])
def test_fit_is_the_loop_written_by_hand(clip):
    expected, rows = by_hand(4, clip)
    net, loaders = make()
    trainer = build(4, gradient_clip_val=clip, scheduler=lambda o: lr_scheduler.StepLR(o, 2), metrics=[accuracy])
    history = trainer.fit(net, loaders)
    assert np.array_equal(weights(net), weights(expected))
    assert list(history[0]) == ["epoch", "train_loss", "val_loss", "val_accuracy"]
    for row, right in zip(history, rows, strict=True):
        assert row == pytest.approx(right, rel=1e-5)
    assert (trainer.train_batch_idx, trainer.epoch) == (32, 4)


def test_evaluate_is_exact_over_uneven_batches_and_leaves_the_mode():
    net, (_, val) = make()
    trainer = build(1, metrics={"acc": accuracy, "matrix": confusion_matrix})
    net.train()
    found = trainer.evaluate(net, DataLoader(val.dataset, 17))
    assert net.training
    net.eval()
    x, y = val.dataset.tensors
    assert found["loss"] == pytest.approx(F.cross_entropy(net(x), y).item(), rel=1e-6)
    assert found["acc"] == (net(x).argmax(1) == y).double().mean().item()
    assert found["matrix"].sum() == 40 and found["matrix"].diagonal().sum().item() / 40 == found["acc"]
    assert trainer.history == []


def test_confusion_matrix_and_accuracy():
    y_hat, y = minidl.tensor([0, 2, 1, 2]), minidl.tensor([0, 1, 1, 2])
    assert confusion_matrix(y_hat, y).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert confusion_matrix(F.one_hot(y_hat, 4).float(), y).shape == (4, 4)
    assert confusion_matrix(y_hat, y, num_classes=5).shape == (5, 5)
    assert accuracy(y_hat, y) == 0.75 == accuracy(F.one_hot(y_hat, 3).float(), y)
    for wrong in (y[:2], y.float()):
        with pytest.raises((ValueError, TypeError), match="accuracy: expected"):
            accuracy(y_hat, wrong)
    with pytest.raises(ValueError, match="num_classes must be an integer of 3 or more"):
        confusion_matrix(y_hat, y, 2)
    with pytest.raises(ValueError, match="0 or more"):
        confusion_matrix(y_hat - 1, y)
    with pytest.raises(ValueError, match="got none"):
        accuracy(y_hat[:0], y[:0])


def test_scikit_learns_metrics_take_tensors():
    metrics = pytest.importorskip("sklearn.metrics")
    net, (_, val) = make()
    f1 = lambda y_hat, y: metrics.f1_score(y, y_hat.argmax(1), average="macro")  # noqa: E731
    found = build(1, metrics={"f1": f1, "matrix": confusion_matrix}).evaluate(net, val)
    net.eval()
    predicted = net(val.dataset.tensors[0]).argmax(1)
    assert np.array_equal(found["matrix"], metrics.confusion_matrix(val.dataset.tensors[1], predicted, labels=range(3)))
    assert 0 < found["f1"] < 1


def test_an_autoencoder_and_a_loader_alone():
    minidl.manual_seed(0)
    x = minidl.randn(32, 3)
    net = nn.Linear(3, 3)
    history = build(30, loss=nn.MSELoss(), optimizer=optim.Adam(net.parameters(), 0.1)).fit(
        net, DataLoader(TensorDataset(x), 8)
    )
    assert history.column("train_loss")[-1] < 1e-3 < history[0]["train_loss"]
    assert "val_loss" not in history[0]


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        trainer.stop = trainer.train_batch_idx == self.step


def with_everything(path, extra=()):
    calls = [Checkpoint(path), EarlyStopping(patience=2), LearningRateLog(), *extra]
    net, loaders = make()
    trainer = build(6, scheduler=lambda o: lr_scheduler.StepLR(o, 2), metrics=[accuracy], callbacks=calls)
    return net, loaders, trainer


@pytest.mark.parametrize("step", [1, 8, 11, 24])
def test_a_stopped_training_goes_on_to_the_same_bits(step, tmp_path, capsys):
    net, loaders, trainer = with_everything(tmp_path / "whole.npz")
    whole = trainer.fit(net, loaders)
    expected, draw, rates = weights(net), minidl.rand(1), trainer.callbacks[1].rates
    net, loaders, trainer = with_everything(tmp_path / "run.npz", [StopAt(step)])
    assert trainer.fit(net, loaders) != whole
    assert "goes on" in capsys.readouterr().err
    net, loaders, trainer = with_everything(tmp_path / "run.npz")
    minidl.manual_seed(77)
    assert trainer.fit(net, loaders, resume=tmp_path / "run.npz") == whole
    assert np.array_equal(weights(net), expected)
    assert minidl.rand(1).equal(draw)
    assert trainer.callbacks[1].rates == rates


def test_every_epoch_and_every_few_steps_has_a_checkpoint(tmp_path):
    net, loaders = make()
    path = tmp_path / "run-{epoch}.npz"
    build(2, callbacks=[Checkpoint(path, every_steps=3)]).fit(net, loaders)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-0.npz", "run-1.npz", "run-2.npz"]
    expected = weights(net)
    for epoch in range(3):
        net, loaders = make()
        build(2).fit(net, loaders, resume=str(path).format(epoch=epoch))
        assert np.array_equal(weights(net), expected)


class PressAt(StopAt):
    presses = 1

    def on_step_end(self, trainer):
        if trainer.train_batch_idx == self.step:
            for _ in range(self.presses):
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_finishes_the_step_saves_and_leaves(tmp_path, capsys):
    net, loaders, trainer = with_everything(tmp_path / "whole.npz")
    whole = trainer.fit(net, loaders)
    expected = weights(net)
    net, loaders, trainer = with_everything(tmp_path / "run.npz", [PressAt(5)])
    before = signal.getsignal(signal.SIGINT)
    assert trainer.fit(net, loaders) == []
    assert trainer.interrupted and trainer.train_batch_idx == 5
    assert signal.getsignal(signal.SIGINT) is before
    assert "Ctrl-C" in capsys.readouterr().err
    net, loaders, trainer = with_everything(tmp_path / "run.npz")
    assert trainer.fit(net, loaders, resume=tmp_path / "run.npz") == whole
    assert np.array_equal(weights(net), expected)


def test_a_second_ctrl_c_interrupts_at_once():
    net, loaders = make()
    press = PressAt(2)
    press.presses = 2
    with pytest.raises(KeyboardInterrupt):
        build(2, callbacks=[press]).fit(net, loaders)


class Worse(nn.Module):
    """Its validation loss is best after the third epoch, and then grows: the weight moves by one each epoch."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(minidl.zeros(1))

    def training_step(self, batch):
        return -self.w.sum()

    def validation_step(self, batch):
        self.trainer.log("loss", (self.w - 3).abs(), train=False)

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.parametrize(("options", "epochs", "w"), [({}, 5, 3), ({"restore_best": False}, 5, 5), ({"min_delta": 2.5}, 3, 1)])
def test_early_stopping_keeps_the_best_weights(options, epochs, w):
    model = Worse()
    one = [minidl.zeros(1)]
    history = Trainer(20, progress=False, callbacks=[EarlyStopping(patience=2, **options)]).fit(model, (one, one))
    assert (len(history), model.w.item()) == (epochs, w)


def test_other_data_are_evaluated_after_each_epoch():
    net, (train, held_out) = make()
    trainer = build(2, metrics=[accuracy], callbacks=[Evaluation("seen", train), EarlyStopping("seen_loss")])
    row = trainer.fit(net, (train, held_out))[-1]
    by_hand = trainer.evaluate(net, train)
    assert row["seen_loss"] == pytest.approx(by_hand["loss"], rel=1e-6) and row["seen_accuracy"] == by_hand["accuracy"]
    assert abs(row["val_loss"] - row["seen_loss"]) > 1e-3 and abs(row["train_loss"] - row["seen_loss"]) > 1e-3
    with pytest.raises(TypeError, match="Evaluation: expected a name and a loader"):
        Evaluation("seen", iter([]))


def test_evaluating_other_data_changes_nothing_of_the_training():
    runs = []
    for calls in ([], [Evaluation("seen", [blobs()[:]])]):
        net, loaders = make()
        history = build(3, metrics=[accuracy], callbacks=calls).fit(net, loaders)
        runs.append((weights(net).tolist(), history.column("train_loss"), history.column("val_accuracy")))
    assert runs[0] == runs[1]


def test_early_stopping_of_a_larger_is_better():
    model = Worse()
    one = [minidl.zeros(1)]
    stopping = EarlyStopping("train_loss", patience=1, mode="max")
    assert len(Trainer(20, progress=False, callbacks=[stopping]).fit(model, (one, one))) == 2
    assert model.w.item() == 1
    with pytest.raises(KeyError, match="no 'val_acc', but epoch, train_loss, val_loss"):
        Trainer(20, progress=False, callbacks=[EarlyStopping("val_acc")]).fit(model, (one, one))


def test_early_stopping_is_that_of_model_selection_after_each_epoch():
    model, one, losses = Worse(), [minidl.zeros(1)], []
    callback, by_hand = EarlyStopping(patience=2, min_delta=0.5), model_selection.EarlyStopping(patience=2, min_delta=0.5)
    history = Trainer(20, progress=False, callbacks=[callback]).fit(model, (one, one))
    for loss in history.column("val_loss"):
        losses.append(loss)
        if by_hand(loss):
            break
    assert losses == history.column("val_loss")
    assert (callback.best, callback.best_epoch) == (by_hand.best, by_hand.best_epoch + 1)


def test_a_second_training_knows_nothing_of_the_first():
    stopping, rates, one = EarlyStopping("train_loss", patience=1, mode="max"), LearningRateLog(), [minidl.zeros(1)]
    for _ in range(2):
        model = Worse()
        assert len(Trainer(20, progress=False, callbacks=[stopping, rates]).fit(model, (one, one))) == 2
        assert (model.w.item(), stopping.best_epoch, rates.rates) == (1, 1, [1, 1])


def test_schedulers_step_by_epoch_by_step_or_by_loss():
    net, loaders = make()
    log = LearningRateLog()
    build(1, scheduler=lambda o: lr_scheduler.ExponentialLR(o, 0.5), step_every="step", callbacks=[log]).fit(net, loaders)
    assert log.rates == pytest.approx([0.1 * 0.5 ** (i + 1) for i in range(8)])

    class Plateau:
        seen = []

        def step(self, metrics):
            self.seen.append(metrics)

    net, loaders = make()
    history = build(2, scheduler=Plateau()).fit(net, loaders)
    assert Plateau.seen == history.column("val_loss")


def test_live_plot_draws_the_history(monkeypatch, capsys):
    net, loaders = make()
    plot = LivePlot()
    history = build(3, callbacks=[plot]).fit(net, loaders)
    lines = {line.get_label(): line.get_ydata() for line in plot.board.fig.gca().get_lines()}
    assert {name: list(values) for name, values in lines.items()} == {
        name: history.column(name) for name in ("train_loss", "val_loss")
    }
    monkeypatch.setitem(sys.modules, "minidl.utils.drawing", None)
    monkeypatch.delattr("minidl.utils.drawing")
    net, loaders = make()
    build(1, callbacks=[LivePlot(["train_loss"])]).fit(net, loaders)
    assert capsys.readouterr().out.startswith("epoch 1: train_loss ")


def test_the_bar_is_tqdms_or_a_line(monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "in_notebook", lambda: True)
    for missing in (False, True):
        if missing:
            monkeypatch.setitem(sys.modules, "tqdm", None)
            monkeypatch.setitem(sys.modules, "tqdm.auto", None)
            monkeypatch.delitem(sys.modules, "minidl.utils.progress_bar", raising=False)
            monkeypatch.delattr("minidl.utils.progress_bar", raising=False)
        net, loaders = make()
        trainer = Trainer(2, loss=nn.CrossEntropyLoss(), optimizer=lambda p: optim.SGD(p, 0.1))
        trainer.fit(net, loaders)
        assert trainer._bars[0].bar is None
    assert "step 16 of 16: epoch 2, train_loss" in capsys.readouterr().err


def test_history_is_a_table():
    history = History([{"epoch": 1, "loss": 0.123456789}, {"epoch": 10, "loss": 2.0, "lr": 0.1}])
    assert repr(history) == "epoch     loss   lr\n    1  0.12346     \n   10        2  0.1"
    assert repr(History()) == "History()"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, data: Trainer(1.5), "max_epochs must be an integer"),
        (lambda net, data: Trainer(1, gradient_clip_val=-1), "gradient_clip_val a number, 0 or more"),
        (lambda net, data: Trainer(1, step_every="batch"), "step_every must be"),
        (lambda net, data: Trainer(1).fit(net, data), "needs a loss"),
        (lambda net, data: Trainer(1, loss=nn.MSELoss()).fit(net, data), "give it an optimizer"),
        (lambda net, data: build(1).fit(net, [{"x": 1}]), "got dict; write prepare_batch"),
        (lambda net, data: EarlyStopping(mode="most"), "mode must be"),
        (lambda net, data: EarlyStopping(patience=0), "patience must be 1 or more"),
        (lambda net, data: Checkpoint("x", every_steps=0), "every_steps must be"),
    ],
)
def test_errors(call, message):
    net, data = make()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises((ValueError, TypeError), match=message):
        call(net, data)
    assert all(before[key].equal(x) for key, x in net.state_dict().items())


def test_a_model_without_validation_step_and_validation_data():
    class Half(Worse):
        validation_step = property(lambda self: self.absent)

    with pytest.raises(TypeError, match="no validation_step"):
        Trainer(1, progress=False).fit(Half(), ([minidl.zeros(1)], [minidl.zeros(1)]))


def test_a_checkpoint_of_other_callbacks_is_refused(tmp_path):
    net, loaders, trainer = with_everything(tmp_path / "run.npz", [StopAt(1)])
    trainer.fit(net, loaders)
    before = weights(net)
    with pytest.raises(ValueError, match="2 callbacks with a state, the trainer 0"):
        build(6, scheduler=lambda o: lr_scheduler.StepLR(o, 2)).fit(net, loaders, resume=tmp_path / "run.npz")
    assert np.array_equal(weights(net), before)
