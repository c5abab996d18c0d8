"""Figures of running firms and of training runs for Prometheus, with rules, dashboard and configuration for them."""
