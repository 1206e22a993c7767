"""Sequence to sequence (Sutskever, Vinyals and Le, 2014; Cho et al., 2014), and Bahdanau's attention (2015): sections 10, 11.

The encoder reads a sequence of tokens, (B, source steps) integers, and leaves a state. The decoder starts from it and, given
the tokens so far, gives the logits of the next. In training it is given the true ones (teacher forcing), all steps at once; to
predict, its own, one by one.

    logits = model(source, target_in)                      target_in: <bos> and the target without its last token
    loss = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=pad)
"""

from .. import nn
from ..graph.modes import no_grad
from ..tensors.arguments import as_int
from ..tensors.creation import full
from ..tensors.joining import cat


class Encoder(nn.Module):
    """Base of encoders. A subclass writes forward(X, *args): whatever its decoder's init_state takes."""

    def forward(self, X, *args):
        raise NotImplementedError(f"{type(self).__name__}: write a forward(self, X, *args) method")


class Decoder(nn.Module):
    """Base of decoders. A subclass writes init_state and forward(X, state): (logits, the state after them)."""

    def init_state(self, enc_all_outputs, *args):
        """The state before the first token, from what the encoder returned."""
        raise NotImplementedError(f"{type(self).__name__}: write an init_state(self, enc_all_outputs, *args) method")

    def forward(self, X, state):
        raise NotImplementedError(f"{type(self).__name__}: write a forward(self, X, state) method")


class AttentionDecoder(Decoder):
    """Base of decoders that attend to what the encoder returned, and show where."""

    @property
    def attention_weights(self):
        """The weights of the last forward, for each of its steps."""
        raise NotImplementedError(f"{type(self).__name__}: write an attention_weights property")


class EncoderDecoder(nn.Module):
    """An encoder and a decoder: model(enc_X, dec_X, *args) is the decoder's logits for dec_X, (B, steps, vocabulary).

    The arguments after dec_X, such as the valid lengths of enc_X, are given to the encoder and to init_state.

    >>> import minidl
    >>> class Letters(Encoder):
    ...     def forward(self, X, *args):
    ...         return X
    >>> class Copy(Decoder):
    ...     def init_state(self, enc_all_outputs, *args):
    ...         return enc_all_outputs
    ...     def forward(self, X, state):  # the next letter of the source, whatever was said before
    ...         return nn.functional.one_hot(state[:, : X.shape[1]], 5).float(), state[:, X.shape[1] :]
    >>> EncoderDecoder(Letters(), Copy()).predict(minidl.tensor([[3, 1, 4]]), bos=0, num_steps=3)[0]
    tensor([[3, 1, 4]])
    """

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, enc_X, dec_X, *args):
        state = self.decoder.init_state(self.encoder(enc_X, *args), *args)
        return self.decoder(dec_X, state)[0]

    @no_grad()
    def predict(self, enc_X, *args, bos, num_steps, eos=None):
        """The likeliest next token, num_steps times: (tokens (B, steps), weights of each step, if the decoder attends).

        It begins with `bos`, and ends early once every sequence has had an `eos`. Call eval() before, or dropout drops.
        """
        num_steps = as_int(num_steps)
        if type(num_steps) is not int or num_steps < 1:
            raise ValueError(f"predict: num_steps must be an integer of 1 or more, got {num_steps!r}")
        state = self.decoder.init_state(self.encoder(enc_X, *args), *args)
        token, tokens, weights = full((len(enc_X), 1), bos), [], []
        ended = None
        for _ in range(num_steps):
            logits, state = self.decoder(token, state)
            token = logits.argmax(-1)
            tokens.append(token)
            if isinstance(self.decoder, AttentionDecoder):
                weights.extend(self.decoder.attention_weights)
            if eos is not None:
                ended = token == eos if ended is None else ended | (token == eos)
                if ended.all():
                    break
        return cat(tokens, 1), weights


def init_seq2seq(module):
    """Glorot's uniform values for the weights of a linear or recurrent layer: model.apply(init_seq2seq)"""
    if type(module) in (nn.Linear, nn.GRU):  # a lazy layer has no weights yet
        for name, param in module.named_parameters():
            if "weight" in name:
                nn.init.xavier_uniform_(param)


class Seq2SeqEncoder(Encoder):
    """Embedding and GRU: (B, T) tokens → outputs of the last layer (T, B, num_hiddens), state (num_layers, B, num_hiddens).

    Lengths are of no use to it (it reads the padding like any token), so it takes and leaves them.
    """

    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size, num_hiddens, num_layers, dropout=dropout)
        self.apply(init_seq2seq)

    def forward(self, X, *args):
        return self.rnn(self.embedding(X.T))


class Seq2SeqDecoder(Decoder):
    """A GRU that is told the encoder's last output at every step: (B, T) tokens → logits (B, T, vocab_size)."""

    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size + num_hiddens, num_hiddens, num_layers, dropout=dropout)
        self.dense = nn.Linear(num_hiddens, vocab_size)
        self.apply(init_seq2seq)

    def init_state(self, enc_all_outputs, *args):
        outputs, state = enc_all_outputs
        return outputs[-1], state

    def forward(self, X, state):
        context, hidden = state
        embedded = self.embedding(X.T)
        outputs, hidden = self.rnn(cat([embedded, context.expand(len(embedded), -1, -1)], -1), hidden)
        return self.dense(outputs).swapaxes(0, 1), (context, hidden)


class Seq2SeqAttentionDecoder(AttentionDecoder):
    """Bahdanau's decoder: at each step the state of its last layer asks which of the encoder's outputs to be told.

    (B, T) tokens → logits (B, T, vocab_size). The query of a step is the state before it, keys and values are the encoder's
    outputs, and the context that comes of them goes into the GRU beside the token. attention_weights: a list with (B, 1, source
    steps) for each step of the last forward.
    """

    def __init__(self, vocab_size, embed_size, num_hiddens, num_layers, dropout=0):
        super().__init__()
        self.attention = nn.AdditiveAttention(num_hiddens, dropout)
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = nn.GRU(embed_size + num_hiddens, num_hiddens, num_layers, dropout=dropout)
        self.dense = nn.Linear(num_hiddens, vocab_size)
        self.apply(init_seq2seq)
        self._attention_weights = []

    @property
    def attention_weights(self):
        return self._attention_weights

    def init_state(self, enc_all_outputs, enc_valid_lens=None):
        """(encoder's outputs (B, source steps, num_hiddens), the same projected for the scores, state, valid lengths)"""
        outputs, hidden = enc_all_outputs
        outputs = outputs.swapaxes(0, 1)
        return outputs, self.attention.W_k(outputs), hidden, enc_valid_lens

    def forward(self, X, state):
        source, features, hidden, valid_lens = state
        steps, self._attention_weights = [], []
        for x in self.embedding(X.T):  # one at a time: what a step asks for depends on the step before
            context = self.attention(hidden[-1].unsqueeze(1), source, source, valid_lens, features)
            output, hidden = self.rnn(cat([context.squeeze(1), x], -1).unsqueeze(0), hidden)
            steps.append(output)
            self._attention_weights.append(self.attention.attention_weights)
        return self.dense(cat(steps, 0)).swapaxes(0, 1), (source, features, hidden, valid_lens)
