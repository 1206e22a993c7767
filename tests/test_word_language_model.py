"""PyTorch's example word_language_model and the book's vision Transformer, in their manner, run when only the import changes.

Each program takes the framework `t` and yields the loss of each training step; where PyTorch is installed, its losses are the
same: dropout is 0, for its numbers need not be.
"""

import itertools
import math

import pytest

import minidl

from .test_book_sequences import TEXT, book


class Dictionary:
    def __init__(self):
        self.word2idx, self.idx2word = {}, []

    def add_word(self, word):
        if word not in self.word2idx:
            self.idx2word.append(word)
            self.word2idx[word] = len(self.idx2word) - 1
        return self.word2idx[word]


def tokenize(t, dictionary):
    words = TEXT.split()
    for word in words:
        dictionary.add_word(word)
    return t.cat([t.tensor([dictionary.word2idx[word] for word in words]).type(t.int64)])


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def rnn_model(t, rnn_type, ntoken, ninp=32, nhid=32, nlayers=1, dropout=0.0, tie_weights=True):
    nn, F = t.nn, t.nn.functional

    class RNNModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(dropout)
            self.encoder = nn.Embedding(ntoken, ninp)
            if rnn_type in ["LSTM", "GRU"]:
                self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers, dropout=dropout)
            else:
                nonlinearity = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}[rnn_type]
                self.rnn = nn.RNN(ninp, nhid, nlayers, nonlinearity=nonlinearity, dropout=dropout)
            self.decoder = nn.Linear(nhid, ntoken)
            if tie_weights:
                self.decoder.weight = self.encoder.weight
            self.init_weights()

        def init_weights(self):
            initrange = 0.1
            nn.init.uniform_(self.encoder.weight, -initrange, initrange)
            nn.init.zeros_(self.decoder.bias)
            nn.init.uniform_(self.decoder.weight, -initrange, initrange)

        def forward(self, input, hidden):
            emb = self.drop(self.encoder(input))
            output, hidden = self.rnn(emb, hidden)
            decoded = self.decoder(self.drop(output))
            return F.log_softmax(decoded.view(-1, ntoken), dim=1), hidden

        def init_hidden(self, bsz):
            weight = next(self.parameters())
            if rnn_type == "LSTM":
                return (weight.new_zeros(nlayers, bsz, nhid), weight.new_zeros(nlayers, bsz, nhid))
            return weight.new_zeros(nlayers, bsz, nhid)

    return RNNModel()


def transformer_model(t, ntoken, ninp=32, nhead=4, nhid=64, nlayers=2, dropout=0.0):
    nn, F = t.nn, t.nn.functional

    class PositionalEncoding(nn.Module):
        def __init__(self, d_model, dropout, max_len=500):
            super().__init__()
            self.dropout = nn.Dropout(p=dropout)
            pe = t.zeros(max_len, d_model)
            position = t.arange(0, max_len, dtype=t.float).unsqueeze(1)
            div_term = t.exp(t.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
            pe[:, 0::2] = t.sin(position * div_term)
            pe[:, 1::2] = t.cos(position * div_term)
            self.register_buffer("pe", pe.unsqueeze(0).transpose(0, 1))

        def forward(self, x):
            return self.dropout(x + self.pe[: x.size(0), :])

    class TransformerModel(nn.Transformer):
        def __init__(self):
            super().__init__(
                d_model=ninp,
                nhead=nhead,
                dim_feedforward=nhid,
                num_encoder_layers=nlayers,
                num_decoder_layers=1,
                dropout=dropout,
            )
            self.src_mask = None
            self.pos_encoder = PositionalEncoding(ninp, dropout)
            self.input_emb = nn.Embedding(ntoken, ninp)
            self.ninp = ninp
            self.output = nn.Linear(ninp, ntoken)
            nn.init.uniform_(self.input_emb.weight, -0.1, 0.1)
            nn.init.zeros_(self.output.bias)
            nn.init.uniform_(self.output.weight, -0.1, 0.1)

        def _generate_square_subsequent_mask(self, sz):
            return t.log(t.tril(t.ones(sz, sz)))

        def forward(self, src, has_mask=True):
            if has_mask:
                if self.src_mask is None or self.src_mask.size(0) != len(src):
                    self.src_mask = self._generate_square_subsequent_mask(len(src)).to(src.device)
            else:
                self.src_mask = None
            src = self.pos_encoder(self.input_emb(src) * math.sqrt(self.ninp))
            return F.log_softmax(self.output(self.encoder(src, mask=self.src_mask)), dim=-1)

    return TransformerModel()


def repackage_hidden(t, h):
    return h.detach() if isinstance(h, t.Tensor) else tuple(repackage_hidden(t, v) for v in h)


def train(t, model_type, lr, bptt=8, clip=0.25):
    nn = t.nn
    t.manual_seed(1111)
    dictionary = Dictionary()
    data = batchify(tokenize(t, dictionary), 4)
    ntokens = len(dictionary.idx2word)
    recurrent = model_type != "Transformer"
    model = rnn_model(t, model_type, ntokens) if recurrent else transformer_model(t, ntokens)
    criterion = nn.NLLLoss()
    while True:
        model.train()
        hidden = model.init_hidden(4) if recurrent else None
        for i in range(0, data.size(0) - 1, bptt):
            inputs, targets = get_batch(data, i, bptt)
            model.zero_grad()
            if recurrent:
                hidden = repackage_hidden(t, hidden)
                output, hidden = model(inputs, hidden)
            else:
                output = model(inputs).view(-1, ntokens)
            loss = criterion(output, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            for p in model.parameters():
                if p.grad is not None:  # the decoder of the Transformer is not used
                    p.data.add_(p.grad, alpha=-lr)
            yield loss.item()


def words_lstm(t):
    yield from train(t, "LSTM", 20)


def words_gru(t):
    yield from train(t, "GRU", 20)


def words_tanh(t):
    yield from train(t, "RNN_TANH", 5)


def words_transformer(t):
    yield from train(t, "Transformer", 5)


def vit(t, n=32, patch=4, side=16):
    """The brightest of four quarters of a noisy image."""
    nn, F, Module = t.nn, t.nn.functional, book(t)

    class PatchEmbedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.num_patches = (side // patch) ** 2
            self.conv = nn.LazyConv2d(n, kernel_size=patch, stride=patch)

        def forward(self, X):
            return self.conv(X).flatten(2).transpose(1, 2)

    class ViTMLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense1, self.gelu, self.dropout1 = nn.LazyLinear(2 * n), nn.GELU(), nn.Dropout(0)
            self.dense2 = nn.LazyLinear(n)

        def forward(self, x):
            return self.dense2(self.dropout1(self.gelu(self.dense1(x))))

    class ViTBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.attention = nn.LayerNorm(n), nn.MultiheadAttention(n, 4, batch_first=True)
            self.ln2, self.mlp = nn.LayerNorm(n), ViTMLP()

        def forward(self, X):
            Z = self.ln1(X)
            X = X + self.attention(Z, Z, Z, need_weights=False)[0]
            return X + self.mlp(self.ln2(X))

    class ViT(Module):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters()
            self.patch_embedding = PatchEmbedding()
            self.cls_token = nn.Parameter(t.zeros(1, 1, n))
            self.pos_embedding = nn.Parameter(t.randn(1, self.patch_embedding.num_patches + 1, n))
            self.dropout = nn.Dropout(0)
            self.blks = nn.Sequential()
            for i in range(2):
                self.blks.add_module(f"{i}", ViTBlock())
            self.head = nn.Sequential(nn.LayerNorm(n), nn.Linear(n, 4))

        def forward(self, X):
            X = self.patch_embedding(X)
            X = t.cat((self.cls_token.expand(X.shape[0], -1, -1), X), 1)
            X = self.dropout(X + self.pos_embedding)
            for blk in self.blks:
                X = blk(X)
            return self.head(X[:, 0])

    t.manual_seed(0)
    X = t.randn(64, 1, side, side)
    y = F.avg_pool2d(X, side // 2).flatten(1).argmax(1)
    model = ViT()
    model(X)  # shapes of the lazy layers
    yield from model.fit([(X, y)], 3e-3, "Adam")


PROGRAMS = {  # steps, bounds of the first loss and of the last
    words_lstm: (90, 4.6, 1.5),
    words_gru: (90, 4.6, 1.5),
    words_tanh: (90, 4.6, 1.5),
    words_transformer: (90, 4.6, 1.0),
    vit: (40, 1.7, 0.1),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_learns(program):
    steps, start, end = PROGRAMS[program]
    losses = list(itertools.islice(program(minidl), steps))
    assert losses[0] < start
    assert sum(losses[-4:]) / 4 < end


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")  # PyTorch's, of its own class
@pytest.mark.parametrize("program", PROGRAMS)
def test_its_losses_are_pytorchs(program):
    torch = pytest.importorskip("torch")
    ours, theirs = (list(itertools.islice(program(t), 4)) for t in (minidl, torch))
    assert ours == pytest.approx(theirs, abs=1e-4)
