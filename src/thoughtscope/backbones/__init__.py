"""Backbones: causal language models, built tiny from their real classes or loaded from a folder or a hub."""
