"""The target ``aws-lambda``: functions, versions and all that they need in an AWS account."""
