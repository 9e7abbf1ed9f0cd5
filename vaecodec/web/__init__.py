"""The decoder for browsers: JavaScript, WebAssembly and what serves them."""
