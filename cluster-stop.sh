#!/bin/bash
# End this machine's part of the cluster of cluster.yaml, and nothing else: `ray stop` would end every Ray of this machine,
# also those of firms that run here by themselves. What `ray start` began has FIRMWIDE_CLUSTER in its environment; Ray's
# workers and agents write over theirs, and are its children.
[ -z "${FIRMWIDE_CLUSTER+set}" ] || exec env --unset=FIRMWIDE_CLUSTER "$0"
family() { for pid; do echo "$pid"; family $(cat /proc/"$pid"/task/*/children 2> /dev/null); done; }
mine=$(family $(grep -lsz '^FIRMWIDE_CLUSTER=' /proc/[0-9]*/environ | cut -d/ -f3) | sort -u)
left() { ps -o stat=,pid=,args= -p "${mine//$'\n'/,}" | grep -v '^Z'; }  # who is dead and not yet forgotten is gone
[ -n "$mine" ] || exit 0
kill $mine 2> /dev/null
for tenth in {1..100}; do left > /dev/null || exit 0; sleep 0.1; done
kill -9 $mine 2> /dev/null
for tenth in {1..50}; do left > /dev/null || exit 0; sleep 0.1; done
left >&2
exit 1
