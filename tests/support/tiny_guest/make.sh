#!/bin/bash
# Makes the tiny guest: a machine that is up in seconds even without KVM, for
# tests that need a real one. Only Debian packages go in; no root is needed.
#
#   make.sh OUTDIR [--force]
#
# Leaves in OUTDIR (replaced as a whole, by rename; nothing is done when the
# inputs have not changed):
#   vmlinuz            Debian's cloud kernel
#   initrd-live.img    whole system in memory:      -kernel -initrd -append "$TINY_APPEND"
#   initrd-disk.img    finds a root on disk:        the same, + root=LABEL=tinyroot
#   tiny.qcow2         disk that is one ext4 root, for direct kernel boot
#   tiny-bios.qcow2    disk that boots by itself under BIOS (no -kernel)
#   tiny.iso           CD with a boot: prompt; type
#                        install url=http://10.0.2.2:PORT/answer.sh<enter>
#                      and it fetches and runs that script, which may call
#                      "tiny-install /dev/vda" to make the disk boot by itself
#                      (IDE, virtio-scsi or NVMe drives; q35's SATA is not in
#                      this kernel, so use the pc machine for the CD)
#   id_ed25519[.pub]   key pair root accepts; password of root is "kiln"
#   ssh_host_key.pub   the guest's host key (ed25519), for known_hosts
#   guest.env          TINY_* variables for shell scripts
#
# In the guest: dropbear on port 22 with scp and sftp, bash, busybox, tar, a
# sudo that is not one, DHCP on every card, a root shell on ttyS0 and tty1,
# clean power-off on the ACPI button, virtio-serial ports in /dev/virtio-ports.
#
# Measured with check.py (2 cores, TCG, pc machine, seconds from QEMU's start):
#   live  banner 4.3, first command 4.5      disk  banner 4.3, first command 4.6
#   bios  banner 5.4, first command 5.7      iso   prompt 0.3, answer script 7-10
#   to installed 20, installed system up 26; reboot 5-7, power-off 0.4.
# Making it all takes 10 s, of which nothing is repeated while inputs stay.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: make.sh OUTDIR [--force]}
force=${2:-}
cache=${KILN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kiln}/tiny-guest
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000
PATH=$PATH:/usr/sbin:/sbin

say() { echo "tiny guest: $*" >&2; }
die() { say "$*"; exit 1; }

# ---- the inputs -------------------------------------------------------------
require() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || die "$1 is missing (package $2); run scripts/setup --test"
}
require dropbear dropbear-bin
require busybox busybox-static
require syslinux syslinux
require mcopy mtools
require mkfs.fat dosfstools
require mke2fs e2fsprogs
require sfdisk fdisk
require xorriso xorriso
require qemu-img qemu-utils
require cpio cpio
require strip binutils
require gcc gcc
isolinux_bin=/usr/lib/ISOLINUX/isolinux.bin
[ -e $isolinux_bin ] || die "isolinux is missing; run scripts/setup --test"
sftp_server=/usr/lib/openssh/sftp-server
[ -x $sftp_server ] || die "openssh-sftp-server is missing; run scripts/setup --test"
programs=(/usr/sbin/dropbear /usr/bin/scp "$sftp_server" /bin/bash)

mkdir -p "$cache" "$(dirname "$out")"
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
exec 9>"$out.lock"
flock 9

# The kernel is fetched once and then kept: a test run needs no network.
kernel_deb=$(find "$cache" -maxdepth 1 -name 'linux-image-*-cloud-amd64_*.deb' | sort -V | tail -1)
if [ -z "$kernel_deb" ]; then
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  [ -n "$package" ] || die "linux-image-cloud-amd64 is not in the package lists; run apt-get update"
  say "fetching $package"
  fetch=$(mktemp -d "$cache/fetch.XXXXXX")
  (cd "$fetch" && apt-get -q download "$package" >apt.log 2>&1) ||
    { cat "$fetch/apt.log" >&2; die "cannot download $package; run apt-get update"; }
  mv "$fetch"/*.deb "$cache/"
  rm -r "$fetch"
  kernel_deb=$(find "$cache" -maxdepth 1 -name 'linux-image-*-cloud-amd64_*.deb' | sort -V | tail -1)
fi

digest=$(cat "$here/make.sh" "$here"/files/* "${programs[@]}" /bin/busybox "$kernel_deb" |
  sha256sum | cut -c1-64)
is_whole() { # whatever a test may have taken away
  local name
  for name in vmlinuz initrd-live.img initrd-disk.img tiny.qcow2 tiny-bios.qcow2 tiny.iso id_ed25519 guest.env; do
    [ -s "$out/$name" ] || return 1
  done
}
if [ "$force" != --force ] && [ "$(cat "$out/digest" 2>/dev/null)" = "$digest" ] && is_whole; then
  exit 0
fi

started=$(date +%s%N)
work=$(mktemp -d "$out.new.XXXXXX")
chmod 755 "$work"
scratch=$work/scratch
mkdir -p "$scratch"
trap 'rm -rf "$work"' EXIT

# ---- kernel and its modules -------------------------------------------------
dpkg-deb -x "$kernel_deb" "$scratch/kernel"
cp "$scratch"/kernel/boot/vmlinuz-* "$work/vmlinuz"
modules=$scratch/kernel/lib/modules
find "$modules" -name '*.ko' -printf '%f %p\n' | sed 's/-/_/g; s/ .*//' >"$scratch/names"
find "$modules" -name '*.ko' >"$scratch/paths"
paste -d' ' "$scratch/names" "$scratch/paths" >"$scratch/module-index"

initrd=$scratch/initrd
mkdir -p "$initrd"/{bin,sbin,lib/modules,proc,sys,dev,mnt,run,tmp}
seen=
add_module() { # LIST NAME: the module after everything it depends on
  local list=$1 name=${2//-/_} path dependency
  case " $seen " in *" $name "*) return ;; esac
  path=$(awk -v n="$name.ko" '$1 == n { print $2 }' "$scratch/module-index")
  [ -n "$path" ] || return 0 # built in, or not in this kernel
  seen="$seen $name"
  for dependency in $(tr '\0' '\n' <"$path" | sed -n 's/^depends=//p' | tr ',' ' '); do
    add_module "$list" "$dependency"
  done
  # Without the signature the guest need not verify it, which costs it time.
  strip --strip-debug -o "$initrd/lib/modules/$name.ko" "$path"
  echo "$name.ko" >>"$initrd/lib/modules/$list"
}
for m in virtio_pci virtio_blk virtio_net; do add_module early $m; done
for m in sd_mod virtio_scsi ata_piix; do add_module storage $m; done
cp -r "$initrd" "$scratch/initrd-small" # what follows is not needed to find a root
for m in evdev button virtio_console virtio_rng sd_mod virtio_scsi ata_piix sr_mod isofs \
  nls_ascii nls_cp437 nls_iso8859_1 vfat vmw_vsock_virtio_transport e1000; do
  add_module late $m
done
# "late" loads what "storage" brought only when nobody asked for it before;
# loading twice does no harm.
cat "$initrd/lib/modules/storage" "$initrd/lib/modules/late" >"$scratch/late"
mv "$scratch/late" "$initrd/lib/modules/late"
small=$scratch/initrd-small
cp /bin/busybox "$small/bin/busybox"
install -m755 "$here/files/init" "$small/init"

# ---- userland ---------------------------------------------------------------
root=$scratch/root
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/lib/openssh,lib,lib64,etc/dropbear,etc/acpi/PWRF} \
  "$root"/{root/.ssh,var/log,var/tmp,proc,sys,dev,mnt,run,tmp,home}
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root" "$root/root/.ssh"
cp -r "$initrd/lib/modules" "$root/lib/modules"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list-full); do
  case $applet in
    bin/busybox | sbin/init | linuxrc | usr/bin/dpkg* | */rpm*) continue ;;
  esac
  mkdir -p "$root/$(dirname "$applet")"
  ln -sf /bin/busybox "$root/$applet"
done
install -m755 "$here/files/sbin-init" "$root/sbin/init"
for program in "${programs[@]}"; do
  rm -f "$root/$program"
  install -m755 "$program" "$root/$program"
  ldd "$program" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    mkdir -p "$root/$(dirname "$library")"
    cp -L "$library" "$root/$library"
  done
done
strip --strip-unneeded "$root"/usr/sbin/dropbear "$root"/bin/bash
ln -sf openssh/sftp-server "$root/usr/lib/sftp-server"
gcc -Os -static -s -o "$root/sbin/seed_rng" "$here/files/seed_rng.c"
head -c 64 /dev/urandom >"$root/etc/random-seed"
install -m755 "$here/files/sudo" "$root/usr/bin/sudo"
install -m755 "$here/files/autologin" "$root/bin/autologin"
install -m755 "$here/files/tiny-install" "$root/sbin/tiny-install"
install -m755 "$here/files/rc" "$here/files/udhcpc.script" "$root/etc/"
printf '#!/bin/sh\nexec poweroff\n' >"$root/etc/acpi/PWRF/00000080"
chmod 755 "$root/etc/acpi/PWRF/00000080"
# MD5 on purpose: a slow hash is felt at every log-in of an emulated machine.
echo "root:$(openssl passwd -1 -salt tiny kiln):0:0:root:/root:/bin/sh" >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
printf '/bin/sh\n/bin/bash\n' >"$root/etc/shells"
echo tiny >"$root/etc/hostname"
printf '127.0.0.1 localhost tiny\n' >"$root/etc/hosts"
printf 'ID=tiny\nNAME="Kiln tiny guest"\nPRETTY_NAME="Kiln tiny guest"\n' >"$root/etc/os-release"

ssh-keygen -q -t ed25519 -N '' -C kiln-tiny-guest -f "$work/id_ed25519"
cp "$work/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
chmod 600 "$root/root/.ssh/authorized_keys"
dropbearkey -t ed25519 -f "$root/etc/dropbear/dropbear_ed25519_host_key" 2>/dev/null |
  sed -n 's/^\(ssh-ed25519 [^ ]*\).*/\1/p' >"$work/ssh_host_key.pub"
# Packer 1.6.6 asks for ssh-rsa, and dropbear ends the connection when it then has no such key.
dropbearkey -t rsa -s 2048 -f "$root/etc/dropbear/dropbear_rsa_host_key" >/dev/null 2>&1
chmod 600 "$root"/etc/dropbear/*

# ---- the images -------------------------------------------------------------
pack() { # DIRECTORY FILE: uncompressed, so that the guest need not unpack it
  (cd "$1" && find . -print0 | sort -z | cpio --quiet --null -o -H newc -R 0:0) >"$2"
}
pack "$small" "$work/initrd-disk.img"
live=$scratch/live
cp -a "$root" "$live"
install -m755 "$here/files/init" "$live/init"
pack "$live" "$work/initrd-live.img"

make_ext4() { # FILE SIZE, owned by root:0 whoever makes it
  rm -f "$1"
  mke2fs -q -t ext4 -L tinyroot -N 65536 -J size=8 -d "$root" -E root_owner=0:0,lazy_itable_init=1 \
    -O ^metadata_csum "$1" "$2" >/dev/null
  # mke2fs -d keeps the owners of the source tree; hand everything to root.
  if [ "$(id -u)" != 0 ]; then
    (cd "$root" && find . -mindepth 1 -printf '%p\n') | sed 's,^\.,,' |
      awk '{ print "sif \"" $0 "\" uid 0"; print "sif \"" $0 "\" gid 0" }' |
      debugfs -w -f - "$1" >/dev/null 2>&1
  fi
}
make_ext4 "$scratch/root.ext4" 1000M
qemu-img convert -O qcow2 "$scratch/root.ext4" "$work/tiny.qcow2"

boot_mib=24 # FAT partition with boot loader, kernel and initramfs, from 1 MiB
disk=$scratch/disk.raw
truncate -s 1100M "$disk"
printf 'start=1MiB,size=%sMiB,type=c,bootable\nstart=%sMiB,type=83\n' \
  $boot_mib $((boot_mib + 1)) | sfdisk -q --label dos "$disk" >/dev/null
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
mkfs.fat -F 16 -h 2048 --offset 2048 -n TINYBOOT "$disk" $((boot_mib * 1024)) >/dev/null 2>&1
export MTOOLS_SKIP_CHECK=1
mcopy -i "$disk@@1M" "$work/vmlinuz" ::vmlinuz
mcopy -i "$disk@@1M" "$work/initrd-disk.img" ::initrd.img
mcopy -i "$disk@@1M" "$here/files/syslinux.cfg" ::syslinux.cfg
syslinux --install --offset $((1024 * 1024)) "$disk"
dd if="$disk" bs=1M count=$((boot_mib + 1)) status=none | gzip -6n >"$scratch/boot.raw.gz"
dd if="$scratch/root.ext4" of="$disk" bs=1M seek=$((boot_mib + 1)) conv=notrunc,sparse status=none
qemu-img convert -O qcow2 "$disk" "$work/tiny-bios.qcow2"

# The copy of the boot partition the CD carries names no second partition yet.
cd_disk=$scratch/cd.raw
zcat "$scratch/boot.raw.gz" >"$cd_disk"
printf 'start=1MiB,size=%sMiB,type=c,bootable\n' $boot_mib | sfdisk -q --no-reread --wipe never --label dos "$cd_disk" >/dev/null 2>&1
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$cd_disk" conv=notrunc bs=440 count=1 status=none
iso=$scratch/iso
mkdir -p "$iso"/{isolinux,boot,tiny}
cp $isolinux_bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
cp "$here/files/isolinux.cfg" "$iso/isolinux/"
cp "$work/vmlinuz" "$iso/boot/vmlinuz"
cp "$work/initrd-live.img" "$iso/boot/initrd.img"
gzip -6nc "$cd_disk" >"$iso/tiny/boot.raw.gz"
echo $(((boot_mib + 1) * 2048)) >"$iso/tiny/root-start"
xorriso -as mkisofs -quiet -o "$work/tiny.iso" -V TINY -J -R -b isolinux/isolinux.bin \
  -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$iso" 2>/dev/null

cat >"$work/guest.env" <<ENV
TINY_DIR='$out'
TINY_KERNEL='$out/vmlinuz'
TINY_INITRD_LIVE='$out/initrd-live.img'
TINY_INITRD_DISK='$out/initrd-disk.img'
TINY_DISK='$out/tiny.qcow2'
TINY_BIOS_DISK='$out/tiny-bios.qcow2'
TINY_ISO='$out/tiny.iso'
TINY_KEY='$out/id_ed25519'
TINY_USER=root
TINY_PASSWORD=kiln
TINY_APPEND='console=tty0 console=ttyS0 quiet mitigations=off no_timer_check'
ENV
echo "$digest" >"$work/digest"

rm -rf "$scratch"
if [ -e "$out" ]; then
  mv "$out" "$work.old"
  mv "$work" "$out"
  rm -rf "$work.old"
else
  mv "$work" "$out"
fi
trap - EXIT
say "made in $((($(date +%s%N) - started) / 1000000)) ms: $out"
