#!/bin/sh
# post-image.sh IMAGES BOARD: called by Buildroot when kernel and root file system are made. Gathers
# what the boot partitions hold in IMAGES/boot; `nightjar build`, the one program that lays out a card,
# takes it from there.
set -eu

images=$1
name=$2
here=$(cd "$(dirname "$0")" && pwd)
board=$here/../board/$name
boot=$images/boot
firmware=$images/rpi-firmware

KERNEL='' DISK='' PARTITION=''
# shellcheck source=/dev/null
. "$board/facts"

rm -rf "$boot"
mkdir -p "$boot"

# A firmware unpacks it again (Raspberry Pi's documentation, boot options: arm_64bit), as QEMU does.
gzip -9n <"$images/Image" >"$boot/$KERNEL"
for tree in "$images"/*.dtb; do
	[ ! -e "$tree" ] || cp "$tree" "$boot"
done

if [ -f "$board/config.txt" ]; then
	cp "$board/config.txt" "$boot"
	for part in "$firmware"/start*.elf "$firmware"/fixup*.dat; do
		[ ! -e "$part" ] || cp "$part" "$boot"
	done
	# Its licence asks that its words go along.
	for words in "$BUILD_DIR"/rpi-firmware-*/boot/LICENCE.broadcom; do
		cp "$words" "$boot"
	done
fi
# The first program of boards without an EEPROM; `nightjar build` lays it on partition 1 too.
[ ! -f "$firmware/bootcode.bin" ] || cp "$firmware/bootcode.bin" "$boot"

# The two slots' command lines differ in root= alone.
for slot in a:5 b:6; do
	echo "root=$DISK$PARTITION${slot#*:} rootfstype=squashfs ro $(cat "$board/cmdline")" >"$boot/cmdline-${slot%:*}.txt"
done
