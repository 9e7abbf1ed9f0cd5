/** The one class of errors, and short ways to make the two kinds that a file causes. */

export class VaecError extends Error {
  /**
   * @param {import("./vaec.d.ts").ErrorCode} code
   * @param {string} message one sentence for a person
   * @param {string} [rule] of bitstream_spec.md, like "C2"
   */
  constructor(code, message, rule) {
    super(message);
    this.name = "VaecError";
    this.code = code;
    this.rule = rule;
  }
}

/**
 * A file that breaks a rule.
 * @param {string} rule
 * @param {string} message
 */
export function corrupt(rule, message) {
  return new VaecError("corrupt", message, rule);
}

/**
 * A file that is right, and needs what this decoder does not have.
 * @param {string} rule
 * @param {string} message
 */
export function unsupported(rule, message) {
  return new VaecError("unsupported", message, rule);
}
