"""Models of *Dive into Deep Learning*, chapters 9 to 11, typed in its manner, run when only the import changes, and learn.

Each program takes the framework `t` and yields the loss of each training step; where PyTorch is installed, its losses are the
same. `Book` stands in for the book's helper module: modules that keep their arguments, one training loop, a vocabulary, text.
"""

import codecs
import collections
import contextlib
import inspect
import io
import itertools
import math
import re

import numpy as np
import pytest

import minidl

with contextlib.redirect_stdout(io.StringIO()):
    import this  # prints the text

TEXT = re.sub("[^A-Za-z]+", " ", codecs.decode(this.s, "rot13")).lower()


class Vocab:
    def __init__(self, tokens, min_freq=0, reserved_tokens=()):
        counter = collections.Counter(tokens)
        self.token_freqs = sorted(counter.items(), key=lambda pair: pair[1], reverse=True)
        frequent = [token for token, freq in self.token_freqs if freq >= min_freq]
        self.idx_to_token = sorted({"<unk>", *reserved_tokens, *frequent})
        self.token_to_idx = {token: i for i, token in enumerate(self.idx_to_token)}

    def __len__(self):
        return len(self.idx_to_token)

    def __getitem__(self, tokens):
        if isinstance(tokens, (list, tuple)):
            return [self[token] for token in tokens]
        return self.token_to_idx.get(tokens, self.token_to_idx["<unk>"])


class HyperParameters:
    def save_hyperparameters(self, ignore=()):
        _, _, _, values = inspect.getargvalues(inspect.currentframe().f_back)
        skipped = {*ignore, "self", "t"}
        self.hparams = {k: v for k, v in values.items() if k not in skipped and not k.startswith("_")}
        for k, v in self.hparams.items():
            setattr(self, k, v)


def book(t):
    """The helper module, on the framework `t`."""
    nn, F = t.nn, t.nn.functional

    class Module(nn.Module, HyperParameters):
        def loss(self, Y_hat, Y):
            return F.cross_entropy(Y_hat.reshape((-1, Y_hat.shape[-1])), Y.reshape((-1,)))

        def training_step(self, batch):
            return self.loss(self(*batch[:-1]), batch[-1])

        def clip_gradients(self, grad_clip_val):
            params = [p for p in self.parameters() if p.requires_grad]
            norm = t.sqrt(sum(t.sum(p.grad**2) for p in params))
            if norm > grad_clip_val:
                for param in params:
                    param.grad[:] *= grad_clip_val / norm

        def fit(self, batches, lr, optimizer="SGD", grad_clip_val=1):
            optim = getattr(t.optim, optimizer)(self.parameters(), lr=lr)
            for batch in itertools.cycle(batches):
                self.train()
                loss = self.training_step(batch)
                optim.zero_grad()
                with t.no_grad():
                    loss.backward()
                    if grad_clip_val > 0:
                        self.clip_gradients(grad_clip_val)
                    optim.step()
                yield loss.item()

    return Module


def characters(t, num_steps=16, batch_size=48):
    vocab = Vocab(list(TEXT))
    corpus = [vocab[token] for token in TEXT]
    array = t.tensor([corpus[i : i + num_steps + 1] for i in range(len(corpus) - num_steps)])
    X, Y = array[:, :-1], array[:, 1:]
    return vocab, [(X[i::14][:batch_size], Y[i::14][:batch_size]) for i in range(14)]


def language_model(t, make, lr=1, clip=1, optimizer="SGD"):
    """RNNLMScratch: one-hot vectors, an RNN, an output layer; after training it goes on from a prefix."""
    nn, F, Module = t.nn, t.nn.functional, book(t)

    class RNNLMScratch(Module):
        def __init__(self, rnn, vocab_size, width, sigma=0.01):
            super().__init__()
            self.save_hyperparameters()
            self.W_hq = nn.Parameter(t.randn(width, vocab_size) * sigma)
            self.b_q = nn.Parameter(t.zeros(vocab_size))

        def one_hot(self, X):
            return F.one_hot(X.T, self.vocab_size).type(t.float32)

        def output_layer(self, rnn_outputs):
            return t.stack([t.matmul(H, self.W_hq) + self.b_q for H in rnn_outputs], 1)

        def forward(self, X, state=None):
            rnn_outputs, _ = self.rnn(self.one_hot(X), state)
            return self.output_layer(rnn_outputs)

        def predict(self, prefix, num_preds, vocab):
            state, outputs = None, [vocab[prefix[0]]]
            for i in range(len(prefix) + num_preds - 1):
                X = t.tensor([[outputs[-1]]])
                rnn_outputs, state = self.rnn(self.one_hot(X), state)
                if i < len(prefix) - 1:
                    outputs.append(vocab[prefix[i + 1]])
                else:
                    outputs.append(int(self.output_layer(rnn_outputs).argmax(axis=2).reshape(1)))
            return "".join([vocab.idx_to_token[i] for i in outputs])

    t.manual_seed(0)
    vocab, batches = characters(t)
    rnn, width = make(len(vocab))
    model = RNNLMScratch(rnn, len(vocab), width)
    assert model.hparams["rnn"] is rnn
    for loss in model.fit(batches, lr, optimizer, clip):
        yield loss
        text = model.predict("it is", 4, vocab) if width == 32 else "it is...."  # a bidirectional network cannot go on
        assert len(text) == 9 and text.startswith("it is")


def rnn_scratch(t):
    nn, Module = t.nn, book(t)

    class RNNScratch(Module):
        def __init__(self, num_inputs, num_hiddens, sigma=0.01):
            super().__init__()
            self.save_hyperparameters()
            self.W_xh = nn.Parameter(t.randn(num_inputs, num_hiddens) * sigma)
            self.W_hh = nn.Parameter(t.randn(num_hiddens, num_hiddens) * sigma)
            self.b_h = nn.Parameter(t.zeros(num_hiddens))

        def forward(self, inputs, state=None):
            if state is None:
                state = t.zeros((inputs.shape[1], self.num_hiddens), device=inputs.device)
            else:
                (state,) = state
            outputs = []
            for X in inputs:
                state = t.tanh(t.matmul(X, self.W_xh) + t.matmul(state, self.W_hh) + self.b_h)
                outputs.append(state)
            return outputs, (state,)

    yield from language_model(t, lambda n: (RNNScratch(n, 32), 32))


def gru_scratch(t):
    nn, Module = t.nn, book(t)

    class GRUScratch(Module):
        def __init__(self, num_inputs, num_hiddens, sigma=0.1):
            super().__init__()
            self.save_hyperparameters()
            init_weight = lambda *shape: nn.Parameter(t.randn(*shape) * sigma)  # noqa: E731
            triple = lambda: (  # noqa: E731
                init_weight(num_inputs, num_hiddens),
                init_weight(num_hiddens, num_hiddens),
                nn.Parameter(t.zeros(num_hiddens)),
            )
            self.W_xz, self.W_hz, self.b_z = triple()
            self.W_xr, self.W_hr, self.b_r = triple()
            self.W_xh, self.W_hh, self.b_h = triple()

        def forward(self, inputs, H=None):
            if H is None:
                H = t.zeros((inputs.shape[1], self.num_hiddens))
            outputs = []
            for X in inputs:
                Z = t.sigmoid(t.matmul(X, self.W_xz) + t.matmul(H, self.W_hz) + self.b_z)
                R = t.sigmoid(t.matmul(X, self.W_xr) + t.matmul(H, self.W_hr) + self.b_r)
                H_tilde = t.tanh(t.matmul(X, self.W_xh) + t.matmul(R * H, self.W_hh) + self.b_h)
                H = Z * H + (1 - Z) * H_tilde
                outputs.append(H)
            return outputs, H

    yield from language_model(t, lambda n: (GRUScratch(n, 32), 32), 4)


def lstm_scratch(t):
    nn, Module = t.nn, book(t)

    class LSTMScratch(Module):
        def __init__(self, num_inputs, num_hiddens, sigma=0.1):
            super().__init__()
            self.save_hyperparameters()
            for gate in "ifoc":
                setattr(self, f"W_x{gate}", nn.Parameter(t.randn(num_inputs, num_hiddens) * sigma))
                setattr(self, f"W_h{gate}", nn.Parameter(t.randn(num_hiddens, num_hiddens) * sigma))
                setattr(self, f"b_{gate}", nn.Parameter(t.zeros(num_hiddens)))

        def forward(self, inputs, H_C=None):
            if H_C is None:
                H = t.zeros((inputs.shape[1], self.num_hiddens), device=inputs.device)
                C = t.zeros((inputs.shape[1], self.num_hiddens), device=inputs.device)
            else:
                H, C = H_C
            outputs = []
            for X in inputs:
                I = t.sigmoid(t.matmul(X, self.W_xi) + t.matmul(H, self.W_hi) + self.b_i)
                F = t.sigmoid(t.matmul(X, self.W_xf) + t.matmul(H, self.W_hf) + self.b_f)
                O = t.sigmoid(t.matmul(X, self.W_xo) + t.matmul(H, self.W_ho) + self.b_o)
                C_tilde = t.tanh(t.matmul(X, self.W_xc) + t.matmul(H, self.W_hc) + self.b_c)
                C = F * C + I * C_tilde
                H = O * t.tanh(C)
                outputs.append(H)
            return outputs, (H, C)

    yield from language_model(t, lambda n: (LSTMScratch(n, 32), 32), 4)


def concise(t, make, width=32, **options):
    Module = book(t)

    class Concise(Module):
        def __init__(self, num_inputs, num_hiddens):
            super().__init__()
            self.save_hyperparameters()
            self.rnn = make(num_inputs, num_hiddens)

        def forward(self, inputs, H=None):
            return self.rnn(inputs, H)

    yield from language_model(t, lambda n: (Concise(n, 32), width), **options)


def rnn_concise(t):
    yield from concise(t, t.nn.RNN)


def gru_deep(t):
    yield from concise(t, lambda i, h: t.nn.GRU(i, h, 2, dropout=0), optimizer="Adam", lr=0.02)


def lstm_bidirectional(t):
    yield from concise(t, lambda i, h: t.nn.LSTM(i, h, bidirectional=True), 64, optimizer="Adam", lr=0.02)


UNIGRAM = 2.81  # what the frequencies of the letters alone reach
PROGRAMS = {  # steps, bound of the loss
    rnn_scratch: (100, 2.7),
    gru_scratch: (80, 2.1),
    lstm_scratch: (100, 2.4),
    rnn_concise: (80, 2.4),
    gru_deep: (80, 1.0),
    lstm_bidirectional: (80, 0.15),  # it sees the answer
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_learns(program):
    steps, bound = PROGRAMS[program]
    losses = list(itertools.islice(program(minidl), steps))
    assert losses[0] == pytest.approx(math.log(27), abs=0.2)
    assert np.mean(losses[-5:]) < bound < UNIGRAM


@pytest.mark.parametrize("program", PROGRAMS)
def test_its_losses_are_pytorchs(program):
    torch = pytest.importorskip("torch")
    ours, theirs = (list(itertools.islice(program(t), 4)) for t in (minidl, torch))
    assert ours == pytest.approx(theirs, abs=1e-4)
