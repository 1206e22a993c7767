"""Recurrent language models (chapter 9) and sequence to sequence (chapter 10) of the book."""

from .. import models, nn
from ..graph.modes import no_grad
from ..nn import functional as F
from ..optim import Adam
from ..tensors.creation import tensor, zeros
from ..tensors.joining import cat, stack
from ..tensors.random_tensors import randn
from .base import Classifier, Module

__all__ = ["GRU", "RNN", "RNNLM", "EncoderDecoder", "RNNLMScratch", "RNNScratch", "Seq2Seq", "Seq2SeqDecoder", "Seq2SeqEncoder"]

Seq2SeqEncoder, Seq2SeqDecoder = models.Seq2SeqEncoder, models.Seq2SeqDecoder


class RNNScratch(Module):
    """h_t = tanh(x_t W_xh + h_{t−1} W_hh + b_h), step by step (9.5)

    inputs (T, N, num_inputs) → T states (N, num_hiddens), the last one

    >>> import minidl
    >>> outputs, state = RNNScratch(16, 32)(minidl.ones(100, 2, 16))
    >>> len(outputs), state.shape
    (100, (2, 32))
    """

    def __init__(self, num_inputs, num_hiddens, sigma=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.W_xh = nn.Parameter(randn(num_inputs, num_hiddens) * sigma)
        self.W_hh = nn.Parameter(randn(num_hiddens, num_hiddens) * sigma)
        self.b_h = nn.Parameter(zeros(num_hiddens))

    def forward(self, inputs, state=None):
        state = zeros(inputs.shape[1], self.num_hiddens) if state is None else state
        if isinstance(state, tuple):
            (state,) = state
        outputs = []
        for X in inputs:
            state = (X @ self.W_xh + state @ self.W_hh + self.b_h).tanh()
            outputs.append(state)
        return outputs, state


class RNNLMScratch(Classifier):
    """A language model: one-hot tokens, a recurrent network, logits of the next token (9.5). It draws the perplexity.

    >>> import minidl
    >>> model = RNNLMScratch(RNNScratch(num_inputs=28, num_hiddens=32), vocab_size=28, lr=1)
    >>> model(minidl.ones(2, 100, dtype=minidl.int64)).shape
    (2, 100, 28)
    """

    def __init__(self, rnn, vocab_size, lr=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.init_params()

    def init_params(self):
        """Makes the parameters of the output layer."""
        self.W_hq = nn.Parameter(randn(self.rnn.num_hiddens, self.vocab_size) * self.rnn.sigma)
        self.b_q = nn.Parameter(zeros(self.vocab_size))

    def training_step(self, batch):
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("ppl", loss.exp(), train=True)
        return loss

    def validation_step(self, batch):
        self.plot("ppl", self.loss(self(*batch[:-1]), batch[-1]).exp(), train=False)

    def one_hot(self, X):
        """(N, T) tokens → (T, N, vocab_size)"""
        return F.one_hot(X.T, self.vocab_size).float()

    def output_layer(self, rnn_outputs):
        """T states (N, num_hiddens) → logits (N, T, vocab_size)"""
        return stack([H @ self.W_hq + self.b_q for H in rnn_outputs], 1)

    def forward(self, X, state=None):
        return self.output_layer(self.rnn(self.one_hot(X), state)[0])

    @no_grad()
    def predict(self, prefix, num_preds, vocab, device=None):
        """The text that begins with prefix, and goes on with num_preds likeliest tokens."""
        state, outputs = None, [vocab[prefix[0]]]
        for i in range(len(prefix) + num_preds - 1):
            rnn_outputs, state = self.rnn(self.one_hot(tensor([[outputs[-1]]])), state)
            if i < len(prefix) - 1:
                outputs.append(vocab[prefix[i + 1]])
            else:
                outputs.append(self.output_layer(rnn_outputs).argmax(2).item())
        return "".join(vocab.to_tokens(outputs))


class RNN(Module):
    """nn.RNN with one layer (9.6).

    >>> import minidl
    >>> RNN(28, 32)(minidl.ones(5, 2, 28))[0].shape
    (5, 2, 32)
    """

    def __init__(self, num_inputs, num_hiddens):
        super().__init__()
        self.save_hyperparameters()
        self.rnn = nn.RNN(num_inputs, num_hiddens)

    def forward(self, inputs, H=None):
        return self.rnn(inputs, H)


class GRU(RNN):
    """nn.GRU with several layers (10.3).

    >>> import minidl
    >>> GRU(28, 32, num_layers=2)(minidl.ones(5, 2, 28))[1].shape
    (2, 2, 32)
    """

    def __init__(self, num_inputs, num_hiddens, num_layers, dropout=0):
        Module.__init__(self)
        self.save_hyperparameters()
        self.rnn = nn.GRU(num_inputs, num_hiddens, num_layers, dropout=dropout)


class RNNLM(RNNLMScratch):
    """The language model with layers (9.6).

    >>> import minidl
    >>> RNNLM(RNN(28, 32), vocab_size=28, lr=1)(minidl.ones(2, 100, dtype=minidl.int64)).shape
    (2, 100, 28)
    """

    def init_params(self):
        self.linear = nn.LazyLinear(self.vocab_size)

    def output_layer(self, hiddens):
        return self.linear(hiddens).swapaxes(0, 1)


class EncoderDecoder(Classifier):
    """An encoder and a decoder that are trained together (10.6); `models.EncoderDecoder` without the training.

    >>> import minidl
    >>> sizes = dict(vocab_size=10, embed_size=8, num_hiddens=16, num_layers=2)
    >>> model = EncoderDecoder(Seq2SeqEncoder(**sizes), Seq2SeqDecoder(**sizes))
    >>> model(minidl.zeros(4, 9).long(), minidl.zeros(4, 9).long(), None).shape
    (4, 9, 10)
    """

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, enc_X, dec_X, *args):
        return self.decoder(dec_X, self.decoder.init_state(self.encoder(enc_X, *args), *args))[0]

    @no_grad()
    def predict_step(self, batch, device=None, num_steps=9, save_attention_weights=False):
        """(the likeliest tokens (N, num_steps), the attention weights of each step) for a batch of MTFraEng's."""
        src, tgt, lengths, _ = batch
        state = self.decoder.init_state(self.encoder(src, lengths), lengths)
        outputs, weights = [tgt[:, :1]], []
        for _ in range(num_steps):
            Y, state = self.decoder(outputs[-1], state)
            outputs.append(Y.argmax(2))
            if save_attention_weights:
                weights.append(self.decoder.attention_weights)
        return cat(outputs[1:], 1), weights


class Seq2Seq(EncoderDecoder):
    """Sequence to sequence, trained by Adam on what is no padding (10.7).

    >>> sizes = dict(vocab_size=10, embed_size=8, num_hiddens=16, num_layers=2)
    >>> Seq2Seq(Seq2SeqEncoder(**sizes), Seq2SeqDecoder(**sizes), tgt_pad=0, lr=0.005).tgt_pad
    0
    """

    def __init__(self, encoder, decoder, tgt_pad, lr):
        super().__init__(encoder, decoder)
        self.save_hyperparameters()

    def validation_step(self, batch):
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def loss(self, Y_hat, Y):
        mask = (Y.reshape(-1) != self.tgt_pad).float()
        return (super().loss(Y_hat, Y, averaged=False) * mask).sum() / mask.sum()

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=self.lr)
