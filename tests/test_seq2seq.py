"""Encoder and decoder, with and without Bahdanau's attention: against a plain loop, and on a task whose alignment is known."""

import inspect

import numpy as np
import pytest

import minidl
import minidl as torch  # so that the book's code reads as in the book
import minidl.nn as nn
import minidl.nn.functional as F
from minidl.models import (
    AttentionDecoder,
    Decoder,
    Encoder,
    EncoderDecoder,
    Seq2SeqAttentionDecoder,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
)
from minidl.optim import Adam


class PlainGRU(nn.Module):
    """nn.GRU's formula and parameter names, step by step."""

    def __init__(self, input_size, hidden_size, num_layers=1, dropout=0.0):
        super().__init__()
        self.hidden_size, self.num_layers, self.dropout = hidden_size, num_layers, dropout
        for layer in range(num_layers):
            size = hidden_size if layer else input_size
            for name, shape in (("ih", (size,)), ("hh", (hidden_size,))):
                weight = minidl.empty(3 * hidden_size, *shape).uniform_(-(hidden_size**-0.5), hidden_size**-0.5)
                self.register_parameter(f"weight_{name}_l{layer}", nn.Parameter(weight))
            for name in ("ih", "hh"):
                bias = minidl.empty(3 * hidden_size).uniform_(-(hidden_size**-0.5), hidden_size**-0.5)
                self.register_parameter(f"bias_{name}_l{layer}", nn.Parameter(bias))

    def forward(self, x, h=None):
        if h is None:
            h = minidl.zeros(self.num_layers, x.shape[1], self.hidden_size)
        last = []
        for layer in range(self.num_layers):
            get = lambda name, layer=layer: getattr(self, f"{name}_l{layer}")  # noqa: E731
            state, outputs = h[layer], []
            for step in x:
                from_x = F.linear(step, get("weight_ih"), get("bias_ih")).chunk(3, -1)
                from_h = F.linear(state, get("weight_hh"), get("bias_hh")).chunk(3, -1)
                r, z = (from_x[0] + from_h[0]).sigmoid(), (from_x[1] + from_h[1]).sigmoid()
                state = (1 - z) * (from_x[2] + r * from_h[2]).tanh() + z * state
                outputs.append(state)
            x = minidl.stack(outputs)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
            last.append(state)
        return x, minidl.stack(last)


@pytest.fixture(autouse=True, params=["plain", "nn.GRU"])
def gru(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(nn, "GRU", PlainGRU, raising=False)
    elif not hasattr(nn, "GRU"):
        pytest.skip("nn has no GRU yet")


def model(attends, vocab=7, num_layers=2, dropout=0.0, seed=0, size=5):
    minidl.manual_seed(seed)
    decoder = Seq2SeqAttentionDecoder if attends else Seq2SeqDecoder
    return EncoderDecoder(
        Seq2SeqEncoder(vocab, 4, size, num_layers, dropout), decoder(vocab, 4, size, num_layers, dropout)
    ).eval()


SOURCE = minidl.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [2, 2, 2, 0]])
TARGET = minidl.tensor([[1, 3, 5], [1, 2, 0], [1, 6, 6]])
LENS = minidl.tensor([4, 2, 3])


@pytest.mark.parametrize("attends", [False, True])
def test_shapes(attends):
    net = model(attends)
    outputs, state = net.encoder(SOURCE, LENS)
    assert outputs.shape == (4, 3, 5) and state.shape == (2, 3, 5)
    assert outputs[-1].allclose(state[-1])
    logits, _ = net.decoder(TARGET, net.decoder.init_state((outputs, state), LENS))
    assert logits.shape == (3, 3, 7)
    assert net(SOURCE, TARGET, LENS).equal(logits)
    if attends:
        assert [w.shape for w in net.decoder.attention_weights] == [(3, 1, 4)] * 3
        assert (minidl.cat(net.decoder.attention_weights, 1) > 0).tolist() == [
            [[i < n for i in range(4)]] * 3 for n in (4, 2, 3)
        ]
    logits[:, -1].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_decoder_without_attention_is_told_the_last_output_at_every_step():
    net = model(False, num_layers=1)
    outputs, state = net.encoder(SOURCE)
    steps = []
    hidden = state
    for t in range(3):
        x = minidl.cat([net.decoder.embedding(TARGET[:, t]), outputs[-1]], -1)
        y, hidden = net.decoder.rnn(x.unsqueeze(0), hidden)
        steps.append(net.decoder.dense(y[0]))
    assert net(SOURCE, TARGET).allclose(minidl.stack(steps, 1), rtol=1e-5, atol=1e-6)


def test_bahdanaus_decoder_against_its_formulas():
    """The state before the step asks, softmax of w_vᵀ tanh(W_q s + W_k h_j) answers, the context comes before the token."""
    net = model(True)
    decoder, (outputs, hidden) = net.decoder, net.encoder(SOURCE)
    attention, steps = decoder.attention, []
    net(SOURCE, TARGET, LENS)  # the first input decides the sizes
    for t in range(3):
        contexts = []
        w_v, W_q, W_k = attention.w_v.weight[0], attention.W_q.weight, attention.W_k.weight
        for b, n in enumerate(LENS.tolist()):
            scores = minidl.stack([w_v @ (W_q @ hidden[-1, b] + W_k @ outputs[j, b]).tanh() for j in range(n)])
            weights = scores.exp() / scores.exp().sum()
            contexts.append((weights[:, None] * outputs[:n, b]).sum(0))
            np.testing.assert_allclose(
                decoder.attention_weights[t][b, 0, :n].numpy(), weights.detach().numpy(), rtol=1e-4, atol=1e-6
            )
        x = minidl.cat([minidl.stack(contexts), decoder.embedding(TARGET[:, t])], -1)
        y, hidden = decoder.rnn(x.unsqueeze(0), hidden)
        steps.append(decoder.dense(y[0]))
    np.testing.assert_allclose(
        net(SOURCE, TARGET, LENS).detach().numpy(), minidl.stack(steps, 1).detach().numpy(), rtol=1e-4, atol=1e-6
    )


def test_padding_beyond_the_length_has_no_weight_and_no_gradient():
    net = model(True)
    outputs, hidden = net.encoder(SOURCE)
    outputs = outputs.detach().requires_grad_()
    logits, _ = net.decoder(TARGET, net.decoder.init_state((outputs, hidden), LENS))
    logits.sum().backward()
    for b, n in enumerate(LENS.tolist()):
        assert (outputs.grad[n:, b] == 0).all() and (outputs.grad[:n, b] != 0).any()


@pytest.mark.parametrize("attends", [False, True])
def test_prediction_goes_on_from_its_own_tokens(attends):
    net = model(attends)
    tokens, weights = net.predict(SOURCE, LENS, bos=1, num_steps=5)
    assert tokens.shape == (3, 5) and len(weights) == 5 * attends
    given = minidl.cat([minidl.full((3, 1), 1), tokens[:, :-1]], 1)
    assert net(SOURCE, given, LENS).argmax(-1).equal(tokens)
    assert not tokens.requires_grad
    first = tokens[:, 0].tolist()
    if len(set(first)) == 1:
        assert net.predict(SOURCE, LENS, bos=1, num_steps=5, eos=first[0])[0].shape == (3, 1)
    with pytest.raises(ValueError, match="num_steps must be an integer of 1 or more, got 0"):
        net.predict(SOURCE, bos=1, num_steps=0)


def test_prediction_ends_when_every_sequence_has_ended():
    class Scripted(Decoder):
        def init_state(self, enc_all_outputs, *args):
            return 0

        def forward(self, X, state):
            script = minidl.tensor([[4, 2, 4, 3], [2, 3, 4, 3]])  # 2 is <eos>
            return F.one_hot(script[:, state : state + 1], 5).float(), state + 1

    class Empty(Encoder):
        def forward(self, X, *args):
            return None

    net = EncoderDecoder(Empty(), Scripted())
    assert net.predict(SOURCE[:2], bos=1, num_steps=4, eos=2)[0].tolist() == [[4, 2], [2, 3]]
    assert net.predict(SOURCE[:2], bos=1, num_steps=3)[0].tolist() == [[4, 2, 4], [2, 3, 4]]


@pytest.mark.parametrize("attends", [False, True])
def test_dropout_lies_between_the_layers_of_both_grus_and_on_the_attention(attends):
    """With probability 1 it is plain to see: the second layer reads zeros, and the context is 0."""
    net, dry = model(attends, dropout=1.0).train(), model(attends)
    assert net.encoder.rnn.dropout == net.decoder.rnn.dropout == 1.0
    net(SOURCE, TARGET, LENS)  # the first input decides the sizes
    dry(SOURCE, TARGET, LENS)
    dry.load_state_dict(net.state_dict())
    outputs, hidden = net.encoder(SOURCE)
    assert hidden[0].allclose(dry.encoder(SOURCE)[1][0])  # the first layer is not dropped
    with minidl.no_grad():
        dry.encoder.rnn.weight_ih_l1.zero_()
        dry.decoder.rnn.weight_ih_l1.zero_()
        if attends:
            dry.decoder.rnn.weight_ih_l0[:, :5] = 0  # of the context, which comes before the token
    assert outputs.allclose(dry.encoder(SOURCE)[0], atol=1e-6)
    assert net(SOURCE, TARGET, LENS).allclose(dry(SOURCE, TARGET, LENS), atol=1e-6)


def test_the_first_values_are_glorots():
    net = model(True, size=60, vocab=50)
    for name, p in net.named_parameters():
        if "rnn.weight" in name or name == "decoder.dense.weight":
            bound = (6 / sum(p.shape)) ** 0.5
            assert 0.95 * bound < p.abs().max().item() <= bound, name


def test_base_classes_say_what_to_write():
    for wrong in (
        lambda: Encoder()(SOURCE),
        lambda: Decoder().init_state(None),
        lambda: Decoder()(SOURCE, None),
        lambda: AttentionDecoder().attention_weights,
    ):
        with pytest.raises(NotImplementedError, match="write a"):
            wrong()


def test_attention_learns_to_read_backwards():
    """Reversing: the answer is right, and attention goes from the end of the source to its beginning."""
    minidl.manual_seed(1)
    length, bos = 5, 10
    net = EncoderDecoder(Seq2SeqEncoder(10, 16, 32, 1), Seq2SeqAttentionDecoder(11, 16, 32, 1))
    source = minidl.randint(0, 10, (64, length))
    net(source, source)
    optimizer = Adam(net.parameters(), lr=0.01)
    for _ in range(300):
        source = minidl.randint(0, 10, (64, length))
        target = source.flip(1)
        given = minidl.cat([minidl.full((64, 1), bos), target[:, :-1]], 1)
        optimizer.zero_grad()
        F.cross_entropy(net(source, given).transpose(1, 2), target).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimizer.step()
    net.eval()
    source = minidl.randint(0, 10, (200, length))
    tokens, weights = net.predict(source, bos=bos, num_steps=length)
    assert (tokens == source.flip(1)).all(1).float().mean() > 0.8
    # One place late: an output of the encoder knows the token before its own as well, and the first is in the state.
    assert minidl.cat(weights, 1).mean(0).argmax(1).tolist() == [4, 4, 3, 2, 1]


# --- the reader's own code, in the book's manner


class HyperParameters:
    """The book's: all arguments of __init__ become attributes, modules among them, and stand in a dict."""

    def save_hyperparameters(self, ignore=()):
        frame = inspect.currentframe().f_back
        _, _, _, local_vars = inspect.getargvalues(frame)
        self.hparams = {k: v for k, v in local_vars.items() if k not in {*ignore, "self"} and not k.startswith("_")}
        for k, v in self.hparams.items():
            setattr(self, k, v)


class BookEncoder(nn.Module, HyperParameters):
    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size, num_hiddens, num_layers, dropout=dropout)

    def forward(self, X, *args):
        embs = self.embedding(X.t().type(torch.int64))
        return self.rnn(embs)


class BookAttentionDecoder(nn.Module, HyperParameters):
    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.save_hyperparameters()
        self.attention = nn.AdditiveAttention(num_hiddens, dropout)
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size + num_hiddens, num_hiddens, num_layers, dropout=self.dropout)
        self.dense = nn.LazyLinear(vocab_size)

    def init_state(self, enc_outputs, enc_valid_lens):
        outputs, hidden_state = enc_outputs
        return (outputs.permute(1, 0, 2), hidden_state, enc_valid_lens)

    def forward(self, X, state):
        enc_outputs, hidden_state, enc_valid_lens = state
        X = self.embedding(X).permute(1, 0, 2)
        outputs, self._attention_weights = [], []
        for x in X:
            query = torch.unsqueeze(hidden_state[-1], dim=1)
            context = self.attention(query, enc_outputs, enc_outputs, enc_valid_lens)
            x = torch.cat((context, torch.unsqueeze(x, dim=1)), dim=-1)
            out, hidden_state = self.rnn(x.permute(1, 0, 2), hidden_state)
            outputs.append(out)
            self._attention_weights.append(self.attention.attention_weights)
        outputs = self.dense(torch.cat(outputs, dim=0))
        return outputs.permute(1, 0, 2), [enc_outputs, hidden_state, enc_valid_lens]


class BookSeq2Seq(nn.Module, HyperParameters):
    def __init__(self, encoder, decoder, tgt_pad, lr):
        super().__init__()
        self.save_hyperparameters()

    def forward(self, enc_X, dec_X, *args):
        enc_all_outputs = self.encoder(enc_X, *args)
        dec_state = self.decoder.init_state(enc_all_outputs, *args)
        return self.decoder(dec_X, dec_state)[0]


def test_the_books_model_by_hand_gives_the_same():
    minidl.manual_seed(0)
    sizes = {"vocab_size": 7, "embed_size": 4, "num_hiddens": 5, "num_layers": 2}
    book = BookSeq2Seq(BookEncoder(**sizes), BookAttentionDecoder(**sizes), tgt_pad=0, lr=0.005)
    book(SOURCE, TARGET, LENS)
    assert sorted(book.hparams) == ["decoder", "encoder", "lr", "tgt_pad"]
    ours = model(True)
    ours(SOURCE, TARGET, LENS)
    ours.load_state_dict(book.state_dict())
    results = []
    for net in (book, ours):
        logits = net(SOURCE, TARGET, LENS)
        (logits * logits).sum().backward()
        weights = minidl.cat(net.decoder._attention_weights, 1)
        grads = {name: p.grad for name, p in net.named_parameters()}
        results.append([logits.detach(), weights, *[grads[name] for name in sorted(grads)]])
    assert len(results[0]) == len(results[1]) == 2 + len(book.state_dict())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
