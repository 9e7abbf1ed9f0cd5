"""What shows `.vaec` pictures in browsers: the decoder (vaec.js), <img> (img.js), a viewer, and sites with them."""
