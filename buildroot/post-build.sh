#!/bin/sh
# post-build.sh TARGET BOARD: called by Buildroot when the root file system is laid out below TARGET.
# Takes out what a card has no use for, and writes what it says of itself: /etc/nightjar/{facts,version},
# os-release, and the offer that its licences ask for. NIGHTJAR_PUBLIC_KEY names a file with the key
# that updates must be signed with; without it this card refuses them.
set -eu

root=$1
name=$2
here=$(cd "$(dirname "$0")" && pwd)
board=$here/../board/$name

# Mount points, and nothing of Buildroot's own start: board/overlay has one rcS that starts all.
mkdir -p "$root/boot" "$root/data"
rm -f "$root"/etc/init.d/S[0-9]*
rm -rf "$root/etc/network" "$root/etc/wpa_supplicant.conf"

# No door. busybox.config builds none; whoever adds a package that brings one is told.
doors=
for door in sbin/getty bin/login bin/su sbin/sulogin usr/sbin/sshd usr/sbin/dropbear \
	usr/sbin/telnetd usr/sbin/inetd usr/bin/passwd; do
	[ ! -e "$root/$door" ] && [ ! -L "$root/$door" ] || doors="$doors $door"
done
if [ -n "$doors" ]; then
	echo "post-build: a card has no login, but here is:$doors" >&2
	exit 1
fi

# Of the kernel's modules those that the board names, those named after them (brcmfmac loads
# brcmfmac_wcc), and what they stand on.
MODULES=
# shellcheck source=/dev/null
. "$board/facts"
for release in "$root"/lib/modules/*; do
	[ -f "$release/modules.dep" ] || continue
	awk -v names="$MODULES" '
		function bare(path) { sub(".*/", "", path); sub("[.].*", "", path); gsub("-", "_", path); return path }
		BEGIN { count = split(names, wanted, " ") }
		{
			path = $1; sub(":$", "", path)
			for (nr = 1; nr <= count; nr++)
				if (bare(path) == wanted[nr] || index(bare(path), wanted[nr] "_") == 1) {
					print "./" path
					for (need = 2; need <= NF; need++) print "./" $need
				}
		}' "$release/modules.dep" >"$release/keep"
	(cd "$release" && find . -name '*.ko*' | grep -vxF -f keep | xargs -r rm)
	rm "$release/keep"
	find "$release" -type d -empty -delete
	"$HOST_DIR/sbin/depmod" -b "$root" "${release##*/}"
done

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
commit=$(git -C "$here" rev-parse --short=12 HEAD)
mkdir -p "$root/etc/nightjar"
{
	echo "BOARD=$name"
	cat "$board/facts"
} >"$root/etc/nightjar/facts"
echo "${NIGHTJAR_VERSION:-$version}" >"$root/etc/nightjar/version"
rm -f "$root/etc/nightjar/update.pub"
[ -z "${NIGHTJAR_PUBLIC_KEY:-}" ] || install -m 0644 "$NIGHTJAR_PUBLIC_KEY" "$root/etc/nightjar/update.pub"
cat >"$root/usr/lib/os-release" <<END
NAME=Nightjar
ID=nightjar
VERSION_ID=${NIGHTJAR_VERSION:-$version}
BUILD_ID=$commit
VARIANT_ID=$name
PRETTY_NAME="Nightjar ${NIGHTJAR_VERSION:-$version}"
END

buildroot=$(sed -n 's/^VERSION=//p' "$here/version")
mkdir -p "$root/usr/share/licences"
cat >"$root/usr/share/licences/SOURCES" <<END
This card holds programs of others under licences of their own, among them the GNU General Public
License and the GNU Lesser General Public License; their words lie in this folder, those of the Rust
crates in crates/. The C library and the compiler's library come from Bootlin's toolchain (glibc,
LGPL-2.1-or-later; libgcc, GPL-3.0-or-later with the runtime library exception); Wi-Fi firmware and
the firmware on the boot partitions are for Broadcom's and Raspberry Pi's devices only.

It was built by Buildroot $buildroot from Nightjar's commit $commit, configuration
nightjar_$(echo "$name" | tr - _)_defconfig: \`make legal-info\` there gathers the complete corresponding
sources with every patch and script. Whoever gives you this card owes you those sources for three
years, at no more than the cost of copying them.
END
