"""Rules on ticks, alerts that live once, and what is told of them. A role: `change` and `command` to alerts and
deliveries."""
