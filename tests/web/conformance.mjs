/** What the module makes of the conformance files; runs in Node and in browsers. */

/** Samples of a picture as a file has them, from RGBA. */
export function samples({ data, channels }) {
  const keep = [[0], [0, 3], [0, 1, 2], [0, 1, 2, 3]][channels - 1];
  const out = new Uint8Array((data.length / 4) * channels);
  for (let i = 0, to = 0; i < data.length; i += 4) for (const c of keep) out[to++] = data[i + c];
  return out;
}

export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of each file, by name: the SHA-256 of its samples, or the error's code and rule; "crash" for what is no VaecError. */
export async function outcomes({ decode, VaecError }, names, load, options = {}) {
  const found = {};
  for (const name of names) {
    try {
      const picture = await decode(await load(name), options);
      found[name] = { sha256: await sha256(samples(picture)), width: picture.width, height: picture.height };
    } catch (error) {
      found[name] = error instanceof VaecError ? { code: error.code, rule: error.rule } : { code: "crash", rule: String(error) };
    }
  }
  return found;
}
