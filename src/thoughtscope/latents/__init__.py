"""The latent mechanism, readable in one sitting, in this order:

`layout` (where latents stand), `columns` (how rows share them), `attention` (who sees whom), `fill` (what is
fed there), `forward` (one segmented pass for all methods), `scoring` (loss and probabilities), `generate` (free
responses). Knows nothing about methods, tasks or training.
"""
