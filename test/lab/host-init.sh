# First process of a test host: pid 1 of its own process namespace. When it dies, all of the host's
# processes die with it, as when the power goes. Arguments: host name.
mount --make-rprivate /
hostname "$1"
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
echo up
exec >/dev/null
# Bash reaps what is orphaned to it while it waits.
while :; do
  sleep 1000000 &
  wait $!
done
