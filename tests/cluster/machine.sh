#!/bin/bash
# The first process of a machine, in namespaces of its own: what is private to it is covered with empty folders. It says
# `here`, is plugged in, and answers by ssh to whoever has the key; it says `ready`, and stays until its input ends.
#   machine.sh NAME ADDRESS USER KEPT...         KEPT: folders that stay in sight
# What it takes besides is in its environment: ROUTER (without one it is the desk: the bridge that the others are plugged
# into), KEY, and SSH_ENVIRONMENT, what who comes by ssh finds in theirs.
set -euo pipefail
name=$1 address=$2 user=$3
shift 3
kept=("$@")

for i in "${!kept[@]}"; do eval "exec $((20 + i))<'${kept[i]}'"; done
users=$(cat /etc/passwd)
for folder in /tmp /run /home /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
for i in "${!kept[@]}"; do
  [ -e "${kept[i]}" ] || { mkdir -p "${kept[i]}" && mount --no-canonicalize --bind "/proc/self/fd/$((20 + i))" "${kept[i]}"; }
  eval "exec $((20 + i))<&-"
done

mkdir -p "/home/$user/.ssh" /run/sshd
printf '%s:x:0:0::/home/%s:/bin/bash\n%s\n' "$user" "$user" "$users" > /run/passwd  # the first name of user 0 here
printf '127.0.0.1 localhost\n%s %s\n' "$address" "$name" > /run/hosts
mount --bind /run/passwd /etc/passwd
mount --bind /run/hosts /etc/hosts
mount --bind /dev/null /etc/resolv.conf  # nobody else has a name
hostname "$name"
ip link set lo up
if [ -z "$ROUTER" ]; then
  ip link add lan type bridge
  ip address add "$address/24" dev lan
  ip link set lan up
else
  echo here
  read -r _  # it is plugged in
  ip address add "$address/24" dev eth0
  ip link set eth0 up
  ip route add default via "$ROUTER"
  printf '%s\n' "$KEY" > "/home/$user/.ssh/authorized_keys"
  ssh-keygen -q -t ed25519 -N '' -f /run/host_key
  /usr/sbin/sshd -f /dev/null -h /run/host_key -o PasswordAuthentication=no -o StrictModes=no -o PidFile=none \
    -o "SetEnv=$SSH_ENVIRONMENT"
fi
echo ready
cat > /dev/null
exit
