#!/bin/sh
# MiniStack only logs to stderr, but programs that wait for LocalStack wait for this word on stdout.
echo "Ready." > /proc/1/fd/1
