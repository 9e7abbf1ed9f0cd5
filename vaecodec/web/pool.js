/** Engines that share the work: workers, or one on this thread. */

import { Engine } from "./engine.js";
import { VaecError } from "./errors.js";

/** One on this thread. */
export class Here {
  constructor(engine) {
    this.engine = engine;
    this.facts = engine.facts;
    this.count = 1;
  }

  static async create(wasm, model) {
    return new Here(await Engine.create(wasm, model));
  }

  async run(kind, work) {
    return this.engine[kind](work);
  }

  end() {}
}

export class Pool {
  #workers;
  #idle = [];
  #waiting = [];

  constructor(workers) {
    this.#workers = workers;
    this.count = workers.length;
  }

  /** There once one worker is; rejects where there can be none, as on a page of another origin than this module. */
  static async create(wasm, model, count) {
    const workers = Array.from({ length: count }, () => new Remote());
    const pool = new Pool(workers);
    try {
      pool.facts = await Promise.any(workers.map(async (worker) => {
        const facts = await worker.run("create", { wasm, model });
        pool.#free(worker);
        return facts;
      }));
    } catch (error) {
      pool.end();
      throw error.errors[0];
    }
    return pool;
  }

  /** What the next free worker makes of it. */
  async run(kind, work) {
    const worker = this.#idle.pop() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
    try {
      return await worker.run(kind, work);
    } finally {
      this.#free(worker);
    }
  }

  #free(worker) {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#idle.push(worker);
  }

  end() {
    for (const worker of this.#workers) worker.end();
  }
}

/** A worker and what it has been asked. */
class Remote {
  #asked = new Map();
  #next = 0;

  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#asked.get(id);
      this.#asked.delete(id);
      if (error) reject(error.code ? new VaecError(error.code, error.message, error.rule) : new Error(error.message));
      else resolve(result);
    };
    this.worker.onerror = () => {
      for (const { reject } of this.#asked.values()) reject(new VaecError("network", "a worker cannot be loaded"));
      this.#asked.clear();
    };
  }

  run(kind, work) {
    return new Promise((resolve, reject) => {
      this.#asked.set(this.#next, { resolve, reject });
      this.worker.postMessage({ id: this.#next++, kind, work });
    });
  }

  end() {
    this.worker.terminate();
  }
}
