"""What a receiver's endpoint is: where webhooks may go, the secrets that sign them, and making or changing one.

Used by the API, the commands and deliver; sends nothing.
"""
