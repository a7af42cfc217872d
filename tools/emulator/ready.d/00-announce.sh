#!/bin/sh
# MiniStack logs on stderr only. What waits for a LocalStack waits for this word on stdout.
echo "Ready." > /proc/1/fd/1
