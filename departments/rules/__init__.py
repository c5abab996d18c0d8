"""Rules that decide without learning: base-stock, reorder, forecasts, recommendation."""
