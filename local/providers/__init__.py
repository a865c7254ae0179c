"""Google's video models on a laptop: Vertex Veo and Omni (Interactions) on the wire, over one engine in memory.

`engine.Engine` is the whole behavior without HTTP; `veo.py`, `interactions.py` and `files.py` put it on the wire;
`python -m local.providers` serves all three on one port. docs/local-providers.md is the manual.
"""
