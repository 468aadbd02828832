"""Label Studio ML backend that learns to label the timelines of videos while people annotate."""

__version__ = "0.1.0"
