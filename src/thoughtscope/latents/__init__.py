"""The latent mechanism, readable in one sitting, in this order:

`layout` (where latents stand), `packing` (how rows share passes), `attention` (which position sees which), `passes`
(the model over packed tokens), `head` (states to tokens), `fills` (kinds of fill: which vector is fed at latents),
`fill` (one of them, with its parameters), `forward` (pass after pass, latents fed), `scoring` (loss and probabilities),
`cached` (one more position of every row), `thinking` (latents that begin a response), `generate` (free responses),
`cost` (what a response costs), `settings` (a fill as a key of a method file).
Knows nothing about methods, tasks or training.
"""
