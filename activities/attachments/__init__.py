"""Documents that people attach to cases: what is taken, where it is kept, and how an image is shown."""
