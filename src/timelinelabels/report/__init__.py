"""HTML reports in one file each: inline SVG, no script, nothing loaded from elsewhere."""
