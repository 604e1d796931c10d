"""Buckets of S3, or of servers like it, as archives."""
