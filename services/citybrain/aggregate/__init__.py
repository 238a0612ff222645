"""From accepted events to rows: each counted once, minutes of assets from events, everything above derived by rollup."""
