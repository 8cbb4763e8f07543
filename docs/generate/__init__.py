"""What the site is made from: navigation, reference pages, the picture of the architecture."""
