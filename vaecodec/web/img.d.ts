/** Importing this module is enough: it makes `<img src="photo.vaec">` work in the page. */

/** The same for the pictures in a shadow root, or for one that is not in the page. */
export function watch(root?: Document | ShadowRoot | Element): void;
