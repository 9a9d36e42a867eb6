//go:build cgo

package main

import "C"

const byName = true
