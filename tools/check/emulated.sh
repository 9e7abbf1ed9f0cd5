#!/usr/bin/env bash
# The vectors on emulated machines: 64-bit ARM (NEON) and s390x (big-endian, plain C).
#
#     bash tools/check/emulated.sh [aarch64] [s390x]
#
# Needs root on Debian: qemu-user, the cross compilers, and Debian's Python and NumPy of those machines, which are
# unpacked into a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A debian=([aarch64]=arm64 [s390x]=s390x)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

tools() { # what the machine at hand needs
    local name missing=0
    for name in qemu-aarch64 qemu-s390x aarch64-linux-gnu-gcc s390x-linux-gnu-gcc cmake make; do
        command -v "$name" >/dev/null || missing=1
    done
    [ $missing = 0 ] && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        qemu-user cmake make gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross >/dev/null
}

system() { # machine: unpacks its Python and NumPy
    local root=$folder/$1 apt=$folder/$1.apt name
    mkdir -p "$root" "$apt"/{state/lists/partial,cache/archives/partial}
    touch "$apt/status"
    local options=(-qq -o APT::Sandbox::User=root -o "APT::Architecture=${debian[$1]}" -o "APT::Architectures=${debian[$1]}"
        -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::State::status=$apt/status")
    apt-get "${options[@]}" update
    apt-get "${options[@]}" install -y --no-install-recommends --download-only \
        python3-minimal libpython3-stdlib python3-numpy python3-pil >/dev/null
    for name in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$name" "$root"; done
}

core() { # machine: compiles the core for it
    cmake -S vaecodec/core -B "$folder/$1.core" -DVAEC_STRICT=ON -DCMAKE_SYSTEM_NAME=Linux \
        -DCMAKE_SYSTEM_PROCESSOR="$1" -DCMAKE_C_COMPILER="$1-linux-gnu-gcc" >/dev/null
    cmake --build "$folder/$1.core" >/dev/null
}

vectors() { # machine
    mkdir "$folder/$1.package"
    cp -r vaecodec tools tests "$folder/$1.package"
    rm -f "$folder/$1.package"/vaecodec/core/*.so
    cp "$folder/$1.core/vaec_core.so" "$folder/$1.package/vaecodec/core/"
    (
        cd "$folder/$1.package"
        export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/usr/lib/python3/dist-packages QEMU_LD_PREFIX=$folder/$1
        qemu-"$1" -E "LD_LIBRARY_PATH=/usr/lib/$1-linux-gnu/blas:/usr/lib/$1-linux-gnu/lapack" \
            "$folder/$1/usr/bin/python3" -m tools.check.vectors
    )
}

tools
[ $# -gt 0 ] || set -- aarch64 s390x
for machine in "$@"; do
    system "$machine"
    core "$machine"
    vectors "$machine"
done
