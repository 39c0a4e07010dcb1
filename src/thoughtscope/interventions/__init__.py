"""What a trained model's latents do, by experiment on test questions: `effects` changes them, `readouts` reads them.

`vectors` chooses what replaces a latent, `gold` measures how probable the gold answer is.
"""
