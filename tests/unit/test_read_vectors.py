"""Reading hidden states touches what was asked for and nothing else."""

import numpy as np
import pytest
from synthetic import write_states

from thoughtscope.errors import UserError
from thoughtscope.hidden_states.read import describe_states, read_vectors
from thoughtscope.run_id import RunId

RUN = RunId("chain", "qwen3", "coconut", "full", 0)
NUMBERS = np.random.default_rng(0)
LATENTS = {1: NUMBERS.normal(size=(120, 8)), 2: NUMBERS.normal(size=(70, 8))}
TEXT = NUMBERS.normal(size=(120, 3, 8))


@pytest.fixture(scope="module", params=["float32", "float16"])
def states(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return write_states(folder, RUN, LATENTS, TEXT, checkpoints=(100, 200), dtype=request.param)


def test_vectors_come_back_row_for_row(states):
    vectors, frame = read_vectors(states, "input", latent_index=2, checkpoint=200)
    assert vectors.dtype == np.float32
    assert frame["example_id"].tolist() == [f"test-{question:03d}" for question in range(70)]
    assert set(frame["latent_index"]) == {2}
    assert set(frame["checkpoint_step"]) == {200}
    np.testing.assert_allclose(vectors, LATENTS[2], atol=2e-3)


def test_text_and_everything_are_told_apart(states):
    vectors, frame = read_vectors(states, "input", latent_index="text", checkpoint=100)
    assert frame["latent_index"].isna().all()
    np.testing.assert_allclose(vectors.reshape(3, 120, 8).transpose(1, 0, 2), TEXT, atol=4e-3)
    everything, _ = read_vectors(states, "input")
    assert everything.shape == (2 * (120 + 70 + 3 * 120), 8)


def test_no_layer_of_kind_output_means_the_one_after_the_final_norm(states):
    vectors, frame = read_vectors(states, "output", latent_index=1, checkpoint=100)
    assert set(frame["layer"]) == {2}
    np.testing.assert_allclose(vectors, 2 * LATENTS[1], atol=8e-3)


def test_other_partitions_are_not_opened(tmp_path):
    states = write_states(tmp_path, RUN, LATENTS, TEXT)
    (states / "kind=output" / "layer=2" / "part.parquet").write_bytes(b"not parquet")
    assert len(read_vectors(states, "input")[0]) == 120 + 70 + 3 * 120
    with pytest.raises(UserError, match=r"layer=2.*not a whole file"):
        read_vectors(states, "output")


def test_a_step_that_nobody_reaches_is_empty(states):
    vectors, frame = read_vectors(states, "input", latent_index=9)
    assert vectors.shape == (0, 8)
    assert frame.empty


def test_a_layer_that_was_not_stored_is_named_with_those_that_were(states):
    with pytest.raises(UserError, match=r"layer=7: was not stored.*there is layer=2"):
        read_vectors(states, "output", layer=7)


def test_a_folder_without_states_is_named(tmp_path):
    with pytest.raises(UserError, match=r"states\.json"):
        describe_states(tmp_path)
