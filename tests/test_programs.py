"""Language models as others write them run when only the import changes, and learn.

Two manners: the small models of *makemore*, and a file like *nanoGPT*'s model.py. Each program takes the framework `t` and
yields the loss of each training step; where PyTorch is installed, its losses are the same.
"""

import codecs
import contextlib
import inspect
import io
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

import minidl

with contextlib.redirect_stdout(io.StringIO()):
    import this  # prints the text

TEXT = codecs.decode(this.s, "rot13")
WORDS = sorted({word for word in TEXT.lower().split() if word.isalpha()})


# --- makemore: names, padded to one length; the target -1 is not counted


def names(t, count=64):
    words = WORDS[:count]
    chars = sorted(set("".join(words)))
    number = {c: i + 1 for i, c in enumerate(chars)}
    width = max(map(len, words)) + 1
    x = t.zeros(len(words), width, dtype=t.long)
    y = t.zeros(len(words), width, dtype=t.long)
    for i, word in enumerate(words):
        codes = t.tensor([number[c] for c in word], dtype=t.long)
        x[i, 1 : 1 + len(codes)] = codes
        y[i, : len(codes)] = codes
        y[i, len(codes) + 1 :] = -1
    return x, y, len(chars) + 1, width


def makemore(t, build, lr):
    F = t.nn.functional
    t.manual_seed(3407)
    x, y, vocab_size, width = names(t)
    model = build(t, vocab_size, width)
    model.to("cpu")
    optimizer = t.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8)
    for step in itertools.count():
        logits = model(x)
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1), ignore_index=-1)
        model.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss.item()
        if step % 20 == 0:
            assert names_sampled(t, model, width).shape == (3, width)


def names_sampled(t, model, width):
    with t.no_grad():
        idx = t.zeros(3, 1, dtype=t.long)
        state = t.get_rng_state()
        for _ in range(width - 1):
            idx_cond = idx if idx.size(1) <= width else idx[:, -width:]
            logits = model(idx_cond)[:, -1, :] / 0.9
            v, _ = t.topk(logits, 5)
            logits[logits < v[:, [-1]]] = -float("Inf")
            probs = t.nn.functional.softmax(logits, dim=-1)
            idx = t.cat((idx, t.multinomial(probs, num_samples=1)), dim=-1)
        t.set_rng_state(state)
    return idx


def recurrent(t, vocab_size, width, gru, n=32):
    nn = t.nn

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.xh_to_h = nn.Linear(n + n, n)

        def forward(self, xt, hprev):
            return t.tanh(self.xh_to_h(t.cat([xt, hprev], dim=1)))

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.xh_to_z = nn.Linear(n + n, n)
            self.xh_to_r = nn.Linear(n + n, n)
            self.xh_to_hbar = nn.Linear(n + n, n)

        def forward(self, xt, hprev):
            xh = t.cat([xt, hprev], dim=1)
            r = t.sigmoid(self.xh_to_r(xh))
            hbar = t.tanh(self.xh_to_hbar(t.cat([xt, r * hprev], dim=1)))
            z = t.sigmoid(self.xh_to_z(xh))
            return (1 - z) * hprev + z * hbar

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.start = nn.Parameter(t.zeros(1, n))
            self.wte = nn.Embedding(vocab_size, n)
            self.cell = Gated() if gru else Plain()
            self.lm_head = nn.Linear(n, vocab_size)

        def forward(self, idx):
            b, length = idx.size()
            emb = self.wte(idx)
            hprev = self.start.expand((b, -1))
            hiddens = []
            for i in range(length):
                hprev = self.cell(emb[:, i, :], hprev)
                hiddens.append(hprev)
            return self.lm_head(t.stack(hiddens, 1))

    return Model()


def attentive(t, vocab_size, width, n=32, heads=4, layers=2):
    nn, F = t.nn, t.nn.functional

    class NewGELU(nn.Module):
        def forward(self, x):
            return 0.5 * x * (1.0 + t.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * t.pow(x, 3.0))))

    class CausalSelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_attn = nn.Linear(n, 3 * n)
            self.c_proj = nn.Linear(n, n)
            self.register_buffer("bias", t.tril(t.ones(width, width)).view(1, 1, width, width))

        def forward(self, x):
            B, T, C = x.size()
            q, k, v = self.c_attn(x).split(n, dim=2)
            k, q, v = (z.view(B, T, heads, C // heads).transpose(1, 2) for z in (k, q, v))
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
            return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(n), CausalSelfAttention(), nn.LayerNorm(n)
            self.mlp = nn.ModuleDict(dict(c_fc=nn.Linear(n, 4 * n), c_proj=nn.Linear(4 * n, n), act=NewGELU()))  # noqa: C408
            m = self.mlp
            self.mlpf = lambda x: m.c_proj(m.act(m.c_fc(x)))

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlpf(self.ln_2(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            parts = {"wte": nn.Embedding(vocab_size, n), "wpe": nn.Embedding(width, n)}
            parts["h"] = nn.ModuleList([Block() for _ in range(layers)])
            self.transformer = nn.ModuleDict(dict(**parts, ln_f=nn.LayerNorm(n)))
            self.lm_head = nn.Linear(n, vocab_size, bias=False)

        def forward(self, idx):
            pos = t.arange(0, idx.size(1), dtype=t.long, device=idx.device).unsqueeze(0)
            x = self.transformer.wte(idx) + self.transformer.wpe(pos)
            for block in self.transformer.h:
                x = block(x)
            return self.lm_head(self.transformer.ln_f(x))

    return Model()


def makemore_rnn(t):
    yield from makemore(t, lambda *sizes: recurrent(*sizes, gru=False), 1e-2)


def makemore_gru(t):
    yield from makemore(t, lambda *sizes: recurrent(*sizes, gru=True), 1e-2)


def makemore_transformer(t):
    yield from makemore(t, attentive, 5e-3)


# --- nanoGPT


@dataclass
class Config:
    block_size: int = 32
    vocab_size: int = 0
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 32
    dropout: float = 0.0
    bias: bool = False


def gpt(t, config):
    nn, F = t.nn, t.nn.functional

    class LayerNorm(nn.Module):
        def __init__(self, ndim, bias):
            super().__init__()
            self.weight = nn.Parameter(t.ones(ndim))
            self.bias = nn.Parameter(t.zeros(ndim)) if bias else None

        def forward(self, input):
            return F.layer_norm(input, self.weight.shape, self.weight, self.bias, 1e-5)

    class CausalSelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
            self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
            self.resid_dropout = nn.Dropout(config.dropout)
            self.flash = hasattr(t.nn.functional, "scaled_dot_product_attention")

        def forward(self, x):
            assert self.flash
            B, T, C = x.size()
            q, k, v = self.c_attn(x).split(config.n_embd, dim=2)
            q, k, v = (z.view(B, T, config.n_head, C // config.n_head).transpose(1, 2) for z in (q, k, v))
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=None, dropout_p=config.dropout if self.training else 0, is_causal=True
            )
            return self.resid_dropout(self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C)))

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
            self.gelu = nn.GELU()
            self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
            self.dropout = nn.Dropout(config.dropout)

        def forward(self, x):
            return self.dropout(self.c_proj(self.gelu(self.c_fc(x))))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.attn = LayerNorm(config.n_embd, bias=config.bias), CausalSelfAttention()
            self.ln_2, self.mlp = LayerNorm(config.n_embd, bias=config.bias), MLP()

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = nn.ModuleDict(
                dict(  # noqa: C408
                    wte=nn.Embedding(config.vocab_size, config.n_embd),
                    wpe=nn.Embedding(config.block_size, config.n_embd),
                    drop=nn.Dropout(config.dropout),
                    h=nn.ModuleList([Block() for _ in range(config.n_layer)]),
                    ln_f=LayerNorm(config.n_embd, bias=config.bias),
                )
            )
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
            self.transformer.wte.weight = self.lm_head.weight
            self.apply(self._init_weights)
            for pn, p in self.named_parameters():
                if pn.endswith("c_proj.weight"):
                    t.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * config.n_layer))

        def _init_weights(self, module):
            if isinstance(module, nn.Linear):
                t.nn.init.normal_(module.weight, mean=0.0, std=0.02)
                if module.bias is not None:
                    t.nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                t.nn.init.normal_(module.weight, mean=0.0, std=0.02)

        def forward(self, idx, targets=None):
            _, length = idx.size()
            pos = t.arange(0, length, dtype=t.long, device=idx.device)
            x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
            for block in self.transformer.h:
                x = block(x)
            x = self.transformer.ln_f(x)
            if targets is None:
                return self.lm_head(x[:, [-1], :]), None
            logits = self.lm_head(x)
            return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)

        def configure_optimizers(self, weight_decay, learning_rate, betas):
            params = {pn: p for pn, p in self.named_parameters() if p.requires_grad}
            groups = [
                {"params": [p for p in params.values() if p.dim() >= 2], "weight_decay": weight_decay},
                {"params": [p for p in params.values() if p.dim() < 2], "weight_decay": 0.0},
            ]
            assert "fused" in inspect.signature(t.optim.AdamW).parameters
            assert sum(p.nelement() for group in groups for p in group["params"]) == sum(p.numel() for p in self.parameters())
            return t.optim.AdamW(groups, lr=learning_rate, betas=betas)

        @t.no_grad()
        def generate(self, idx, max_new_tokens, temperature=1.0, top_k=None):
            for _ in range(max_new_tokens):
                idx_cond = idx if idx.size(1) <= config.block_size else idx[:, -config.block_size :]
                logits, _ = self(idx_cond)
                logits = logits[:, -1, :] / temperature
                if top_k is not None:
                    v, _ = t.topk(logits, min(top_k, logits.size(-1)))
                    logits[logits < v[:, [-1]]] = -float("Inf")
                idx_next = t.multinomial(F.softmax(logits, dim=-1), num_samples=1)
                idx = t.cat((idx, idx_next), dim=1)
            return idx

    return GPT()


def nanogpt(t):
    t.manual_seed(1337)
    chars = sorted(set(TEXT))
    stoi = {ch: i for i, ch in enumerate(chars)}
    data = np.array([stoi[c] for c in TEXT], dtype=np.uint16)
    config = Config(vocab_size=len(chars))
    model = gpt(t, config)
    optimizer = model.configure_optimizers(1e-1, 1e-2, (0.9, 0.95))
    while True:
        for group in optimizer.param_groups:
            group["lr"] = 1e-2
        ix = t.randint(len(data) - config.block_size, (8,))
        x = t.stack([t.from_numpy((data[i : i + config.block_size]).astype(np.int64)) for i in ix])
        y = t.stack([t.from_numpy((data[i + 1 : i + 1 + config.block_size]).astype(np.int64)) for i in ix])
        _, loss = model(x, y)
        loss.backward()
        t.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss.item()
        assert model.generate(x[:1, :3], 2, temperature=0.8, top_k=200).shape == (1, 5)


UNIGRAM = 2.86  # what the frequencies of the letters alone reach; 3.11 in the text
PROGRAMS = {makemore_rnn: (50, 1.4), makemore_gru: (50, 1.3), makemore_transformer: (40, 1.3), nanogpt: (60, 2.75)}


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_learns(program):
    steps, bound = PROGRAMS[program]
    losses = list(itertools.islice(program(minidl), steps))
    assert losses[0] > 2.9
    assert np.mean(losses[-5:]) < bound < UNIGRAM


@pytest.mark.parametrize("program", PROGRAMS)
def test_its_losses_are_pytorchs(program):
    torch = pytest.importorskip("torch")
    ours, theirs = (list(itertools.islice(program(t), 4)) for t in (minidl, torch))
    assert ours == pytest.approx(theirs, abs=1e-4)
