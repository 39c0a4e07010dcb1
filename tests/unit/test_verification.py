"""The engine computes what the model's own forward pass computes, for every kind of class, or refuses in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.families import LATENT, make_model
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.make import VERIFICATION, refer
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.small import small_config, small_model
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.backbones.verification import verify, verify_backbone
from thoughtscope.errors import UserError
from thoughtscope.latents.decoder import context_length
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import sequence
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import loss_sum
from thoughtscope.survey import END, START, Finding, examine, model_types, survey, table, written

ROOT = Path(__file__).parents[2]
EXACT = 1e-5  # float32, gradients and frozen adapters included
KINDS = [
    "llama", "gpt2", "gpt_neox", "opt", "gemma2", "gemma3_text", "granite", "cohere", "mixtral", "deepseek_v3", "phi",
    "modernbert-decoder",
]  # fmt: skip
REFUSED = {
    "bloom": r"its decoder takes no positions \(position_ids\)",
    "ctrl": r"inputs differ from the model's own forward pass by",
    "gemma4_text": r"every layer reads the token's id again",
    "gptj": r"GPTJModel does not route all of its attention through Transformers' cache and attention interface",
    "llama4": r"states differ from the model's own forward pass by 0\.\d+ \(relative; 0\.0001 is allowed in float32\)",
    "mamba": r"layers of kind 'linear_attention' keep more than keys and values",
    "openai-gpt": r"its decoder takes no cache of keys and values \(past_key_values\)",
    "qwen3_next": r"layers of kind 'linear_attention' keep more than keys and values",
}
IDS = torch.tensor([[5, 9, 12, 33, 40, 7, 21, 18, 48, 11, 29, 3, 44, 17]])


def small(model_type: str, **changed: Any) -> Any:
    config = transformers.AutoConfig.for_model(model_type)
    attention = "eager" if model_type.startswith("gemma2") else "sdpa"
    return small_model(
        type(AutoModelForCausalLM.from_config(small_config(config))), small_config(config, **changed), attention
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_class_of_every_kind_computes_what_its_own_forward_computes(name: str) -> None:
    found = examine(name)
    assert found.reason == ""
    assert found.difference is not None
    assert found.difference < EXACT


@pytest.mark.parametrize(
    ("what", "model_type", "special", "plain"),
    [
        ("sliding windows", "mistral", {"sliding_window": 4}, {"sliding_window": None}),
        ("mixture of experts", "qwen3_moe", {"num_experts_per_tok": 2}, {"num_experts_per_tok": 1}),
        ("soft cap of logits", "gemma3_text", {"final_logit_softcapping": 2.0}, {"final_logit_softcapping": None}),
        ("soft cap of attention", "gemma2", {"attn_logit_softcapping": 0.05}, {"attn_logit_softcapping": 50.0}),
        ("embedding multiplier", "granite", {"embedding_multiplier": 3.0}, {"embedding_multiplier": 1.0}),
        ("logit multiplier", "granite", {"logits_scaling": 8.0}, {"logits_scaling": 1.0}),
        ("attention multiplier", "granite", {"attention_multiplier": 0.2}, {"attention_multiplier": 1.0}),
        ("residual multiplier", "granite", {"residual_multiplier": 0.3}, {"residual_multiplier": 1.0}),
        ("logit scale", "cohere", {"logit_scale": 0.25}, {"logit_scale": 1.0}),
        ("chunks", "llama4_text", {"attention_chunk_size": 4}, {"attention_chunk_size": 64}),
    ],
)
def test_what_a_configuration_does_to_the_numbers_is_followed(
    what: str, model_type: str, special: dict[str, Any], plain: dict[str, Any]
) -> None:
    if what == "chunks":
        special, plain = ({**one, "attn_temperature_tuning": False} for one in (special, plain))
    model = small(model_type, **special)
    with torch.no_grad():
        own, other = model(IDS).logits, small(model_type, **plain)(IDS).logits
    assert float((own - other).abs().max() / own.abs().max()) > 0.01, f"{what} must matter here"
    assert verify(model, what, gradients=True).largest < EXACT


def test_learned_positions_are_those_of_each_row() -> None:
    model = small("gpt2")
    assert verify(model, "gpt2").largest < EXACT
    with torch.no_grad():
        own = model(IDS).logits
        model.transformer.wpe.weight.copy_(model.transformer.wpe.weight.roll(1, 0))
    assert float((own - model(IDS).logits).abs().max() / own.abs().max()) > 0.1
    assert verify(model, "gpt2").largest < EXACT


def test_a_scaled_loss_is_the_models_own() -> None:
    model = small("granite", logits_scaling=8.0)
    row = sequence("row", IDS[0, :3].tolist(), IDS[0, 3:].tolist())
    batch = pack([row], None)
    own = model(IDS, labels=torch.tensor([row.labels])).loss * 11
    assert loss_sum(model, forward(model, batch, None), batch).item() == pytest.approx(own.item(), rel=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_a_class_that_the_engine_cannot_follow_is_refused_with_the_reason(name: str) -> None:
    found = examine(name)
    assert found.difference is None
    assert len(found.reason.splitlines()) == 1
    assert re.search(REFUSED[name], found.reason), found.reason


def test_a_configuration_that_changes_what_a_class_does_is_refused() -> None:
    with pytest.raises(UserError, match=r"when later tokens follow; set is_decoder: true in config.json"):
        verify(small("bert"), "here")
    with pytest.raises(UserError, match=r"output_router_logits: it adds a loss that balances experts.*set it to false"):
        verify(small("mixtral", output_router_logits=True), "here")


class Shifting(LlamaForCausalLM):  # type: ignore[misc]
    """A Llama that mixes each token with the one before it, outside of attention."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model.norm.register_forward_hook(lambda module, args, out: out + 0.1 * out.roll(1, 1) * self._later(out))

    @staticmethod
    def _later(out: torch.Tensor) -> torch.Tensor:
        return (torch.arange(out.shape[1]) > 0)[None, :, None]


def test_a_difference_is_said_with_its_size_and_the_backbone() -> None:
    model = small_model(Shifting, small_config(LlamaConfig()), "sdpa")
    with pytest.raises(
        UserError,
        match=r"^here: Shifting: states differ from the model's own forward pass by 0\.\d+ "
        r"\(relative; 0\.0001 is allowed in float32\); use another model$",
    ):
        verify(model, "here")


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_the_last_layer_is_after_the_norm_whatever_a_configuration_says(family: str) -> None:
    model, batch = make_model(family), pack([sequence("row", [5, 6, 7], [8, 9])], None)
    expected = forward(model, batch, None, [4]).layers[4]
    model.config.tie_last_hidden_states = False
    assert not torch.equal(model.get_decoder()(IDS, output_hidden_states=True).hidden_states[-1],
                           model.get_decoder()(IDS).last_hidden_state)  # fmt: skip
    trace = forward(model, batch, None, [4])
    assert torch.equal(trace.layers[4], expected)
    assert torch.equal(trace.layers[4], trace.last)
    fill = Fill(Hidden(kind="hidden", layer=4), LATENT)
    rows = [sequence("row", [5, 6], [LATENT, 7, LATENT, 8], is_latent=[True, False, True, False])]
    batch = pack(rows, fill.settings)
    last = forward(model, batch, Fill(Hidden(kind="hidden"), LATENT)).last
    assert torch.equal(forward(model, batch, fill).last, last)


def test_rows_are_no_longer_than_rotary_factors_stay_the_same() -> None:
    long = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = transformers.Phi3Config(
        hidden_size=32, num_attention_heads=4, num_hidden_layers=1, pad_token_id=0, rope_parameters=long,
        max_position_embeddings=64, original_max_position_embeddings=16,
    )  # fmt: skip
    assert context_length(config) == 16
    assert context_length(LlamaConfig(max_position_embeddings=64)) == 64
    assert context_length(transformers.BloomConfig()) is None


def backbone(model_type: str, folder: Path, **config: Any) -> Settings:
    tokenizer = train_tokenizer(["1 + 2 = 3"])
    attention = config.pop("attention", "sdpa")
    raw = {"source": "tiny", "label": "", "model_type": model_type, "config": config, "attention": attention}
    build_tiny(Settings.model_validate(raw), tokenizer, 0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Settings.model_validate({"source": "folder", "label": "Mine", "path": str(folder), "attention": attention})


def test_a_verdict_stands_in_the_folder_of_a_backbone(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    settings = backbone("gpt2", tmp_path / "model", **sizes)
    (tmp_path / "made").mkdir()
    said: list[str] = []
    refer(settings, tmp_path / "made", said.append)
    record = json.loads((tmp_path / "made" / VERIFICATION).read_text())
    loaded, copy = record["as it is loaded"], record["small copy"]
    assert (loaded["model"], loaded["dtype"], copy["dtype"]) == ("GPT2LMHeadModel", "bfloat16", "float32")
    assert set(copy["differences"]) > {"states", "logits", "losses", "cached states", "generated tokens", "gradients"}
    loaded_line, copy_line = said
    assert re.fullmatch(
        r"as it is loaded: the engine agrees with GPT2LMHeadModel in bfloat16 .* 0\.1 is allowed", loaded_line
    )
    assert float(re.findall(r"up to (\S+)", copy_line)[0]) < EXACT < copy["tolerance"]


def test_a_folder_whose_class_cannot_be_followed_is_refused_before_anything_trains(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4, "attention": "eager"}
    settings = backbone("gptj", tmp_path / "model", **sizes)
    (tmp_path / "made").mkdir()
    with pytest.raises(UserError, match="gptj: GPTJModel does not route all of its attention"):
        refer(settings, tmp_path / "made", lambda line: None)


def test_an_attention_that_a_class_lacks_is_one_line() -> None:
    raw = {"source": "tiny", "label": "", "model_type": "gemma2", "config": {}}
    with pytest.raises(UserError, match="set attention: eager"):
        build_tiny(Settings.model_validate(raw), train_tokenizer(["1"]), 0)


def test_a_window_that_no_row_reaches_is_reached_in_a_small_copy() -> None:
    model = small("mistral", sliding_window=60)
    record = verify_backbone(model, "here")
    assert record["as it is loaded"]["windows"] == {"sliding_attention": 60}
    assert record["small copy"]["windows"] == {"sliding_attention": 4}
    assert record["small copy"]["positions"] > 4


def test_a_survey_names_what_takes_too_long_or_dies() -> None:
    assert survey(["llama"], seconds=0)[0].reason == "over 0 s"


def test_the_table_of_the_docs_names_every_class_of_the_pinned_transformers() -> None:
    page = (ROOT / "docs/backbones.md").read_text()
    rows = page.split(START)[1].split(END)[0]
    names = [line.split("`")[1] for line in rows.splitlines() if line.startswith("| `")]
    assert names == model_types()
    assert f"Transformers {transformers.__version__}:" in rows
    found = [
        Finding("llama", "LlamaForCausalLM", ("attention_multiplier",), 1e-6),
        Finding("x", "Y", (), None, "a | b"),
    ]
    assert table(found).splitlines()[2:] == [
        "| `llama` | LlamaForCausalLM | works, 1.0e-06 | `attention_multiplier` |",
        "| `x` | Y | refused: a   b |  |",
    ]
    assert written(f"a\n{START}\nold\n{END}\nb", found).startswith(f"a\n{START}\n\nTransformers")
