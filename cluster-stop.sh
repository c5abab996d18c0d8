#!/bin/bash
# End this machine's part of the cluster of cluster.yaml, and nothing else: `ray stop` would end every Ray of this machine,
# also those of firms that run here by themselves. What `ray start` began has FIRMWIDE_CLUSTER in its environment.
[ -z "${FIRMWIDE_CLUSTER+set}" ] || exec env --unset=FIRMWIDE_CLUSTER "$0"
mine() { grep -lsz '^FIRMWIDE_CLUSTER=' /proc/[0-9]*/environ | cut -d/ -f3; }  # not of who is dead
for signal in TERM KILL; do
  for tenth in {1..100}; do
    left=$(mine)
    [ -n "$left" ] || exit 0
    [ "$tenth" != 1 ] && [ "$signal" = TERM ] || kill -$signal $left 2> /dev/null
    sleep 0.1
  done
done
ps -o pid=,args= -p "${left//$'\n'/,}" >&2
exit 1
