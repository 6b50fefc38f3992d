"""Pictures of musculoskeletal models."""
