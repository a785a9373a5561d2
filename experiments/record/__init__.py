"""From rounds to numbers: the recorder, metrics, tables of results.

It reads rounds alone and needs neither scheduler nor simulator, so every driver is measured alike.
"""
