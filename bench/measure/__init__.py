"""The measurements, a file each."""
