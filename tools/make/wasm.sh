#!/usr/bin/env bash
# Builds the decoder's half of the native core for browsers: bash tools/make/wasm.sh [OUT]
# The bytes are those of clang and lld 14 (Debian: clang-14, lld-14); another version makes others.
set -euo pipefail
cd "$(dirname "$0")/../../vaecodec/core"
out=$(realpath -m "${1:-../web/vaec.wasm}")

functions="abi rans_decode escapes values places add hyper_work hyper_synthesis context_work context_step
    synthesis_work synthesis_row shortcut filter"
sources="hyper.c kernel_plain.c kernel_wasm.c latents.c networks.c rans.c synthesis.c"
read -ra exports <<<"$(printf -- '-Wl,--export=vaec_%s ' $functions)"

# Floats as in the other builds (CMakeLists.txt). The stack comes first: one that overflows ends in a trap. The memory
# is the caller's, and bounded.
# shellcheck disable=SC2086
clang-14 --target=wasm32 -std=c11 -O3 -msimd128 -mbulk-memory -ffp-contract=off -fno-math-errno \
    -Wall -Wextra -Wpedantic -Werror -fvisibility=hidden -nostdlib -isystem ../web/wasm -DVAEC_HAS_WASM $sources \
    -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=262144 \
    -Wl,--import-memory -Wl,--initial-memory=524288 -Wl,--max-memory=2147483648 \
    "${exports[@]}" -Wl,--export=__heap_base -o "$out"
