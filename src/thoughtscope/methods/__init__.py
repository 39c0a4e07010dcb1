"""Methods: curricula of stages, each a layout and a fill. A module is one kind of method and offers:

    Settings                                  strict settings, with the fields of `curriculum.MethodSettings`
    stages(settings, steps) -> list[Stage]    the curriculum, for tasks of at most `steps` steps
    tokens(settings) -> list[str]             tokens it adds to the vocabulary
    layout(settings, stage, example, ids, draw, probabilities) -> Sequence     a training example
    prompt(settings, stage, example, ids) -> Sequence                          what is given at test time

Kinds are light: they see token ids, never a model, and import no torch beyond `latents.layout`.
"""
