"""`timelinelabels demo`: the whole product on rendered videos, without Label Studio."""
