#!/bin/sh
# Second part of the guest's first process, on the machine's files: runs the command, reports its exit code, ends.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
ln -s /proc/self/fd /dev/fd
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The kernel says "linux", whose console has few characters.
export TERM=dumb
# All is emulated: tests wait that many times as long.
export SWARM_TEST_PATIENCE=20
hostname guest
ip link set lo up
out=/dev/null err=/dev/null status=/dev/null
for port in /sys/class/virtio-ports/*; do
  case $(cat "$port/name") in
    out) out=/dev/${port##*/} ;;
    err) err=/dev/${port##*/} ;;
    status) status=/dev/${port##*/} ;;
  esac
done
. /run/guest/job
if ! cd "$FOLDER"; then
  echo "guest: no folder $FOLDER (what is below /tmp and /run is the guest's own)"
  /run/guest/busybox poweroff -f
fi
eval "$COMMAND" </dev/null >"$out" 2>"$err"
echo "$?" >"$status"
/run/guest/busybox poweroff -f
