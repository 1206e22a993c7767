"""Models of *Dive into Deep Learning*, chapters 10 and 11, typed in its manner: encoder and decoder, attention, Transformers.

Each program takes the framework `t` and yields the loss of each training step; where PyTorch is installed, its losses are the
same. The task is to learn sixty-four sentences of one to five words and
their reversals by heart: a decoder that sees no source, or no order, cannot.
"""

import collections
import itertools
import math

import numpy as np
import pytest

import minidl

from .test_book_sequences import book

VOCAB, STEPS, PAD, BOS, EOS = 24, 6, 0, 1, 2  # size of the vocabulary, of a sentence, reserved tokens


def sentences(t, count=64):
    """(source, target with <bos> in front, valid lengths, labels), each (count, STEPS)."""
    rng = np.random.default_rng(0)
    source, labels = np.full((count, STEPS), PAD), np.full((count, STEPS), PAD)
    lengths = rng.integers(1, STEPS, count)
    for i, n in enumerate(lengths):
        words = rng.integers(3, VOCAB, n)
        source[i, : n + 1] = [*words, EOS]
        labels[i, : n + 1] = [*words[::-1], EOS]
    target = np.concatenate([np.full((count, 1), BOS), labels[:, :-1]], 1)
    return t.tensor(source), t.tensor(target), t.tensor(lengths + 1), t.tensor(labels)


def bleu(pred_seq, label_seq, k):
    pred_tokens, label_tokens = pred_seq.split(" "), label_seq.split(" ")
    score = math.exp(min(0, 1 - len(label_tokens) / len(pred_tokens)))
    for n in range(1, min(k, len(pred_tokens)) + 1):
        num_matches, label_subs = 0, collections.defaultdict(int)
        for i in range(len(label_tokens) - n + 1):
            label_subs[" ".join(label_tokens[i : i + n])] += 1
        for i in range(len(pred_tokens) - n + 1):
            if label_subs[" ".join(pred_tokens[i : i + n])] > 0:
                num_matches += 1
                label_subs[" ".join(pred_tokens[i : i + n])] -= 1
        score *= math.pow(num_matches / (len(pred_tokens) - n + 1), math.pow(0.5, n))
    return score


def masked_softmax(t, X, valid_lens):
    F = t.nn.functional

    def _sequence_mask(X, valid_len, value=0):
        mask = t.arange((X.size(1)), dtype=t.float32, device=X.device)[None, :] < valid_len[:, None]
        X[~mask] = value
        return X

    if valid_lens is None:
        return F.softmax(X, dim=-1)
    shape = X.shape
    valid_lens = t.repeat_interleave(valid_lens, shape[1]) if valid_lens.dim() == 1 else valid_lens.reshape(-1)
    X = _sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6)
    return F.softmax(X.reshape(shape), dim=-1)


def parts(t):
    """The classes that the programs share."""
    nn, F, Module = t.nn, t.nn.functional, book(t)

    class EncoderDecoder(Module):
        def __init__(self, encoder, decoder):
            super().__init__()
            self.save_hyperparameters()

        def forward(self, enc_X, dec_X, *args):
            enc_all_outputs = self.encoder(enc_X, *args)
            return self.decoder(dec_X, self.decoder.init_state(enc_all_outputs, *args))[0]

        def loss(self, Y_hat, Y):
            losses = F.cross_entropy(Y_hat.reshape(-1, Y_hat.shape[-1]), Y.reshape(-1), reduction="none")
            mask = (Y.reshape(-1) != PAD).type(t.float32)
            return (losses * mask).sum() / mask.sum()

        def predict_step(self, batch, num_steps):
            src, tgt, src_valid_len, _ = batch
            dec_state = self.decoder.init_state(self.encoder(src, src_valid_len), src_valid_len)
            outputs = [t.unsqueeze(tgt[:, 0], 1)]
            for _ in range(num_steps):
                Y, dec_state = self.decoder(outputs[-1], dec_state)
                outputs.append(Y.argmax(2))
            return t.cat(outputs[1:], 1)

    class DotProductAttention(nn.Module):
        def __init__(self, dropout):
            super().__init__()
            self.dropout = nn.Dropout(dropout)

        def forward(self, queries, keys, values, valid_lens=None):
            scores = t.bmm(queries, keys.transpose(1, 2)) / math.sqrt(queries.shape[-1])
            self.attention_weights = masked_softmax(t, scores, valid_lens)
            return t.bmm(self.dropout(self.attention_weights), values)

    class AdditiveAttention(nn.Module):
        def __init__(self, num_hiddens, dropout):
            super().__init__()
            self.W_k = nn.LazyLinear(num_hiddens, bias=False)
            self.W_q = nn.LazyLinear(num_hiddens, bias=False)
            self.w_v = nn.LazyLinear(1, bias=False)
            self.dropout = nn.Dropout(dropout)

        def forward(self, queries, keys, values, valid_lens):
            features = t.tanh(self.W_q(queries).unsqueeze(2) + self.W_k(keys).unsqueeze(1))
            self.attention_weights = masked_softmax(t, self.w_v(features).squeeze(-1), valid_lens)
            return t.bmm(self.dropout(self.attention_weights), values)

    class MultiHeadAttention(Module):
        def __init__(self, num_hiddens, num_heads, dropout, bias=False):
            super().__init__()
            self.num_heads = num_heads
            self.attention = DotProductAttention(dropout)
            self.W_q, self.W_k, self.W_v, self.W_o = (nn.LazyLinear(num_hiddens, bias=bias) for _ in range(4))

        def transpose_qkv(self, X):
            X = X.reshape(X.shape[0], X.shape[1], self.num_heads, -1).permute(0, 2, 1, 3)
            return X.reshape(-1, X.shape[2], X.shape[3])

        def transpose_output(self, X):
            X = X.reshape(-1, self.num_heads, X.shape[1], X.shape[2]).permute(0, 2, 1, 3)
            return X.reshape(X.shape[0], X.shape[1], -1)

        def forward(self, queries, keys, values, valid_lens):
            queries, keys, values = (
                self.transpose_qkv(W(X)) for W, X in ((self.W_q, queries), (self.W_k, keys), (self.W_v, values))
            )
            if valid_lens is not None:
                valid_lens = t.repeat_interleave(valid_lens, repeats=self.num_heads, dim=0)
            return self.W_o(self.transpose_output(self.attention(queries, keys, values, valid_lens)))

    class PositionalEncoding(nn.Module):
        def __init__(self, num_hiddens, dropout, max_len=100):
            super().__init__()
            self.dropout = nn.Dropout(dropout)
            self.P = t.zeros((1, max_len, num_hiddens))
            X = t.arange(max_len, dtype=t.float32).reshape(-1, 1)
            X = X / t.pow(10000, t.arange(0, num_hiddens, 2, dtype=t.float32) / num_hiddens)
            self.P[:, :, 0::2] = t.sin(X)
            self.P[:, :, 1::2] = t.cos(X)

        def forward(self, X):
            return self.dropout(X + self.P[:, : X.shape[1], :].to(X.device))

    class AddNorm(nn.Module):
        def __init__(self, norm_shape, dropout):
            super().__init__()
            self.dropout, self.ln = nn.Dropout(dropout), nn.LayerNorm(norm_shape)

        def forward(self, X, Y):
            return self.ln(self.dropout(Y) + X)

    return EncoderDecoder, AdditiveAttention, MultiHeadAttention, PositionalEncoding, AddNorm


def translate(t, make, lr=0.01, steps=60):
    t.manual_seed(0)
    batch = sentences(t)
    model = make(parts(t))
    model(*batch[:3])  # shapes of the lazy layers
    model.apply(lambda module: init_seq2seq(t, module))
    for step, loss in enumerate(model.fit([batch], lr, "Adam")):
        yield loss
        if step == steps - 1:
            model.eval()
            source, predicted = batch[0], model.predict_step(batch, STEPS)
            text = [" ".join(map(str, row[: row.index(EOS)] if EOS in row else row)) for row in predicted.tolist()]
            label = [" ".join(map(str, row[: row.index(EOS)])) for row in batch[3].tolist()]
            assert source.shape == predicted.shape
            yield np.mean([bleu(a, b, k=2) if a else 0 for a, b in zip(text, label, strict=True)])
            return


def init_seq2seq(t, module):
    nn = t.nn
    if type(module) is nn.Linear:
        nn.init.xavier_uniform_(module.weight)
    if type(module) is nn.GRU:
        for param in module._flat_weights_names:
            if "weight" in param:
                nn.init.xavier_uniform_(module._parameters[param])


def encoder(t, vocab_size=VOCAB, embed_size=32, num_hiddens=32, num_layers=2):
    nn = t.nn

    class Seq2SeqEncoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embed_size)
            self.rnn = nn.GRU(embed_size, num_hiddens, num_layers, dropout=0)

        def forward(self, X, *args):
            return self.rnn(self.embedding(X.t().type(t.int64)))

    return Seq2SeqEncoder()


def seq2seq(t):
    nn = t.nn

    class Seq2SeqDecoder(nn.Module):
        def __init__(self, n=32):
            super().__init__()
            self.embedding, self.rnn = nn.Embedding(VOCAB, n), nn.GRU(n + n, n, 2)
            self.dense = nn.LazyLinear(VOCAB)

        def init_state(self, enc_all_outputs, *args):
            return enc_all_outputs

        def forward(self, X, state):
            embs = self.embedding(X.t().type(t.int32))
            enc_output, hidden_state = state
            context = enc_output[-1].repeat(embs.shape[0], 1, 1)
            outputs, hidden_state = self.rnn(t.cat((embs, context), -1), hidden_state)
            return self.dense(outputs).swapaxes(0, 1), [enc_output, hidden_state]

    yield from translate(t, lambda parts: parts[0](encoder(t), Seq2SeqDecoder()))


def bahdanau(t):
    nn = t.nn

    class Decoder(nn.Module):
        def __init__(self, attention, n=32):
            super().__init__()
            self.attention, self.embedding = attention, nn.Embedding(VOCAB, n)
            self.rnn, self.dense = nn.GRU(n + n, n, 2), nn.LazyLinear(VOCAB)

        def init_state(self, enc_outputs, enc_valid_lens):
            outputs, hidden_state = enc_outputs
            return (outputs.permute(1, 0, 2), hidden_state, enc_valid_lens)

        def forward(self, X, state):
            enc_outputs, hidden_state, enc_valid_lens = state
            X = self.embedding(X).permute(1, 0, 2)
            outputs, self._attention_weights = [], []
            for x in X:
                query = t.unsqueeze(hidden_state[-1], dim=1)
                context = self.attention(query, enc_outputs, enc_outputs, enc_valid_lens)
                x = t.cat((context, t.unsqueeze(x, dim=1)), dim=-1)
                out, hidden_state = self.rnn(x.permute(1, 0, 2), hidden_state)
                outputs.append(out)
                self._attention_weights.append(self.attention.attention_weights)
            outputs = self.dense(t.cat(outputs, dim=0))
            return outputs.permute(1, 0, 2), [enc_outputs, hidden_state, enc_valid_lens]

    yield from translate(t, lambda parts: parts[0](encoder(t), Decoder(parts[1](32, 0))))


def transformer(t, n=32, heads=4, blocks=2):
    nn = t.nn

    def make(parts):
        EncoderDecoder, _, MultiHeadAttention, PositionalEncoding, AddNorm = parts

        def ffn():
            return nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.LazyLinear(n))

        class EncoderBlock(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention, self.addnorm1 = MultiHeadAttention(n, heads, 0), AddNorm(n, 0)
                self.ffn, self.addnorm2 = ffn(), AddNorm(n, 0)

            def forward(self, X, valid_lens):
                Y = self.addnorm1(X, self.attention(X, X, X, valid_lens))
                return self.addnorm2(Y, self.ffn(Y))

        class Encoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding, self.pos_encoding = nn.Embedding(VOCAB, n), PositionalEncoding(n, 0)
                self.blks = nn.Sequential()
                for i in range(blocks):
                    self.blks.add_module("block" + str(i), EncoderBlock())

            def forward(self, X, valid_lens):
                X = self.pos_encoding(self.embedding(X) * math.sqrt(n))
                for blk in self.blks:
                    X = blk(X, valid_lens)
                return X

        class DecoderBlock(nn.Module):
            def __init__(self, i):
                super().__init__()
                self.i = i
                self.attention1, self.addnorm1 = MultiHeadAttention(n, heads, 0), AddNorm(n, 0)
                self.attention2, self.addnorm2 = MultiHeadAttention(n, heads, 0), AddNorm(n, 0)
                self.ffn, self.addnorm3 = ffn(), AddNorm(n, 0)

            def forward(self, X, state):
                enc_outputs, enc_valid_lens = state[0], state[1]
                key_values = X if state[2][self.i] is None else t.cat((state[2][self.i], X), dim=1)
                state[2][self.i] = key_values
                dec_valid_lens = None
                if self.training:
                    batch_size, num_steps, _ = X.shape
                    dec_valid_lens = t.arange(1, num_steps + 1, device=X.device).repeat(batch_size, 1)
                Y = self.addnorm1(X, self.attention1(X, key_values, key_values, dec_valid_lens))
                Z = self.addnorm2(Y, self.attention2(Y, enc_outputs, enc_outputs, enc_valid_lens))
                return self.addnorm3(Z, self.ffn(Z)), state

        class Decoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding, self.pos_encoding = nn.Embedding(VOCAB, n), PositionalEncoding(n, 0)
                self.blks = nn.Sequential(*[DecoderBlock(i) for i in range(blocks)])
                self.dense = nn.LazyLinear(VOCAB)

            def init_state(self, enc_outputs, enc_valid_lens):
                return [enc_outputs, enc_valid_lens, [None] * blocks]

            def forward(self, X, state):
                X = self.pos_encoding(self.embedding(X) * math.sqrt(n))
                for blk in self.blks:
                    X, state = blk(X, state)
                return self.dense(X), state

        return EncoderDecoder(Encoder(), Decoder())

    # With a rate of 5e-3 the loss jumps in single steps, by how it is rounded, too.
    yield from translate(t, make, 3e-3, steps=80)


TRANSLATORS = {seq2seq: (0.1, 0.95), bahdanau: (0.05, 0.95), transformer: (0.03, 0.95)}  # the last loss, BLEU


@pytest.mark.parametrize("program", TRANSLATORS)
def test_it_learns(program):
    loss_bound, bleu_bound = TRANSLATORS[program]
    *losses, score = program(minidl)
    assert losses[0] == pytest.approx(math.log(VOCAB), abs=1)
    assert losses[-1] < loss_bound
    assert score > bleu_bound


@pytest.mark.parametrize("program", TRANSLATORS)
def test_its_losses_are_pytorchs(program):
    torch = pytest.importorskip("torch")
    ours, theirs = (list(itertools.islice(program(t), 4)) for t in (minidl, torch))
    assert ours == pytest.approx(theirs, abs=1e-4)
