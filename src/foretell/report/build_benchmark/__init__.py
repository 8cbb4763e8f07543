"""The page of a build of the embedded benchmark."""
