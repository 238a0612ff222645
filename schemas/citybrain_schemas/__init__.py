"""The city's words: events, metrics, envelope and topic records, importable by field apps. Needs pydantic and nothing else.

Called by every role and by whoever posts events or reads the topic. Never does I/O, never asks a clock, never imports a role.
"""
