"""The shared pass over any module, by autograd."""
