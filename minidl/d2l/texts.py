"""Text of the book: The Time Machine (9.2), English and French sentences (10.5), and files from its server."""

import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from ..tensors.record import wrap
from ..text import Vocab, pad_or_cut
from ..utils import data as _data
from .base import DataModule

__all__ = ["DATA_HUB", "DATA_URL", "MTFraEng", "TimeMachine", "download", "download_extract", "extract"]

DATA_HUB = {}
DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"


def download(url, folder="../data", sha1_hash=None):
    """The path of a file, which is fetched into the folder unless it is there already, with the right SHA-1 if one is given.

    url may be a name of DATA_HUB, a dict of names to (url, SHA-1).

    >>> download("no such name")
    Traceback (most recent call last):
    ValueError: download: expected a URL, or a name of DATA_HUB, got 'no such name'
    """
    if url in DATA_HUB:
        url, sha1_hash = DATA_HUB[url]
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"download: expected a URL, or a name of DATA_HUB, got {url!r}")
    path = Path(folder, url.rpartition("/")[2])
    return os.fspath(_data.download(url, path, f"sha1:{sha1_hash}" if sha1_hash else None))


def extract(filename, folder=None):
    """Unpacks a .zip or .tar file into the folder it is in, or another.

    >>> extract("data.rar")
    Traceback (most recent call last):
    ValueError: extract: expected a .zip, .tar, .tar.gz or .tgz file, got 'data.rar'
    """
    folder, name = os.path.dirname(filename) if folder is None else folder, os.fspath(filename)
    if name.endswith(".zip"):
        with zipfile.ZipFile(name) as archive:
            archive.extractall(folder)
    elif name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(name) as archive:
            archive.extractall(folder, filter="data")
    else:
        raise ValueError(f"extract: expected a .zip, .tar, .tar.gz or .tgz file, got {name!r}")


def download_extract(name, folder=None):
    """Fetches and unpacks an archive, and gives the folder with its files.

    >>> download_extract("no such name")
    Traceback (most recent call last):
    ValueError: download: expected a URL, or a name of DATA_HUB, got 'no such name'
    """
    path = download(name)
    extract(path)
    return os.path.join(os.path.dirname(path), folder) if folder else os.path.splitext(path)[0]


class TimeMachine(DataModule):
    """H. G. Wells's novel, or another text, as sequences of characters and the same one step later (9.2).

    The file timemachine.txt is looked for in root, and fetched if it is not there. path: a text file of one's own instead.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "text.txt")
    >>> _ = path.write_text("It would be remarkably convenient for the historian.")
    >>> data = TimeMachine(batch_size=2, num_steps=5, num_train=20, num_val=10, path=path)
    >>> X, Y = next(iter(data.val_dataloader()))
    >>> X.shape, X[0, 1:].equal(Y[0, :-1])
    ((2, 5), True)
    >>> "".join(data.vocab.to_tokens(X[0]))
    'ly co'
    """

    def __init__(self, batch_size, num_steps, num_train=10000, num_val=5000, path=None, root="../data"):
        super().__init__(root)
        self.save_hyperparameters()
        corpus, self.vocab = self.build(self._download())
        if len(corpus) <= num_steps:
            raise ValueError(f"TimeMachine: sequences of {num_steps} steps want a longer text than {len(corpus)} tokens")
        windows = wrap(np.lib.stride_tricks.sliding_window_view(np.array(corpus), num_steps + 1).copy())
        self.X, self.Y = windows[:, :-1], windows[:, 1:]

    def _download(self):
        sha1 = "090b5e7e70c295757f55df93cb0a180b9691891a"
        path = self.path or download(DATA_URL + "timemachine.txt", self.root, sha1)
        return Path(path).read_text(encoding="utf-8")

    def _preprocess(self, text):
        return re.sub("[^A-Za-z]+", " ", text).lower()

    def _tokenize(self, text):
        return list(text)

    def build(self, raw_text, vocab=None):
        """(the numbers of the tokens, the vocabulary) of a text."""
        tokens = self._tokenize(self._preprocess(raw_text))
        vocab = Vocab(tokens) if vocab is None else vocab
        return vocab[tokens], vocab

    def get_dataloader(self, train):
        rows = slice(0, self.num_train) if train else slice(self.num_train, self.num_train + self.num_val)
        return self.get_tensorloader([self.X, self.Y], train, rows)


class MTFraEng(DataModule):
    """English sentences and their French translations (10.5): batches (source, target input, source lengths, target).

    fra-eng.zip is looked for in root, and fetched if it is not there. path: a text file of one's own instead, with a tab
    between the two languages of each line.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "pairs.txt")
    >>> _ = path.write_text("Go.\\tVa !\\nGo on.\\tPoursuis.\\nRun!\\tCours!\\nRun on.\\tCours !\\n", encoding="utf-8")
    >>> data = MTFraEng(batch_size=2, num_steps=4, num_train=2, num_val=2, path=path)
    >>> source, target, lengths, label = next(iter(data.val_dataloader()))
    >>> data.src_vocab.to_tokens(source[1]), lengths
    (['run', 'on', '.', '<eos>'], tensor([3, 4]))
    >>> data.tgt_vocab.to_tokens(target[0]), data.tgt_vocab.to_tokens(label[0])
    (['<bos>', 'cours', '!', '<eos>'], ['cours', '!', '<eos>', '<pad>'])
    """

    def __init__(self, batch_size, num_steps=9, num_train=512, num_val=128, path=None, root="../data"):
        super().__init__(root)
        self.save_hyperparameters()
        self.arrays, self.src_vocab, self.tgt_vocab = self._build_arrays(self._download())

    def _download(self):
        if self.path is not None:
            return Path(self.path).read_text(encoding="utf-8")
        extract(download(DATA_URL + "fra-eng.zip", self.root, "94646ad1522d915e7b0f9296181140edcf86a4f5"))
        return Path(self.root, "fra-eng", "fra.txt").read_text(encoding="utf-8")

    def _preprocess(self, text):
        """Lower case, usual spaces, and a space before each mark."""
        text = text.replace("\u202f", " ").replace("\xa0", " ").lower()
        return re.sub(r"(?<=[^ ])([,.!?])", r" \1", text)

    def _tokenize(self, text, max_examples=None):
        pairs = [line.split("\t") for line in text.split("\n")[: None if max_examples is None else max_examples + 1]]
        pairs = [pair for pair in pairs if len(pair) == 2]
        return tuple([[t for t in f"{pair[i]} <eos>".split(" ") if t] for pair in pairs] for i in range(2))

    def _build_arrays(self, raw_text, src_vocab=None, tgt_vocab=None):
        source, target = self._tokenize(self._preprocess(raw_text), self.num_train + self.num_val)
        if not source:
            raise ValueError("MTFraEng: expected lines of two sentences with a tab between them, got none")
        src, src_vocab, lengths = self._build_array(source, src_vocab)
        tgt, tgt_vocab, _ = self._build_array(target, tgt_vocab, is_tgt=True)
        return (src, tgt[:, :-1], lengths, tgt[:, 1:]), src_vocab, tgt_vocab

    def _build_array(self, sentences, vocab, is_tgt=False):
        begin = ["<bos>"] if is_tgt else []
        sentences = [begin + pad_or_cut(sentence, self.num_steps, "<pad>") for sentence in sentences]
        if vocab is None:
            vocab = Vocab(sentences, min_freq=2, reserved_tokens=["<pad>"])
        array = wrap(np.array([vocab[sentence] for sentence in sentences]))
        return array, vocab, (array != vocab["<pad>"]).sum(1)

    def get_dataloader(self, train):
        return self.get_tensorloader(self.arrays, train, slice(0, self.num_train) if train else slice(self.num_train, None))

    def build(self, src_sentences, tgt_sentences):
        """The four arrays of sentences of one's own, with this vocabulary."""
        text = "\n".join(f"{source}\t{target}" for source, target in zip(src_sentences, tgt_sentences, strict=True))
        return self._build_arrays(text, self.src_vocab, self.tgt_vocab)[0]
