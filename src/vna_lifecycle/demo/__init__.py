"""The demo: a legacy archive of real files moves into a verified store, step by step, with a word on each."""

from vna_lifecycle.demo.scene import Audience
from vna_lifecycle.demo.story import Demo

__all__ = ["Audience", "Demo"]
