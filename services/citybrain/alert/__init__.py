"""Rules on ticks, alerts that live once, and what is told of them. A role: reads `change` and `command`, writes alerts and deliveries."""
