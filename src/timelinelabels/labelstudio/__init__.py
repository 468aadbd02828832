"""The only code that knows Label Studio's formats: labeling configs, payloads, regions, media."""
