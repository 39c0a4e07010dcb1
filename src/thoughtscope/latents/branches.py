"""Branches: answered questions that are answered again from one position on, with another vector fed there.

Responses are greedy, so nothing before that position changes. Prompts and responses are computed once, and every
branch starts from their cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.cached import CachedRows
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding, Generation, Watch, resume
from thoughtscope.latents.layout import IGNORE, TokenSequence
from thoughtscope.latents.packing import pack

Forced = tuple[tuple[int, bool], ...]  # a token, and whether it is a latent


@dataclass(frozen=True)
class Branch:
    """Another continuation of an answered question.

    Attributes:
        row: of the answered questions.
        position: the last one that it keeps, counted in the whole sequence from 0.
        fed: ``[d]``, the vector that is fed there; None: the one that was fed there before.
        forced: what follows whatever the model predicts; free text follows after it.
    """

    row: int
    position: int
    fed: Tensor | None = None
    forced: Forced = ()


class Answered:
    """Prompts with their responses, computed once.

    Attributes:
        sequences: prompt and response of each row, latents marked.
        fed: ``[rows, positions, d]``, the vectors that were fed; undefined after a row's end.

    Raises:
        UserError: latents are computed in parallel sweeps, so no position is computed once.
    """

    @torch.no_grad()
    def __init__(self, model: Any, generations: Sequence[Generation], fill: Fill | None, latent_id: int) -> None:
        settings = fill.settings if fill else None
        if settings is not None and settings.sweeps is not None:
            raise UserError("fill: sweeps", "latents of parallel sweeps cannot be replaced one by one", "leave it out")
        self.model, self.generations, self.latent_id = model, generations, latent_id
        self.sequences = [one.sequence(latent_id) for one in generations]
        batch = pack(self.sequences, settings, device=model.device)
        layer = settings.layer if settings else None
        output = forward(model, batch, fill, [] if layer is None else [layer])
        self.fed = output.inputs[batch.index.clamp(min=0)]
        self.computed = CachedRows(model, fill, batch, output)

    def latents(self, row: int) -> list[int]:
        """Return the positions of a row's latents."""
        return [t for t, latent in enumerate(self.sequences[row].is_latent) if latent]

    def forced_after(self, row: int, position: int) -> Forced:
        """Return what the prompt of a row forces after a position."""
        prompt = self.generations[row].prompt
        return tuple(zip(prompt.token_ids, prompt.is_latent, strict=True))[position + 1 :]

    @torch.no_grad()
    def follow(
        self,
        branches: Sequence[Branch],
        decoding: Decoding,
        eos_ids: Collection[int],
        watch: Watch | None = None,
    ) -> list[Generation]:
        """Return what each branch answers. Its prompt holds all that is forced; see `generate.resume` for `watch`."""
        made = [self._begun(one) for one in branches]
        groups: dict[Forced, list[int]] = defaultdict(list)
        for place, one in enumerate(branches):
            groups[one.forced].append(place)
        for forced, places in groups.items():
            places.sort(key=lambda place: branches[place].position)
            for start in range(0, len(places), decoding.batch_size):
                part = places[start : start + decoding.batch_size]
                rows = self._computed([branches[place] for place in part], forced)
                begun = [made[place] for place in part]
                resume(
                    self.model, begun, rows, decoding, latent_id=self.latent_id, eos_ids=eos_ids, watch=watch
                )  # fmt: skip
        return made

    def _computed(self, branches: Sequence[Branch], forced: Forced) -> CachedRows:
        """Return the rows of branches that force the same, up to where free text begins."""
        device = self.fed.device
        rows = torch.tensor([one.row for one in branches], device=device)
        positions = torch.tensor([one.position for one in branches], device=device)
        own = self.fed[rows, positions]
        fed = torch.stack([mine if one.fed is None else one.fed for one, mine in zip(branches, own, strict=True)])
        computed = self.computed.branched(rows, positions)
        computed.advance_by(fed.to(own.dtype))
        for token, latent in forced:
            computed.advance(rows.new_full(rows.shape, token), torch.full_like(rows, latent, dtype=torch.bool))
        return computed

    def _begun(self, branch: Branch) -> Generation:
        """Return the response of a branch as far as it is forced."""
        base, kept = self.generations[branch.row], branch.position + 1
        tokens, flags = tuple(zip(*branch.forced, strict=True)) or ((), ())
        whole = self.sequences[branch.row]
        if kept <= len(base.prompt.token_ids):
            ids = (*whole.token_ids[:kept], *tokens)
            prompt = TokenSequence(
                whole.example_id, ids, (*whole.is_latent[:kept], *flags), (IGNORE,) * len(ids),
                min(whole.prompt_length, len(ids)),
            )  # fmt: skip
            return Generation(prompt)
        response = [*base.response[: kept - len(base.prompt.token_ids)], *tokens]
        in_a_row = next((i for i, token in enumerate(reversed(response)) if token != self.latent_id), len(response))
        return Generation(
            base.prompt, response, latents=response.count(self.latent_id), latents_in_a_row=in_a_row
        )  # fmt: skip
