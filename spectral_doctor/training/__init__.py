"""One visible GAN loop, and the state that lets it go on as if it had never stopped."""
