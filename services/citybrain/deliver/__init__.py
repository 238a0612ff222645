"""Webhooks that arrive: signed, retried, isolated by endpoint, never sent to where they must not go. A role: reads `delivery`."""
