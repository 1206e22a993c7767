"""`Trainer`: the loop that every training has, so that a program says only what is its own.

    trainer = Trainer(10, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(net.parameters(), lr=0.1), metrics=[accuracy])
    history = trainer.fit(net, (train_loader, val_loader))

It is the Trainer of *Dive into Deep Learning*, too: `Trainer(10).fit(model, data)` for a model with training_step(batch),
validation_step(batch) and configure_optimizers(), and data with train_dataloader() and val_dataloader(). A subclass, or
`d2l.add_to_class`, may replace prepare_batch, fit_epoch or clip_gradients.
"""

import inspect

from ..graph.modes import no_grad
from ..nn.utils import clip_grad_norm_
from ..tensors.joining import cat
from ..tensors.tensor import Tensor
from .callbacks import Checkpoint, Interrupts, ProgressBar
from .checkpoint import ResumableLoader, load_checkpoint
from .history import Progress
from .hyperparameters import HyperParameters


class Trainer(HyperParameters, Progress):
    """Trains a model: fit(model, data), evaluate(model, data).

    max_epochs: passes over the training data. gradient_clip_val: the gradients' norm is at most this; 0 leaves them.
    num_gpus: taken for the book's sake; there are none. For a model without training_step, loss(model(*inputs), target) is
    minimized, where a batch is (*inputs, target), or one tensor, which is its own target; optimizer is one, or a function of
    the parameters. scheduler, stepped after each epoch or each step (step_every), is one, or a function of the optimizer.
    metrics: functions of (predictions, targets) of all validation data, by their names or in a dict. progress: False for no
    bar. Ctrl-C ends the training after the step; see the callback Checkpoint, and resume in fit.

    >>> import minidl
    >>> from minidl.utils.data import DataLoader, TensorDataset
    >>> x, net = minidl.randn(64, 2), minidl.nn.Linear(2, 1)
    >>> data = DataLoader(TensorDataset(x, x @ minidl.tensor([[2.0], [-3.4]]) + 4.2), batch_size=16, shuffle=True)
    >>> trainer = Trainer(20, loss=minidl.nn.MSELoss(), optimizer=minidl.optim.SGD(net.parameters(), lr=0.1))
    >>> trainer.fit(net, data)[-1]["train_loss"] < 1e-4
    True
    """

    loss = optimizer = scheduler = val_dataloader = None  # for readers who put the book's __init__ in the place of this one
    step_every, metrics, progress, gpus, _bars = "epoch", {}, True, (), ()

    def __init__(
        self, max_epochs, num_gpus=0, gradient_clip_val=0, *, loss=None, optimizer=None, scheduler=None, step_every="epoch",
        metrics=(), callbacks=(), progress=True,
    ):  # fmt: skip
        if type(max_epochs) is not int or max_epochs < 0 or not gradient_clip_val >= 0:
            got = f"{max_epochs!r} and {gradient_clip_val!r}"
            raise ValueError(f"Trainer: max_epochs must be an integer and gradient_clip_val a number, 0 or more, got {got}")
        if step_every not in ("epoch", "step"):
            raise ValueError(f'Trainer: step_every must be "epoch" or "step", got {step_every!r}')
        metrics = metrics if isinstance(metrics, dict) else {metric.__name__: metric for metric in metrics}
        callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))  # which keep what the others did
        self.save_hyperparameters()
        self.begin()

    def prepare_data(self, data):
        """Takes the loaders: data is a loader, (training, validation), or has train_dataloader() and val_dataloader()."""
        if hasattr(data, "train_dataloader"):
            data = data.train_dataloader(), data.val_dataloader()
        train, self.val_dataloader = data if isinstance(data, (tuple, list)) and len(data) == 2 else (data, None)
        self.train_dataloader = train if isinstance(train, ResumableLoader) else ResumableLoader(train)
        sizes = [len(x) if hasattr(x, "__len__") else 0 for x in (train, self.val_dataloader)]
        self.num_train_batches, self.num_val_batches = sizes

    def prepare_model(self, model):
        """Takes the model, and shows itself to one that has steps of its own."""
        if hasattr(model, "training_step"):
            if self.val_dataloader is not None and not hasattr(model, "validation_step"):
                raise TypeError("Trainer: there is validation data, but the model has no validation_step")
            model.trainer = self
        elif self.loss is None:
            raise TypeError("Trainer: a model without training_step needs a loss, such as Trainer(…, loss=nn.MSELoss())")
        if hasattr(model, "board"):
            model.board.xlim = [0, self.max_epochs]
        self.model = model

    def fit(self, model, data, resume=None):
        """Trains, and returns the history. resume: a checkpoint, of the callback Checkpoint, from which to go on."""
        self.prepare_data(data)
        self.prepare_model(model)
        self.optim, self._scheduler = self._optimizers(model)
        self.begin()
        self._bars = [ProgressBar()] if self.progress else []
        if resume is not None:
            load_checkpoint(resume, **self.parts())
        try:
            with Interrupts(self):
                self._call("on_fit_start")
                while self.epoch < self.max_epochs and not self.stop:
                    self.fit_epoch()
                    self._call("on_stop") if self._is_cut else self._end_epoch()
                self._call("on_fit_end")
        finally:
            self._call("close")
        return self.history

    def fit_epoch(self):
        """One pass over the training data, then the validation."""
        self.model.train()
        for batch in self.train_dataloader:
            batch = self.prepare_batch(batch)
            seen = self._sums.get("train_loss")
            loss = self.model.training_step(batch) if hasattr(self.model, "training_step") else self._loss(batch)[0]
            self.optim.zero_grad()
            loss.backward()
            with no_grad():  # an optimizer of a reader's own may change the parameters just so
                if self.gradient_clip_val > 0:
                    self.clip_gradients(self.gradient_clip_val, self.model)
                self.optim.step()
            if self._sums.get("train_loss") is seen:  # a model of the book's has told it already
                self.log("loss", loss, train=True, weight=_size(batch))
            self.train_batch_idx += 1
            self._step_scheduler("step", loss.item())
            self._call("on_step_end")
            self._is_cut = self.stop
            if self.stop:
                return
        self._validate(self.val_dataloader)

    def prepare_batch(self, batch):
        """What is done to a batch before the model sees it: nothing."""
        return batch

    def clip_gradients(self, grad_clip_val, model):
        """Scales the gradients so that their common norm is at most grad_clip_val."""
        clip_grad_norm_(model.parameters(), grad_clip_val)

    def evaluate(self, model, data):
        """{"loss": …, and each metric} of a model over a loader, with dropout off and without a graph."""
        kept, was_training = (self._sums, self.val_dataloader), model.training
        self._sums, self.val_dataloader, self.evaluating = {}, data, True
        try:
            self.prepare_model(model)
            self._validate(data)
            return {key.removeprefix("val_"): x for key, x in self.means().items()}
        finally:
            (self._sums, self.val_dataloader), self.evaluating = kept, False
            model.train(was_training)

    def parts(self):
        """What a checkpoint of this training has."""
        parts = {"model": self.model, "optimizer": self.optim, "scheduler": self._scheduler, "loader": self.train_dataloader}
        return {name: part for name, part in {**parts, "trainer": self}.items() if hasattr(part, "state_dict")}

    def _optimizers(self, model):
        if self.optimizer is None and not hasattr(model, "configure_optimizers"):
            raise TypeError("Trainer: give it an optimizer, such as optimizer=optim.SGD(net.parameters(), lr=0.1)")
        found = model.configure_optimizers() if self.optimizer is None else self.optimizer
        found, scheduler = found if isinstance(found, tuple) else (found, self.scheduler)
        optim = found if hasattr(found, "step") else found(model.parameters())
        return optim, scheduler if scheduler is None or hasattr(scheduler, "step") else scheduler(optim)

    def _loss(self, batch):
        """(loss, predictions, target) of a model without steps of its own."""
        if not isinstance(batch, (Tensor, tuple, list)):
            got = type(batch).__name__
            raise TypeError(f"Trainer: expected batches (*inputs, target) or a tensor, got {got}; write prepare_batch")
        *inputs, target = [batch] if isinstance(batch, Tensor) else batch
        y_hat = self.model(*(inputs or [target]))
        return self.loss(y_hat, target), y_hat, target

    @no_grad()
    def _validate(self, loader):
        self.model.eval()
        found = []
        for batch in loader or ():
            batch = self.prepare_batch(batch)
            if not hasattr(self.model, "training_step"):
                loss, *pair = self._loss(batch)
                self.log("loss", loss, train=False, weight=_size(batch))
                found += [pair] if self.metrics else []
            else:
                self.model.validation_step(batch)
            self.val_batch_idx += 1
        if found:
            y_hat, y = (cat([x if x.ndim else x.reshape(1) for x in xs]) for xs in zip(*found, strict=True))
            for name, metric in self.metrics.items():
                self.set("val_" + name, metric(y_hat, y))

    def _end_epoch(self):
        row = self.end_epoch()
        self._step_scheduler("epoch", row.get("val_loss", row.get("train_loss")))
        self._call("on_epoch_end")

    def _step_scheduler(self, point, loss):
        if self._scheduler is not None and self.step_every == point:
            wants_loss = "metrics" in inspect.signature(self._scheduler.step).parameters  # ReduceLROnPlateau
            self._scheduler.step(*([loss] if wants_loss else []))

    def _call(self, point):
        for callback in [*self.callbacks, *self._bars]:
            getattr(callback, point)(self)


def _size(batch):
    first = batch if isinstance(batch, Tensor) else batch[0]
    return len(first) if first.ndim else 1
