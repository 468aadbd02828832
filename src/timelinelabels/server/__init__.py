"""The HTTP side: what Label Studio calls, and what an administrator looks at."""
