"""Stored states are what the model computes, whatever the batches."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.families import FAMILIES, make_model
from thoughtscope import schemas
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.load import load_model, load_tokenizer
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.capture import embedding_norm
from thoughtscope.hidden_states.extract import LatentsSettings, answer_questions, extract_latents
from thoughtscope.hidden_states.parts import Parts
from thoughtscope.hidden_states.read import REPEATS, describe_states, read_vectors
from thoughtscope.hidden_states.reading import Reader, Tree, shared_tokens, trees
from thoughtscope.hidden_states.roles import shared_ends
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.statements import StatementsSettings, extract_statements, read_statements
from thoughtscope.hidden_states.write import GENERATIONS, SURPRISALS, Position, StateWriter, storage_type
from thoughtscope.latents.layout import sequence
from thoughtscope.reasoner import Prompting, Reasoner, read_method
from thoughtscope.training.network import add_tokens

CONFIG = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
BACKBONE = Settings(source="tiny", label="t", model_type="qwen3", config=CONFIG)
STATEMENTS = [
    {"example_id": f"e{i}", "question": question, "response": response}
    for i, (question, response) in enumerate(
        [
            ("Who is it?", "a judge."),
            ("Who is a cat, I think, from Peru?", ""),
            ("Who is it?", "a judge from Peru, I think."),
            ("Who is it then?", "a poet."),
            ("Who is it?", "a cat from Peru."),
        ]
    )
]
QUESTIONS = [
    {"example_id": f"q{i}", "split": split, "question": f"{i} + 1 =", "steps": ["1", "2"], "answer": "2"}
    for i, split in enumerate(["test", "train", "test", "test", "test"])
]  # fmt: skip


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    texts = [f"{row['question']} {row['response']}" for row in STATEMENTS] + ["0 1 2 3 4 + = ; #### 5"]
    tokenizer = train_tokenizer(texts)
    build_tiny(BACKBONE, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(backbone, tmp_path_factory):
    """An untrained Coconut run in its last stage (two latents), with one earlier checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    raw = {"kind": "step-removal", "label": "c", "fill": {"kind": "hidden"}, "latents_per_step": 2}
    method = read_method(raw, "method coconut")
    model, tokenizer = load_model(backbone), load_tokenizer(backbone)
    add_tokens(model, tokenizer, method.tokens, {})
    silent = tokenizer.convert_tokens_to_ids([tokenizer.eos_token, *method.tokens])
    with torch.no_grad():  # an untrained model should write text: no end, no markers
        model.get_output_embeddings().weight[torch.tensor(silent)] = 0
    stages = method.stages(2)
    for name, stage in (("checkpoints/step000007", stages[1]), ("model", stages[2])):
        Reasoner(model, tokenizer, method, stage, {}, Prompting(), 2).save(folder / name)
    (folder / "schedule.json").write_text(json.dumps({"updates": 20, "precision": "float32"}))
    return folder


def statements(backbone, folder, batch_size, rows=STATEMENTS):
    folder.mkdir()
    settings = StatementsSettings(run="r", states=HiddenStates(batch_size=batch_size))
    extract_statements(settings, backbone, rows, folder)
    return folder


def latents(run, folder, batch_size, **states):
    folder.mkdir()
    decoding = {"max_new_tokens": 4}
    settings = LatentsSettings(run="r", states=HiddenStates(batch_size=batch_size, **states), decoding=decoding)
    extract_latents(settings, run, QUESTIONS, folder)
    return folder


def test_streamed_parts_equal_one_batch(backbone, tmp_path):
    parts, whole = statements(backbone, tmp_path / "parts", 2), statements(backbone, tmp_path / "whole", 99)
    for layer in (0, 1, 2):
        (a, left), (b, right) = (read_vectors(folder, "output", layer) for folder in (parts, whole))
        assert left[["example_id", "position"]].equals(right[["example_id", "position"]])
        assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["statements", "latents"])
def test_ranks_and_interruptions_change_no_byte(kind, backbone, run, tmp_path):
    """Alone, as two ranks, and after an interruption that left a part unfinished and one damaged."""
    states = HiddenStates(batch_size=1)
    decoding = {"max_new_tokens": 4}

    def compute(parts):
        if kind == "statements":
            read_statements(StatementsSettings(run="r", states=states), backbone, STATEMENTS, parts)
        else:
            answer_questions(LatentsSettings(run="r", states=states, decoding=decoding), run, QUESTIONS, parts)

    def collected(name):
        parts, targets = Parts(tmp_path / name), [tmp_path / f"{name}-{i}" for i in (1, 2)]
        for target in targets:  # as if the first was interrupted before it was an artifact
            target.mkdir()
            parts.collect(target)
        parts.discard()
        assert not parts.folder.exists()
        first, second = map(contents, targets)
        assert first == second
        return second

    compute(Parts(tmp_path / "alone", batches=1))
    count = len(list((tmp_path / "alone").iterdir()))
    for rank in (0, 1):
        compute(Parts(tmp_path / "two", rank, 2, batches=1))
    compute(Parts(tmp_path / "stopped", 0, 2, batches=1))
    assert Parts(tmp_path / "stopped").missing(count) == list(range(1, count, 2))
    file = next((tmp_path / "stopped/part-0002").glob("kind=output/*/*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    assert Parts(tmp_path / "stopped").missing(count)[:2] == [1, 2]
    before = (tmp_path / "stopped/part-0000").stat().st_ino
    compute(Parts(tmp_path / "stopped", batches=1))
    assert (tmp_path / "stopped/part-0000").stat().st_ino == before, "what is finished is not computed again"
    alone = collected("alone")
    assert count >= 3
    assert sum(name.startswith("kind=output/layer=2/") for name in alone) == count
    assert collected("two") == alone
    assert collected("stopped") == alone


def test_what_statements_begin_with_is_stored_once(backbone, tmp_path):
    folder = statements(backbone, tmp_path / "states", 9)
    tokenizer = load_tokenizer(backbone)
    said = [response_ids(tokenizer, row["response"]) for row in STATEMENTS if row["question"] == "Who is it?"]
    begun = {tuple(ids[: i + 1]) for ids in said for i in range(len(ids))}
    repeated = sum(map(len, said)) - len(begun)
    stored = sum(pq.read_metadata(file).num_rows for file in folder.glob("kind=output/layer=1/*.parquet"))
    assert repeated > 0
    assert len(schemas.read(folder / REPEATS, schemas.REPEATS)) == repeated
    assert len(read_vectors(folder, "output", 1)[0]) == stored + repeated


def prompts(tokenizer, rows):
    return [prompt_ids(tokenizer, row["question"], True, {}) for row in rows]


@pytest.mark.parametrize("rows", [STATEMENTS, STATEMENTS[1:2], [*STATEMENTS, {**STATEMENTS[0], "question": "I?"}]])
def test_statement_states_and_surprisals_equal_a_plain_forward(backbone, tmp_path, rows):
    """Whatever all rows begin with is computed once: the same question, one row's whole prompt, or nothing."""
    rows = [{**row, "example_id": f"e{i}"} for i, row in enumerate(rows)]
    extract_statements(StatementsSettings(run="r", states=HiddenStates(batch_size=2)), backbone, rows, tmp_path)
    model, tokenizer = load_model(backbone), load_tokenizer(backbone)
    surprisals = schemas.read(tmp_path / SURPRISALS, schemas.SURPRISALS).to_pandas()
    shared = min(shared_ends(prompts(tokenizer, rows))[0], min(map(len, prompts(tokenizer, rows))) - 1)
    for row, prompt in zip(rows, prompts(tokenizer, rows), strict=True):
        ids = prompt + (response_ids(tokenizer, row["response"]) if row["response"] else [])
        start = len(prompt) if row["response"] else max(1, shared)
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        for layer in range(3):
            vectors, frame = read_vectors(tmp_path, "output", layer)
            own = (frame["example_id"] == row["example_id"]).to_numpy()
            expected = out.hidden_states[layer][0, start:].numpy()
            assert frame.loc[own, "token_id"].tolist() == ids[start:]
            assert np.abs(vectors[own] - expected).max() < 1e-5 * np.abs(expected).max()
        losses = -out.logits[0].log_softmax(-1)[range(len(ids) - 1), ids[1:]].numpy()
        own = surprisals[surprisals["example_id"] == row["example_id"]].sort_values("position")
        expected = losses[start - 1 :] if row["response"] else []
        assert own["surprisal"].to_numpy() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_is_shared_changes_no_state_of_any_family(family):
    model = make_model(family)
    rng = np.random.default_rng(0)
    rows = [rng.integers(4, 50, size=length).tolist() for length in (3, 9, 1, 6)]
    rows += [[*rows[1][:7], 10, 11], [*rows[1][:7], 10, 12, 13], rows[3][:2]]
    shared = [1, 20, 30, 40, 21, 31, 41]
    sequences = [sequence(f"e{i}", [*shared, 5 + i % 2], row) for i, row in enumerate(rows)]
    assert shared_tokens(sequences) == shared
    [batch] = trees(sequences, len(shared), len(rows))
    assert sorted(len(tree.texts) for tree in batch) == [3, 4]
    with torch.no_grad():
        read = Reader(model, shared).read(batch)
        for row, one in enumerate(text for tree in batch for text in tree.texts):
            plain = model(torch.tensor([one.token_ids]), output_hidden_states=True).hidden_states
            at = torch.arange(len(shared), len(one.token_ids))
            for layer, expected in enumerate(plain):
                assert torch.allclose(
                    read.at(layer, torch.full_like(at, row), at), expected[0, len(shared) :], atol=1e-9
                )


def test_texts_are_merged_where_they_begin_alike() -> None:
    rows = [[7, 8, 9], [7, 8, 5, 9], [7, 8], [6, 8, 9]]
    tree = Tree.of([sequence(f"e{i}", [1, 2], row) for i, row in enumerate(rows)], 2)
    assert tree.tokens == [7, 8, 9, 5, 9, 6, 8, 9]
    assert [[tree.tokens[node] for node in path] for path in tree.paths] == rows
    assert tree.paths[0][:2] == tree.paths[1][:2] == tree.paths[2]
    seen = tree.visible()
    for path in tree.paths:
        for place, node in enumerate(path):
            assert seen[node].nonzero().flatten().tolist() == path[: place + 1]


def test_the_shared_tokens_are_computed_once(backbone, tmp_path, monkeypatch):
    """Counted are the positions that go through the decoder, padding included."""
    counts = []
    model, tokenizer = load_model(backbone), load_tokenizer(backbone)
    kind = type(model.model)
    real = kind.forward

    def counted(self, **arguments):
        counts.append(arguments["inputs_embeds"][..., 0].numel())
        return real(self, **arguments)

    monkeypatch.setattr(kind, "forward", counted)
    rows = [row for row in STATEMENTS if row["question"] == "Who is it?"]
    statements(backbone, tmp_path / "states", 1, rows)
    prompt = prompts(tokenizer, rows)[0]
    responses = [response_ids(tokenizer, row["response"]) for row in rows]
    begun = {tuple(ids[: i + 1]) for ids in responses for i in range(len(ids))}
    assert len(begun) < sum(map(len, responses))
    assert sum(counts) == (len(prompt) - 1) + 1 + len(begun)


def test_a_text_of_a_single_token_is_refused(backbone, tmp_path):
    tokenizer = load_tokenizer(backbone)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(tmp_path / "model")
    load_model(backbone).save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match=r"example e0: its text is a single token; lengthen or remove it"):
        statements(tmp_path / "model", tmp_path / "out", 1, [{"example_id": "e0", "question": "a", "response": ""}])


def test_the_vector_fed_at_a_latent_is_the_state_before_it(run, tmp_path):
    folder = latents(run, tmp_path / "states", 2)
    fed, at = read_vectors(folder, "input", checkpoint=20)
    made, where = read_vectors(folder, "output", checkpoint=20)
    state = {(row.example_id, row.position): made[i] for i, row in enumerate(where.itertuples())}
    later = [i for i, row in enumerate(at.itertuples()) if row.role == "latent" and row.latent_index > 1]
    assert len(later) == 4 * 3
    for i in later:
        row = at.iloc[i]
        assert np.abs(fed[i] - state[row["example_id"], row["position"] - 1]).max() < 1e-5


def test_latents_of_each_checkpoint_and_text_of_the_last(run, tmp_path):
    folder = latents(run, tmp_path / "states", 3)
    frame = read_vectors(folder, "output")[1]
    counts = frame[frame["latent_index"].notna()].groupby("checkpoint_step").size()
    assert counts.to_dict() == {7: 4 * 2, 20: 4 * 4}
    assert set(frame.loc[frame["latent_index"].isna(), "checkpoint_step"]) == {20}
    assert set(read_vectors(folder, "input")[1]["latent_index"].dropna()) == {1, 2, 3, 4}
    facts = describe_states(folder)
    assert (facts["checkpoints"], facts["layers"], facts["final_norm_layer"]) == ([7, 20], [2], 2)
    weights = load_model(run / "model").get_input_embeddings().weight
    assert facts["embedding_norm"] == pytest.approx(weights.norm(dim=1).mean().item(), rel=1e-5)
    answers = schemas.read(folder / GENERATIONS, schemas.PREDICTIONS).to_pandas()
    assert answers.groupby("step")["latents"].first().to_dict() == {7: 2, 20: 4}


def test_the_batch_changes_no_latent(run, tmp_path):
    one, all_ = (latents(run, tmp_path / str(size), size, layers="all") for size in (1, 9))
    for kind, layer in (("input", None), ("output", 1)):
        (a, left), (b, right) = (read_vectors(folder, kind, layer, latent_index=2) for folder in (one, all_))
        assert left["position"].tolist() == right["position"].tolist()
        assert np.abs(a - b).max() < 1e-4


def test_text_is_stored_for_both_kinds_and_fed_as_its_embeddings(run, tmp_path):
    folder = latents(run, tmp_path / "states", 3)
    table = load_model(run / "model").get_input_embeddings().weight.detach().numpy()
    fed, frame = read_vectors(folder, "input", latent_index="text")
    assert frame[["example_id", "position", "role"]].equals(
        read_vectors(folder, "output", latent_index="text")[1][["example_id", "position", "role"]]
    )
    assert np.array_equal(fed, table[frame["token_id"].to_numpy(dtype=int)])
    counts = frame.groupby("role")["example_id"].nunique()
    assert counts["step"] == 4, "an untrained model writes no answer mark"
    assert frame[frame["role"] == "question"].groupby("example_id").size().max() <= 4


def test_the_token_before_a_drawn_one_is_there_unless_it_is_a_latent(run, tmp_path):
    frame = read_vectors(latents(run, tmp_path / "states", 3, text_tokens=2), "output", checkpoint=20)[1]
    there = {(row.example_id, row.position): row.role for row in frame.itertuples()}
    drawn = frame[frame["role"].isin(["question", "step", "separator"])]
    assert len(drawn) > 8
    assert all((row.example_id, row.position - 1) in there for row in drawn.itertuples())
    assert set(frame["role"]) >= {"latent", "before", "question", "step"}


def test_a_latent_names_what_it_precedes(run, tmp_path):
    """Coconut's are followed by the marker that ends them."""
    frame = read_vectors(latents(run, tmp_path / "states", 3), "input", latent_index=2, checkpoint=20)[1]
    assert set(frame["next_token"]) == {"<|end-latent|>"}
    assert set(frame["next_role"]) == {"control"}


def test_states_are_computed_in_the_precision_of_the_training(run, tmp_path):
    lower = tmp_path / "run"
    shutil.copytree(run, lower)
    (lower / "schedule.json").write_text(json.dumps({"updates": 20, "precision": "bfloat16"}))
    wide, narrow = latents(run, tmp_path / "wide", 3), latents(lower, tmp_path / "narrow", 3)
    assert [describe_states(folder)["precision"] for folder in (wide, narrow)] == ["float32", "bfloat16"]
    vectors = read_vectors(narrow, "output", latent_index=1)[0]
    assert np.array_equal(vectors, torch.tensor(vectors).bfloat16().float().numpy())
    vectors = read_vectors(wide, "output", latent_index=1)[0]
    assert not np.array_equal(vectors, torch.tensor(vectors).bfloat16().float().numpy())


def test_statements_are_read_in_the_precision_that_is_set(backbone, tmp_path):
    settings = StatementsSettings(run="r", precision="bf16")
    extract_statements(settings, backbone, STATEMENTS, tmp_path)
    assert describe_states(tmp_path)["precision"] == "bfloat16"


@pytest.mark.parametrize("tied", [True, False, None])
def test_the_last_layer_is_the_state_after_the_final_norm_whatever_the_configuration(backbone, tmp_path, tied):
    """Transformers' hidden_states[-1] is the state before the norm where the configuration unties the two."""
    folder = tmp_path / "model"
    shutil.copytree(backbone, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_last_hidden_states": tied}))
    with torch.no_grad():
        out = load_model(folder).model(torch.tensor([[1, 2]]), output_hidden_states=True)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state) == (tied is not False)
    found = read_vectors(statements(folder, tmp_path / "states", 4), "output")[0]
    expected = read_vectors(statements(backbone, tmp_path / "plain", 4), "output")[0]
    assert np.array_equal(found, expected)
    gain = load_model(backbone).model.norm.weight.detach().numpy()
    assert np.sqrt(np.mean((found / gain) ** 2, axis=1)) == pytest.approx(1, rel=1e-3)


def test_the_last_layer_is_stored_whatever_layers_are_named(run, tmp_path):
    folder = latents(run, tmp_path / "states", 3, layers=[1])
    assert describe_states(folder)["layers"] == [1, 2]
    assert len(read_vectors(folder, "output", latent_index=1, checkpoint=20)[0]) == 4


def test_rows_that_pad_the_embedding_table_do_not_count_for_its_norm(run):
    model, tokenizer = load_model(run / "model"), load_tokenizer(run / "model")
    norms = model.get_input_embeddings().weight.norm(dim=1)
    model.resize_token_embeddings(len(tokenizer) + 40, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[len(tokenizer) :] = 1000.0
    assert embedding_norm(model, len(tokenizer)) == pytest.approx(float(norms.mean().detach()), rel=1e-5)


def test_a_layer_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UserError, match="no layer 5"):
        latents(run, tmp_path / "states", 2, layers=[5])


def test_bf16_states_are_stored_as_float32_and_overflow_is_refused(tmp_path):
    assert storage_type("float16", "bfloat16") == "bfloat16"
    assert storage_type("float16", "float32") == "float16"
    with StateWriter(tmp_path, "r", 2, "float16") as writer, pytest.raises(UserError, match="float16"):
        writer.append("output", 0, 0, [Position("e", 0, None, 1, "a", "step")], np.array([[1e6, 0.0]]))


def test_bfloat16_is_stored_exactly_in_half_the_room(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    vectors[0, :4] = [0.0, -0.0, 3.0e38, 1 + 2**-8]
    sizes, about = {}, [Position("e0", i, None, i, "a") for i in range(200)]
    for dtype in ("bfloat16", "float32"):
        with StateWriter(tmp_path / dtype, "r", 64, dtype) as writer:
            writer.append("output", 1, 0, about, vectors)
        sizes[dtype] = (tmp_path / dtype / "kind=output/layer=1/part.parquet").stat().st_size
    assert sizes["bfloat16"] < 0.6 * sizes["float32"]
    read, _ = read_vectors(tmp_path / "bfloat16", "output", 1)
    assert np.array_equal(read, torch.tensor(vectors).bfloat16().float().numpy())


def test_float16_halves_are_read_back(tmp_path):
    with StateWriter(tmp_path, "r", 2, "float16") as writer:
        writer.append("output", 0, 0, [Position("e", 0, None, 1, "a", "step")], np.array([[0.5, -2.0]]))
    assert read_vectors(tmp_path, "output", 0)[0].tolist() == [[0.5, -2.0]]
