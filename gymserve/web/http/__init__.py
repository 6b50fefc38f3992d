"""What all views share: access control, errors, parameters, the API description."""
