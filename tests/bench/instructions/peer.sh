# Sourced by tests/bench/aarch64: TFLite with XNNPACK as aarch64 code, below "$work".
#
# An arm64 Python of Debian's and the package's wheels lie in folders; qemu takes the first for
# the root of the file system.
interpreter=ai-edge-litert==2.3.0
python=python3.11
platforms=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64)

# All packages that the named ones need, by apt's own reckoning.
closure() {
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | grep -E '^[a-z].*:arm64$' | sort -u
}

fetch_debs() (
  cd "$work/debs"
  roots=("$python-minimal:arm64" "lib$python-stdlib:arm64" libstdc++6:arm64)
  dpkg --print-foreign-architectures | grep -qx arm64 || dpkg --add-architecture arm64
  apt-cache show "${roots[@]}" >/dev/null 2>&1 || apt-get update -qq || true
  mapfile -t names < <(closure "${roots[@]}")
  apt-get download -qq "${names[@]}" 2>/dev/null
)

# Gets what is missing; fails with words where it cannot be had.
have_peer() {
  [ ! -e "$work/peer.done" ] || return 0
  rm -rf "$work"/{root,site,debs,venv}
  mkdir -p "$work"/{root,site,debs}
  fetch_debs || { echo "no arm64 $python from apt-get" >&2; return 1; }
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
  { python3 -m venv "$work/venv" &&
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --target "$work/site" \
      --only-binary=:all: "${platforms[@]}" --python-version "${python#python}" "$interpreter"; } ||
    { echo "no arm64 $interpreter from pip" >&2; return 1; }
  touch "$work/peer.done"
}

# The files that XNNPACK reads to know its core: the host's own would end it.
become() {
  local system=$work/root/sys/devices/system/cpu at
  mkdir -p "$work/root/proc" "$system"
  for at in 0 1 2 3; do
    printf '%s\t: %s\n' processor "$at" Features "$2" 'CPU implementer' 0x41 'CPU architecture' 8 \
      'CPU variant' 0x0 'CPU part' "$1" 'CPU revision' 3
    echo
  done >"$work/root/proc/cpuinfo"
  for at in possible present online; do echo 0-3 >"$system/$at"; done
}

# qemu's options for it, and its words; peer.py's own follow.
peer_options=(-L "$work/root" -E "PYTHONHOME=$work/root/usr" -E "PYTHONPATH=$work/site"
  -E PYTHONDONTWRITEBYTECODE=1 -E OPENBLAS_NUM_THREADS=1)
peer=("$work/root/usr/bin/$python" -s tests/bench/instructions/peer.py)
