"""Which hidden states are stored. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thoughtscope.settings import Count, Positive, Strict


class HiddenStates(Strict):
    """What is extracted from the runs that figures or probes use."""

    examples: Positive = Field(256, description="number of test questions whose states are stored")
    layers: Literal["last", "all"] | list[Count] = Field(
        "last", description="hidden-state layers, 0 = embeddings; the last one, after the final norm, is always stored"
    )
    text_tokens: Positive = Field(
        4, description="number of random text tokens of each role that are stored per response"
    )
    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        "float32", description="precision that is stored; bfloat16 and float16 take half the room"
    )
    batch_size: Positive = 64
