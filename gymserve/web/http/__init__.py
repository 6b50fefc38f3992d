"""What all views share: access, errors, parameters, descriptions."""
