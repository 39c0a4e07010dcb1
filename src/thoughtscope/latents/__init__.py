"""The latent mechanism, readable in one sitting, in this order:

`settings` (which vector is fed at latents), `layout` (where latents stand), `packing` (how rows share passes),
`attention` (who sees whom), `passes` (the model over packed tokens), `head` (states to tokens), `fill` (what is fed at
latents), `forward` (pass after pass, latents filled), `scoring` (loss and probabilities), `cached` (one position more
for every row), `generate` (free responses).
Knows nothing about methods, tasks or training.
"""
