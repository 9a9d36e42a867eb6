#!/bin/sh
# play_all.sh PLAYER DIRECTORY: every capture there is.
exec "$1" "$2"/*.pcapng
