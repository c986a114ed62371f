#!/busybox sh
# First process of the guest, in its first root: loads what reaches the machine's disk, and goes on there. All that
# is written goes to memory.
b=/busybox
$b mkdir -p /proc /sys /dev /lower /upper /root
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in $($b cat /order); do $b insmod "/modules/$module" || echo "guest: could not load $module"; done
. /job
fail() {
  echo "guest: $1"
  $b poweroff -f
}
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=1048576,cache=loose machine /lower || fail "no disk"
$b mount -t tmpfs -o mode=755 upper /upper
$b mkdir /upper/new /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/new,workdir=/upper/work root /root || fail "no root"
$b mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp /root/usr/lib/modules
# At once: until then these are the machine's own.
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t devtmpfs dev /root/dev
$b mount -o bind "/lower$MODULES" /root/usr/lib/modules || fail "no modules"
$b mount -t tmpfs -o mode=755 run /root/run
$b mkdir /root/run/guest
$b cp /busybox /job /second-init.sh /root/run/guest/
$b umount /proc /dev
exec $b switch_root /root /bin/sh /run/guest/second-init.sh
