/** An engine in a worker: takes {id, kind, work}, answers {id, result} or {id, error}. */

import { buffersOf, Engine } from "./engine.js";

let engine;

self.onmessage = async ({ data: { id, kind, work } }) => {
  try {
    if (kind === "create") {
      engine = await Engine.create(work.wasm, work.model);
      self.postMessage({ id, result: engine.facts });
    } else {
      const result = engine[kind](work);
      self.postMessage({ id, result }, buffersOf(result));
    }
  } catch (error) {
    const { code, rule, message } = error;
    self.postMessage({ id, error: { code, rule, message: String(message ?? error) } });
  }
};
