"""minidl.d2l: the book's cells as a reader types them, with its exact numbers where it has some."""

import inspect
import math
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import minidl
import minidl as torch
from minidl import d2l, nn
from minidl.nn import functional as F
from minidl.utils import train
from minidl.utils.data import write_idx

plt = pytest.importorskip("matplotlib.pyplot")

NAMES = """
HyperParameters add_to_class Module DataModule Trainer Classifier ProgressBoard plot set_figsize use_svg_display
show_images show_heatmaps Vocab Timer Accumulator Animator SyntheticRegressionData LinearRegression LinearRegressionScratch SGD
FashionMNIST SoftmaxRegression LeNet Residual ResNeXtBlock RNNLMScratch RNNScratch RNNLM RNN GRU TimeMachine MTFraEng Encoder
Decoder AttentionDecoder EncoderDecoder Seq2SeqEncoder Seq2Seq init_seq2seq MultiHeadAttention DotProductAttention
AdditiveAttention PositionalEncoding PositionWiseFFN AddNorm TransformerEncoderBlock TransformerEncoder masked_softmax bleu
corr2d init_cnn try_gpu try_all_gpus cpu gpu num_gpus check_shape check_len train_2d show_trace_2d get_data_ch11 train_ch11
train_concise_ch11 download extract DATA_URL DATA_HUB plt show_list_len_pair_hist set_axes Benchmark ones_like ones zeros_like
zeros tensor arange meshgrid sin sinh cos cosh tanh linspace exp log normal rand randn matmul int32 int64 float32 concat stack
abs eye sigmoid batch_matmul numpy size reshape to reduce_sum argmax astype transpose reduce_mean expand_dims swapaxes repeat
nn_Module synthetic_data linreg squared_loss sgd load_array accuracy evaluate_accuracy evaluate_loss train_epoch_ch3
get_fashion_mnist_labels get_dataloader_workers load_data_fashion_mnist evaluate_accuracy_gpu train_ch6 grad_clipping annotate
"""


@pytest.fixture(autouse=True)
def closed():
    minidl.manual_seed(0)
    yield
    plt.close("all")


def test_the_books_names_are_there():
    assert [name for name in NAMES.split() if not hasattr(d2l, name)] == []
    assert set(NAMES.split()) - {"plt"} <= set(d2l.__all__)
    assert d2l.Trainer is train.Trainer
    with pytest.raises(AttributeError, match="resnet50"):
        _ = d2l.resnet50


def test_matplotlib_is_loaded_when_something_is_drawn_and_asked_for_where_it_is_missing():
    code = """
import sys
import minidl
assert "minidl.d2l" not in sys.modules and "minidl.utils.train" not in sys.modules
from minidl import d2l
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    d2l.plot([1.0, 2.0])
except ImportError as error:
    print(error)
d2l.Trainer(max_epochs=1, progress=False).fit(d2l.LinearRegression(0.1), d2l.SyntheticRegressionData(minidl.ones(2), 1.0))
"""
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert not out.stderr.replace("minidl: compiling", "") or "Traceback" not in out.stderr, out.stderr
    lines = out.stdout.splitlines()
    assert lines[0] == "minidl: pictures need matplotlib; install it with: pip install matplotlib"
    assert lines[1].startswith("epoch 0.23") and "train_loss" in lines[1] and "val_loss" in lines[-1]


# --- 3.2 to 3.5


def test_save_hyperparameters_and_add_to_class(capsys):
    class B(d2l.HyperParameters):
        def __init__(self, a, b, c):
            self.save_hyperparameters(ignore=["c"])
            print("self.a =", self.a, "self.b =", self.b)
            print("There is no self.c =", not hasattr(self, "c"))

    b = B(a=1, b=2, c=3)
    assert capsys.readouterr().out == "self.a = 1 self.b = 2\nThere is no self.c = True\n"
    assert b.hparams == {"a": 1, "b": 2}

    @d2l.add_to_class(B)
    def do(self):
        return self.a + self.b

    assert b.do() == 3 and do is B.do
    with pytest.raises(TypeError, match="write \\['c'\\]"):
        d2l.HyperParameters().save_hyperparameters(ignore="c")


def test_the_progress_board_draws_means():
    board = d2l.ProgressBoard("x")
    for x in np.arange(0, 10, 0.1):
        board.draw(x, np.sin(x), "sin", every_n=2)
        board.draw(x, np.cos(x), "cos", every_n=10)
    lines = {line.get_label(): line for line in board.fig.gca().get_lines()}
    assert {name: len(line.get_xdata()) for name, line in lines.items()} == {"sin": 50, "cos": 10}
    x, y = (values[3] for values in lines["sin"].get_data())
    assert (x, y) == pytest.approx((0.65, (math.sin(0.6) + math.sin(0.7)) / 2))
    assert board.fig.gca().get_xlabel() == "x"


def fit_errors(model):
    data = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2)
    trainer = d2l.Trainer(max_epochs=3, progress=False)
    history = trainer.fit(model, data)
    w, b = (model.w, model.b) if hasattr(model, "w") else model.get_w_b()
    return data.w - d2l.reshape(w, data.w.shape), data.b - b, history, trainer


def test_linear_regression_from_scratch_has_the_books_errors():
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    w, b, history, trainer = fit_errors(model)
    assert w.tolist() == pytest.approx([0.114, -0.173], abs=0.1)  # (1 − 0.03)^96 = 0.054 of the way is left
    assert b.item() == pytest.approx(0.219, abs=0.08)
    assert len(history) == 3 and history[-1]["val_loss"] < history[0]["val_loss"]
    assert trainer.train_batch_idx == 96 and trainer.val_batch_idx == 96
    lines = {line.get_label(): line.get_xdata() for line in model.board.fig.gca().get_lines()}
    assert list(lines) == ["train_loss", "val_loss"]
    assert len(lines["train_loss"]) == 6 and list(lines["val_loss"]) == [1, 2, 3]
    assert model.board.fig.gca().get_xlim() == (0, 3)


def test_concise_linear_regression_has_the_books_errors():
    w, b, _, _ = fit_errors(d2l.LinearRegression(lr=0.03))
    assert max(w.abs().max(), b.abs().max()) < 0.02


def test_a_readers_own_loop_model_and_optimizer():
    """Section 3.4 as it is typed: a model of plain tensors, an SGD without state, and fit_epoch on a class."""

    class SGD(d2l.HyperParameters):
        def __init__(self, params, lr):
            self.save_hyperparameters()

        def step(self):
            for param in self.params:
                param -= self.lr * param.grad

        def zero_grad(self):
            for param in self.params:
                if param.grad is not None:
                    param.grad.zero_()

    class Scratch(d2l.Module):
        def __init__(self, num_inputs, lr, sigma=0.01):
            super().__init__()
            self.save_hyperparameters()
            self.w = torch.normal(0, sigma, (num_inputs, 1), requires_grad=True)
            self.b = torch.zeros(1, requires_grad=True)

    @d2l.add_to_class(Scratch)
    def forward(self, X):
        return d2l.matmul(X, self.w) + self.b

    @d2l.add_to_class(Scratch)
    def loss(self, y_hat, y):
        return d2l.reduce_mean((y_hat - y) ** 2 / 2)

    @d2l.add_to_class(Scratch)
    def configure_optimizers(self):
        return SGD([self.w, self.b], self.lr)

    class Trainer(d2l.Trainer):
        pass

    @d2l.add_to_class(Trainer)
    def fit_epoch(self):
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(self.prepare_batch(batch))
            self.optim.zero_grad()
            with torch.no_grad():
                loss.backward()
                if self.gradient_clip_val > 0:
                    self.clip_gradients(self.gradient_clip_val, self.model)
                self.optim.step()
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.eval()
        for batch in self.val_dataloader:
            with torch.no_grad():
                self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1

    found = []
    for kind in (d2l.Trainer, Trainer):
        minidl.manual_seed(1)
        model = Scratch(2, lr=0.03)
        data = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2)
        found.append((kind(max_epochs=3, progress=False).fit(model, data), model.w.tolist()))
    assert found[0] == found[1]
    assert list(found[0][0][0]) == ["epoch", "train_loss", "val_loss"]


def test_the_trainer_names_its_gradient_clipping_as_the_book_does():
    class Steep(d2l.LinearRegression):
        def loss(self, y_hat, y):
            return 1e6 * super().loss(y_hat, y)

    model = Steep(lr=1.0)
    data = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2, num_train=32, num_val=32)
    d2l.Trainer(max_epochs=1, num_gpus=1, gradient_clip_val=0.5, progress=False).fit(model, data)
    assert sum((p.grad**2).sum() for p in model.parameters()).sqrt().item() == pytest.approx(0.5, rel=1e-4)


def test_the_trainers_parts_may_be_the_books_of_chapter_6_7(monkeypatch):
    def __init__(self, max_epochs, num_gpus=0, gradient_clip_val=0):
        self.save_hyperparameters()
        self.gpus = [d2l.gpu(i) for i in range(min(num_gpus, d2l.num_gpus()))]

    def prepare_batch(self, batch):
        if self.gpus:
            batch = [d2l.to(a, self.gpus[0]) for a in batch]
        return batch

    def prepare_model(self, model):
        model.trainer = self
        model.board.xlim = [0, self.max_epochs]
        if self.gpus:
            model.to(self.gpus[0])
        self.model = model

    class Trainer(d2l.Trainer):  # the book writes add_to_class(d2l.Trainer), which would last beyond this test
        pass

    for method in (__init__, prepare_batch, prepare_model):
        d2l.add_to_class(Trainer)(method)
    errors = []
    for kind in (d2l.Trainer, Trainer):
        minidl.manual_seed(0)
        data, model = d2l.SyntheticRegressionData(w=minidl.tensor([2, -3.4]), b=4.2), d2l.LinearRegression(lr=0.03)
        trainer = kind(max_epochs=2, num_gpus=1) if kind is Trainer else kind(max_epochs=2)
        assert trainer.evaluate(model, data.val_dataloader())["loss"] > 1
        errors.append(trainer.fit(model, data).column("val_loss"))
    assert errors[0] == errors[1]


def test_modules_say_what_they_lack():
    with pytest.raises(NotImplementedError, match="write a loss"):
        d2l.Module().loss(1, 2)
    with pytest.raises(NotImplementedError, match=r"set self\.net"):
        d2l.Module()(torch.ones(1))
    with pytest.raises(NotImplementedError, match=r"set self\.lr"):
        d2l.Module().configure_optimizers()
    with pytest.raises(RuntimeError, match="no trainer"):
        d2l.Module().plot("loss", 1.0, train=True)
    with pytest.raises(NotImplementedError, match="get_dataloader"):
        d2l.DataModule().train_dataloader()


# --- 4 and 7


@pytest.fixture
def clothes(tmp_path):
    for part, n in (("train", 40), ("t10k", 20)):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = np.zeros((n, 28, 28), np.uint8)
        images[np.arange(n), 2 * labels, 3:20] = 255
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    return tmp_path


def test_softmax_regression_on_images(clothes):
    data = d2l.FashionMNIST(batch_size=8, root=clothes)
    X, y = next(iter(data.val_dataloader()))
    assert X.shape == (8, 1, 28, 28) and data.text_labels(y[:2]) == ["t-shirt", "trouser"]
    assert data.visualize([X, y])[1].get_title() == "trouser"
    assert next(iter(d2l.FashionMNIST(8, (32, 32), root=clothes).train_dataloader()))[0].shape == (8, 1, 32, 32)
    model = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
    trainer = d2l.Trainer(max_epochs=5, progress=False)
    history = trainer.fit(model, data)
    assert history[-1]["val_acc"] == 1.0 > history[0]["train_loss"] - 2
    points = len(model.board.data["train_loss"])
    found = trainer.evaluate(model, data.val_dataloader())
    assert found["acc"] == 1.0 and found["loss"] == pytest.approx(history[-1]["val_loss"])
    assert len(model.board.data["train_loss"]) == points and len(model.board.data["val_acc"]) == 5


def test_classifiers_accuracy_loss_and_summary(capsys):
    model = d2l.Classifier()
    Y_hat, Y = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 4, 0]])
    right = Y_hat.argmax(-1) == Y
    assert model.accuracy(Y_hat, Y, averaged=False).tolist() == right.float().flatten().tolist()
    assert model.accuracy(Y_hat, Y).item() == pytest.approx(right.double().mean().item())
    assert model.loss(Y_hat, Y, averaged=False).shape == (6,)
    assert model.loss(Y_hat, Y).item() == pytest.approx(F.cross_entropy(Y_hat.swapaxes(1, 2), Y).item())
    model = d2l.LeNet(lr=0.1)
    model.apply_init([torch.ones(2, 1, 28, 28)], d2l.init_cnn)
    assert sum(p.numel() for p in model.parameters()) == 61706
    assert model.net[0].weight.abs().max().item() <= math.sqrt(6 / (25 + 150))
    model.layer_summary((1, 1, 28, 28))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 12 and out[3] == "Conv2d output shape:\t (1, 16, 10, 10)"


def test_corr2d():
    X = torch.ones((6, 8))
    X[:, 2:6] = 0
    Y = d2l.corr2d(X, torch.tensor([[1.0, -1.0]]))
    assert Y[0].tolist() == [0, 1, 0, 0, 0, -1, 0]
    X, K = torch.randn(5, 7), torch.randn(2, 3)
    assert torch.allclose(d2l.corr2d(X, K), F.conv2d(X[None, None], K[None, None])[0, 0], atol=1e-5)


# --- 9 and 10


@pytest.fixture
def novel(tmp_path):
    path = tmp_path / "timemachine.txt"
    path.write_text("The Time Traveller (for so it will be convenient) was expounding.\n" * 8)
    return path


@pytest.mark.parametrize("kind", ["scratch", "rnn", "gru"])
def test_language_models_learn_a_sentence(kind, novel):
    data = d2l.TimeMachine(batch_size=32, num_steps=16, num_train=300, num_val=100, path=novel)
    n = len(data.vocab)
    assert n == 23 and data.vocab["time"] == data.vocab["<unk>"]
    if kind == "scratch":
        model = d2l.RNNLMScratch(d2l.RNNScratch(num_inputs=n, num_hiddens=32), vocab_size=n, lr=1)
    elif kind == "rnn":
        model = d2l.RNNLM(d2l.RNN(num_inputs=n, num_hiddens=32), vocab_size=n, lr=1)
    else:
        model = d2l.RNNLM(d2l.GRU(num_inputs=n, num_hiddens=32, num_layers=2), vocab_size=n, lr=2)
    untrained = model.predict("it has", 20, data.vocab, d2l.try_gpu())
    assert len(untrained) == 26 and untrained.startswith("it has")
    history = d2l.Trainer(max_epochs=12, gradient_clip_val=1, num_gpus=1, progress=False).fit(model, data)
    assert 1 < history[-1]["train_ppl"] < history[0]["train_ppl"] / 2 < n
    assert list(history[0]) == ["epoch", "train_ppl", "train_loss", "val_ppl"]
    assert list(model.board.data) == ["train_ppl", "val_ppl"]


def test_the_recurrent_network_from_scratch_is_nn_rnn():
    scratch, layer = d2l.RNNScratch(4, 3, sigma=0.5), nn.RNN(4, 3)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(scratch.W_xh.T)
        layer.weight_hh_l0.copy_(scratch.W_hh.T)
        layer.bias_ih_l0.copy_(scratch.b_h)
        layer.bias_hh_l0.zero_()
        X, h = torch.randn(5, 2, 4), torch.randn(1, 2, 3)
        outputs, state = scratch(X, (h[0],))
        expected, last = layer(X, h)
    assert torch.allclose(torch.stack(outputs), expected, atol=1e-6) and torch.allclose(state, last[0], atol=1e-6)


def test_a_text_is_found_in_root_or_named(tmp_path, novel):
    with pytest.raises(ValueError, match="want a longer text"):
        d2l.TimeMachine(2, 1000, path=novel)
    corpus, vocab = d2l.TimeMachine(2, 10, path=novel).build("Time's up")
    assert "".join(vocab.to_tokens(corpus)) == "time s up"


PAIRS = """Go.\tVa !
Hi.\tSalut !
Run!\tCours\u202f!
Who?\tQui ?
Go on.\tPoursuis.
Stop!\tStop !
I ran.\tJ'ai couru.
I won!\tJ'ai gagné !
"""


def test_sequence_to_sequence(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS * 4, encoding="utf-8")
    data = d2l.MTFraEng(batch_size=8, num_steps=5, num_train=24, num_val=8, path=path)
    src, tgt, lengths, label = next(iter(data.val_dataloader()))
    assert data.src_vocab.to_tokens(src[0]) == ["go", ".", "<eos>", "<pad>", "<pad>"] and lengths[0] == 3
    assert data.tgt_vocab.to_tokens(tgt[2]) == ["<bos>", "cours", "!", "<eos>", "<pad>"]
    assert label[:, :-1].equal(tgt[:, 1:])
    encoder = d2l.Seq2SeqEncoder(len(data.src_vocab), 32, 64, 1)
    decoder = d2l.Seq2SeqDecoder(len(data.tgt_vocab), 32, 64, 1)
    model = d2l.Seq2Seq(encoder, decoder, tgt_pad=data.tgt_vocab["<pad>"], lr=0.02)
    logits = torch.randn(8, 5, len(data.tgt_vocab))
    assert model.loss(logits, label).item() == pytest.approx(
        F.cross_entropy(logits.flatten(0, 1), label.flatten(), ignore_index=data.tgt_vocab["<pad>"]).item(), rel=1e-5
    )
    history = d2l.Trainer(max_epochs=25, gradient_clip_val=1, progress=False).fit(model, data)
    assert history[-1]["train_loss"] < 0.1
    model.eval()
    engs, fras = ["go .", "i won !"], ["va !", "j'ai gagné !"]
    preds, weights = model.predict_step(data.build(engs, fras), d2l.try_gpu(), data.num_steps)
    assert preds.shape == (2, 5) and weights == []
    for fra, p in zip(fras, preds, strict=True):
        translation = data.tgt_vocab.to_tokens(p)
        translation = translation[: translation.index("<eos>")]
        assert d2l.bleu(" ".join(translation), fra, k=2) == 1.0


def test_errors_and_archives_of_texts(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("no tab")
    with pytest.raises(ValueError, match="a tab between them"):
        d2l.MTFraEng(2, path=path)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("data/a.txt", "a")
    d2l.extract(tmp_path / "data.zip")
    assert (tmp_path / "data" / "a.txt").read_text() == "a"
    # what is there already, with the right checksum, is taken and not fetched
    (tmp_path / "fra-eng.zip").write_bytes(b"123")
    monkeypatch.setitem(
        d2l.DATA_HUB, "pairs", ("http://nowhere.invalid/fra-eng.zip", "40bd001563085fc35165329ea1ff5c5ecbdbbeef")
    )
    assert d2l.download("pairs", tmp_path) == str(tmp_path / "fra-eng.zip")


# --- 11


def test_masked_softmax_and_attention_with_heads():
    weights = d2l.masked_softmax(torch.rand(2, 2, 4), torch.tensor([[1, 3], [2, 4]]))
    assert (weights == 0).sum(-1).tolist() == [[3, 1], [2, 0]]
    attention = d2l.MultiHeadAttention(12, 3, 0.0).eval()
    X, Y, lens = torch.randn(2, 4, 12), torch.randn(2, 6, 12), torch.tensor([3, 2])
    found = attention(X, Y, Y, lens)
    other = nn.MultiheadAttention(12, 3, bias=False, batch_first=True).eval()
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([attention.W_q.weight, attention.W_k.weight, attention.W_v.weight]))
        other.out_proj.weight.copy_(attention.W_o.weight)
    expected, _ = other(X, Y, Y, key_padding_mask=torch.arange(6)[None] >= lens[:, None])
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="num_heads must divide"):
        d2l.MultiHeadAttention(12, 5, 0.0)


def test_the_transformers_encoder_ignores_padding():
    encoder = d2l.TransformerEncoder(20, 24, 48, 8, 2, 0.5).eval()
    tokens, lens = torch.randint(0, 20, (2, 10)), torch.tensor([3, 2])
    first = encoder(tokens, lens)
    d2l.check_shape(first, (2, 10, 24))
    changed = tokens.clone()
    changed[:, 5:] = 1
    assert torch.allclose(encoder(changed, lens)[:, :2], first[:, :2], atol=1e-6)
    assert [w.shape for w in encoder.attention_weights] == [(16, 10, 10)] * 2
    block = d2l.AddNorm(24, 0.5).eval()
    assert torch.allclose(block(first, first), F.layer_norm(2 * first, (24,)), atol=1e-5)


# --- 12


def test_train_2d_prints_the_books_place(capsys):
    f = lambda x1, x2: x1**2 + 2 * x2**2  # noqa: E731
    f_grad = lambda x1, x2: (2 * x1, 4 * x2)  # noqa: E731

    def gd_2d(x1, x2, s1, s2, f_grad):
        g1, g2 = f_grad(x1, x2)
        return x1 - 0.1 * g1, x2 - 0.1 * g2, 0, 0

    results = d2l.train_2d(gd_2d, f_grad=f_grad)
    assert capsys.readouterr().out == "epoch 20, x1: -0.057646, x2: -0.000073\n"
    assert len(results) == 21 and results[1] == pytest.approx((-4, -1.2))
    d2l.show_trace_2d(f, results)
    assert np.array_equal(plt.gca().get_lines()[0].get_xydata(), np.array(results))


def test_chapter_11s_training_on_a_local_file(tmp_path, capsys, monkeypatch):
    table = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    table[:, -1] = table[:, :-1] @ [1, -1, 0.5, 0, 2] + 0.1 * table[:, -1]
    path = tmp_path / "airfoil_self_noise.dat"
    np.savetxt(path, table, delimiter="\t")
    monkeypatch.setitem(d2l.DATA_HUB, "airfoil", (d2l.DATA_HUB["airfoil"][0], None))
    data, features = d2l.get_data_ch11(batch_size=10, n=300, folder=tmp_path)
    X, _ = data.dataset.tensors
    assert features == 5 and X.shape == (300, 5) and abs(X.mean().item()) < 0.1

    def sgd(params, states, hyperparams):
        for p in params:
            p.data.sub_(hyperparams["lr"] * p.grad)
            p.grad.data.zero_()

    _, losses = d2l.train_ch11(sgd, None, {"lr": 0.05}, data, features, num_epochs=4)
    _, concise = d2l.train_concise_ch11(torch.optim.SGD, {"lr": 0.025}, data, num_epochs=4)
    for found in (losses, concise):
        assert len(found) == 6 and found[-1] < 0.01
    assert capsys.readouterr().out.count("sec/epoch") == 2


# --- the rest


def test_plot_takes_lines_lists_and_tensors():
    x = torch.arange(0.0, 3, 0.5)
    d2l.plot(x, [x**2, 2 * x - 1], "x", "f(x)", legend=["f(x)", "Tangent"], xlim=[0, 3], yscale="linear")
    axes = plt.gca()
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [(x**2).tolist(), (2 * x - 1).tolist()]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["f(x)", "Tangent"]
    assert axes.get_xlabel() == "x" and axes.get_xlim() == (0, 3)
    d2l.plot([1.0, 4.0, 9.0])
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 1, 2]
    d2l.plot([x], [x], figsize=(4, 2))
    assert plt.rcParams["figure.figsize"] == [4, 2]


def test_images_heat_maps_and_histograms():
    axes = d2l.show_images(torch.rand(6, 4, 4), 2, 3, titles=list("abcdef"))
    assert len(axes) == 6 and axes[5].get_title() == "f"
    d2l.show_heatmaps(torch.rand(2, 3, 4, 5), "Keys", "Queries", titles=["a", "b", "c"])
    figure = plt.gcf()
    assert len(figure.axes) == 7 and figure.axes[0].get_ylabel() == "Queries" and figure.axes[5].get_xlabel() == "Keys"
    plt.figure()
    d2l.show_list_len_pair_hist(["source", "target"], "n", "count", [[1], [1, 2]], [[1], [1]])
    assert plt.gca().get_xlabel() == "n"


def test_the_animator():
    animator = d2l.Animator(xlabel="epoch", xlim=[1, 3], legend=["train loss", "test acc"])
    for epoch in range(1, 4):
        animator.add(epoch, (1 / epoch, epoch / 3))
    assert [line.get_ydata().tolist() for line in animator.axes[0].get_lines()] == animator.Y
    animator = d2l.Animator()
    animator.add(1, 2.0)
    assert animator.Y == [[2.0]]


def test_small_tools(capsys):
    timer = d2l.Timer()
    timer.times = [1.0, 3.0]
    assert (timer.avg(), timer.sum(), timer.cumsum()) == (2.0, 4.0, [1.0, 4.0])
    sums = d2l.Accumulator(2)
    sums.add(1, 2)
    sums.reset()
    assert sums[0] == 0
    with pytest.raises(ValueError, match="expected 2 numbers"):
        sums.add(1)
    with pytest.raises(AssertionError, match=r"\(2, 3\) != expected shape \(2, 4\)"):
        d2l.check_shape(torch.ones(2, 3), (2, 4))
    with pytest.raises(AssertionError, match="length 1 != expected length 2"):
        d2l.check_len([1], 2)
    assert d2l.try_gpu() == d2l.cpu() == torch.device("cpu") and d2l.num_gpus() == 0 and d2l.try_all_gpus() == [d2l.cpu()]
    x = torch.ones(2, 3)
    assert d2l.size(x) == 6 and d2l.to(x, d2l.cpu()).equal(x)
    assert d2l.reduce_mean(x, axis=0, keepdims=True).shape == (1, 3)
    a, b = d2l.meshgrid(d2l.arange(2), d2l.arange(3))
    assert a.shape == b.shape == (2, 3)


def test_the_functions_of_the_older_chapters():
    w = torch.tensor([2.0, -3.4])
    X, y = d2l.synthetic_data(w, 4.2, 200)
    data = d2l.load_array((X, y), 10)
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(5):
        loss, _ = d2l.train_epoch_ch3(net, data, nn.MSELoss(), optimizer)
    assert loss < 0.1 and d2l.evaluate_loss(net, data, d2l.squared_loss) < 0.05
    params = [torch.zeros(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)]
    for _ in range(5):
        for X, y in data:
            d2l.squared_loss(d2l.linreg(X, *params), y).sum().backward()
            d2l.sgd(params, 0.05, len(X))
    assert torch.allclose(params[0].flatten(), w, atol=0.1)
    assert d2l.evaluate_accuracy(lambda X: X, [(torch.eye(3), torch.tensor([0, 1, 1]))]) == pytest.approx(2 / 3)


def test_signatures_are_the_books():
    book = {
        "Trainer": "max_epochs, num_gpus=0, gradient_clip_val=0",
        "SyntheticRegressionData": "w, b, noise=0.01, num_train=1000, num_val=1000, batch_size=32",
        "LinearRegressionScratch": "num_inputs, lr, sigma=0.01",
        "FashionMNIST": "batch_size=64, resize=(28, 28)",
        "TimeMachine": "batch_size, num_steps, num_train=10000, num_val=5000",
        "MTFraEng": "batch_size, num_steps=9, num_train=512, num_val=128",
        "MultiHeadAttention": "num_hiddens, num_heads, dropout, bias=False",
        "Seq2Seq": "encoder, decoder, tgt_pad, lr",
        "GRU": "num_inputs, num_hiddens, num_layers, dropout=0",
        "train_2d": "trainer, steps=20, f_grad=None",
        "get_data_ch11": "batch_size=10, n=1500",
        "show_images": "imgs, num_rows, num_cols, titles=None, scale=1.5",
    }
    for name, text in book.items():
        assert str(inspect.signature(getattr(d2l, name))).startswith(f"({text}"), name


# --- the older functions, which chapter 12.11 uses


def small_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def test_schedules_as_chapter_12_11_uses_them(clothes):
    """Its own `train`, which asks a schedule for its module to know whether it is PyTorch's."""
    lr_scheduler = torch.optim.lr_scheduler

    def train(net, train_iter, test_iter, num_epochs, loss, trainer, device, scheduler=None):
        rates = []
        net.to(device)
        for _ in range(num_epochs):
            metric = d2l.Accumulator(3)
            for X, y in train_iter:
                net.train()
                trainer.zero_grad()
                X, y = X.to(device), y.to(device)
                y_hat = net(X)
                l = loss(y_hat, y)
                l.backward()
                trainer.step()
                with torch.no_grad():
                    metric.add(l * X.shape[0], d2l.accuracy(y_hat, y), X.shape[0])
            rates.append(trainer.param_groups[0]["lr"])
            if scheduler:
                if scheduler.__module__ == lr_scheduler.__name__:
                    scheduler.step()
                else:
                    for param_group in trainer.param_groups:
                        param_group["lr"] = scheduler(len(rates) - 1)
        return rates, metric[0] / metric[2], d2l.evaluate_accuracy_gpu(net, test_iter)

    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=8, root=clothes)
    assert len(train_iter) == 5 and next(iter(test_iter))[1].tolist() == list(range(8))
    assert d2l.get_dataloader_workers() == 0
    made = (
        (lambda trainer: None, [0.5] * 4),
        (lambda trainer: lr_scheduler.MultiStepLR(trainer, milestones=[1, 3], gamma=0.5), [0.5, 0.25, 0.25, 0.125]),
        (lambda trainer: torch.optim.book_schedules.SquareRootScheduler(0.5), [0.5, 0.5, 0.5 / 2**0.5, 0.5 / 3**0.5]),
        (lambda trainer: torch.optim.book_schedules.FactorScheduler(0.9, 1e-2, 0.5), [0.5, 0.45, 0.405, 0.3645]),
    )
    for make, expected in made:
        net = small_net()
        trainer = torch.optim.SGD(net.parameters(), lr=0.5)
        rates, loss, acc = train(net, train_iter, test_iter, 4, nn.CrossEntropyLoss(), trainer, d2l.try_gpu(), make(trainer))
        assert rates == pytest.approx(expected)
        assert loss < 2.3 and acc > 0.1


def test_train_ch6_learns_and_draws(clothes, capsys):
    train_iter, test_iter = d2l.load_data_fashion_mnist(8, root=clothes)
    net = small_net()
    d2l.train_ch6(net, train_iter, test_iter, 10, 0.2, d2l.try_gpu())
    printed = capsys.readouterr().out
    assert "training on cpu" in printed and "test acc 1.000" in printed and "examples/sec on cpu" in printed
    assert len(plt.gcf().axes[0].lines) == 3
    assert d2l.evaluate_accuracy_gpu(lambda X: X[0], [([torch.ones(3)], torch.ones(3))], "cpu") == 1.0
    with pytest.raises(ValueError, match="a loader with batches"):
        d2l.train_ch6(net, [], test_iter, 1, 0.1, "cpu")
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        d2l.load_data_fashion_mnist(0)


def test_grad_clipping_keeps_the_direction():
    net = nn.Linear(2, 1, bias=False)
    for start, end in (([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])):
        net.weight.grad = torch.tensor([start])
        d2l.grad_clipping(net, 1.0)
        np.testing.assert_allclose(net.weight.grad.numpy(), [end], rtol=1e-5)


# --- what the fuzzer found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: d2l.evaluate_accuracy(nn.Linear(1, 1), []), "evaluate_accuracy: expected a loader with examples"),
        (lambda: d2l.evaluate_accuracy_gpu(nn.Linear(1, 1), []), "evaluate_accuracy_gpu: expected a loader with examples"),
        (lambda: d2l.evaluate_loss(nn.Linear(1, 1), [], nn.MSELoss()), "evaluate_loss: expected a loader with examples"),
        (lambda: d2l.train_epoch_ch3(nn.Linear(1, 1), [], nn.MSELoss(), None), "train_epoch_ch3: expected a loader with"),
        (lambda: d2l.Accumulator(1).add(1j), "Accumulator.add: what is added must be a number"),
        (lambda: d2l.get_fashion_mnist_labels([1, 10]), "get_fashion_mnist_labels: expected classes from 0 to 9"),
        (lambda: d2l.Accumulator(1.5), "Accumulator: .* integer"),
        (lambda: d2l.MultiHeadAttention(8, 0, 0.1), "num_heads must divide num_hiddens, got 0 and 8"),
        (lambda: d2l.MultiHeadAttention(8, np.ones(2), 0.1), "MultiHeadAttention: .* integer"),
        (lambda: d2l.corr2d(minidl.ones(2, 2), minidl.ones(3, 1)), "corr2d: expected a matrix and a smaller kernel"),
    ],
)
def test_the_books_functions_name_themselves(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_sgd_without_gradients_changes_nothing():
    w, b = minidl.ones(2, requires_grad=True), minidl.ones(1, requires_grad=True)
    w.sum().backward()
    with pytest.raises(ValueError, match="sgd: a parameter has no gradient; backward comes first"):
        d2l.sgd([w, b], 0.1, 1)
    assert w.tolist() == [1, 1] and w.grad.tolist() == [1, 1]
