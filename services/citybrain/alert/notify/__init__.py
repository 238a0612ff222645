"""Who is told of what, and when: intents of alerts become deliveries, or recorded reasons. A loop of the alert role.

`routes`, `inhibit`, `silences`, `groups` and `message` decide and are pure; `flush` is the edge.
"""
