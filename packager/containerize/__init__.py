"""`bentofn containerize`: a bento on a base image is a runnable OCI image, without a daemon."""
