"""A real llama.cpp server on random weights: nonsense in words, truth in every byte of the wire.

The model is a Llama of one layer and 32 dimensions over a vocabulary of bytes and printable
characters: 60 KB, written in milliseconds, and answering in a few tens of them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CONTEXT = 65536  # a token a byte: the specs of fifty tools are 20 KB
ANSWER_TOKENS = 24
_EMBEDDING, _FEED_FORWARD, _HEADS, _LAYERS = 32, 64, 2, 1

# Every role in its own line; tools are rendered so that they cost tokens, as in a real model.
_TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
)


def write_random_gguf(path: Path, seed: int = 7) -> Path:
    """Write the model file; returns its path."""
    import gguf

    rng = np.random.default_rng(seed)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    plain_from = len(tokens)
    tokens += ["▁"] + [chr(c) for c in range(33, 127)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - plain_from)

    w = gguf.GGUFWriter(path, "llama")
    w.add_name("random")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(_EMBEDDING)
    w.add_block_count(_LAYERS)
    w.add_feed_forward_length(_FEED_FORWARD)
    w.add_head_count(_HEADS)
    w.add_head_count_kv(_HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(_EMBEDDING // _HEADS)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([0.0] * len(tokens))
    w.add_token_types([int(kind) for kind in kinds])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_space_prefix(False)
    w.add_chat_template(_TEMPLATE)

    def tensor(name: str, *shape: int) -> None:
        w.add_tensor(name, rng.normal(0, 0.5, shape).astype(np.float32))

    def ones(name: str) -> None:
        w.add_tensor(name, np.ones(_EMBEDDING, np.float32))

    tensor("token_embd.weight", len(tokens), _EMBEDDING)
    ones("output_norm.weight")
    # Only plain characters are ever likely, so that the nonsense is readable text.
    output = np.zeros((len(tokens), _EMBEDDING), np.float32)
    output[plain_from:] = rng.normal(0, 2, (len(tokens) - plain_from, _EMBEDDING))
    w.add_tensor("output.weight", output)
    for n in range(_LAYERS):
        ones(f"blk.{n}.attn_norm.weight")
        ones(f"blk.{n}.ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"blk.{n}.{part}.weight", _EMBEDDING, _EMBEDDING)
        tensor(f"blk.{n}.ffn_gate.weight", _FEED_FORWARD, _EMBEDDING)
        tensor(f"blk.{n}.ffn_up.weight", _FEED_FORWARD, _EMBEDDING)
        tensor(f"blk.{n}.ffn_down.weight", _EMBEDDING, _FEED_FORWARD)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


@contextlib.contextmanager
def random_llama_server(folder: Path) -> Iterator[str]:
    """llama.cpp's own HTTP server in this process, on a free loopback port; yields the base URL
    for an OpenAI client. Raises ImportError without xllamacpp."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(write_random_gguf(folder / "random.gguf"))
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.n_predict = ANSWER_TOKENS
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.fit_params = False
    params.ui = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server
