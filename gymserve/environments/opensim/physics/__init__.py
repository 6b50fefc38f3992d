"""OpenSim's simulation: its models, its integrator, its state."""
