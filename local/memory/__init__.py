"""The gateways in memory: what tests, the simulation and the embedded form run on instead of Google's services.

They keep the promises of the real ones, which one contract suite proves for both. None of them starts a thread or
waits unless it is given the means, so that whoever holds the clock decides what happens next.
"""
